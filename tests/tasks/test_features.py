"""Features: the same from the cache, from any number of workers and from parts; packed batches hold the right rows."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import chain

import numpy as np
import pytest

import albertkit.tasks.features as features_module
from albertkit.errors import DataError
from albertkit.tasks.choice import ChoiceExample, ChoiceTask
from albertkit.tasks.features import join, make_features, pack, rows_per_unit
from albertkit.tasks.text import TextExample, TextTask
from albertkit.testing import tiny_tokenizer

TASK = TextTask(name="text-classification", labels=("bad", "good"), max_seq_length=12)
WORDS = "the cat sat on a dog of paris and france it was new york".split()  # noqa: SIM905


def make_examples(number: int) -> list[TextExample]:
    return [
        TextExample(
            id=str(i), place=f"f, line {i}", text=" ".join(WORDS[: i % len(WORDS) + 1]), label=TASK.labels[i % 2]
        )
        for i in range(number)
    ]  # fmt: skip


def assert_equal(one, other):
    for field in fields(one):
        a, b = getattr(one, field.name), getattr(other, field.name)
        if isinstance(a, dict):
            assert a.keys() == b.keys()
            for name, value in a.items():
                assert np.asarray(value).dtype == np.asarray(b[name]).dtype
                np.testing.assert_array_equal(value, b[name])
        else:
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


def test_joined_parts_are_the_whole():
    examples = make_examples(11)
    whole = TASK.featurize(examples, tiny_tokenizer())
    parts = [TASK.featurize(examples[i:j], tiny_tokenizer()) for i, j in ((0, 1), (1, 7), (7, 11))]
    assert_equal(join(parts), whole)
    assert whole.counts["truncated"] > 0
    assert whole.owners.tolist() == list(range(11))


def test_joined_choices_are_the_whole():
    task = ChoiceTask(name="multiple-choice", max_seq_length=20)
    examples = [
        ChoiceExample(id=str(i), place="", context=WORDS[i], choices=("a cat", "the dog", "it"), label=i % 3) for i in range(5)
    ]
    whole = task.featurize(examples, tiny_tokenizer())
    assert_equal(join([task.featurize(examples[:2], tiny_tokenizer()), task.featurize(examples[2:], tiny_tokenizer())]), whole)
    assert rows_per_unit(whole) == 3
    assert whole.num_units == 5


def test_parts_with_and_without_answers_do_not_join():
    examples = make_examples(2)
    examples[1] = replace(examples[1], label=None)
    with pytest.raises(DataError, match="right answers, or none"):
        join([TASK.featurize([example], tiny_tokenizer()) for example in examples])


@pytest.mark.slow
def test_two_workers_do_what_one_does(tokenizer_directory):
    examples = make_examples(1100)
    seen = []
    parallel = make_features(TASK, examples, tokenizer_directory, workers=2, on_progress=lambda *done: seen.append(done))
    assert_equal(parallel, make_features(TASK, examples, tokenizer_directory))
    assert_equal(parallel, TASK.featurize(examples, tiny_tokenizer()))
    assert seen == [(512, 1100), (1024, 1100), (1100, 1100)]


def test_cached_features_are_the_fresh_ones(tokenizer_directory, tmp_path, monkeypatch):
    examples = make_examples(20)
    fresh = make_features(TASK, examples, tokenizer_directory, cache=tmp_path)
    (file,) = tmp_path.iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(features_module, "map_in_order", None)
        assert_equal(make_features(TASK, examples, tokenizer_directory, cache=tmp_path), fresh)
    content = file.read_bytes()
    for damaged in (content[:-200], content[:300] + bytes([content[300] ^ 1]) + content[301:], b""):
        file.write_bytes(damaged)
        assert_equal(make_features(TASK, examples, tokenizer_directory, cache=tmp_path), fresh)
        assert file.read_bytes() == content


def test_the_cache_knows_what_features_depend_on(tokenizer_directory, tmp_path):
    examples = make_examples(3)
    cache = tmp_path / "cache"
    cased = tmp_path / "cased"
    tokenizer = tiny_tokenizer()
    type(tokenizer)(vocabulary=tokenizer.file, do_lower_case=False).save_pretrained(cased)
    make_features(TASK, examples, tokenizer_directory, cache=cache)
    make_features(replace(TASK, max_seq_length=9), examples, tokenizer_directory, cache=cache)
    make_features(replace(TASK, labels=("good", "bad")), examples, tokenizer_directory, cache=cache)
    make_features(TASK, [*examples[:2], replace(examples[2], text="x")], tokenizer_directory, cache=cache)
    make_features(TASK, examples, cased, cache=cache)
    assert len(list(cache.iterdir())) == 5


def test_a_cache_that_cannot_be_written_is_named(tokenizer_directory, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match=r"folder that can be written; received .*cache"):
        make_features(TASK, make_examples(3), tokenizer_directory, cache=tmp_path / "cache")


def test_no_example_is_refused(tokenizer_directory):
    with pytest.raises(DataError, match="at least one example"):
        make_features(TASK, [], tokenizer_directory)


def test_a_packed_batch_holds_its_rows_end_to_end():
    features = TASK.featurize(make_examples(6), tiny_tokenizer())
    batch = pack(features, np.array([4, 0, 2]))
    rows = [features.input_ids[features.boundaries[row] : features.boundaries[row + 1]].tolist() for row in (4, 0, 2)]
    assert batch["input_ids"].tolist() == list(chain.from_iterable(rows))
    assert batch["cu_seqlens"].tolist() == np.cumsum([0, *map(len, rows)]).tolist()
    assert batch["token_type_ids"].shape == batch["input_ids"].shape
    assert batch["labels"].tolist() == [0, 0, 0]
    assert pack(features, np.array([1, 2]))["labels"].tolist() == [1, 0]
    assert all(batch[name].dtype == np.int64 for name in ("input_ids", "token_type_ids", "cu_seqlens", "labels"))


def test_a_packed_batch_of_choices_and_of_tokens():
    task = ChoiceTask(name="multiple-choice", max_seq_length=20)
    examples = [ChoiceExample(id=str(i), place="", context=WORDS[i], choices=("a", "the cat"), label=1) for i in range(4)]
    features = task.featurize(examples, tiny_tokenizer())
    batch = pack(features, np.array([3, 1]))
    wanted = [features.input_ids[features.boundaries[row] : features.boundaries[row + 1]].tolist() for row in (6, 7, 2, 3)]
    assert batch["input_ids"].tolist() == list(chain.from_iterable(wanted))
    assert len(batch["labels"]) == 2
    tagged = replace(features, targets={"labels": np.arange(len(features.input_ids))})
    places = np.r_[features.boundaries[6] : features.boundaries[8], features.boundaries[2] : features.boundaries[4]]
    assert pack(tagged, np.array([3, 1]))["labels"].tolist() == places.tolist()


def test_unequal_units_have_no_common_number_of_rows():
    features = TASK.featurize(make_examples(3), tiny_tokenizer())
    with pytest.raises(DataError, match="equally many choices; received 1 to 2"):
        rows_per_unit(replace(features, units=np.array([0, 1, 3]), owners=np.array([0, 1])))
