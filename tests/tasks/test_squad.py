"""Files of SQuAD and tables of questions: what is read, and how each malformed thing is named."""

from __future__ import annotations

import copy
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from albertkit.errors import DataError
from albertkit.tasks.squad import Answer, QuestionExample, read_questions

CONTEXT = "The cat sat in Paris, and the cat slept."
CONTENT = {
    "version": "v2.0",
    "data": [
        {
            "title": "Cats",
            "paragraphs": [
                {
                    "context": CONTEXT,
                    "qas": [
                        {
                            "id": "q1",
                            "question": "Where?",
                            "answers": [{"text": "Paris", "answer_start": 15}],
                            "is_impossible": False,
                        },
                        {"id": 2, "question": "When?", "answers": [], "is_impossible": True, "plausible_answers": []},
                    ],
                }
            ],
        }
    ],
}


@pytest.fixture
def write(tmp_path) -> Callable[..., Path]:
    def write(content: Any, name: str = "dev.json") -> Path:
        path = tmp_path / name
        text = content if isinstance(content, str) else json.dumps(content)
        data = text.encode("utf-8")
        path.write_bytes(lzma.compress(data) if name.endswith(".xz") else gzip.compress(data) if name.endswith(".gz") else data)
        return path

    return write


@pytest.mark.parametrize("name", ["dev.json", "dev.json.xz", "dev.json.gz"])
def test_a_file_of_squad(write, name):
    path = write(CONTENT, name)
    place = f"{path}, article 1 'Cats', question "
    assert read_questions(path) == [
        QuestionExample(id="q1", place=place + "q1", question="Where?", context=CONTEXT, answers=(Answer("Paris", 15),)),
        QuestionExample(id="2", place=place + "2", question="When?", context=CONTEXT, is_impossible=True),
    ]


def test_a_byte_order_mark_and_line_ends_of_windows(write):
    assert len(read_questions(write("\ufeff" + json.dumps(CONTENT, indent=1).replace("\n", "\r\n")))) == 2


@pytest.mark.parametrize("answers", [None, [], [{"text": "", "answer_start": 0}]])
def test_a_file_without_answers(write, answers):
    content = copy.deepcopy(CONTENT)
    question = {"id": "q1", "question": "Where?"} | ({} if answers is None else {"answers": answers})
    content["data"][0]["paragraphs"][0]["qas"] = [question]
    (example,) = read_questions(write(content))
    assert example.answers == ()
    assert not example.is_impossible


def change(*path: Any, to: Any = None) -> Callable[[Any], None]:
    """A change of the file: at this path the value, or nothing."""

    def make(content: Any) -> None:
        for step in path[:-1]:
            content = content[step]
        if to is None:
            del content[path[-1]]
        else:
            content[path[-1]] = to

    return make


PARAGRAPH = ("data", 0, "paragraphs", 0)
FIRST, SECOND = (*PARAGRAPH, "qas", 0), (*PARAGRAPH, "qas", 1)
ARTICLE = "article 1 'Cats'"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ([change("data")], ["data must be a list", "none in", "dev.json"]),
        ([change("data", to=[])], ["data must hold at least one article"]),
        ([change("data", 0, to="x")], ["paragraphs must be a list", "article 1"]),
        ([change("data", 0, "paragraphs", to=[])], ["paragraphs must hold at least one paragraph", ARTICLE]),
        ([change(*PARAGRAPH, "qas", to=[])], ["at least one example"]),
        ([change(*PARAGRAPH, "context")], ["context must be a text", f"{ARTICLE}, paragraph 1"]),
        ([change(*PARAGRAPH, "context", to=" ")], ["a context must hold something to read", "question q1"]),
        ([change(*PARAGRAPH, "context", to="\ud800")], ["a context must be valid Unicode", "question q1"]),
        ([change(*FIRST, "id")], ["a question must have an id", f"{ARTICLE}, paragraph 1"]),
        ([change(*FIRST, "question", to=7)], ["question must be a text", "received 7", f"{ARTICLE}, question q1"]),
        ([change(*FIRST, "question", to="\t")], ["a question must hold something to read", "question q1"]),
        ([change(*FIRST, "answers", to="Paris")], ["answers must be a list", "question q1"]),
        ([change(*FIRST, "answers", 0, to="Paris")], ["text must be a text", "question q1"]),
        ([change(*FIRST, "answers", 0, "answer_start")], ["answer_start must be a whole number", "none in", "question q1"]),
        ([change(*FIRST, "answers", 0, "answer_start", to="15")], ["answer_start must be a whole number", "'15'"]),
        (
            [change(*FIRST, "answers", 0, "answer_start", to=14)],
            ["at answer_start", "'Paris' and 14", "question q1", "it stands at 15"],
        ),
        ([change(*FIRST, "answers", 0, "answer_start", to=-25)], ["at answer_start", "it stands at 15"]),
        ([change(*FIRST, "answers", 0, "text", to="Rome")], ["at answer_start", "it stands nowhere"]),
        ([change(*FIRST, "answers", 0, "answer_start", to=10**30)], ["at answer_start", "it stands at 15"]),
        (
            [change(*FIRST, "is_impossible", to=True)],
            ["a question that is_impossible must have no answers", "'Paris'", "question q1"],
        ),
        ([change(*FIRST, "is_impossible", to="no")], ["is_impossible must be true or false", "question q1"]),
        ([change(*SECOND, "is_impossible")], ["right answers, or none", "question 2"]),
        ([change(*SECOND, "id", to="q1")], ["ids must differ", "'q1'", ARTICLE]),
    ],
)
def test_what_is_malformed_is_named(write, changes, words):
    content = copy.deepcopy(CONTENT)
    for make in changes:
        make(content)
    with pytest.raises(DataError) as caught:
        read_questions(write(content))
    assert all(word in str(caught.value) for word in words), caught.value


