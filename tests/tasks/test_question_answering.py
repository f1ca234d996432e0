"""Questions on passages: characters to tokens and back, windows, the best spans of both heads, thresholds, perfect answers."""

from __future__ import annotations

import json
import math
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albertkit.errors import DataError, InputError
from albertkit.tasks.answers import search_beam, search_spans, write_predictions
from albertkit.tasks.base import Features, Outputs
from albertkit.tasks.features import join
from albertkit.tasks.question_answering import QuestionAnsweringTask
from albertkit.tasks.squad import Answer, QuestionExample, read_questions
from albertkit.tasks.windows import cut_windows, find_best_context, read_passages
from albertkit.testing import tiny_tokenizer
from albertkit.tokenization import AlbertTokenizer

CONTEXT = " The  cat sat on the dog,\nit was in Paris. Ça, and she sat on an ﬁg in 1992, by York  "
TASK = QuestionAnsweringTask(name="squad")
SMALL = QuestionAnsweringTask(name="squad", max_seq_length=20, doc_stride=4)


def make_example(*answers: str, context: str = CONTEXT, **fields: Any) -> QuestionExample:
    found = tuple(Answer(text, context.index(text)) for text in answers)
    return QuestionExample(**{"id": "q", "place": "here", "question": "who sat?", "context": context, "answers": found} | fields)


def point(features: Features) -> np.ndarray:
    """Logits that leave no doubt of the targets; [CLS] is in second place where the window holds the answer."""
    logits = np.zeros((len(features.input_ids), 2), np.float32)
    begins = features.boundaries[:-1]
    logits[begins] = 5
    for column, name in enumerate(("start_positions", "end_positions")):
        logits[begins + features.targets[name], column] = 20
    return logits


# ---------------------------------------------------------------- features


@pytest.mark.parametrize("answer", ["cat", "The  cat", "dog,\nit", "Ça", "ﬁg", "1992,", "York", "sat on an ﬁg in"])
def test_characters_become_tokens_and_come_back(answer):
    example = make_example(answer)
    features = TASK.featurize([example], tiny_tokenizer())
    assert features.counts == {"questions truncated": 0, "answers cut off": 0, "answers between tokens": 0}
    (prediction,) = TASK.decode([example], features, {"logits": point(features)})
    assert (prediction["answer"], prediction["start"]) == (answer, CONTEXT.index(answer))


@given(st.integers(0, 30), st.integers(0, 30))
def test_every_span_of_tokens_comes_back_as_it_is(one, other):
    tokenizer = tiny_tokenizer()
    offsets = read_passages(tokenizer, [CONTEXT])[CONTEXT].offsets
    assert len(offsets) == 31
    start, stop = int(offsets[min(one, other), 0]), int(offsets[max(one, other), 1])
    example = make_example(answers=(Answer(CONTEXT[start:stop], start),))
    features = TASK.featurize([example], tokenizer)
    assert features.counts["answers between tokens"] == 0
    first, last = (int(features.targets[f"{name}_positions"][0]) for name in ("start", "end"))
    assert (features.places["offsets"][first, 0], features.places["offsets"][last, 1]) == (start, stop)


def test_a_row_is_question_and_passage():
    tokenizer, example = tiny_tokenizer(), make_example("cat")
    features = TASK.featurize([example], tokenizer)
    question, passage = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in ("who sat?", CONTEXT))
    assert features.input_ids.tolist() == [2, *question, 3, *passage, 3]
    assert features.token_type_ids.tolist() == [0] * (len(question) + 2) + [1] * (len(passage) + 1)
    allowed = [True, *[False] * (len(question) + 1), *[True] * len(passage), False]
    assert features.places["allowed"].tolist() == allowed
    assert features.places["best_context"].tolist() == [False, *allowed[1:]]
    assert list(features.targets) == ["start_positions", "end_positions"]


