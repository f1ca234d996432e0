"""albertkit tokenize."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from albertkit.cli.main import main
from albertkit.testing import tiny_tokenizer


@pytest.fixture
def model(tmp_path: Path) -> str:
    tiny_tokenizer().save_pretrained(tmp_path / "tiny")
    return str(tmp_path / "tiny")


def test_rows_show_where_each_piece_stands(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokenize", "Paris is [MASK].", "--pair", "Café", "--model", model]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["Paris is [MASK].", "Café", "  id  piece   from  to  text"]
    assert [line.split() for line in lines[3:]] == [
        ["2", "[CLS]"], ["33", "▁paris", "0", "5", "Paris"], ["24", "▁is", "6", "8", "is"], ["4", "[MASK]", "9", "15", "[MASK]"],
        ["13", "▁", "15", "15"], ["9", ".", "15", "16", "."], ["3", "[SEP]"], ["13", "▁", "0", "0"], ["66", "c", "0", "1", "C"],
        ["64", "a", "1", "2", "a"], ["69", "f", "2", "3", "f"], ["68", "e", "3", "4", "é"], ["3", "[SEP]"],
    ]  # fmt: skip


def test_json_and_ids_are_a_line_a_text(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "texts").write_text("Paris\n\nthe cat\n", encoding="utf-8")
    assert main(["tokenize", "--input", str(tmp_path / "texts"), "--json", "--model", model]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [record["text"] for record in records] == ["Paris", "the cat"]
    assert records[0] == {
        "text": "Paris", "ids": [2, 33, 3], "tokens": ["[CLS]", "▁paris", "[SEP]"], "offsets": [[0, 0], [0, 5], [0, 0]],
        "word_ids": [None, 0, None], "sequence_ids": [None, 0, None],
    }  # fmt: skip
    assert main(["tokenize", "Paris", "the", "--ids-only", "--no-special-tokens", "--model", model]) == 0
    assert capsys.readouterr().out == "33\n14\n"
    assert main(["tokenize", "Paris", "--ids-only", "--json", "--model", model]) == 0
    assert json.loads(capsys.readouterr().out) == {"text": "Paris", "ids": [2, 33, 3]}


def test_texts_come_from_standard_input_too(
    model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Paris\nthe\n"))
    assert main(["tokenize", "--ids-only", "--model", model]) == 0
    assert capsys.readouterr().out == "2 33 3\n2 14 3\n"


def test_a_missing_model_is_one_line_and_status_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tokenize", "Paris", "--model", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("albertkit: error: ")
    assert printed.err.count("\n") == 1