def test_files_that_cannot_be_read_are_named(write, tmp_path):
    with pytest.raises(DataError, match=r"UTF-8.*0xe9.*latin\.json, line 1"):
        path = tmp_path / "latin.json"
        path.write_bytes(json.dumps(CONTENT, ensure_ascii=False).replace("Paris", "Pari\xe9").encode("latin-1"))
        read_questions(path)
    with pytest.raises(DataError, match=r"whole JSON.*cut\.json .*char"):
        read_questions(write(json.dumps(CONTENT)[:-9], "cut.json"))
    for name, content in (("empty.json", ""), ("deep.json", "[" * 100_000)):
        with pytest.raises(DataError, match=rf"whole JSON.*{name}"):
            read_questions(write(content, name))
    with pytest.raises(DataError, match=r"readable.*gone\.json"):
        read_questions(tmp_path / "gone.json")
    cut = write(CONTENT, "cut.json.xz")
    cut.write_bytes(cut.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"whole.*cut\.json\.xz"):
        read_questions(cut)


@pytest.mark.slow
def test_the_real_files(shared_data):
    files = ("cs224n-dev-v2.0", "cs224n-test-v2.0", "xquad.zh", "tydiqa-goldp.en.train", "tydiqa-goldp.en.dev")
    found = [read_questions(shared_data / "squad" / f"{name}.json.xz") for name in files]
    assert [len(examples) for examples in found] == [6078, 5915, 1190, 3696, 440]
    assert sum(example.is_impossible for example in found[0]) == 3168
    assert not any(example.answers or example.is_impossible for examples in (found[1], found[4]) for example in examples)


# ------------------------------------------------------------------ tables


def test_rows_of_a_table(write):
    rows = [
        {"question": "Where?", "context": CONTEXT, "answers": "Paris"},
        {"question": "Who?", "context": CONTEXT, "answers": ["The cat", "cat"], "answer_start": [0, 30]},
        {"question": "Who?", "context": CONTEXT, "answers": {"text": ["cat"], "answer_start": [4]}},
        {"question": "When?", "context": CONTEXT, "answers": {"text": [], "answer_start": []}},
        {"question": "When?", "context": CONTEXT, "answers": None},
    ]
    examples = read_questions(write("\n".join(map(json.dumps, rows)), "rows.jsonl"))
    answers = [(Answer("Paris", 15),), (Answer("The cat", 0), Answer("cat", 30)), (Answer("cat", 4),), (), ()]
    assert [example.answers for example in examples] == answers
    assert [example.is_impossible for example in examples] == [False, False, False, True, True]
    assert [example.id for example in examples] == ["0", "1", "2", "3", "4"]
    assert examples[1].place.endswith("rows.jsonl, line 2")


def test_a_table_with_columns_of_other_names(write):
    rows = (["7", "Who?", CONTEXT, "cat", "30"], ["8", "Who?", CONTEXT, '["cat"]', "[4]"], ["9", "Who?", CONTEXT, "", ""])
    header = ["number", "asked", "passage", "answer", "answer_start"]
    text = "".join("\t".join(cells) + "\n" for cells in (header, *rows))
    examples = read_questions(write(text, "t.tsv"), {"id": "number", "question": "asked", "context": "passage"})
    assert [(example.id, example.answers) for example in examples] == [
        ("7", (Answer("cat", 30),)),
        ("8", (Answer("cat", 4),)),
        ("9", ()),
    ]
    assert examples[2].is_impossible
    (example,) = read_questions(write(f"question\tcontext\nWho?\t{CONTEXT}\n", "test.tsv"))
    assert (example.answers, example.is_impossible) == ((), False)


@pytest.mark.parametrize(
    ("answers", "start", "words"),
    [
        ("Rome", None, "must stand in its context once; received 'Rome', 0 times"),
        ("cat", None, "must stand in its context once; received 'cat', 2 times"),
        ("cat", 5, "an answer must stand in its context at answer_start"),
        (["cat"], [4, 30], "equally many; received 1 and 2"),
        ("cat", "four", "answer_start must be whole numbers"),
        ('["cat', 4, "a JSON list must be whole"),
        ('{"text"', 4, "answers must be whole JSON"),
        ([" "], [7], "an answer must hold something to read"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(write, answers, start, words):
    row = {"question": "Who?", "context": CONTEXT, "answers": answers, "answer_start": start}
    with pytest.raises(DataError) as caught:
        read_questions(write(json.dumps(row), "rows.jsonl"))
    assert words in str(caught.value)
    assert "rows.jsonl, line 1" in str(caught.value)
