"""--input and --output: bad lines, resuming to the byte, and what is refused before any work."""

from __future__ import annotations

import csv
import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from albertkit.cli import bulk, task_command
from albertkit.cli.main import main
from albertkit.inference import engine
from albertkit.testing import save_tiny_checkpoint, tiny_config

LINES = [f"{'the cat ' * (n % 5)}[MASK] of {n}" for n in range(150)]


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(LINES))
    return path


@pytest.fixture
def fill(tmp_path: Path, texts: Path, model_of, monkeypatch):
    """Runs fill-mask over the texts, in small windows."""
    monkeypatch.setattr(task_command, "_WINDOW", 16)
    monkeypatch.setattr(task_command.answer_windows, "__defaults__", (16,))

    def run(*words: str, output: str = "out.jsonl") -> int:
        return main(
            ["fill-mask", "--input", str(texts), "--output", str(tmp_path / output), "--model", model_of("fill-mask"), *words]
        )

    return run


def test_bad_lines_are_reported_and_kept_in_place(model_of, capsys, tmp_path):
    lines = [
        b'{"id": 1, "text": "the [MASK]"}', b"", b"not json", b'["a list"]', b'{"id": 4}', b'{"id": 5, "text": "no mask"}',
        b'{"id": 6, "text": "\\ud800 [MASK]"}', b'{"id": 7, "text": "' + b"the " * 99 + b'[MASK]"}', b'{"id": 8, "text": 5}',
        b'{"id": 9, "text": "\xff [MASK]"}', b'{"id": 10, "text": "a [MASK]", "error": "old", "answers": 1}', b'{"text": ""}',
    ]  # fmt: skip
    (tmp_path / "in.jsonl").write_bytes(b"\n".join(lines))
    words = [
        "fill-mask",
        "--input",
        str(tmp_path / "in.jsonl"),
        "--engine",
        "numpy",
        "--model",
        model_of("fill-mask"),
        "--output",
    ]
    assert main([*words, str(tmp_path / "out.jsonl")]) == 1
    *reports, summary = capsys.readouterr().err.splitlines()
    assert [report.split(":")[2].strip() for report in reports] == [f"line {n}" for n in (3, 4, 5, 6, 7, 8, 9, 10, 12)]
    assert summary == f"albertkit: 2 answered, 9 could not be; written to {tmp_path / 'out.jsonl'}"
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [one.get("id", one.get("line")) for one in written] == [1, 3, 4, 4, 5, 6, 7, 8, 9, 10, None]
    assert [sorted({"answers", "error"} & set(one)) for one in written] == [["answers"], *[["error"]] * 8, ["answers"], ["error"]]
    assert [word in one["error"] for word, one in zip(("no JSON", "a list"), written[1:3], strict=True)] == [True, True]
    assert main([*words, str(tmp_path / "out.csv")]) == 1
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines()))
    assert [row["id"] for row in rows] == ["1", "", "", "4", "5", "6", "7", "8", "9", "10", ""]
    assert [not row["error"] for row in rows] == ["answers" in one for one in written]
    assert main([*words, str(tmp_path / "out.txt")]) == 1
    assert [bool(line) for line in (tmp_path / "out.txt").read_text().split("\n")[:-1]] == ["answers" in one for one in written]


def test_rows_of_a_table_that_do_not_fit(model_of, capsys, tmp_path):
    (tmp_path / "in.csv").write_text('id,text\n1,"the\n\n[MASK]"\n2\n\n3,"' + "x" * (2**24 + 1) + '"\n4,a [MASK]\n5,\n')
    words = ["fill-mask", "--input", str(tmp_path / "in.csv"), "--engine", "numpy", "--model", model_of("fill-mask"), "--output"]
    assert main([*words, str(tmp_path / "out.jsonl")]) == 1
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [one.get("id", one.get("line")) for one in written] == ["1", 5, 7, "4", "5"]
    assert written[0]["text"] == "the\n\n[MASK]"
    assert written[-1]["error"] == "text must be a string; received a NoneType."
    assert [line.split(":")[2] for line in capsys.readouterr().err.splitlines()[:-1]] == [" line 5", " line 7", " line 9"]


