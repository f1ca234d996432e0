from __future__ import annotations

import bz2
import gzip
import json
import lzma
import random
from itertools import chain
from pathlib import Path

import pytest

from albertkit.data import corpus, readers
from albertkit.data.corpus import Corpus, read_texts
from albertkit.errors import DataError

DOCUMENTS = [["Grüße aus Köln.", "二 行"], ["second document"]]


def write_all_kinds(folder: Path) -> list[Path]:
    plain = "\n\n  \n".join("\r\n".join(document) for document in DOCUMENTS).encode()
    lines = "\n".join(json.dumps({"id": 1, "text": "\n \n".join(document)}) for document in DOCUMENTS).encode() + b"\n\n"
    files = {
        "a.txt": b"\xef\xbb\xbf" + plain,
        "b.TXT.gz": gzip.compress(plain, mtime=0),
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
        assert list(Corpus([path])) == DOCUMENTS, path


def test_a_folder_is_read_in_sorted_order_without_hidden_files(tmp_path: Path) -> None:
    write_all_kinds(tmp_path)
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.pdf").write_text("no text")
    (tmp_path / "sub" / "0.txt").write_text("between")
    assert list(Corpus([tmp_path])) == [*DOCUMENTS * 2, ["between"], *DOCUMENTS * 3]
    assert list(read_texts([tmp_path / "sub" / "0.txt", tmp_path / "a.txt"])) == ["between", *chain(*DOCUMENTS)]


WIKI = """<doc id="12" url="https://en.wikipedia.org/wiki?curid=12" title="Rock &amp; &quot;Roll&quot;">
Rock &amp; "Roll"

Grüße aus &lt;Köln&gt;.

  二 行&nbsp;
</doc>

<doc id="13" url="" title="Empty" nonfiltered="1">
Empty
</doc>
<doc id="14">
second document
</doc>
"""
WIKI_JSON = "\n".join(
    json.dumps({"id": "1", "url": "", "title": title, "text": text})
    for title, text in (("A", "A\n\nGrüße aus &lt;Köln&gt;.\n二 行"), ("B", ""), ("C", "second document"))
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("AA/wiki_00", WIKI.encode()),
        ("AA/wiki_00.bz2", bz2.compress(WIKI.encode())),
        ("wiki.txt", b"\xef\xbb\xbf" + WIKI.encode()),
        ("AB/wiki_07", WIKI_JSON.encode()),
        ("AB/wiki_07.gz", gzip.compress(WIKI_JSON.encode(), mtime=0)),
    ],
)
def test_both_forms_of_wikiextractor_are_read(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(content)
    assert list(Corpus([tmp_path])) == [["Grüße aus <Köln>.", "二 行"], ["second document"]]


def test_json_lines_keep_entities_and_lose_a_repeated_title(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"title": "A", "text": "A\\nB &amp; C"}\n{"title": 7, "text": "A\\nB"}')
    assert list(Corpus([tmp_path])) == [["B &amp; C"], ["A", "B"]]


def test_the_bytes_read_are_those_on_disk_and_grow(tmp_path: Path) -> None:
    generator = random.Random(0)
    text = "\n\n".join(generator.randbytes(1000).hex() for _ in range(500)).encode()
    for name, content in (("a.txt.gz", gzip.compress(text, mtime=0)), ("b.txt", text), ("c.txt.xz", lzma.compress(text))):
        (tmp_path / name).write_bytes(content)
    corpus = Corpus([tmp_path])
    assert corpus.num_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    for _ in range(2):
        seen = [corpus.bytes_read for _ in corpus]
        assert seen == sorted(seen)
        assert len(set(seen)) > 20
        assert corpus.bytes_read == corpus.num_bytes


def test_a_text_without_blank_lines_is_cut_to_bound_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("0123456789\n" * 10)
    monkeypatch.setattr(readers, "MAX_DOCUMENT_CHARACTERS", 30)
    assert [len(document) for document in Corpus([tmp_path])] == [3, 3, 3, 1]


def test_half_a_surrogate_pair_is_no_character(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a \\ud83d b \\ud83d\\ude00"}')
    assert list(read_texts([tmp_path])) == ["a ? b 😀"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pdf", b"x", r"must end in \.txt or \.jsonl.*a\.pdf"),
        ("a.gz", gzip.compress(b"plain text", mtime=0), r"must end in .*a\.gz"),
        ("a.txt", b"one\ntw\xffo\n", r"UTF-8.*0xff.*a\.txt, line 2, byte 3"),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', r"JSON object.*a\.jsonl, line 2"),
        ("a.jsonl", b'{"text": "x"}\n\n{"body": "y"}\n', r'string "text".*line 3.*body'),
        ("a.jsonl", b"[" * 100_000, r"JSON object.*a\.jsonl, line 1"),
        ("a.txt.gz", gzip.compress(b"a line\n" * 1000, mtime=0)[:-9], r"readable and whole.*a\.txt\.gz"),
        ("a.txt.xz", lzma.compress(b"a line\n" * 1000)[:-9], r"readable and whole.*a\.txt\.xz"),
        ("a.txt.bz2", b"not compressed", r"readable and whole.*a\.txt\.bz2"),
        ("wiki_00", b'<doc id="1" title="A">\ntext\n', r"must end with </doc>.*wiki_00"),
        ("wiki_00", b'<doc id="1" title="A">\n</doc>\nlost\n', r"between <doc.*wiki_00, line 3: lost"),
        ("wiki_00.bz2", b"not compressed", r"readable and whole.*wiki_00\.bz2"),
        ("README", b"plain text", r"must end in .*README"),
        ("a.txt", b" \n\n\n", r"must hold text"),
        ("a.jsonl", b'{"text": " "}', r"must hold text"),
    ],
)
def test_an_unusable_file_is_named_with_the_place(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    for paths in ([tmp_path], [tmp_path / name]):
        with pytest.raises(DataError, match=message) as failure:
            list(Corpus(paths))
        assert "\n" not in str(failure.value)


def test_a_line_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "MAX_LINE_BYTES", 8)
    (tmp_path / "a.txt").write_text("1234567\n123456789\n")
    with pytest.raises(DataError, match=r"shorter than 8 bytes.*line 2"):
        list(Corpus([tmp_path]))


def test_missing_paths_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"exist.*nowhere"):
        list(Corpus([tmp_path / "nowhere"]))
    for paths in ([tmp_path], []):
        with pytest.raises(DataError, match="at least one file"):
            list(Corpus(paths))