def test_an_answer_begins_at_its_letters_not_at_a_lone_marker():
    tokenizer = tiny_tokenizer()
    lone = tokenizer.convert_tokens_to_ids("▁")
    features = TASK.featurize([make_example("ﬁg")], tokenizer)
    start = int(features.targets["start_positions"][0])
    assert features.input_ids[start - 1] == lone
    assert features.places["offsets"][start - 1, 0] == features.places["offsets"][start, 0] == CONTEXT.index("ﬁg")


def test_what_no_span_of_tokens_has_is_counted_and_kept():
    tokenizer = tiny_tokenizer()
    example = make_example(context="the \u200b cat", answers=(Answer("\u200b cat", 4),))
    features = TASK.featurize([example, make_example(" cat")], tokenizer)
    assert features.counts["answers between tokens"] == 1
    predictions = TASK.decode([example, make_example(" cat")], features, {"logits": point(features)})
    assert [prediction["answer"] for prediction in predictions] == ["cat", "cat"]


def test_windows_that_do_not_hold_the_answer_point_at_cls():
    tokenizer, example = tiny_tokenizer(), make_example("Paris")
    task = replace(SMALL, with_answerability=True)
    features = task.featurize([example, make_example(is_impossible=True)], tokenizer)
    half = features.num_units // 2
    assert half > 2
    assert features.owners.tolist() == [0] * half + [1] * half
    assert features.lengths.max() == 20
    holding = []
    for row, (first, stop) in enumerate(zip(features.boundaries[:half], features.boundaries[1:], strict=False)):
        start, end = (int(features.targets[f"{name}_positions"][row]) for name in ("start", "end"))
        shown = features.places["offsets"][first:stop]
        holds = shown[shown[:, 1] > 0][0, 0] <= CONTEXT.index("Paris") and shown[:, 1].max() >= CONTEXT.index("Paris") + 5
        assert holds == (start > 0) == (features.targets["is_impossible"][row] == 0)
        assert not holds or CONTEXT[shown[start, 0] : shown[end, 1]] == "Paris"
        holding.append(holds)
    assert 0 < sum(holding) < half
    assert features.targets["is_impossible"][half:].all()
    assert features.counts["answers cut off"] == 0
    assert (
        SMALL.featurize([make_example("cat sat on the dog,\nit was in Paris. Ça, and she sat")], tokenizer).counts[
            "answers cut off"
        ]
        == 1
    )


@pytest.mark.parametrize("stride", [6, 7, 8, 9])  # in some of them a longer and a shorter window tie
def test_a_token_counts_where_most_is_seen_around_it(stride):
    tokenizer = tiny_tokenizer()
    passage = read_passages(tokenizer, [CONTEXT])[CONTEXT]
    windows = cut_windows(tokenizer, [30] * 4, passage, 20, stride)
    found = find_best_context(windows)
    assert len(windows) > 3
    for token in range(len(passage.ids)):
        scores = []  # as Google's _check_is_max_context has it
        for window in windows:
            size = window.part.stop - window.start
            place = token - window.first
            scores.append(min(place, size - 1 - place) + 0.01 * size if 0 <= place < size else -1.0)
        best = scores.index(max(scores))
        for number, window in enumerate(windows):
            if scores[number] >= 0:
                assert found[number][token - window.first] == (number == best)


def test_a_book_takes_no_more_memory_than_its_length():
    tokenizer = tiny_tokenizer()
    (passage,) = read_passages(tokenizer, ["the cat sat " * 20_000]).values()
    windows = cut_windows(tokenizer, [30] * 4, passage, 384, 128)
    tracemalloc.start()
    try:
        found = find_best_context(windows)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(int(part.sum()) for part in found) == len(passage.ids) == 60_000
    assert peak < 100 * len(passage.ids)


def test_parts_joined_are_the_whole():
    tokenizer = tiny_tokenizer()
    examples = [make_example(word) for word in ("cat", "Paris", "York", "dog,")]
    whole = SMALL.featurize(examples, tokenizer)
    joined = join([SMALL.featurize(examples[:1], tokenizer), SMALL.featurize(examples[1:], tokenizer)])
    for name in ("input_ids", "token_type_ids", "boundaries", "units", "owners"):
        np.testing.assert_array_equal(getattr(joined, name), getattr(whole, name))
    for group in ("targets", "places"):
        for name, values in getattr(whole, group).items():
            np.testing.assert_array_equal(getattr(joined, group)[name], values)
    assert joined.counts == whole.counts


