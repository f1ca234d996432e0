"""RACE and SWAG: their files."""

from __future__ import annotations

import json

import pytest

from albertkit.errors import DataError
from albertkit.tasks.registry import find_file, open_task
from albertkit.tasks.tables import Row

PASSAGE = {
    "id": "middle3.txt", "article": "What is color?", "questions": ["We see _ .", "Why?"],
    "options": [["a", "b", "c", "d"], ["e", "f", "g", "h"]], "answers": ["B", "D"],
}  # fmt: skip


def changed(**changes):
    return json.dumps(PASSAGE | changes)


def test_folders_of_txt_and_lines_are_the_same(write, tmp_path):
    write("RACE/dev/middle/3.txt", json.dumps(PASSAGE))
    write("RACE/dev/high/9.txt", changed(id="high9.txt"))
    lines = write("dev.jsonl", f"{changed(id='high9.txt')}\n{json.dumps(PASSAGE)}\n")
    folder = tmp_path / "RACE"
    found = open_task("race").read(find_file("race", folder, "eval"))
    assert [(one.id, one.group, one.label) for one in found] == [
        ("high9.txt-0", "high", 1), ("high9.txt-1", "high", 3), ("middle3.txt-0", "middle", 1), ("middle3.txt-1", "middle", 3)
    ]  # fmt: skip
    assert found[2].place.endswith("3.txt, question 0")
    assert (found[2].context, found[2].question, found[2].choices) == ("What is color?", "We see _ .", ("a", "b", "c", "d"))
    assert [(one.id, one.label) for one in open_task("race").read(lines)] == [(one.id, one.label) for one in found]
    assert [one.id for one in open_task("race-middle").read(folder)] == ["middle3.txt-0", "middle3.txt-1"]
    assert len(open_task("race-high").read(find_file("race-high", folder / "dev" / "high", "eval"))) == 2


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (changed(answers=["B"]), "equally many; received 2, 2 and 1 in .*dev.jsonl, line 1"),
        (changed(answers=["B", "E"]), "a letter from A to D; received 'E' in .*line 1, question 1"),
        (changed(options=[["a", "b", "c", "d"], ["e", "f"]], answers=["A", "A"]), "equally many choices; received 4 in .* 2 in"),
        (changed(article=None), "must hold something; received nothing in .*line 1"),
        (changed(questions=[1, 2]), "a question must be a text"),
        (f"{changed()}\n{changed()}", "ids must differ; received 'middle3.txt-0' in .*line 1.* and in .*line 2"),
        (changed(id="high3.txt"), "at least one example"),
        ("{", "JSON object"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_named(write, line, message):
    with pytest.raises(DataError, match=message):
        open_task("race-middle").read(write("dev.jsonl", line))


def test_a_damaged_file_in_a_folder_is_named(write, tmp_path):
    write("middle/3.txt", '{"id": ')
    with pytest.raises(DataError, match=r"must hold a JSON object; received .*3\.txt"):
        open_task("race").read(tmp_path)


def test_passages_without_answers(write):
    line = {key: value for key, value in PASSAGE.items() if key != "answers"}
    assert [one.label for one in open_task("race").read(write("test.jsonl", json.dumps(line)))] == [None, None]


def test_rows_of_the_hub_are_gathered(monkeypatch):
    row = {"example_id": "high1.txt", "article": "A", "answer": "A", "question": "Q1", "options": ["a", "b"]}
    rows = [row, row | {"question": "Q2", "answer": "B"}, row | {"example_id": "middle2.txt"}]
    monkeypatch.setattr(
        "albertkit.tasks.race.read_rows", lambda name: (Row(f"r, row {i}", cells) for i, cells in enumerate(rows))
    )
    found = open_task("race").read("datasets:owner/race/all@train")
    assert [(one.id, one.label, one.group) for one in found] == [
        ("high1.txt-0", 0, "high"), ("high1.txt-1", 1, "high"), ("middle2.txt-0", 0, "middle")
    ]  # fmt: skip


def test_swag(write):
    header = ",video-id,fold-ind,startphrase,sent1,sent2,gold-source,ending0,ending1,ending2,ending3,label\n"
    (found,) = open_task("swag").read(write("train.csv", header + '0,v,1,"A, b. C",A b.,C,gold,w,x,y,"z, z",3\n'))
    assert (found.context, found.question, found.choices, found.label) == ("A b.", "C", ("w", "x", "y", "z, z"), 3)
    with pytest.raises(DataError, match="must have the column ending3"):
        open_task("swag").read(write("train.csv", "sent1,sent2,ending0,ending1,ending2,label\na,b,c,d,e,0\n"))


def test_real_race_is_read_whole(shared_data):
    for name, number in (("race-middle", 1436), ("race-high", 3451)):
        assert len(open_task(name).read(find_file(name, shared_data / "race", "eval"))) == number
