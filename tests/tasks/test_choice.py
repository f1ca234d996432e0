"""Choices: Google's rows, and own tables."""

from __future__ import annotations

import numpy as np
import pytest

from albertkit.errors import DataError
from albertkit.tasks.choice import ChoiceExample, ChoiceTask, fill_in
from albertkit.testing import tiny_tokenizer

TASK = ChoiceTask(name="multiple-choice", max_seq_length=18, max_question_length=7)


def example(**changes):
    values = {"id": "0", "place": "f, line 2", "context": "the cat sat on a dog of paris and france",
              "question": "it is _ ?", "choices": ("a model", "the cat"), "label": 1}  # fmt: skip
    return ChoiceExample(**values | changes)


def test_choices_fill_the_blank_or_follow():
    assert fill_in("it is _ .", "a cat") == "it is a cat ."
    assert fill_in("what is it?", "a cat") == "what is it? a cat"
    assert fill_in(None, "a cat") == "a cat"


def test_rows_are_googles():
    tokenizer = tiny_tokenizer()
    features = TASK.featurize([example(), example(id="1", question="and of paris", label=0)], tokenizer)
    assert features.units.tolist() == [0, 2, 4]
    assert features.targets["labels"].tolist() == [1, 0]
    context = tokenizer.encode("the cat sat on a dog of paris and france", add_special_tokens=False)
    seconds = ("it is a model ?", "it is the cat ?", "and of paris a model", "and of paris the cat")
    cut = 0
    for row, second in enumerate(seconds):
        kept = tokenizer.encode(second, add_special_tokens=False)[-7:]
        first = context[: 15 - len(kept)]
        cut += len(first) < len(context)
        bounds = slice(*features.boundaries[row : row + 2])
        wanted = [tokenizer.cls_token_id, *first, tokenizer.sep_token_id, *kept, tokenizer.sep_token_id]
        assert features.input_ids[bounds].tolist() == wanted
        assert features.token_type_ids[bounds].tolist() == [0] * (len(first) + 2) + [1] * (len(kept) + 1)
    assert cut == 2
    assert features.counts == {"truncated": 1}


def test_the_end_of_question_and_choice_is_kept():
    tokenizer = tiny_tokenizer()
    features = TASK.featurize([example(context="a", question="the cat sat on a dog of paris and france _")], tokenizer)
    ids = tokenizer.encode("the cat sat on a dog of paris and france a model", add_special_tokens=False)
    assert features.input_ids[features.boundaries[1] - 8 : features.boundaries[1] - 1].tolist() == ids[-7:]
    assert features.counts == {"truncated": 1}


def test_short_rows_share_their_room():
    features = ChoiceTask(name="x", max_seq_length=15).featurize(
        [example(question="it is on the model of paris and france")], tiny_tokenizer()
    )
    assert features.lengths.tolist() == [15, 15]
    assert features.token_type_ids[:15].tolist() == [0] * 8 + [1] * 7


def test_equally_many_choices_are_asked_for(write):
    with pytest.raises(DataError, match="equally many choices; received 2 in f, line 2 and 3 in f, line 3"):
        TASK.featurize([example(), example(place="f, line 3", choices=("a", "b", "c"))], tiny_tokenizer())
    with pytest.raises(
        DataError, match="must have the column choices, or choice0 and so on; received the columns context, label"
    ):
        TASK.read(write("t.csv", "context,label\na,0\n"))
    path = write("t.jsonl", '{"context": "a", "choices": ["b"], "label": 0}\n')
    with pytest.raises(DataError, match=r"two or more; received 1 in .*t\.jsonl, line 1"):
        TASK.read(path)


def test_tables_name_their_choices_in_many_ways(write):
    wanted = ("c", "what", ("x", "y z"), 1)

    def first(path):
        (found,) = TASK.read(path)
        return found.context, found.question, found.choices, found.label

    assert first(write("t.csv", "context,question,choices,label\nc,what,x|y z,1\n")) == wanted
    assert first(write("t.csv", "context,question,choice0,choice1,label\nc,what,x,y z,B\n")) == wanted
    assert first(write("t.csv", 'context,question,choices,label\nc,what,"[""x"", ""y z""]",y z\n')) == wanted
    assert first(write("t.jsonl", '{"prompt": "c", "question": "what", "options": ["x", "y z"], "answer": 1}')) == wanted
    assert first(write("t.jsonl", '{"context": "c", "question": "what", "choices": ["x", "y z"], "label": 1.0}')) == wanted
    assert first(write("t.csv", "context,choices\nc,x|y z\n")) == ("c", None, ("x", "y z"), None)
    named = ChoiceTask(name="x", columns={"choice0": "right", "choice1": "wrong"})
    assert named.read(write("t.csv", "context,right,wrong,label\nc,x,y,0\n"))[0].choices == ("x", "y")


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("2", "a number from 0 to 1, a letter or one of the choices; received '2' in .*line 2"),
        ("C", "received 'C'"),
        ("zz", "received 'zz'"),
        ("0", "received '0', which may mean several, in"),
    ],
)
def test_a_label_that_is_no_choice_is_named(write, label, message):
    with pytest.raises(DataError, match=message):
        TASK.read(write("t.csv", f"context,choices,label\nc,1|0,{label}\n"))


def test_choices_are_decided_and_scored_by_group():
    examples = [
        example(id=str(i), label=label, group=group)
        for i, (label, group) in enumerate([(0, "middle"), (1, "high"), (1, "high"), (1, "high")])
    ]
    features = TASK.featurize(examples, tiny_tokenizer())
    logits = np.array([1, 0, 0, 2, 3, 1, 0, 1], np.float32)[:, None]
    given = TASK.decode(examples, features, {"logits": logits})
    assert [(one["label"], one["choice"]) for one in given] == [(0, "a model"), (1, "the cat"), (0, "a model"), (1, "the cat")]
    assert given[1]["probabilities"] == pytest.approx([1 / (1 + np.exp(2)), 1 / (1 + np.exp(-2))])
    assert given[1]["score"] == given[1]["probabilities"][1]
    scores = TASK.score(examples, given)
    assert scores.values == pytest.approx({"accuracy": 0.75, "accuracy_middle": 1.0, "accuracy_high": 2 / 3})
    assert (scores.primary, scores.baseline) == ("accuracy", 0.75)
    (wrong,) = TASK.errors(examples, given)
    assert (wrong["id"], wrong["right"], wrong["label"]) == ("2", 1, 0)
