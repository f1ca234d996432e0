"""``albertkit evaluate`` on the examples of a task."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from albertkit.cli.main import main
from albertkit.tasks.registry import open_task, write_task
from albertkit.testing import save_tiny_checkpoint, tiny_config

ROWS = [("the cat", "no"), ("paris is new", "yes"), ("he sat on it", "no")]


@pytest.fixture
def model(tmp_path):
    """A classifier with its task."""
    config = tiny_config(id2label={0: "no", 1: "yes"})
    directory = save_tiny_checkpoint(tmp_path / "model", "AlbertForSequenceClassification", config)
    write_task(replace(open_task("text-classification"), labels=("no", "yes")), directory)
    return directory


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "dev.csv"
    path.write_text("review,stars\n" + "".join(f"{text},{label}\n" for text, label in ROWS))
    return path


COLUMNS = ["--columns", "text=review", "label=stars"]


def run(*words) -> int:
    return main(["evaluate", *map(str, words)])


def test_the_task_is_the_model_s_and_the_table_is_printed(model, data, tmp_path, capsys):
    assert run("--model", model, "--data", data, *COLUMNS, "--output", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    for text in (str(model), "text-classification", "3 examples", "accuracy", "0.6667", "tokens/s", str(tmp_path / "out")):
        assert text in printed
    results = json.loads((tmp_path / "out/results.json").read_text())
    predictions = [json.loads(line) for line in (tmp_path / "out/predictions.jsonl").read_text().splitlines()]
    hits = sum(prediction["label"] == label for prediction, (_text, label) in zip(predictions, ROWS, strict=True))
    assert results["scores"]["values"]["accuracy"] == pytest.approx(hits / 3)
    assert results["scores"]["baseline"] == pytest.approx(2 / 3)
    assert len((tmp_path / "out/errors.jsonl").read_text().splitlines()) == 3 - hits
    assert (tmp_path / "out/confusion.png").exists()


def test_json_is_for_programs_and_every_engine_gives_the_same(model, data, capsys):
    found = []
    for engine in ("numpy", "torch"):
        assert run("--model", model, "--data", data, *COLUMNS, "--engine", engine, "--json") == 0
        found.append(json.loads(capsys.readouterr().out))
    assert [result["engine"] for result in found] == ["numpy", "torch"]
    assert found[0]["scores"] == found[1]["scores"]


def test_a_named_task_takes_its_labels_in_the_order_of_the_model(tmp_path, capsys):
    premises = "".join(f"{text}\tthe cat\t{label}\n" for text in ("he", "she is") for label in ("entailment", "neutral"))
    (tmp_path / "dev.tsv").write_text(f"sentence1\tsentence2\tgold_label\n{premises}")
    answers = []
    for labels in (("contradiction", "entailment", "neutral"), ("ENTAILMENT", "Neutral", "contradiction")):
        config = tiny_config(id2label=dict(enumerate(labels)))
        model = save_tiny_checkpoint(tmp_path / labels[0], "AlbertForSequenceClassification", config)
        assert run("--model", model, "--task", "mnli", "--data", tmp_path / "dev.tsv", "--output", tmp_path / "out") == 0
        lines = (tmp_path / "out/predictions.jsonl").read_text().splitlines()
        answers.append([list(json.loads(line)["probabilities"].items()) for line in lines])
    for ours, theirs in zip(*answers, strict=True):  # the weights are the same, so that only names differ
        assert [name for name, _ in theirs] == ["entailment", "neutral", "contradiction"]
        assert [value for _, value in ours] == [value for _, value in theirs]
    capsys.readouterr()


def test_labels_of_other_names_are_taken_by_their_numbers_and_told(tmp_path, capsys):
    (tmp_path / "dev.tsv").write_text("sentence\tlabel\nthe cat\t1\nhe\t0\n")
    config = tiny_config(id2label={0: "NEGATIVE", 1: "POSITIVE"})
    model = save_tiny_checkpoint(tmp_path / "model", "AlbertForSequenceClassification", config)
    with pytest.warns(UserWarning, match="not those of sst-2; taken by their numbers: NEGATIVE as 0, POSITIVE as 1"):
        assert run("--model", model, "--task", "sst-2", "--data", tmp_path / "dev.tsv") == 0
    assert "accuracy" in capsys.readouterr().out


def test_the_head_of_three_parts_is_found_in_the_model(tmp_path, capsys):
    model = save_tiny_checkpoint(tmp_path / "model", "AlbertForQuestionAnsweringWithAnswerability")
    (tmp_path / "dev.tsv").write_text("question\tcontext\tanswers\nthe cat?\the sat on the cat\tthe cat\nhe?\tparis\t\n")
    assert (
        run("--model", model, "--task", "squad-v2", "--data", tmp_path / "dev.tsv", "--output", tmp_path / "out", "--json") == 0
    )
    assert {"f1", "exact_match", "NoAns_f1"} <= json.loads(capsys.readouterr().out)["scores"]["values"].keys()
    assert len(json.loads((tmp_path / "out/null_odds.json").read_text())) == 2


def test_without_right_answers_there_are_predictions_alone(model, tmp_path, capsys):
    (tmp_path / "test.csv").write_text("text\nthe cat\nparis\n")
    assert run("--model", model, "--data", tmp_path / "test.csv", "--output", tmp_path / "out") == 0
    assert "2 examples, without right answers" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["predictions.jsonl", "results.json"]
    assert run("--model", model, "--data", tmp_path / "test.csv") == 1
    assert "--output" in capsys.readouterr().err


def test_a_framework_is_not_needed(model, data):
    words = ["evaluate", "--model", str(model), "--data", str(data), *COLUMNS]
    script = f"import sys; from albertkit.cli.main import main; main({words!r}); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--model", "MODEL", "--data", "DATA", "--task", "conll"], "token_classification head"),
        (["--model", "MODEL", "--data", "DATA", "--task", "sst2"], "did you mean sst-2?"),
        (["--model", "MODEL", "--data", "DATA", "--columns", "text"], "FIELD=COLUMN"),
        (["--model", "MODEL", "--data", "DATA"], "the column text"),
        (["--model", "MODEL", "--data", "OTHER"], "'maybe' in"),
        (["--model", "MODEL", "--data", "no.csv"], "no.csv"),
        (["--model", "albert-mini-en", "--data", "DATA"], "--task"),
        (["--data", "DATA"], "--model"),
        (["--data", "DATA", "--model", "MODEL", "--no-cloze"], "neither a recipe nor"),
        (["--data", "DATA", "--model", "MODEL", "--training.seed", "3"], "name the recipe"),
        (["--task", "sst-2"], "--task goes with --data"),
        (["--engine", "numpy"], "--engine goes with --data"),
        (["--output", "x"], "--output alone"),
    ],
)
def test_mistakes_are_one_line(words, sentence, model, data, capsys):
    other = data.with_name("other.csv")
    other.write_text("text,label\nthe cat,maybe\n")
    if "conll" in words:
        data.write_text("the\tO\n")
        data = data.rename(data.with_suffix(".conll"))
    names = {"MODEL": str(model), "DATA": str(data), "OTHER": str(other)}
    assert run(*(names.get(word, word) for word in words)) == 1
    error = capsys.readouterr().err
    assert sentence in error
    assert len(error.splitlines()) == 1
