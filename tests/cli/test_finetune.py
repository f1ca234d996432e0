"""The command that fine-tunes: a table of one's own becomes a classifier that predicts, in two commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from albertkit.cli.main import main
from albertkit.testing import save_tiny_checkpoint


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    places = ("paris", "france", "new york", "the capital")
    rows = [f"{number},the {word} sat in {place},{word}s\n" for number, place in enumerate(places) for word in ("cat", "dog")]
    path = tmp_path / "reviews.csv"
    path.write_text("number,review,stars\n" + "".join(rows))
    return path


@pytest.mark.slow
def test_a_csv_becomes_a_classifier_in_two_commands(reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_tiny_checkpoint(tmp_path / "tiny")
    words = ["finetune", "--task", "text-classification", "--data.train", reviews, "--data.columns.text", "review"]
    words += ["--data.columns.label", "stars", "--model", model, "--output", tmp_path / "run", "--data.eval_share", "0.3"]
    assert main([str(word) for word in (*words, "--data.workers", "1", "--schedule.total_steps", "2")]) == 0
    told = capsys.readouterr()
    assert told.out == f"the model is in {tmp_path / 'run' / 'final'}\n"
    assert "head at random start" in told.err
    assert main(["text-classification", "--model", str(tmp_path / "run" / "final"), "--json", "the cat sat"]) == 0
    answer = capsys.readouterr().out
    assert '"cats"' in answer or '"dogs"' in answer


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the command must give task"),
        (["--task", "text-classification"], "must give data.train"),
        (["--task", "sst2", "--data.train", "x"], "did you mean sst-2?"),
        (["--task", "sst-2", "--data.train", "no-such-file.tsv"], "no-such-file.tsv"),
        (["--task", "sst-2", "--data.train", "x", "--training.epochs", "3"], "unrecognized arguments"),
        (["no-such-recipe.yaml"], "no-such-recipe.yaml"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finetune", *words]) in (1, 2)
    told = capsys.readouterr().err
    assert message in told
    assert told.count("error:") == 1
    assert "Traceback" not in told