def test_an_interrupted_run_goes_on_to_the_same_bytes(fill, capsys, monkeypatch, tmp_path):
    assert fill(output="whole.jsonl") == 0
    capsys.readouterr()
    answer = bulk.answer_windows

    def stop(*arguments):
        for calls, window in enumerate(answer(*arguments)):
            if calls == 3:
                raise KeyboardInterrupt
            yield window

    monkeypatch.setattr(bulk, "answer_windows", stop)
    assert fill() == 130
    assert capsys.readouterr().err == "albertkit: stopped after 48 of 150; run the same command again to go on.\n"
    partial = tmp_path / "out.jsonl.partial"
    with partial.open("ab") as data, (tmp_path / "out.jsonl.partial.progress").open("ab") as log:
        data.write(b'{"text": "half a li')
        log.write(b'{"items": 6')
    assert fill() == 130
    assert "after 96 of 150" in capsys.readouterr().err
    monkeypatch.setattr(bulk, "answer_windows", answer)
    assert fill() == 0
    assert capsys.readouterr().err.startswith("albertkit: 150 answered; written to")
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == LINES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "texts.txt", "whole.jsonl"]


def test_another_run_does_not_go_on(fill, capsys, monkeypatch, texts, tmp_path):
    answer = bulk.answer_windows

    def stop(*arguments):
        yield next(answer(*arguments))
        raise KeyboardInterrupt

    monkeypatch.setattr(bulk, "answer_windows", stop)
    assert fill() == 130
    monkeypatch.setattr(bulk, "answer_windows", answer)
    capsys.readouterr()
    assert fill("--top-k", "3") == 1
    error = capsys.readouterr().err
    assert "received another --top-k" in error
    assert f"to start anew, remove {tmp_path / 'out.jsonl.partial'}" in error
    assert len(error.splitlines()) == 1
    texts.write_text("\n".join(LINES).replace("cat", "dog"))
    assert fill() == 1
    assert "received another input" in capsys.readouterr().err
    (tmp_path / "out.jsonl.partial.progress").unlink()
    assert fill() == 1
    assert "needs its log" in capsys.readouterr().err
    (tmp_path / "out.jsonl.partial").unlink()
    assert fill() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="files are not locked there")
