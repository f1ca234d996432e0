"""Every task's command: answers are the pipeline's, from words, standard input and files; people see a table or marked spans."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest

from albertkit import pipeline
from albertkit.cli.main import main
from albertkit.pipelines import PIPELINES

EXAMPLES: dict[str, tuple[list[str], list[str], list[dict[str, Any]], dict[str, Any]]] = {
    "fill-mask": (
        ["the [MASK] sat", "a [MASK]"], ["--top-k", "2"], [{"text": "the [MASK] sat"}, {"text": "a [MASK]"}], {"top_k": 2},
    ),
    "feature-extraction": (
        ["the cat"], ["--pooling", "mean", "--normalize"], [{"text": "the cat"}], {"pooling": "mean", "normalize": True},
    ),
    "text-classification": (
        ["the cat", "--text-pair", "a dog"], [], [{"text": "the cat", "text_pair": "a dog"}], {"top_k": None},
    ),
    "token-classification": (
        ["Paris is the capital"], ["--aggregation-strategy", "simple", "--ignore-labels", "PER"],
        [{"text": "Paris is the capital"}], {"aggregation_strategy": "simple", "ignore_labels": ["PER"]},
    ),
    "question-answering": (
        ["--question", "a cat?", "the cat sat on a dog"], ["--max-answer-len", "3", "--top-k", "2"],
        [{"context": "the cat sat on a dog", "question": "a cat?"}], {"max_answer_len": 3, "top_k": 2},
    ),
    "zero-shot-classification": (
        ["the cat", "a dog"], ["--candidate-labels", "new,york", "paris", "--hypothesis-template", "it is {}"],
        [{"text": "the cat"}, {"text": "a dog"}],
        {"candidate_labels": ["new", "york", "paris"], "hypothesis_template": "it is {}"},
    ),
    "sentence-similarity": (
        ["--source-sentence", "the cat", "a dog", "new york"], [],
        [{"sentences": ["a dog", "new york"], "source_sentence": "the cat"}], {},
    ),
    "multiple-choice": (
        ["--prompt", "the cat", "sat", "is new", "--question", "it _?"], ["--top-k", "1"],
        [{"choices": ["sat", "is new"], "prompt": "the cat", "question": "it _?"}], {"top_k": 1},
    ),
    "sentence-order": (["the cat", "a dog"], [], [{"text": "the cat", "text_pair": "a dog"}], {}),
    "pseudo-log-likelihood": (
        ["the cat"], ["--per-token", "--method", "word_l2r"], [{"text": "the cat"}], {"per_token": True, "method": "word_l2r"},
    ),
}  # fmt: skip
"""Task → words that are inputs, flags that are options, and for the pipeline the same inputs and options."""


def objects(capsys) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def split_numbers(value: Any, numbers: list[float]) -> Any:
    """An answer without its floating numbers, which are added to a list."""
    if isinstance(value, dict):
        return {name: split_numbers(part, numbers) for name, part in value.items()}
    if isinstance(value, list):
        return [split_numbers(part, numbers) for part in value]
    return numbers.append(value) if isinstance(value, float) else value


def test_every_task_has_its_command():
    assert sorted(EXAMPLES) == sorted(PIPELINES)


@pytest.mark.parametrize("task", EXAMPLES)
def test_answers_are_the_pipelines_own(task: str, model_of, capsys):
    words, flags, records, options = EXAMPLES[task]
    assert main([task, *words, *flags, "--json", "--model", model_of(task), "--engine", "numpy"]) == 0
    expected = list(pipeline(task, model_of(task), engine="numpy", **options)(iter(records)))
    assert objects(capsys) == [record | {"answers": answer} for record, answer in zip(records, expected, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["jax", "tensorflow"])
@pytest.mark.parametrize("task", {PIPELINES[task].head: task for task in EXAMPLES}.values())
def test_a_task_of_every_head_runs_on_jax_and_tensorflow(task: str, engine: str, model_of, capsys):
    pytest.importorskip(engine)
    words, flags, _, _ = EXAMPLES[task]
    found: dict[str, tuple[Any, list[float]]] = {}
    for name in ("numpy", engine):
        assert main([task, *words, *flags, "--json", "--model", model_of(task), "--engine", name]) == 0
        numbers: list[float] = []
        found[name] = split_numbers(objects(capsys), numbers), numbers
    assert found[engine][0] == found["numpy"][0]
    assert found[engine][1] == pytest.approx(found["numpy"][1], abs=1e-4)


@pytest.mark.parametrize("task", EXAMPLES)
def test_people_see_every_input(task: str, model_of, capsys):
    words, _, records, _ = EXAMPLES[task]
    flags = ["--candidate-labels", "new"] if task == "zero-shot-classification" else []
    assert main([task, *words, *flags, "--model", model_of(task), "--engine", "numpy"]) == 0
    page = re.sub(r"[\[\]]| (LOC|PER|O)\b", "", capsys.readouterr().out)
    for record in records:
        for text in record.values():
            for part in [text] if isinstance(text, str) else text:
                assert part.replace("[MASK]", "MASK") in page


@pytest.mark.parametrize("task", EXAMPLES)
def test_files_of_every_kind_give_the_same(task: str, model_of, capsys, tmp_path):
    words, flags, records, _ = EXAMPLES[task]
    common = ["--model", model_of(task), "--engine", "numpy"]
    names = list(records[0])
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"id": 7} | record) + "\n" for record in records))
    rows = [["|".join(value) if isinstance(value, list) else value for value in record.values()] for record in records]
    (tmp_path / "in.csv").write_text("\n".join([",".join(["id", *names]), *(",".join(["7", *row]) for row in rows)]))
    outputs = {}
    for kind in ("jsonl", "csv"):
        for to in ("jsonl", "csv", "txt"):
            output = tmp_path / f"{kind}.{to}"
            assert main([task, "--input", str(tmp_path / f"in.{kind}"), "--output", str(output), *flags, *common]) == 0
            outputs[kind, to] = output.read_text()
            assert len(outputs[kind, to].splitlines()) == len(records) + (to == "csv")
    assert outputs["jsonl", "txt"] == outputs["csv", "txt"]
    assert outputs["jsonl", "csv"] == outputs["csv", "csv"]
    written = [json.loads(line) for line in outputs["jsonl", "jsonl"].splitlines()]
    assert [list(one) for one in written] == [["id", *names, "answers"]] * len(records)
    capsys.readouterr()
    assert main([task, *words, *flags, "--json", *common]) == 0
    assert [one | {"id": 7} for one in objects(capsys)] == written
    header = outputs["csv", "csv"].splitlines()[0].split(",")
    assert header[: len(names) + 1] == ["id", *names]
    assert header[-1] == "error"
    assert all(name.startswith("answer.") for name in header[len(names) + 1 : -1])


@pytest.mark.parametrize("source", ["stdin", "txt"])
def test_lines_are_texts(source: str, model_of, capsys, monkeypatch, tmp_path):
    lines = "\ufeffthe [MASK] sat\r\n\r\na [MASK]"
    words = ["fill-mask", "--json", "--model", model_of("fill-mask")]
    if source == "stdin":
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines.encode()), "utf-8"))
    else:
        (tmp_path / "in.txt").write_bytes(lines.encode())
        words += ["--input", str(tmp_path / "in.txt")]
    assert main(words) == 0
    assert [one["text"] for one in objects(capsys)] == ["the [MASK] sat", "a [MASK]"]


def test_lines_together_are_one_input_where_a_task_takes_many(model_of, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("the cat\na dog\nnew york\n"))
    assert main(["sentence-order", "--json", "--model", model_of("sentence-order")]) == 0
    (one,) = objects(capsys)
    assert one["sentences"] == ["the cat", "a dog", "new york"]
    assert len(one["answers"]["scores"]) == 2


def test_a_flag_fills_what_a_line_lacks(model_of, capsys, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"context": "the cat sat"}\n{"context": "a dog", "question": "new?"}\n')
    words = ["question-answering", "--question", "old?", "--input", str(tmp_path / "in.jsonl"), "--json"]
    assert main([*words, "--model", model_of("question-answering")]) == 0
    assert [one["question"] for one in objects(capsys)] == ["old?", "new?"]


def test_a_bad_input_is_named_and_the_rest_goes_on(model_of, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"the [MASK]\nno mask\n\xff [MASK]\na [MASK]\n"), "utf-8"))
    assert main(["fill-mask", "--json", "--model", model_of("fill-mask")]) == 1
    printed = capsys.readouterr()
    assert ["error" in json.loads(line) for line in printed.out.splitlines()] == [False, True, True, False]
    assert json.loads(printed.out.splitlines()[2])["text"] == "\udcff [MASK]"
    first, second = printed.err.splitlines()
    assert first.startswith("albertkit: error: line 2: a text must hold the mask token")
    assert second.startswith("albertkit: error: line 3: ")


def test_flags_may_stand_between_texts_and_texts_may_look_like_flags(model_of, capsys):
    model = model_of("fill-mask")
    assert main(["fill-mask", "a [MASK]", "--json", "the [MASK]", "--model", model]) == 0
    assert [one["text"] for one in objects(capsys)] == ["a [MASK]", "the [MASK]"]
    assert main(["fill-mask", "--json", "--model", model, "--", "-- [MASK]", "--json"]) == 1
    assert "text 2" in capsys.readouterr().err


def test_spans_are_in_colour_on_a_terminal(model_of, capsys, monkeypatch):
    words = ["token-classification", "Paris", "--ignore-labels", "--model", model_of("token-classification")]
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert main(words) == 0
    assert re.fullmatch(r"\[Paris (O|LOC|PER)\]\n", capsys.readouterr().out)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(words) == 0
    assert re.fullmatch(r"\033\[1;3\dmParis\033\[0;3\dm (O|LOC|PER)\033\[0m\n", capsys.readouterr().out)
    monkeypatch.setenv("NO_COLOR", "1")
    assert main(words) == 0
    assert "\033" not in capsys.readouterr().out