def test_without_answers_there_are_no_targets_and_a_long_question_is_cut():
    features = TASK.featurize([make_example(), make_example(question="cat " * 99)], tiny_tokenizer())
    assert features.targets == {}
    assert features.counts["questions truncated"] == 1
    assert int((features.token_type_ids[features.boundaries[1] :] == 0).sum()) == 64 + 2
    with pytest.raises(DataError, match="right answers"):
        TASK.score([make_example()], [{"answer": "cat", "null_odds": 0.0, "n_best": []}])


def test_what_cannot_be_used_is_refused_in_one_sentence():
    with pytest.raises(InputError, match=r"doc_stride.*received 61.*leaves 61 tokens"):
        QuestionAnsweringTask(name="squad", max_seq_length=128, doc_stride=61)
    with pytest.raises(InputError, match="max_answer_length must be at least 1"):
        replace(TASK, max_answer_length=0)
    with pytest.raises(DataError, match=r"something to read; received '\\u200b' in here"):
        TASK.featurize([make_example(), make_example(context="\u200b", answers=())], tiny_tokenizer())
    assert (
        len(QuestionAnsweringTask(name="squad", max_seq_length=8).featurize([make_example("cat")], tiny_tokenizer()).owners) > 9
    )


# ----------------------------------------------------------------- answers


@given(st.integers(1, 9), st.integers(1, 12), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_the_best_spans_are_those_of_a_search_through_all(length, longest, count, seed):
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (length, 2)).astype(np.float32)
    may_start = rng.random(length) < 0.7
    every = {
        (first, last): float(logits[first, 0]) + float(logits[last, 1])
        for first in np.flatnonzero(may_start).tolist()
        for last in range(first, min(length, first + longest))
    }
    found = search_spans(logits, may_start, longest, count)
    received = dict(zip(zip(found.first.tolist(), found.last.tolist(), strict=True), found.scores.sum(axis=1), strict=True))
    assert received == {span: every[span] for span in sorted(every, key=every.__getitem__, reverse=True)[:count]}


def test_a_beam_keeps_what_is_possible():
    # [CLS] is a start; an end lies before its start, one is too far, one is none, one is the [SEP]; token 2 counts elsewhere.
    starts = np.array([-0.5, -1.0, -2.0, -3.0], np.float32), np.array([4, 5, 0, 6])
    ends = np.array([[-0.1, -0.2, -0.3]] * 4, np.float32), np.array([[4, 6, 7], [4, 9, 6], [4, 5, 6], [6, 7, 8]])
    ends[0][1, 2] = -1e30
    found = search_beam(starts, ends, np.array([True, True, False, True, True]), 4, 3)
    assert list(zip(found.first.tolist(), found.last.tolist(), strict=True)) == [(0, 0), (0, 2)]
    assert found.scores == pytest.approx(np.array([[-0.5, -0.1], [-0.5, -0.2]]))


def test_two_logits_give_a_list_of_the_best_with_no_answer_among_them():
    tokenizer, example = tiny_tokenizer(), make_example("cat", context="the cat sat")
    task = replace(TASK, may_be_impossible=True, n_best=4)
    features = task.featurize([example], tokenizer)
    logits = np.random.default_rng(0).normal(0, 1, (len(features.input_ids), 2)).astype(np.float32)
    (prediction,) = task.decode([example], features, {"logits": logits})
    n_best = prediction["n_best"]
    assert len(n_best) == 5
    assert len({entry["text"] for entry in n_best}) == 5
    sums = np.array([entry["start_logit"] + entry["end_logit"] for entry in n_best])
    assert (np.diff(sums) <= 0).all()
    np.testing.assert_allclose([entry["probability"] for entry in n_best], np.exp(sums) / np.exp(sums).sum())
    null = next(entry for entry in n_best if not entry["text"])
    best = next(entry for entry in n_best if entry["text"])
    assert [null["start_logit"], null["end_logit"]] == pytest.approx(logits[0].tolist())
    odds = null["start_logit"] + null["end_logit"] - best["start_logit"] - best["end_logit"]
    assert prediction["null_odds"] == pytest.approx(odds)
    for threshold, entry in ((odds - 0.01, null), (odds + 0.01, best)):
        (decided,) = replace(task, null_threshold=threshold).decode([example], features, {"logits": logits})
        assert (decided["answer"], decided["score"]) == (entry["text"], entry["probability"])
        assert example.context[decided["start"] : decided["end"]] == decided["answer"]
    (forced,) = replace(task, may_be_impossible=False, null_threshold=-99.0).decode([example], features, {"logits": logits})
    assert forced["answer"] == best["text"]
    assert len(forced["n_best"]) == 4