def test_two_runs_do_not_write_one_output(fill, capsys, monkeypatch, tmp_path):
    answer = bulk.answer_windows
    seconds = []

    def begin_another(*arguments):
        for window in answer(*arguments):
            seconds.append(fill())
            yield window

    monkeypatch.setattr(bulk, "answer_windows", begin_another)
    assert fill() == 0
    assert set(seconds) == {1}
    *errors, _summary = capsys.readouterr().err.splitlines()
    assert set(errors) == {
        "albertkit: error: one run at a time may write an output; received "
        f"{tmp_path / 'out.jsonl'}, which another run writes; wait for that one."
    }
    assert [json.loads(line)["text"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == LINES


@pytest.mark.slow
def test_killed_at_any_moment_a_run_ends_in_the_same_bytes(model_of, tmp_path):
    texts = tmp_path / "texts.jsonl"
    lines = [json.dumps({"n": n, "text": f"{'the cat ' * (n % 4)}[MASK] of {n}" if n % 97 else "no mask"}) for n in range(2000)]
    texts.write_text("\n".join(lines))
    words = [sys.executable, "-m", "albertkit", "fill-mask", "--engine", "numpy", "--input", str(texts)]
    words += ["--model", model_of("fill-mask")]
    for suffix in ("jsonl", "csv"):
        whole, output = tmp_path / f"whole.{suffix}", tmp_path / f"out.{suffix}"
        assert subprocess.run([*words, "--output", str(whole)], capture_output=True, check=False).returncode == 1
        partial, size = Path(f"{output}.partial"), whole.stat().st_size
        kills = 0
        for share in (0, 0.2, 0.5, 0.8):
            process = subprocess.Popen([*words, "--output", str(output)], stderr=subprocess.DEVNULL)
            while process.poll() is None and not (partial.exists() and partial.stat().st_size >= share * size):
                time.sleep(0.001)
            time.sleep(random.Random(share).uniform(0, 0.02))
            process.kill()
            kills += process.wait() == -signal.SIGKILL
        assert subprocess.run([*words, "--output", str(output)], capture_output=True, check=False).returncode == 1
        assert kills > 1
        assert output.read_bytes() == whole.read_bytes()
        assert not list(tmp_path.glob("*.partial*"))


def test_progress_is_shown_on_a_terminal_and_texts_a_second_with_it(fill, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert fill() == 0
    bar = capsys.readouterr().err
    assert "150/150" in bar
    assert " texts/s" in bar
    monkeypatch.setattr("sys.stderr.isatty", lambda: False)
    assert fill() == 0
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_engine_is_chosen_once_by_the_size_of_the_file(fill, monkeypatch, texts, tmp_path):
    engines = []

    def stop(command, arguments):
        engines.append(arguments.engine)
        raise KeyboardInterrupt

    monkeypatch.setattr(bulk, "load_pipeline", stop)
    monkeypatch.setattr(engine, "SWITCH_WORK", 20_000 * engine.work_of_token(tiny_config()))
    assert fill() == 130
    texts.write_text("a [MASK]\n" * 10_000)
    assert fill() == 130
    monkeypatch.setattr("albertkit.optional.is_installed", lambda name: False)
    assert fill() == 130
    exported = save_tiny_checkpoint(tmp_path / "exported")
    (exported / "model.safetensors").rename(exported / "model.onnx")
    assert fill("--model", str(exported)) == 130
    assert engines == ["numpy", "torch", "numpy", "onnx"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--output", "out.jsonl"], "--output needs --input"),
        (["the [MASK]", "--input", "in.txt", "--output", "out.jsonl"], "received both"),
        (["--input", "in.txt", "--output", "out.parquet"], "--output must end in .jsonl, .csv, .txt"),
        (["--input", "in.txt", "--output", "no/out.jsonl"], "--output must be in a directory that exists"),
        (["--input", "in.txt", "--output", "folder.csv"], "folder.csv, a directory"),
        (["--input", "in.txt", "--output", "in.txt"], "--output must not be the input"),
        (["--input", "no.txt", "--output", "out.jsonl"], "--input must name a readable file"),
        (["--input", "empty.txt", "--output", "out.jsonl"], "there must be at least one text; received nothing in empty.txt"),
        (["--input", "empty.txt"], "there must be at least one text"),
        (["--input", "in.json", "--output", "out.jsonl"], "a line each, as .jsonl"),
        (["--input", "other.csv", "--output", "out.jsonl"], "name its columns once each, of text; received a, b"),
        (["--input", "folder.csv"], "--input must name a readable file"),
        (
            ["--input", "/dev/null", "--output", "out.jsonl"],
            "needs an --input that can be read again; received /dev/null, a pipe",
        ),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(words, line, model_of, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, text in {"in.txt": "a [MASK]", "in.json": "[]", "empty.txt": " \n\n", "other.csv": "a,b\n1,2\n"}.items():
        Path(name).write_text(text)
    Path("folder.csv").mkdir()
    assert main(["fill-mask", *words, "--model", model_of("fill-mask")]) == 1
    error = capsys.readouterr().err
    assert line in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.glob("out*"))


def test_a_full_disk_is_one_line_and_keeps_what_is_done(fill, capsys, monkeypatch, tmp_path):
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr("os.fsync", fail)
        assert fill() == 1
    assert "No space left on device" in capsys.readouterr().err
    assert fill() == 0
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == len(LINES)
