"""A second language, end to end in miniature: vocabulary, data, model, evaluation and a filled mask, all by commands."""

from __future__ import annotations

import json
import lzma
import unicodedata
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from albertkit.cli.main import main
from albertkit.data.batches import PretrainingData
from albertkit.tokenization.tokenizer import AlbertTokenizer
from albertkit.training.evaluation import held_out_batches
from albertkit.training.recipe import read_recipe

RECIPE = Path(__file__).parents[1] / "recipes" / "albert-mini-ko.yaml"
SYLLABLES = [chr(code) for code in range(0xAC00, 0xD7A4)]
SENTENCE = "서울은 대한민국의 수도이다."


@pytest.fixture(scope="module")
def korean(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first 200 articles and a vocabulary of 4,000 pieces learnt from them."""
    folder = tmp_path_factory.mktemp("korean")
    with lzma.open(shared_data / "wiki-ko" / "kowiki-slice.jsonl.xz", "rt", encoding="utf-8") as file:
        (folder / "text.jsonl").write_text("".join(islice(file, 200)), encoding="utf-8")
    words = ["train-tokenizer", str(folder / "text.jsonl"), "--output", str(folder / "vocabulary"), "--vocab-size", "4000"]
    assert main([*words, "--character-coverage", "0.998", "--keep-accents"]) == 0
    return folder


@pytest.mark.slow
def test_hangul_is_never_left_in_parts(korean: Path) -> None:
    tokenizer = AlbertTokenizer.from_pretrained(korean / "vocabulary")
    assert tokenizer.decode(tokenizer(SENTENCE)["input_ids"], skip_special_tokens=True) == SENTENCE
    # Whoever drops accents decomposes Hangul; SentencePiece composes it again, so that the ids are the same.
    dropping = AlbertTokenizer.from_pretrained(korean / "vocabulary", keep_accents=False)
    assert (
        dropping(SYLLABLES, add_special_tokens=False)["input_ids"] == tokenizer(SYLLABLES, add_special_tokens=False)["input_ids"]
    )
    jamo = [piece for piece in tokenizer.get_vocab() if len(unicodedata.normalize("NFC", piece)) < len(piece)]
    assert jamo == []


@pytest.mark.slow
def test_from_raw_text_to_a_filled_mask(korean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.set_num_threads(1)
    content = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    content["data"] |= {
        "sources": [str(korean / "text.jsonl")], "tokenizer": str(korean / "vocabulary"), "output": str(korean / "prepared"),
        "held_out": 12,
    }  # fmt: skip
    content["model"] |= {
        "vocab_size": 4000,
        "embedding_size": 64,
        "hidden_size": 64,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
    }
    content["schedule"] |= {"total_steps": 60, "warmup_steps": 10, "decay_steps": 15}
    content["schedule"]["stages"][0]["from_step"] = -15
    content["training"] |= {"tokens_per_batch": 2048, "log_every_steps": 10, "device": "cpu"}
    content["evaluation"] |= {"num_examples": 64}
    content["output"] = str(korean / "run")
    path = korean / "recipe.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")

    assert main(["prepare", str(path)]) == 0
    assert main(["pretrain", str(path)]) == 0
    lines = [json.loads(line) for line in (korean / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [line["mlm_loss"] for line in lines if line["event"] == "train"]
    assert losses[-1] < losses[0] - 0.5
    (scores,) = [line for line in lines if line["event"] == "evaluation"]
    assert scores["majority_accuracy"] == _commonest_share(path)

    capsys.readouterr()
    assert main(["evaluate", str(path), "--model", str(korean / "run" / "final"), "--json"]) == 0
    assert "majority_accuracy" in capsys.readouterr().out
    masked = SENTENCE.replace("의", "[MASK]")
    assert main(["fill-mask", masked, "--model", str(korean / "run" / "final"), "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)["answers"]
    assert len(answers) == 5
    assert np.isfinite([answer["score"] for answer in answers]).all()


def _commonest_share(path: Path) -> float:
    """The share of the commonest of the tokens that the recipe's test asks for, counted apart from the evaluation."""
    recipe = read_recipe(path)
    data = PretrainingData(recipe.data.output, split="held_out", options=recipe.evaluation.examples, seed=recipe.evaluation.seed)
    labels = np.concatenate([batch.labels[batch.labels >= 0] for batch in held_out_batches(data, recipe.evaluation)])
    return float(np.unique(labels, return_counts=True)[1].max() / len(labels))
