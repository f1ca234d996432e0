"""The SentencePiece file: nothing is lost on the way in or out, and nothing but a vocabulary is taken for one."""

from __future__ import annotations

import contextlib
import dataclasses

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from albertkit import wire
from albertkit.errors import VocabularyError
from albertkit.testing.vocabulary import tiny_vocabulary
from albertkit.tokenization.sentencepiece_file import NormalizerSpec, PieceType, SentencePieceFile, read_vocab

MODELS = ("30k-clean.rebuilt.model", "de-privately-30k-clean.model", "vi-albertvi-30k-clean.model")
TEXT = "In 1992, Zürich's 'mayor' (a baker) sold 12,000 rolls – for £5 each."


def same(left: SentencePieceFile, right: SentencePieceFile) -> bool:
    return (
        left.pieces == right.pieces
        and np.array_equal(left.scores, right.scores)
        and np.array_equal(left.types, right.types)
        and (left.normalizer, left.trainer, left.others) == (right.normalizer, right.trainer, right.others)
    )


def encode(file: SentencePieceFile, text: str) -> list[int]:
    return sentencepiece.SentencePieceProcessor(model_proto=file.to_bytes()).encode(text)


@pytest.mark.parametrize("name", MODELS)
def test_a_real_file_comes_back_byte_for_byte_and_rewritten_means_the_same(shared_data, name):
    data = (shared_data / "albert-vocab" / name).read_bytes()
    file = SentencePieceFile.from_bytes(data)
    assert file.to_bytes() == data
    rewritten = SentencePieceFile.from_bytes(file.replace().to_bytes())
    assert same(file, rewritten)
    processor = sentencepiece.SentencePieceProcessor(model_proto=data)
    assert file.pieces == tuple(processor.id_to_piece(index) for index in range(30000))
    assert file.scores.tolist() == [processor.get_score(index) for index in range(30000)]
    assert encode(rewritten, TEXT) == processor.encode(TEXT)


def test_types_of_the_published_vocabulary(shared_data):
    file = read_vocab(shared_data / "albert-vocab" / "30k-clean.vocab")
    model = SentencePieceFile.read(shared_data / "albert-vocab" / "30k-clean.rebuilt.model")
    assert file.pieces == model.pieces
    assert np.array_equal(file.types, model.types)
    assert np.array_equal(file.scores, model.scores)
    assert encode(file, TEXT.lower()) == encode(model, TEXT.lower())


pieces = st.lists(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=50), min_size=1, max_size=40, unique=True
)


@given(pieces, st.randoms(use_true_random=False), st.binary(max_size=300), st.text(max_size=5), st.tuples(*[st.booleans()] * 3))
def test_every_vocabulary_survives_the_round_trip(texts, random, charsmap, name, flags):
    types = np.array([random.choice((1, 3, 4, 5, 6)) for _ in texts], np.uint8)
    types[random.randrange(len(texts))] = PieceType.UNKNOWN
    scores = np.array([random.uniform(-30, 1) for _ in texts], np.float32)
    normalizer = NormalizerSpec(name.encode(errors="ignore").decode(), charsmap, *flags)
    file = SentencePieceFile(tuple(texts), scores, types, normalizer, trainer=charsmap[::2])
    assert same(SentencePieceFile.from_bytes(file.to_bytes()), file)


def test_fields_of_a_later_sentencepiece_are_kept():
    file = tiny_vocabulary()
    later = wire.blob(900, b"later") + wire.number(901, -7)
    read = SentencePieceFile.from_bytes(file.to_bytes() + later)
    assert read.others == later
    assert read.replace(scores=read.scores - 1).to_bytes().endswith(later)


def test_negative_numbers_and_long_pieces_are_written_as_protocol_buffers_do():
    assert wire.varint(-1) == b"\xff" * 9 + b"\x01"
    assert wire.varint(300) == b"\xac\x02"
    long = "ä" * 200  # its record is longer than the fast reader's one-byte sizes
    file = tiny_vocabulary()
    texts = (*file.pieces[:50], long, *file.pieces[51:])
    assert SentencePieceFile.from_bytes(file.replace(pieces=texts).to_bytes()).pieces == texts


@settings(max_examples=300)
@given(st.data())
def test_damage_is_named_or_harmless(data):
    good = tiny_vocabulary().replace(normalizer=NormalizerSpec("nmt_nfkc", b"x" * 20)).to_bytes()
    if data.draw(st.booleans()):
        bad = good[: data.draw(st.integers(0, len(good)))]
    else:
        position = data.draw(st.integers(0, len(good) - 1))
        bad = good[:position] + data.draw(st.binary(min_size=1, max_size=4)) + good[position + 1 :]
    with contextlib.suppress(VocabularyError):  # anything else is a bug of the reader
        SentencePieceFile.from_bytes(bad)


@given(st.binary(max_size=200))
def test_noise_is_no_vocabulary(noise):
    with pytest.raises(VocabularyError):
        SentencePieceFile.from_bytes(noise)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"pieces": ("a", "b")}, "one score and one type"),
        ({"pieces": (*tiny_vocabulary().pieces[:-1], "the"), "scores": np.full(101, np.nan, np.float32)}, "finite"),
        ({"pieces": (*tiny_vocabulary().pieces[:-1], "▁the")}, "'▁the' twice"),
        ({"pieces": (*tiny_vocabulary().pieces[:-1], "")}, "empty"),
        ({"types": np.ones(101, np.uint8)}, "exactly one unknown"),
    ],
)
def test_an_impossible_vocabulary_is_refused(changes, words):
    with pytest.raises(VocabularyError, match=words):
        dataclasses.replace(tiny_vocabulary(), **changes)


def test_a_wrong_file_is_named(tmp_path):
    with pytest.raises(VocabularyError, match=r"absent\.model \(No such file"):
        SentencePieceFile.read(tmp_path / "absent.model")
    (tmp_path / "notes.model").write_text("these are my notes")
    with pytest.raises(VocabularyError, match=r"notes\.model is no SentencePiece vocabulary"):
        SentencePieceFile.read(tmp_path / "notes.model")
    with pytest.raises(VocabularyError, match="No such file"):
        read_vocab(tmp_path / "absent.vocab")
    for content, words in (("<pad>\t0\n<unk>\n", "line 2"), ("<pad>\tnan\n", "line 1"), ("", "line 1")):
        (tmp_path / "bad.vocab").write_text(content, encoding="utf-8")
        with pytest.raises(VocabularyError, match=words):
            read_vocab(tmp_path / "bad.vocab")
    (tmp_path / "bad.vocab").write_bytes(b"\xff\xfe\t0\n")
    with pytest.raises(VocabularyError, match="UTF-8"):
        read_vocab(tmp_path / "bad.vocab")
