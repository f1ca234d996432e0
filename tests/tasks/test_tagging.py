"""Tagging: files, rows, windows and scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer

from albertkit.errors import DataError, InputError
from albertkit.tasks.tagging import TaggedExample, TaggingTask
from albertkit.testing import tiny_tokenizer

TOKENIZER = tiny_tokenizer()
TASK = TaggingTask(name="token-classification", labels=("O", "B-LOC", "I-LOC", "B-PER", "I-PER"))
PARIS = """-DOCSTART- -X- O

the DT O
paris NNP B-LOC
cat  NN O

he PRP B-PER
"""


@pytest.fixture
def write(tmp_path):
    """Writes a file and gives its path."""

    def save(text: str | bytes, name: str = "dev.conll"):
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return save


def sentence(*words: str, tags: str | None = None) -> TaggedExample:
    return TaggedExample(id="0", place="x", words=words, tags=None if tags is None else tuple(tags.split()))


# ---------------------------------------------------------------------- files


def test_a_file_has_columns_between_spaces_or_tabs(write):
    first, second = TASK.read(write(PARIS))
    assert (first.words, first.tags) == (("the", "paris", "cat"), ("O", "B-LOC", "O"))
    assert (first.id, second.id, second.place) == ("0", "1", f"{write(PARIS)}, line 7")
    (tabbed,) = TASK.read(write("new york\tB-LOC\r\n\t\r\n"))
    assert (tabbed.words, tabbed.tags) == (("new york",), ("B-LOC",))
    (bare,) = TASK.read(write("the\ncat\n"))
    assert (bare.words, bare.tags) == (("the", "cat"), None)


def test_tables_hold_lists_or_texts_with_spaces(write):
    expected = [(("the", "cat"), ("O", "B-PER")), (("he",), ("O",))]
    lines = [{"tokens": ["the", "cat"], "ner_tags": ["O", "B-PER"]}, {"tokens": ["he"], "ner_tags": ["O"]}]
    sources = [
        write("words\ttags\nthe cat\tO B-PER\nhe\tO\n", "a.tsv"),
        write('id,words,tags\na,"[""the"", ""cat""]",O B-PER\nb,he,O\n', "b.csv"),
        write("".join(json.dumps(line) + "\n" for line in lines), "c.jsonl"),
    ]
    for source in sources:
        assert [(example.words, example.tags) for example in TASK.read(source)] == expected
    named = TaggingTask(name="t", columns={"words": "text", "tags": "gold"})
    (example,) = named.read(write("text\tgold\nthe cat\tO B-PER\n", "d.tsv"))
    assert (example.words, example.tags) == expected[0]
    assert TASK.read(write("the\tO\n", "e.tsv"))[0].words == ("the",)  # of which the first line names nothing


@pytest.mark.parametrize(
    ("text", "name", "sentence"),
    [
        ("the DT O\ncat O\n", "x.conll", "equally many columns; received 2 for 3 in"),
        ("the O\ncat X-PER\n", "x.conll", "'X-PER' in"),
        ("the O\ncat U-PER\n", "x.conll", "write L and U of BILOU as E and S"),
        ("the O\ncat PER\n", "x.conll", "'PER' in"),
        ("the O\n\tO\n", "x.conll", "x.conll, line 2"),
        ("the\tO\n\tO\n", "x.conll", "begin with a word"),
        ("", "x.conll", "at least one example"),
        ("-DOCSTART- O\n\n", "x.conll", "at least one example"),
        (b"the O\ncaf\xe9 O\n", "x.conll", "0xe9 in"),
        ("words\ttags\nthe cat\tO\n", "x.tsv", "2 words and 1 tags in"),
        ("words\ttags\nthe cat\tO O\nhe\t\n", "x.tsv", "all examples must have right answers, or none"),
        ('{"words": ["the", ""]}\n', "x.jsonl", "words must be texts"),
        ('{"words": []}\n', "x.jsonl", "words must be texts"),
        ('{"text": "the cat"}\n', "x.jsonl", "the column words"),
    ],
)
def test_what_is_malformed_is_named_with_its_line(write, text, name, sentence):
    with pytest.raises(DataError) as caught:
        TASK.read(write(text, name))
    assert sentence in str(caught.value)
    if len(text.splitlines()) > 1 and "examples" not in sentence and "example" not in sentence:
        assert f"{name}, line 2" in str(caught.value)


# --------------------------------------------------------------------- labels


def test_labels_are_every_prefix_of_every_type():
    task = TaggingTask(name="t").with_labels_of([sentence("a", "b", tags="B-PER O"), sentence("a", tags="B-LOC")])
    assert task.labels == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert TaggingTask(name="t").with_labels_of([sentence("a", tags="S-X")]).labels == ("O", "B-X", "I-X", "S-X")
    assert TASK.with_labels_of([]) is TASK
    with pytest.raises(DataError, match="an entity"):
        TaggingTask(name="t").with_labels_of([sentence("a", tags="O")])
    with pytest.raises(DataError, match="right answers"):
        TaggingTask(name="t").with_labels_of([sentence("a")])


def test_a_tag_that_the_task_has_not_is_named():
    with pytest.raises(DataError, match="did you mean B-PER"):
        TASK.featurize([sentence("the", tags="B-PERS")], TOKENIZER)
    with pytest.raises(InputError, match="max_seq_length"):
        TaggingTask(name="t", max_seq_length=2)


# ------------------------------------------------------------------- features


def test_words_are_tokenized_as_transformers_does_those_of_a_split_text(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    peer = AutoTokenizer.from_pretrained(tmp_path)
    words = ["the", "paris", "1992,", "zebra", ",", "é", "it's"]
    expected = peer(words, is_split_into_words=True)
    features = TASK.featurize([sentence(*words)], TOKENIZER)
    assert features.input_ids.tolist() == expected["input_ids"]
    numbers = expected.word_ids()
    firsts = [number is not None and number != numbers[place - 1] for place, number in enumerate(numbers)]
    assert features.places["is_word"].tolist() == firsts
    assert features.targets == {}


def test_labels_stand_at_first_pieces():
    features = TASK.featurize([sentence("zebra", "\u200b", "paris", tags="B-PER I-PER I-LOC")], TOKENIZER)
    labels = features.targets["labels"]
    assert labels[features.places["is_word"]].tolist() == [3, 4, 2]
    assert (labels != -100).sum() == 3
    assert features.input_ids[features.places["is_word"]][1] == TOKENIZER.unk_token_id
    assert features.counts == {"sentences in windows": 0, "entities without B": 1}


@given(st.lists(st.lists(st.sampled_from(["the", "zebra", "1992,", "a" * 30]), min_size=1, max_size=40), min_size=1, max_size=3),
       st.integers(8, 30))  # fmt: skip
def test_no_word_is_lost_and_each_is_tagged_where_most_is_seen_around_it(texts, longest):
    task = TaggingTask(name="t", labels=TASK.labels, max_seq_length=longest)
    tags = [[TASK.labels[place % 5] for place, _word in enumerate(words)] for words in texts]
    examples = [sentence(*words, tags=" ".join(given)) for words, given in zip(texts, tags, strict=True)]
    features = task.featurize(examples, TOKENIZER)
    assert features.lengths.max() <= longest
    assert features.owners.tolist() == sorted(features.owners.tolist())
    assert set(features.owners.tolist()) == set(range(len(texts)))
    logits = np.eye(5)[np.maximum(features.targets["labels"], 0)]
    assert [prediction["tags"] for prediction in task.decode(examples, features, {"logits": logits})] == tags
    if (np.bincount(features.owners) > 1).any():
        words_of_rows = np.split(features.places["is_word"], features.boundaries[1:-1])
        for row, following, same in zip(words_of_rows, words_of_rows[1:], np.diff(features.owners) == 0, strict=False):
            if same:  # what both show is half of a row: a quarter of it lies beyond each word's place
                assert not row[-1 - (longest - 2) // 4 :].any()
                assert not following[: 1 + (longest - 2) // 4 - 1].any()


# --------------------------------------------------------------------- scores


def test_scores_and_errors():
    examples = [sentence("the", "paris", "cat", tags="O B-LOC I-LOC"), sentence("he", tags="B-PER"), sentence("a", tags="O")]
    given = [{"id": "0", "tags": ["O", "B-LOC", "O"]}, {"id": "0", "tags": ["I-PER"]}, {"id": "0", "tags": ["O"]}]
    scores = TASK.score(examples, given)
    assert scores.values == {"f1": 0.5, "precision": 0.5, "recall": 0.5, "accuracy": 0.6}
    assert (scores.main, scores.baseline, scores.num_examples) == (0.5, 0.0, 3)
    assert scores.details["entities"]["LOC"] == {"precision": 0, "recall": 0, "f1": 0, "number": 1}
    assert scores.details["strict"] == {"precision": 0, "recall": 0, "f1": 0, "number": 2}  # there an I begins nothing
    assert scores.details["accuracy_of_always_O"] == 0.4
    assert np.trace(scores.details["confusion"]) == 3
    assert json.dumps(scores.details)
    (error,) = TASK.errors(examples, given)
    assert (error["missed"], error["wrong"], error["text"]) == (["LOC: paris cat"], ["LOC: paris"], "the paris cat")
    perfect = [{"id": example.id, "tags": list(example.tags)} for example in examples]
    assert set(TASK.score(examples, perfect).values.values()) == {1.0}
    assert list(TASK.errors(examples, perfect)) == []


@pytest.mark.parametrize(
    ("name", "count"), [("wnut17/dev.conll.xz", 1009), ("conll2003/valid.txt.xz", 3250), ("wikiann/en.dev.tsv.xz", 10000)]
)
def test_real_files_are_read_whole(shared_data, name, count):
    examples = TASK.read(shared_data / "ner" / name)
    assert len(examples) == count
    assert TaggingTask(name="t").with_labels_of(examples).labels[0] == "O"
