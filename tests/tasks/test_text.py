"""Texts and pairs: rows as the tokenizer makes them, labels of every kind, scores beside scikit-learn's and SciPy's."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from albertkit.errors import DataError
from albertkit.tasks.text import TextExample, TextTask
from albertkit.testing import tiny_tokenizer

SINGLE = TextTask(name="text-classification", labels=("a", "b", "c"))
MANY = TextTask(name="multi-label-classification", problem="multi_label_classification", labels=("a", "b", "c"))
NUMBER = TextTask(name="text-regression", problem="regression")


def examples_of(labels):
    return [TextExample(id=str(i), place=f"f, line {i + 2}", text="the cat", label=label) for i, label in enumerate(labels)]


def answer(task, labels, logits):
    examples = examples_of(labels)
    features = task.featurize(examples, tiny_tokenizer())
    return examples, task.decode(examples, features, {"logits": np.array(logits, np.float32)})


# -------------------------------------------------------------------- reading


def test_reads_texts_pairs_and_labels(write):
    task = TextTask(name="text-classification")
    (one, two) = task.read(write("t.csv", "text,label\ngood,1\nbad,0\n"))
    assert (one.id, one.text, one.text_pair, one.label) == ("0", "good", None, "1")
    assert (two.id, two.place[-13:]) == ("1", "t.csv, line 3")
    (pair,) = task.read(write("t.tsv", "id\tpremise\thypothesis\tgold_label\nx7\ta\tb\tyes\n"))
    assert (pair.id, pair.text, pair.text_pair, pair.label) == ("x7", "a", "b", "yes")
    named = TextTask(name="text-classification", columns={"text": "review", "label": "stars"})
    (row,) = named.read(write("t.jsonl", '{"review": "a", "stars": 4.0, "text": "no"}\n'))
    assert (row.text, row.label) == ("a", "4")
    (bare,) = task.read(write("t.csv", "sentence\na\n"))
    assert bare.label is None


def test_reads_labels_of_each_problem(write):
    many = MANY.read(write("t.csv", 'text,labels\na,b|a|b\nb,\nc,"[""c""]"\n'))
    assert [example.label for example in many] == [("b", "a"), (), ("c",)]
    assert [example.label for example in NUMBER.read(write("t.csv", "text,score\na,1.5\nb,-2\n"))] == [1.5, -2.0]
    rows = '{"text": "a", "label": true}\n{"text": "b", "label": 3}\n'
    assert [example.label for example in TextTask(name="x").read(write("t.jsonl", rows))] == ["true", "3"]
    spaced = TextTask(name="x").read(write("t.csv", "text,label\na, New York\nb,New York \n"))
    assert [example.label for example in spaced] == ["New York", "New York"]


@pytest.mark.parametrize(
    ("task", "content", "message"),
    [
        (SINGLE, "", "at least one example; received none in .*t.csv"),
        (SINGLE, "text,label\n", "at least one example"),
        (SINGLE, "good film,1\nbad film,0\n", "must have the column text; received the columns good film, 1 in .*line 2; name"),
        (SINGLE, "id,text,label\n1,a,x\n1,b,y\n", "ids must differ; received '1' in .*line 2 and in .*line 3"),
        (SINGLE, "text,label\na,x\nb,\n", "right answers, or none; received none in .*line 3"),
        (SINGLE, "text,label\na,x\nb, \n", "label must be a name .* received ' ' in .*line 3"),
        (SINGLE, "text,label,gold_label,score\na,x,y,z\nb\n", "as many cells"),
        (SINGLE, "text,gold_label,score\na,x,y\n", "one column for label"),
        (NUMBER, "text,score\na,high\n", "score must be a number; received 'high' in .*line 2"),
        (NUMBER, "text,score\na,nan\n", "score must be a number"),
        (MANY, 'text,labels\na,"[1, "\n', "JSON list must be whole"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_named(write, task, content, message):
    with pytest.raises(DataError, match=message):
        task.read(write("t.csv", content))


def test_pairs_and_single_texts_do_not_mix(write):
    with pytest.raises(DataError, match=r"pairs, or none; received .*line 2 unlike .*line 1"):
        SINGLE.read(write("t.jsonl", '{"text": "a"}\n{"text": "b", "text_pair": "c"}\n'))


def test_labels_are_learnt_sorted():
    task = TextTask(name="x")
    assert task.with_labels_of(examples_of(["b", "a", "b"])).labels == ("a", "b")
    assert task.with_labels_of(examples_of(["10", "9", "-1"])).labels == ("-1", "9", "10")
    assert task.with_labels_of(examples_of(["10", "9", "x"])).labels == ("10", "9", "x")
    assert TextTask(name="x", problem="multi_label_classification").with_labels_of(
        examples_of([("b", "a"), (), ("c",)])
    ).labels == ("a", "b", "c")
    assert SINGLE.with_labels_of(examples_of(["z"])) is SINGLE
    assert NUMBER.with_labels_of(examples_of([1.0])).labels is None
    with pytest.raises(DataError, match="two labels or more; received a from f, line 2 on"):
        task.with_labels_of(examples_of(["a", "a"]))
    with pytest.raises(DataError, match="right answers; received none in f, line 2"):
        task.with_labels_of(examples_of([None]))


# ------------------------------------------------------------------- features


@pytest.mark.parametrize("length", [5, 8, 11, 40])
def test_rows_are_the_tokenizers(length):
    texts = ["the cat sat on a dog", "paris", "", "the model of france and of paris is on it"]
    pairs = ["a dog", "the capital of france is paris and it is new", "the cat", ""]
    task = TextTask(name="x", labels=("a", "b"), max_seq_length=length)
    tokenizer = tiny_tokenizer()
    for second in (None, pairs):
        encoded = tokenizer(texts, second, truncation=True, max_length=length)
        whole = tokenizer(texts, second)["input_ids"]
        examples = [
            TextExample(id=str(i), place="", text=text, text_pair=None if second is None else pairs[i], label="b")
            for i, text in enumerate(texts)
        ]
        features = task.featurize(examples, tokenizer)
        assert features.input_ids.tolist() == list(chain.from_iterable(encoded["input_ids"]))
        assert features.token_type_ids.tolist() == list(chain.from_iterable(encoded["token_type_ids"]))
        assert features.lengths.tolist() == [len(row) for row in encoded["input_ids"]]
        assert features.counts == {"truncated": sum(len(row) > length for row in whole)}
        assert features.units.tolist() == [0, 1, 2, 3, 4]


def test_targets_have_the_type_of_the_loss():
    tokenizer = tiny_tokenizer()
    single = SINGLE.featurize(examples_of(["c", "a"]), tokenizer).targets["labels"]
    assert (single.tolist(), single.dtype) == ([2, 0], np.int64)
    many = MANY.featurize(examples_of([("c", "a"), ()]), tokenizer).targets["labels"]
    assert (many.tolist(), many.dtype) == ([[1, 0, 1], [0, 0, 0]], np.float32)
    number = NUMBER.featurize(examples_of([0.5]), tokenizer).targets["labels"]
    assert (number.tolist(), number.dtype) == ([0.5], np.float32)
    assert SINGLE.featurize(examples_of([None]), tokenizer).targets == {}


def test_an_unknown_label_is_named():
    with pytest.raises(DataError, match="one of a, b, c; received 'cc' in f, line 3; did you mean c"):
        SINGLE.featurize(examples_of(["a", "cc"]), tiny_tokenizer())


# --------------------------------------------------------- answers and scores


def test_classes_are_decided_and_scored():
    right, logits = ["a", "b", "c", "a"], [[2, 1, 0], [0, 3, 1], [4, 1, 0], [5, 4, 3]]
    examples, given = answer(SINGLE, right, logits)
    assert [one["label"] for one in given] == ["a", "b", "a", "a"]
    assert given[0]["probabilities"] == pytest.approx(dict(zip("abc", np.exp([2, 1, 0]) / np.exp([2, 1, 0]).sum(), strict=True)))
    assert given[0]["score"] == given[0]["probabilities"]["a"]
    scores = SINGLE.score(examples, given)
    labels = [one["label"] for one in given]
    assert scores.values == pytest.approx(
        {"accuracy": 0.75, "macro_f1": reference.f1_score(right, labels, average="macro", zero_division=0)}
    )
    assert (scores.primary, scores.main, scores.baseline, scores.num_examples) == ("accuracy", 0.75, 0.5, 4)
    assert scores.details == {"labels": ["a", "b", "c"], "confusion": [[2, 0, 0], [0, 1, 0], [1, 0, 0]]}
    (wrong,) = SINGLE.errors(examples, given)
    assert (wrong["place"], wrong["text"], wrong["right"], wrong["label"]) == ("f, line 4", "the cat", "c", "a")


def test_a_class_that_neither_side_has_counts_for_nothing():
    right, logits = ["a", "b", "a"], [[2, 1, 0], [0, 3, 1], [4, 1, 0]]
    examples, given = answer(SINGLE, right, logits)
    assert SINGLE.score(examples, given).values["macro_f1"] == reference.f1_score(right, right, average="macro") == 1.0


def test_the_baseline_is_the_commonest_answer():
    examples, given = answer(SINGLE, ["a", "c", "c", "c"], [[1, 0, 0]] * 4)
    assert SINGLE.score(examples, given).baseline == 0.75
    examples, given = answer(MANY, [("a",), ("b", "c"), ("b", "c")], [[1, 1, 1]] * 3)
    assert MANY.score(examples, given).baseline == pytest.approx(8 / 11)


def test_several_labels_are_decided_and_scored():
    right, logits = [("a", "b"), (), ("c",)], [[1, -1, -1], [-1, -1, -1], [-1, 2, 2]]
    examples, given = answer(MANY, right, logits)
    assert [one["labels"] for one in given] == [["a"], [], ["b", "c"]]
    assert given[0]["probabilities"]["a"] == pytest.approx(1 / (1 + np.exp(-1)))
    wanted = np.array([[1, 1, 0], [0, 0, 0], [0, 0, 1]]), np.array([[1, 0, 0], [0, 0, 0], [0, 1, 1]])
    scores = MANY.score(examples, given)
    assert scores.values == pytest.approx({
        f"{average}_f1": reference.f1_score(*wanted, average=average, zero_division=0) for average in ("micro", "macro")
    })  # fmt: skip
    assert [error["place"] for error in MANY.errors(examples, given)] == ["f, line 4", "f, line 2"]


def test_numbers_are_scored():
    right, logits = [1.0, 2.0, 3.0, 5.0], [[1.5], [1.0], [3.5], [4.0]]
    examples, given = answer(NUMBER, right, logits)
    assert given[0] == {"id": "0", "score": 1.5}
    flat = np.ravel(logits)
    scores = NUMBER.score(examples, given)
    assert scores.values == pytest.approx({
        "pearson": stats.pearsonr(right, flat)[0], "spearman": stats.spearmanr(right, flat)[0],
        "mse": np.mean((right - flat) ** 2)
    })  # fmt: skip
    assert scores.baseline is None
    assert {error["place"] for error in NUMBER.errors(examples, given)} == {"f, line 3", "f, line 5"}


def test_examples_without_answers_are_not_scored():
    examples, given = answer(SINGLE, [None], [[1, 0, 0]])
    with pytest.raises(DataError, match="right answers; received none in f, line 2"):
        SINGLE.score(examples, given)