def test_the_window_least_in_favour_decides_of_no_answer():
    tokenizer, example = tiny_tokenizer(), make_example("York")
    task = replace(SMALL, may_be_impossible=True)
    features = task.featurize([example], tokenizer)
    (prediction,) = task.decode([example], features, {"logits": point(features)})
    assert prediction["answer"] == "York"
    assert prediction["null_odds"] == pytest.approx(10 - 40)


def test_a_start_counts_only_where_most_is_seen_around_it():
    tokenizer, example = tiny_tokenizer(), make_example("York")
    features = SMALL.featurize([example], tokenizer)
    logits = np.zeros((len(features.input_ids), 2), np.float32)
    allowed, best, begins = features.places["allowed"].copy(), features.places["best_context"], features.boundaries[:-1]
    allowed[begins] = False
    elsewhere = np.flatnonzero(allowed & ~best)
    logits[elsewhere] = 9
    (prediction,) = SMALL.decode([example], features, {"logits": logits})
    assert prediction["n_best"][0]["start_logit"] == 0.0
    assert len(elsewhere) > 0


def make_beam(features: Features, places: list[tuple[int, int]], cls_logits: list[float]) -> Outputs:
    """What the head of three parts says when it is sure of a place in each row."""
    rows = len(places)
    starts, ends = np.zeros((rows, 2), np.int64), np.zeros((rows, 2, 2), np.int64)
    starts[:, 0], ends[:, :, 0] = [start for start, _end in places], np.array([end for _start, end in places])[:, None]
    log_probs = np.log(np.array([0.9, 0.1], np.float32))
    return {
        "start_top_log_probs": np.tile(log_probs, (rows, 1)), "start_top_index": starts,
        "end_top_log_probs": np.tile(log_probs, (rows, 2, 1)), "end_top_index": ends,
        "cls_logits": np.array(cls_logits, np.float32),
    }  # fmt: skip


def test_the_answer_class_decides_beside_the_beam():
    tokenizer, example = tiny_tokenizer(), make_example("Paris")
    task = replace(SMALL, with_answerability=True, may_be_impossible=True)
    features = task.featurize([example], tokenizer)
    targets = list(zip(*(features.targets[f"{name}_positions"].tolist() for name in ("start", "end")), strict=True))
    logits = [3.0] * len(targets)
    logits[1] = -1.5
    (prediction,) = task.decode([example], features, make_beam(features, targets, logits))
    assert (prediction["answer"], prediction["null_odds"]) == ("Paris", -1.5)
    assert prediction["n_best"][0] == {
        "text": "Paris", "probability": pytest.approx(1.0), "start_log_prob": pytest.approx(math.log(0.9), abs=1e-6),
        "end_log_prob": pytest.approx(math.log(0.9), abs=1e-6),
    }  # fmt: skip
    (refused,) = replace(task, null_threshold=-2.0).decode([example], features, make_beam(features, targets, logits))
    assert (refused["answer"], refused["start"], refused["end"]) == ("", 0, 0)
    assert refused["score"] == pytest.approx(1 / (1 + math.exp(1.5)))
    (nothing,) = task.decode([example], features, make_beam(features, [(0, 0)] * len(targets), logits))
    assert (nothing["answer"], len(nothing["n_best"])) == ("", 1)


