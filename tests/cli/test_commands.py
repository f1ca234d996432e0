"""The command line as its users meet it: output, exit status, and one line for every mistake."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from albertkit.cli.main import COMMANDS, main


def test_fill_mask_with_the_embedded_model_prints_five_rows(capsys):
    assert main(["fill-mask", "Paris is the capital of [MASK]."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Paris is the capital of [MASK]."
    assert len(lines) == 6
    assert all("%" in line and ("█" in line or "▏" in line) for line in lines[1:])


def test_json_is_one_object_a_line(capsys, tiny_checkpoint):
    assert main(["fill-mask", "the [MASK]", "[MASK] of [MASK]", "--json", "--top-k", "2", "--model", str(tiny_checkpoint)]) == 0
    objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [entry["text"] for entry in objects] == ["the [MASK]", "[MASK] of [MASK]"]
    assert [len(objects[0]["answers"]), len(objects[1]["answers"][1])] == [2, 2]


def test_texts_come_from_standard_input_and_files(capsys, tiny_checkpoint, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.stdin", io.StringIO("the [MASK]\n\n[MASK] of\n"))
    assert main(["fill-mask", "--json", "--model", str(tiny_checkpoint)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    (tmp_path / "texts.jsonl").write_text('{"text": "the [MASK]"}\n{"text": "[MASK] of"}\n')
    output = tmp_path / "answers.jsonl"
    words = ["fill-mask", "--input", str(tmp_path / "texts.jsonl"), "--output", str(output), "--model", str(tiny_checkpoint)]
    assert main(words) == 0
    assert [json.loads(line)["text"] for line in output.read_text().splitlines()] == ["the [MASK]", "[MASK] of"]


def test_a_failed_output_leaves_nothing(capsys, tiny_checkpoint, tmp_path):
    (tmp_path / "texts.txt").write_text("the [MASK]\nno mask\n")
    output = tmp_path / "answers.jsonl"
    words = ["fill-mask", "--input", str(tmp_path / "texts.txt"), "--output", str(output), "--model", str(tiny_checkpoint)]
    assert main(words) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["texts.txt"]
    assert "must hold the mask token" in capsys.readouterr().err.splitlines()[-1]


def test_info_and_doctor(capsys, tiny_checkpoint):
    assert main(["info", str(tiny_checkpoint)]) == 0
    page = capsys.readouterr().out
    assert "pooler, masked_lm, sentence_order" in page
    assert main(["info", str(tiny_checkpoint), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["config"]["hidden_size"] == 15
    assert report["total_parameters"] == sum(report["parameters"].values())
    assert main(["doctor"]) == 0
    assert "albert-mini-en answers" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["packages"]["core"]["numpy"]


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["fill-mask", "no mask"], 1, "must hold the mask token"),
        (["fill-mask", "[MASK]", "--model", "no-such"], 1, "the embedded models are"),
        (["fill-mask", "--input", "no-such.txt"], 1, "--input must name a readable file"),
        (["fill-mask", "[MASK]", "--input", "x"], 1, "leave one out"),
        (["fill-mask", "the " * 600 + "[MASK]"], 1, "max_position_embeddings"),
        (["fill-mask", "[MASK]", "--top-k", "many"], 2, "top-k"),
        (["fill-mask", "[MASK]", "--topk", "3"], 2, "topk"),
        (["fill-mask", "[MASK]", "--engine", "onyx"], 2, "onyx"),
        (["fil-mask", "[MASK]"], 2, "did you mean fill-mask"),
        (["info", "no-such"], 1, "embedded models"),
    ],
)
def test_mistakes_are_one_line_without_a_traceback(capsys, words: list[str], status: int, line: str):
    assert main(words) == status
    error = capsys.readouterr().err
    assert line in error
    assert "Traceback" not in error
    if status == 1:
        assert len(error.splitlines()) == 1


def test_help_and_version(capsys):
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert all(name in page for name in COMMANDS)
    assert main([]) == 2
    capsys.readouterr()
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("albertkit ")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(capsys, name: str):
    assert main([name, "--help"]) == 0
    page = capsys.readouterr().out
    assert page.startswith(f"usage: albertkit {name}")
    assert "==SUPPRESS==" not in page


def test_help_imports_no_framework():
    script = (
        "import sys; from albertkit.cli.main import main; main(['fill-mask', '--help']); main(['--help'])\n"
        "print(sorted(set(sys.modules) & {'torch', 'numpy', 'sentencepiece', 'huggingface_hub', 'transformers'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
