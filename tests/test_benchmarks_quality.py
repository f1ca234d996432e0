"""The benchmark of time to quality: its texts, its test, its arithmetic, and a whole run on a few sentences."""

from __future__ import annotations

import argparse
import math
from itertools import islice, permutations
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("psutil")

import benchmarks.__main__ as command
from albertkit.data.options import DataRecipe
from albertkit.data.prepare import prepare
from albertkit.testing.vocabulary import tiny_vocabulary
from albertkit.tokenization.tokenizer import AlbertTokenizer
from benchmarks import quality, quality_runs
from benchmarks.quality_runs import HeldOut, Job, make_blocks

SENTENCES = [
    f"The {a} sat in {p}. It was the {b} of {p}." for a in ("cat", "dog") for p in ("paris", "france") for b in ("model", "dog")
]
DOCUMENTS = [" ".join(order) for order in islice(permutations(SENTENCES, 6), 0, 6000, 100)]


@pytest.fixture(scope="module")
def tokenizer() -> AlbertTokenizer:
    return AlbertTokenizer(vocabulary=tiny_vocabulary())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory, tokenizer) -> Path:
    folder = tmp_path_factory.mktemp("quality")
    (folder / "text.txt").write_text("\n\n".join(DOCUMENTS), encoding="utf-8")
    tokenizer.save_pretrained(folder / "tokenizer")
    source, output = str(folder / "text.txt"), folder / "prepared"
    prepare(DataRecipe(sources=[source], tokenizer=str(folder / "tokenizer"), output=str(output), held_out=30))
    return output


def make_run(rate, losses, seconds):
    job = Job(Path("prepared"), 10 * (len(losses) - 1), 16, rate)
    return quality.Run(job, [(10 * number, loss) for number, loss in enumerate(losses)], [seconds])


# ------------------------------------------------------------------ texts


def test_documents_lie_end_to_end_in_blocks(prepared, tokenizer):
    framed = {(*tokenizer.encode(text, add_special_tokens=False), tokenizer.sep_token_id) for text in DOCUMENTS}
    blocks = make_blocks(prepared, "held_out")
    assert blocks.shape[1] == 128
    before, *documents, cut = np.split(blocks.ravel(), np.flatnonzero(blocks.ravel() == tokenizer.cls_token_id))
    assert not len(before)
    assert len(documents) > 20
    assert {tuple(document[1:]) for document in documents} <= framed
    assert len(cut) < 128


def test_the_test_masks_single_tokens_as_the_default_collator_does(prepared, tokenizer):
    first, second = HeldOut(prepared), HeldOut(prepared)
    np.testing.assert_array_equal(first.input_ids, second.input_ids)
    changed = first.input_ids != first.labels
    assert not (changed & ~first.masked).any()
    assert not np.isin(first.labels[first.masked], tokenizer.all_special_ids).any()
    assert first.masked.mean() == pytest.approx(0.15, abs=0.02)
    assert (first.input_ids[first.masked] == tokenizer.mask_token_id).mean() == pytest.approx(0.8, abs=0.05)


def test_the_score_is_the_loss_of_the_masked_tokens(prepared):
    torch = pytest.importorskip("torch")
    test = HeldOut(prepared)
    assert test.score(lambda _, places: torch.zeros(len(places), 101)) == pytest.approx(math.log(101))
    labels = iter(np.array_split(np.arange(len(test.labels)), max(1, len(test.labels) // 16)))

    def know(_, places):
        right = torch.from_numpy(test.labels[next(labels)].ravel())[places]
        return 100.0 * torch.nn.functional.one_hot(right, 101)

    assert test.score(know) == pytest.approx(0.0, abs=1e-6)


# ------------------------------------------------------------------ arithmetic


def test_updates_to_a_loss_lie_on_a_line_between_two_evaluations():
    run = make_run(None, [9.0, 7.0, 7.5, 6.0], 2.0)
    assert run.updates_to(8.0) == 5
    assert run.updates_to(7.0) == 10
    assert run.updates_to(6.5) == pytest.approx(20 + 10 * 2 / 3)
    assert run.seconds_to(8.0) == 10.0
    assert run.updates_to(5.9) is None
    assert run.seconds_to(5.9) is None


def test_a_target_is_held_against_the_peer_that_is_there_first():
    peers = [make_run(1e-3, [9.0, 8.0, 7.0, 6.8, 6.5], 2.0), make_run(2e-3, [9.0, 7.0, 6.9, 6.8, 6.7], 2.0)]
    lines = quality.make_tables(make_run(None, [9.0, 7.0, 6.0, 5.0, 4.0], 1.0), peers)
    assert "| 7.000 | 50% of its updates | 10 | 20 | 10 | 10 | 0.50 |" in lines
    assert "| 6.500 | 100% of its updates | 40 | 80 | 15 | 15 | 0.19 |" in lines
    lines = quality.make_tables(make_run(None, [9.0, 8.0, 7.0, 7.0, 7.0], 1.0), peers)
    assert "| 6.500 | 100% of its updates | 40 | 80 | not reached | — | — |" in lines


# ------------------------------------------------------------------ a whole run


def test_without_a_prepared_folder_it_is_left_out_with_a_reason(tmp_path):
    arguments = argparse.Namespace(results=tmp_path, data=tmp_path, prepared=None)
    assert "--prepared" in command.plan("quality", arguments)
    arguments.prepared = "prepared"
    assert command.plan("quality", arguments) == ["prepared", "--results", str(tmp_path)]


@pytest.mark.slow
@pytest.mark.parametrize("rate", [None, 1e-3])
def test_both_sides_train_and_are_scored(prepared, tmp_path, rate):
    pytest.importorskip("torch")
    if rate:
        pytest.importorskip("accelerate")
    job = Job(prepared, 6, 2, rate)
    quality_runs.record_curve(job, tmp_path)
    curve = quality_runs.read_curve(job.curve(tmp_path))
    assert [update for update, _ in curve] == list(range(7))
    assert curve[0][1] == pytest.approx(math.log(101), abs=0.1)
    assert curve[-1][1] < curve[0][1] - 0.1


@pytest.mark.slow
def test_curves_that_are_there_are_not_made_again(prepared, tmp_path, capsys):
    pytest.importorskip("accelerate")
    words = f"{prepared} --budget-tokens 1280 --sequences 2 --rates 1e-3 --rounds 1 --threads 1 --curves {tmp_path}".split()
    for job in quality.make_jobs(quality.read_arguments(words)):
        job.curve(tmp_path).write_text("update,loss\n0,4.6\n1,4.5\n2,4.4\n4,4.3\n5,4.0\n")
    quality.main([*words, "--results", str(tmp_path)])
    (kept,) = tmp_path.glob("*_quality.md")
    assert kept.read_text().strip() == capsys.readouterr().out.strip()
    assert "| 4.000 | 100% of its updates | 5 |" in kept.read_text()
    assert len(next(iter(tmp_path.glob("*_quality.csv"))).read_text().splitlines()) == 11
