from __future__ import annotations

import bz2
import gzip
import json
import lzma
from itertools import chain
from pathlib import Path

import pytest

from albertkit.data import corpus
from albertkit.data.corpus import read_documents, read_texts
from albertkit.errors import DataError

DOCUMENTS = [["Grüße aus Köln.", "二 行"], ["second document"]]


def write_all_kinds(folder: Path) -> list[Path]:
    plain = "\n\n  \n".join("\r\n".join(document) for document in DOCUMENTS).encode()
    lines = "\n".join(json.dumps({"id": 1, "text": "\n \n".join(document)}) for document in DOCUMENTS).encode() + b"\n\n"
    files = {
        "a.txt": b"\xef\xbb\xbf" + plain,
        "b.TXT.gz": gzip.compress(plain),
        "sub/c.txt.bz2": bz2.compress(plain),
        "sub/d.jsonl.xz": lzma.compress(lines),
        "sub/e.jsonl": lines,
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    return [folder / name for name in files]


def test_every_kind_of_file_gives_the_same_documents(tmp_path: Path) -> None:
    for path in write_all_kinds(tmp_path):
        assert list(read_documents([path])) == DOCUMENTS, path


def test_a_folder_is_read_in_sorted_order_without_hidden_files(tmp_path: Path) -> None:
    write_all_kinds(tmp_path)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.pdf").write_text("no text")
    (tmp_path / "sub" / "0.txt").write_text("between")
    assert list(read_documents([tmp_path])) == [*DOCUMENTS * 2, ["between"], *DOCUMENTS * 3]
    assert list(read_texts([tmp_path / "sub" / "0.txt", tmp_path / "a.txt"])) == ["between", *chain(*DOCUMENTS)]


def test_a_text_without_blank_lines_is_cut_to_bound_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("0123456789\n" * 10)
    monkeypatch.setattr(corpus, "MAX_DOCUMENT_CHARACTERS", 30)
    assert [len(document) for document in read_documents([tmp_path])] == [3, 3, 3, 1]


def test_half_a_surrogate_pair_is_no_character(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a \\ud83d b \\ud83d\\ude00"}')
    assert list(read_texts([tmp_path])) == ["a ? b 😀"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", b"x", r"must end in \.txt, \.jsonl.*a\.pdf"),
        ("a.gz", b"x", r"must end in .*a\.gz"),
        ("a.txt", b"one\ntw\xffo\n", r"UTF-8.*0xff.*a\.txt, line 2, byte 3"),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', r"JSON object.*a\.jsonl, line 2"),
        ("a.jsonl", b'{"text": "x"}\n\n{"body": "y"}\n', r'string "text".*line 3.*body'),
        ("a.jsonl", b"[" * 100_000, r"JSON object.*a\.jsonl, line 1"),
        ("a.txt.gz", gzip.compress(b"a line\n" * 1000)[:-9], r"readable and whole.*a\.txt\.gz"),
        ("a.txt.xz", lzma.compress(b"a line\n" * 1000)[:-9], r"readable and whole.*a\.txt\.xz"),
        ("a.txt.bz2", b"not compressed", r"readable and whole.*a\.txt\.bz2"),
        ("a.txt", b" \n\n\n", r"must hold text"),
        ("a.jsonl", b'{"text": " "}', r"must hold text"),
    ],
)
def test_an_unusable_file_is_named_with_the_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    for paths in ([tmp_path], [tmp_path / name]):
        with pytest.raises(DataError, match=message) as failure:
            list(read_documents(paths))
        assert "\n" not in str(failure.value)


def test_a_line_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "MAX_LINE_BYTES", 8)
    (tmp_path / "a.txt").write_text("1234567\n123456789\n")
    with pytest.raises(DataError, match=r"shorter than 8 bytes.*line 2"):
        list(read_documents([tmp_path]))


def test_missing_paths_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"exist.*nowhere"):
        list(read_documents([tmp_path / "nowhere"]))
    for paths in ([tmp_path], []):
        with pytest.raises(DataError, match="at least one file"):
            list(read_documents(paths))
