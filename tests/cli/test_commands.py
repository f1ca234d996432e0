"""The command line as its users meet it: output, exit status, and one line for every mistake."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from albertkit.cli.main import COMMANDS, main
from albertkit.inference import engine
from albertkit.optional import EXTRAS, is_installed

LIGHT = [name for name in COMMANDS if name not in ("prepare", "pretrain", "finetune", "evaluate")]
"""Commands without a recipe, whose ``--help`` reads no part of the package but the command's own file."""


def test_fill_mask_with_the_embedded_model_prints_five_rows(capsys):
    assert main(["fill-mask", "Paris is the capital of [MASK]."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Paris is the capital of [MASK]."
    assert len(lines) == 6
    assert all("%" in line and ("█" in line or "▏" in line) for line in lines[1:])


def test_info_and_doctor(capsys, tiny_checkpoint):
    assert main(["info", str(tiny_checkpoint)]) == 0
    page = capsys.readouterr().out
    there, lacking = page.partition("\nheads\n")[2].partition("\nheads it lacks\n")[::2]
    assert [line.split(maxsplit=1) for line in there.splitlines() if line][1:] == [
        ["masked_lm", "fill-mask, pseudo-log-likelihood"],
        ["sentence_order", "sentence-order"],
    ]
    assert "question_answering       question-answering\n" in lacking
    assert main(["info", str(tiny_checkpoint), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["config"]["hidden_size"] == 15
    assert report["total_parameters"] == sum(report["parameters"].values())
    assert main(["doctor"]) == 0
    assert "albert-mini-en answers" in capsys.readouterr().out
    assert main(["doctor", "--json"]) == 0
    packages = json.loads(capsys.readouterr().out)["packages"]
    assert packages["core"]["numpy"]
    assert bool(packages["tensorflow"]["tensorflow"]) == is_installed("tensorflow")
    assert set(packages) <= {"core", *EXTRAS.values()}


def test_doctor_says_what_auto_takes(capsys, monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda **_: torch.device("cuda"))
    assert main(["doctor"]) == 0
    page = capsys.readouterr().out
    assert "numpy for one short text: " in page
    assert "torch for many texts (26,000 tokens with albert-mini-en" in page
    assert "torch for --device cuda: " in page
    assert ("jax for --engine jax: " in page) == ("jax" in engine.find_installed())
    monkeypatch.setattr(engine, "find_installed", frozenset)
    assert main(["doctor", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert [choice["engine"] for choice in report["engines"]] == ["numpy", "numpy"]
    assert 'pip install "albertkit[torch]"' in report["engines"][1]["reason"]


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (["fill-mask", "no mask"], 1, "must hold the mask token"),
        (["fill-mask", "[MASK]", "--model", "no-such"], 1, "the embedded models are"),
        (["fill-mask", "--input", "no-such.txt"], 1, "--input must name a readable file"),
        (["fill-mask", "[MASK]", "--input", "x"], 1, "leave one out"),
        (["sentence-similarity", "the cat"], 1, "source_sentence"),
        (["fill-mask", "the " * 600 + "[MASK]"], 1, "max_position_embeddings"),
        (["fill-mask", "[MASK]", "--top-k", "many"], 2, "top-k"),
        (["fill-mask", "[MASK]", "--topk", "3"], 2, "unrecognized arguments: --topk 3; did you mean --top-k?"),
        (["fill-mask", "[MASK]", "--batchsize=3"], 2, "did you mean --batch-size?"),
        (["info", "a", "b"], 2, "unrecognized arguments: b"),
        (["fill-mask", "[MASK]", "--top-k", "0"], 1, "top_k must be a positive whole number"),
        (["text-classification", "the cat"], 1, "needs a checkpoint with a sequence_classification head"),
        (["question-answering", "the cat"], 1, "question_answering"),
        (["sentence-order", "alone"], 1, "sentences must be two or more"),
        (["pseudo-log-likelihood", " "], 1, "text must not be empty"),
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
    assert ":`" not in page


def test_help_imports_no_framework():
    script = (
        f"import sys; from albertkit.cli.main import main; [main([name, '--help']) for name in {LIGHT}]; main(['--help'])\n"
        "print(sorted(set(sys.modules) & {'torch', 'numpy', 'sentencepiece', 'huggingface_hub', 'tqdm', 'shtab'}))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_completion_knows_commands_flags_and_choices(capsys, tmp_path):
    for shell in ("bash", "zsh", "tcsh"):
        assert main(["completion", shell]) == 0
        script = capsys.readouterr().out
        assert all(name in script for name in COMMANDS)
        if shell == "bash":
            (tmp_path / "completion").write_text(script)
    if bash := shutil.which("bash"):
        for typed, found in (("albertkit question-ans", "question-answering"), ("albertkit fill-mask --answer-form ca", "card"),
                             ("albertkit fill-mask --top", "--top-k")):  # fmt: skip
            words = typed.split()
            asked = (
                f"source completion; COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _shtab_albertkit; echo ${{COMPREPLY[*]}}"
            )
            done = subprocess.run([bash, "-c", asked], cwd=tmp_path, capture_output=True, text=True, check=True)
            assert done.stdout.split() == [found]


def test_completion_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["completion", "bash"]) == 1
    assert 'pip install "albertkit[completion]"' in capsys.readouterr().err
