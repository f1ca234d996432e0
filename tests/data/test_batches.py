"""Example i of an epoch is a pure function of (seed, epoch, i), and the stream the same however it is cut up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pytest

from albertkit.data.batches import PretrainingData
from albertkit.data.examples import PretrainingBatch, PretrainingExample
from albertkit.data.options import ExampleOptions
from albertkit.errors import DataError, InputError

Documents = list[list[list[int]]]
PrepareIds = Callable[..., Path]

PAPER = ExampleOptions.paper(max_seq_length=64)


def originals(example: PretrainingExample) -> np.ndarray:
    """The ids before masking."""
    return np.where(example.labels == -100, example.input_ids, example.labels)


def same(first: PretrainingExample, second: PretrainingExample) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in PretrainingExample.__annotations__)


def take_apart(batches: Iterable[PretrainingBatch]) -> Counter[tuple[bytes, ...]]:
    """The sequences of batches, whatever their order."""
    return Counter(
        (
            batch.input_ids[begin:end].tobytes(),
            batch.token_type_ids[begin:end].tobytes(),
            batch.labels[begin:end].tobytes(),
            label,
        )
        for batch in batches
        for begin, end, label in zip(batch.cu_seqlens, batch.cu_seqlens[1:], batch.sentence_order_label.tolist(), strict=False)
    )


def test_a_small_example_is_what_it_always_was(prepare_ids: PrepareIds) -> None:
    document = [[5, 405, 6], [7, 8, 406, 407], [9], [10, 408]]
    data = PretrainingData(prepare_ids([document]), options=ExampleOptions(max_seq_length=16, short_seq_prob=0), seed=11)
    assert data.num_examples(0) == 1
    made = [data.example(epoch, 0) for epoch in range(3)]
    assert [example.input_ids.tolist() for example in made] == [
        [2, 5, 405, 6, 3, 7, 8, 406, 407, 9, 4, 4, 3],
        [2, 9, 4, 4, 3, 5, 405, 6, 7, 8, 406, 407, 3],
        [2, 10, 408, 3, 5, 405, 545, 28, 8, 406, 407, 9, 3],
    ]
    assert [{place: id_ for place, id_ in enumerate(example.labels.tolist()) if id_ != -100} for example in made] == [
        {10: 10, 11: 408},
        {2: 10, 3: 408},
        {6: 6, 7: 7},
    ]
    assert [example.token_type_ids.tolist() for example in made] == [[0] * 5 + [1] * 8, [0] * 5 + [1] * 8, [0] * 4 + [1] * 9]
    assert [example.sentence_order_label for example in made] == [0, 1, 1]


def test_examples_are_two_segments_of_a_document_in_either_order(prepared: Path, documents: Documents) -> None:
    data = PretrainingData(prepared, options=PAPER, seed=1)
    text = " ".join(f"{id_}" for id_ in chain([-1], *(chain(*document, [-1]) for document in documents)))
    for index in range(200):
        example = data.example(0, index)
        ids, label = originals(example).tolist(), example.sentence_order_label
        assert len(ids) <= 64
        assert ids[0] == 2
        assert ids.count(3) == 2
        end_of_first = ids.index(3)
        assert ids[-1] == 3
        assert example.token_type_ids.tolist() == [0] * (end_of_first + 1) + [1] * (len(ids) - end_of_first - 1)
        segments = ids[1:end_of_first], ids[end_of_first + 1 : -1]
        places = [text.index(" " + " ".join(map(str, segment)) + " ") for segment in segments]
        assert (places[0] > places[1]) == label
        assert (example.labels != -100).sum() == max(1, round(len(ids) * 0.15))


def test_an_epoch_holds_every_document_once_in_an_order_of_its_own(prepared: Path, documents: Documents) -> None:
    data = PretrainingData(prepared, options=ExampleOptions(max_seq_length=512, short_seq_prob=0), seed=1)
    orders = []
    for epoch in range(2):
        seen = Counter(
            chain.from_iterable(originals(data.example(epoch, index)).tolist() for index in range(data.num_examples(epoch)))
        )
        total = sum(len(sentence) for document in documents for sentence in document if len(document) > 1)
        # Truncation drops a little.
        assert sum(count for id_, count in seen.items() if id_ >= 5) == pytest.approx(total, rel=0.03)
        orders.append([originals(data.example(epoch, index)).tobytes() for index in range(20)])
    assert not set(orders[0]) & set(orders[1])


def test_half_of_the_examples_are_swapped(prepared: Path) -> None:
    data = PretrainingData(prepared, options=PAPER, seed=3)
    labels = data.batch(0, range(data.num_examples(0))).sentence_order_label
    assert len(labels) > 2000
    assert labels.mean() == pytest.approx(0.5, abs=0.03)


def test_an_example_depends_on_seed_epoch_and_index_alone(prepared: Path) -> None:
    first, second = (PretrainingData(prepared, options=PAPER, seed=5) for _ in range(2))
    forwards = [first.example(0, index) for index in range(30)]
    first.example(4, 2)
    backwards = [second.example(0, index) for index in reversed(range(30))][::-1]
    assert all(same(*pair) for pair in zip(forwards, backwards, strict=True))
    other = PretrainingData(prepared, options=PAPER, seed=6)
    assert not any(same(example, other.example(0, index)) for index, example in enumerate(forwards))


def test_masks_differ_between_epochs(prepare_ids: PrepareIds) -> None:
    data = PretrainingData(prepare_ids([[list(range(5, 65)), list(range(65, 125))]]), options=ExampleOptions(max_seq_length=128))
    masks = {(data.example(epoch, 0).labels != -100).tobytes() for epoch in range(10)}
    assert len(masks) == 10


@pytest.mark.parametrize("size", [{"examples_per_batch": 24}, {"tokens_per_batch": 1000}])
def test_the_stream_is_the_same_on_any_number_of_ranks(prepared: Path, size: dict[str, int]) -> None:
    data = PretrainingData(prepared, options=PAPER, seed=2)
    whole = list(data.batches(**size, stop_example=500))
    assert whole[-1].next_example == 500
    for world_size in (2, 4):
        ranks = [list(data.batches(**size, stop_example=500, rank=rank, world_size=world_size)) for rank in range(world_size)]
        for batch, *shares in zip(whole, *ranks, strict=True):
            assert take_apart([batch]) == take_apart(shares)
            assert {share.next_example for share in shares} == {batch.next_example}


@pytest.mark.parametrize("size", [{"examples_per_batch": 24}, {"tokens_per_batch": 1000}])
def test_the_stream_goes_on_from_any_batch_and_over_epochs(prepared: Path, size: dict[str, int]) -> None:
    data = PretrainingData(prepared, options=PAPER, seed=2)
    start = data.num_examples(0) - 50
    whole = list(islice(data.batches(**size, start_example=start), 12))
    assert whole[-1].next_example > data.num_examples(0) + 50
    resumed = PretrainingData(prepared, options=PAPER, seed=2).batches(**size, start_example=whole[4].next_example)
    for expected, batch in zip(whole[5:], resumed, strict=False):
        for name in PretrainingBatch.__annotations__:
            assert np.array_equal(getattr(expected, name), getattr(batch, name)), name
    assert data.locate(data.num_examples(0) + data.num_examples(1)) == (2, 0)
    assert data.locate(start) == (0, start)


def test_a_token_budget_is_filled_and_never_exceeded(prepared: Path) -> None:
    data = PretrainingData(prepared, options=PAPER, seed=2)
    batches = list(islice(data.batches(tokens_per_batch=1000), 50))
    lengths = [len(batch.input_ids) for batch in batches]
    assert max(lengths) <= 1000
    assert min(lengths) > 1000 - 64
    assert [len(batch.cu_seqlens) for batch in islice(data.batches(tokens_per_batch=5), 3)] == [2, 2, 2]


def test_a_batch_is_packed_by_falling_length_and_pads_to_the_same(prepared: Path) -> None:
    batch = PretrainingData(prepared, options=PAPER, seed=2).batch(1, range(40))
    lengths = np.diff(batch.cu_seqlens)
    assert (np.diff(lengths) <= 0).all()
    assert {getattr(batch, name).dtype for name in PretrainingBatch.__annotations__ if name != "next_example"} == {
        np.dtype("int32")
    }
    padded = batch.padded(pad_token_id=0)
    is_real = padded["attention_mask"] == 1
    assert is_real.shape == (40, lengths[0])
    assert (is_real.sum(1) == lengths).all()
    for name, fill in (("input_ids", 0), ("token_type_ids", 0), ("labels", -100)):
        assert np.array_equal(padded[name][is_real], getattr(batch, name))
        assert (padded[name][~is_real] == fill).all()


@pytest.mark.parametrize(("rule", "count"), [("other_document", 20), ("skip", 0), ("neighbour", 20)])
def test_single_sentences_follow_the_rule(prepare_ids: PrepareIds, rule: str, count: int) -> None:
    # Document d holds id 10 + d only, in two sentences that each fill a stretch; shards hold two documents.
    documents = [[[10 + number] * 40, [10 + number] * 45] for number in range(10)]
    options = ExampleOptions(max_seq_length=32, one_sentence_chunks=rule, short_seq_prob=0)  # type: ignore[arg-type]
    if rule == "skip":
        with pytest.raises(DataError, match="at least two sentences"):
            PretrainingData(prepare_ids(documents, 100), options=options).num_examples(0)
        return
    data = PretrainingData(prepare_ids(documents, 100), options=options)
    assert data.num_examples(0) == count
    others = Counter()
    for index in range(count):
        example = data.example(0, index)
        ids = originals(example)
        first, second = (set(ids[(example.token_type_ids == kind) & (ids > 4)].tolist()) for kind in (0, 1))
        assert len(first) == len(second) == 1
        assert (first == second) == (rule == "neighbour")
        if rule == "other_document":
            assert example.sentence_order_label == 1
        others.update(second)
    assert len(others) >= 6


def test_a_random_next_sentence_takes_the_place_of_a_swap(prepare_ids: PrepareIds) -> None:
    # Document d holds id 10 + d only.
    data = PretrainingData(
        prepare_ids([[[10 + number] * 6] * 300 for number in range(50)], 20_000),
        options=ExampleOptions(max_seq_length=64, random_next_sentence=True, swap_prob=0.3, short_seq_prob=0),
    )
    labels = []
    for index in range(data.num_examples(0)):
        example = data.example(0, index)
        ids = originals(example)
        first, second = (set(ids[(example.token_type_ids == kind) & (ids > 4)].tolist()) for kind in (0, 1))
        assert (first != second) == example.sentence_order_label
        labels.append(example.sentence_order_label)
    assert np.mean(labels) == pytest.approx(0.3, abs=0.04)
    sizes = [len(batch.input_ids) for batch in islice(data.batches(tokens_per_batch=500), 20)]
    assert max(sizes) <= 500


def test_masks_come_again_after_the_copies_that_google_writes(prepared: Path) -> None:
    data = PretrainingData(prepared, options=replace(PAPER, dupe_factor=3), seed=4)
    fresh = PretrainingData(prepared, options=PAPER, seed=4)
    for epoch, copy in ((0, 0), (2, 2), (3, 0), (7, 1)):
        assert data.num_examples(epoch) == fresh.num_examples(copy)
        assert all(same(data.example(epoch, index), fresh.example(copy, index)) for index in range(20))
    assert not same(fresh.example(3, 0), fresh.example(0, 0))
    assert data.locate(sum(data.num_examples(epoch) for epoch in (0, 1, 2))) == (3, 0)


def test_short_examples_are_drawn_by_document_or_by_example(prepare_ids: PrepareIds) -> None:
    folder = prepare_ids([[[5, 405]] * 600 for _ in range(200)], 20_000)
    shares = {}
    for unit in ("document", "example"):
        options = ExampleOptions(max_seq_length=128, short_seq_unit=unit)
        data = PretrainingData(folder, options=options, seed=1)
        lengths = [data._maker.longest_length(data._plan(0), index) for index in range(data.num_examples(0))]
        shares[unit] = np.mean(np.array(lengths) < 120)
    # A document ends somewhere: one more short example for its ten long ones.
    assert shares["document"] > 0.25
    assert 0.1 < shares["example"] < 0.2


def test_the_whole_vocabulary_of_quirks_runs(prepared: Path) -> None:
    data = PretrainingData(prepared, options=ExampleOptions.google(max_seq_length=128), seed=1)
    batch = data.batch(0, range(500))
    masked = np.add.reduceat(batch.labels != -100, batch.cu_seqlens[:-1])
    assert masked.max() == 19
    assert np.diff(batch.cu_seqlens).max() == 128


def test_other_lengths_need_no_new_shards(prepared: Path) -> None:
    counts = [
        PretrainingData(prepared, options=ExampleOptions(max_seq_length=length)).num_examples(0) for length in (32, 128, 512)
    ]
    assert counts[0] > 3 * counts[1] > 9 * counts[2]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"examples_per_batch": 1, "tokens_per_batch": 1}, {"examples_per_batch": 0}, {"examples_per_batch": 1, "rank": 1}],
)
def test_impossible_requests_are_refused(prepared: Path, arguments: dict[str, int]) -> None:
    with pytest.raises(InputError):
        PretrainingData(prepared, options=PAPER).batches(**arguments)
