"""Tables: each row with its place; what is malformed is named."""

from __future__ import annotations

import gzip
import lzma

import pytest

from albertkit.errors import DataError
from albertkit.tasks.tables import Row, list_of, read_rows


def cells(path):
    return [dict(row.cells) for row in read_rows(path)]


def test_each_kind_of_table_gives_its_rows(write, tmp_path):
    import pyarrow
    import pyarrow.parquet

    wanted = [{"text": "a, b", "label": "x"}, {"text": 'say "c"', "label": "y"}]
    assert cells(write("t.csv", 'text,label\n"a, b",x\n"say ""c""",y\n')) == wanted
    assert cells(write("t.tsv", '\ufefftext\tlabel\r\na, b\tx\r\n\r\nsay "c"\ty')) == wanted
    assert cells(write("t.jsonl", '{"text": "a, b", "label": "x"}\n\n{"text": "say \\"c\\"", "label": "y"}\n')) == wanted
    assert cells(write("t.tsv.xz", lzma.compress(b'text\tlabel\na, b\tx\nsay "c"\ty\n'))) == wanted
    assert cells(write("t.csv.gz", gzip.compress(b'text,label\n"a, b",x\n"say ""c""",y\n'))) == wanted
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(wanted), tmp_path / "t.parquet")
    assert cells(tmp_path / "t.parquet") == wanted
    assert [row.place for row in read_rows(tmp_path / "t.parquet")] == [f"{tmp_path}/t.parquet, row {n}" for n in (1, 2)]


def test_a_row_over_several_lines_is_named_by_its_first(write):
    path = write("t.csv", 'text,label\n"a\nb",x\n\nc,y\n')
    assert [(row.place.rpartition(" ")[2], row.cells["text"]) for row in read_rows(path)] == [("2", "a\nb"), ("5", "c")]


def test_a_cell_may_hold_a_book(write):
    assert len(cells(write("t.csv", f"text,label\n{'a word ' * 50_000},x\n"))[0]["text"]) == 350_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "text,label\na,x\nb\n", r"as many cells .* received 1 for 2 in .*t\.csv, line 3"),
        ("t.tsv", "text\tlabel\na\tx\tz\n", r"received 3 for 2 in .*t\.tsv, line 2"),
        ("t.csv", 'text,label\na,x\n"b,y\nc,z\n', r"readable.*t\.csv, the row that begins in line 3"),
        ("t.csv", "text,text\na,x\n", "name its columns, each once; received text, text"),
        ("t.csv", b"text\na\n\xff\n", r"UTF-8 text; received the byte 0xff in .*t\.csv, line 3"),
        ("t.jsonl", '{"a": 1}\n{"a": \n', r"JSON object; received .*t\.jsonl, line 2"),
        ("t.jsonl", "[1]\n", r"JSON object; received .*t\.jsonl, line 1"),
        ("t.csv.xz", lzma.compress(b"text\n" * 9000)[:-9], r"readable and whole; received .*t\.csv\.xz"),
        ("t.parquet", "no", r"readable and whole; received .*t\.parquet"),
        ("t.doc", "", r"end in one of \.csv"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_named(write, name, content, message):
    with pytest.raises(DataError, match=message):
        cells(write(name, content))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"must be there.*absent\.csv"):
        cells(tmp_path / "absent.csv")


def test_columns_are_found_by_name():
    row = Row("f, line 2", {"sentence": "a", "review": "b", "label": None})
    assert row.text("text", {"text": "review"}) == "b"
    assert row.text("text", {}, "sentence", "premise") == "a"
    assert row.find("text_pair", {}, "sentence2") is None
    with pytest.raises(DataError, match="must have the column 'txt', named for text; received the columns sentence, review"):
        row.text("text", {"text": "txt"})
    with pytest.raises(DataError, match=r"must have the column text; .*f, line 2"):
        row.text("text", {})
    with pytest.raises(
        DataError, match=r"one column for text; received sentence and review in f, line 2; say which with columns\.text"
    ):
        row.text("text", {}, "sentence", "review")
    with pytest.raises(DataError, match="label must hold something; received nothing in f, line 2"):
        row.require("label", {})


@pytest.mark.parametrize("value", [3, "\ud800"])
def test_a_text_is_one(value):
    with pytest.raises(DataError, match="must be a text of whole characters"):
        Row("f, line 2", {"text": value}).text("text", {})


def test_lists_in_cells():
    assert list_of("a | b", "") == ["a", "b"]
    assert list_of('["a|b", "c"]', "") == ["a|b", "c"]
    assert list_of(["a"], "") == ["a"]
    assert list_of("", "") == []
    with pytest.raises(DataError, match="JSON list must be whole; received f, line 3"):
        list_of('["a', "f, line 3")
    with pytest.raises(DataError, match="must hold a list"):
        list_of(3, "f, line 3")


def test_a_data_set_of_the_hub_comes_with_names_of_labels(monkeypatch):
    import datasets

    features = datasets.Features({
        "text": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"]),
        "tags": datasets.List(datasets.ClassLabel(names=["O", "B"])),
    })  # fmt: skip
    rows = [{"text": "a", "label": 1, "tags": [0, 1]}, {"text": "b", "label": -1, "tags": []}]
    asked = []
    refusals = {
        "none": ValueError("Unknown split"),
        "script": RuntimeError("Dataset scripts are no longer supported"),
        "broken": datasets.exceptions.DatasetGenerationError("An error occurred"),
    }

    def load_dataset(*arguments, split):
        asked.append((*arguments, split))
        if split in refusals:
            raise refusals[split]
        return datasets.Dataset.from_list(rows, features=features)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    found = list(read_rows("datasets:owner/name/small@dev"))
    assert [row.cells for row in found] == [
        {"text": "a", "label": "pos", "tags": ["O", "B"]}, {"text": "b", "label": None, "tags": []}
    ]  # fmt: skip
    assert found[1].place == "datasets:owner/name/small@dev, row 2"
    list(read_rows("datasets:name"))
    assert asked == [("owner/name", "small", "dev"), ("name", None, "train")]
    for split, reason in refusals.items():
        with pytest.raises(DataError, match=rf"on the hub and reachable; .*{reason}"):
            list(read_rows(f"datasets:owner/name@{split}"))
    with pytest.raises(DataError, match="named datasets:OWNER/NAME"):
        list(read_rows("datasets:@train"))