def test_the_files_of_the_evaluators(tmp_path):
    tokenizer, examples = tiny_tokenizer(), [make_example("cat", id="a"), make_example("York", id="b")]
    features = TASK.featurize(examples, tokenizer)
    predictions = TASK.decode(examples, features, {"logits": point(features)})
    write_predictions(predictions, tmp_path / "new")
    read = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in (tmp_path / "new").iterdir()}
    assert read["predictions"] == {"a": "cat", "b": "York"}
    assert read["null_odds"] == {prediction["id"]: prediction["null_odds"] for prediction in predictions}
    assert read["nbest_predictions"]["b"] == predictions[1]["n_best"]


# ------------------------------------------------------------------ scores


def test_labels_scores_and_errors_of_both_kinds():
    examples = [make_example("cat", id="a"), make_example("York", "by York", id="b"), make_example(id="c", is_impossible=True)]
    task = TASK.with_labels_of(examples)
    assert (task.may_be_impossible, TASK.with_labels_of(examples[:2]).may_be_impossible) == (True, False)
    with pytest.raises(DataError, match=r"every question must have an answer; received none in .*take squad-v2"):
        replace(TASK, may_be_impossible=False).with_labels_of(examples)
    features = task.featurize(examples, tiny_tokenizer())
    logits = point(features)
    logits[features.boundaries[1]] = 50
    predictions = task.decode(examples, features, {"logits": logits})
    assert [prediction["answer"] for prediction in predictions] == ["cat", "", ""]
    scores = task.score(examples, predictions)
    assert set(scores.values) == set(task.metrics)
    assert scores.values["exact_match"] == pytest.approx(200 / 3)
    assert (scores.values["HasAns_f1"], scores.values["NoAns_exact"]) == (50.0, 100.0)
    assert scores.baseline == pytest.approx(100 / 3)
    assert scores.values["best_exact"] == pytest.approx(200 / 3)
    (error,) = task.errors(examples, predictions)
    assert (error["id"], error["right"], error["answer"], error["f1"]) == ("b", ["York", "by York"], "", 0.0)
    alone = replace(task, may_be_impossible=False).score(
        examples[:2], TASK.decode(examples[:2], features, {"logits": point(features)})
    )
    assert alone.values == {"f1": 100.0, "exact_match": 100.0}
    assert task.head == "question_answering"
    assert replace(task, with_answerability=True).architecture == "AlbertForQuestionAnsweringWithAnswerability"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "share", "fields"),
    [
        ("xquad.en", 1, {}),
        ("xquad.en", 1, {"max_seq_length": 128, "doc_stride": 40}),
        ("tydiqa-goldp.en.train", 4, {}),
        ("cs224n-dev-v2.0", 4, {}),
    ],
)
def test_perfect_scores_of_tokens_are_perfect_answers(shared_data, file, share, fields):
    tokenizer = AlbertTokenizer(shared_data / "albert-vocab" / "30k-clean.rebuilt.model")
    examples = read_questions(shared_data / "squad" / f"{file}.json.xz")[::share]
    task = replace(TASK, **fields).with_labels_of(examples)
    features = task.featurize(examples, tokenizer)
    predictions = task.decode(examples, features, {"logits": point(features)})
    wrong = len(list(task.errors(examples, predictions)))
    # Within reach: shown whole where the start counts, of no more than 30 tokens.
    first, last = (features.targets[f"{name}_positions"] for name in ("start", "end"))
    counts = features.places["best_context"][features.boundaries[:-1] + first]
    within = set(features.owners[(first > 0) & counts & (last - first < 30)].tolist())
    beyond = sum(number not in within and bool(example.answers) for number, example in enumerate(examples))
    assert beyond + features.counts["answers between tokens"] < 0.05 * len(examples)
    assert wrong <= beyond + features.counts["answers between tokens"]
    assert task.score(examples, predictions).values["exact_match"] == pytest.approx(100 * (1 - wrong / len(examples)))
