"""The fast path equals the plain rule: on golden files, on real text in many scripts, on whatever Hypothesis can think of."""

from __future__ import annotations

import importlib.util
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from hypothesis import example, given, settings
from hypothesis import strategies as st

from albertkit.errors import InputError, VocabularyError
from albertkit.testing import tiny_config
from albertkit.testing.vocabulary import tiny_vocabulary
from albertkit.tokenization.normalization import TextRules
from albertkit.tokenization.preparation import prepare
from albertkit.tokenization.reference import Reference
from albertkit.tokenization.segmenter import Segmenter
from albertkit.tokenization.sentencepiece_file import NormalizerSpec, PieceType, SentencePieceFile
from albertkit.tokenization.tokenizer import AlbertTokenizer

GOLDEN = Path(__file__).parents[1] / "golden"
SPECIAL = ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
SENTENCES = [row["text"] for row in json.loads((GOLDEN / "tokenizer_sentences.json").read_text(encoding="utf-8"))]
NAMES = ("do_lower_case", "remove_space", "keep_accents")
OPTIONS = [dict(zip(NAMES, on, strict=True)) for on in itertools.product((True, False), repeat=3)]
REAL = {
    "en": "30k-clean.rebuilt.model",
    "de": "de-privately-30k-clean.model",
    "vi": "vi-albertvi-30k-clean.model",
}


def load_tool():
    """The selection of lines that the golden files were made with."""
    spec = importlib.util.spec_from_file_location("tool", Path(__file__).parents[2] / "tools" / "make_tokenizer_golden.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def reference_of(file: SentencePieceFile, **options: bool) -> Reference:
    return Reference(sentencepiece.SentencePieceProcessor(model_proto=file.to_bytes()), TextRules(**options))


def with_pieces(*texts: str, types: PieceType = PieceType.NORMAL) -> SentencePieceFile:
    """The tiny vocabulary with likely pieces added."""
    file = tiny_vocabulary()
    return file.replace(
        pieces=file.pieces + texts,
        scores=np.append(file.scores, np.full(len(texts), -1.0, np.float32)),
        types=np.append(file.types, np.full(len(texts), types, np.uint8)),
    )


def without(piece: str) -> SentencePieceFile:
    file = tiny_vocabulary()
    return file.replace(pieces=tuple(f"{piece}{piece}xq" if text == piece else text for text in file.pieces))


# Vocabularies that reach every branch: nested digit-comma pieces, no comma, an unused piece, no dummy prefix, no map at all.
VOCABULARIES = {
    "tiny": tiny_vocabulary(),
    "nested": with_pieces("▁1,2,", "1,2,", "2,2,", "▁12,12,", "▁2,"),
    "inner_space": with_pieces("▁1▁2,", "a▁b"),
    "no_comma": without(","),
    "unused": with_pieces("zz", "qq", types=PieceType.UNUSED),
    "no_prefix": tiny_vocabulary().replace(normalizer=NormalizerSpec("identity", b"", False, False, False)),
    "no_escape": tiny_vocabulary().replace(normalizer=NormalizerSpec("nfkc", b"", True, True, False)),
}
SEGMENTERS = {
    (name, *options.values()): (Segmenter(file, **options), reference_of(file, **options))
    for name, file in VOCABULARIES.items()
    for options in (OPTIONS if name == "tiny" else OPTIONS[:1] + OPTIONS[-1:])
}

TRAPS = [
    *SENTENCES, "the", "▁", "1,", "12/12,", "1,2,1,2,", "İ", "Σ", "𝚺", "``", "'''", "½", "한", "ﷺ", "ｶﾞ", "日本", "…", "zz", "qq",
    "\x00", "\u200b", "\u0301", "\u3000", "\u00a0", "\u2028", "\ufffc", "\U000e0001", "e\u0301\u0327", "\u1100\u1161\u11a8",
    "👩\u200d👩\u200d👧", "［ＭＡＳＫ］", "1, 1,2, 2,2, 2, 12,12,",
]  # fmt: skip
character = st.characters(exclude_categories=["Cs"])
trap = st.one_of(st.sampled_from(TRAPS), st.sampled_from(list(" ,12/`'\"aﬁ\u0301\u00ad")), character)
texts = st.lists(st.one_of(st.text(character, max_size=30), st.lists(trap, max_size=8).map("".join)), max_size=6)


LONG = "the model was in paris. " * 40  # few characters go another way: with this they are not few


def check_equal(segmenter: Segmenter, reference: Reference, lines: list[str]) -> None:
    """Ids and offsets of the fast path are the plain rule's."""
    rows = segmenter.ids_with_offsets(lines)
    assert segmenter.ids(lines) == [ids for ids, _ in rows]
    for line, (ids, offsets) in zip(lines, rows, strict=True):
        expected_ids, expected_offsets = reference.ids_with_offsets(line)
        assert ids == expected_ids == reference.ids(line), line
        assert offsets.tolist() == expected_offsets.tolist(), line


@pytest.mark.slow
@pytest.mark.parametrize("key", SEGMENTERS, ids=str)
@settings(max_examples=60)
@given(lines=texts)
@example(lines=TRAPS)
def test_fast_path_equals_the_rule_on_arbitrary_unicode(key, lines):
    check_equal(*SEGMENTERS[key], lines)
    check_equal(*SEGMENTERS[key], [*lines, LONG])


@given(texts, st.sampled_from(OPTIONS))
def test_batch_preparation_equals_the_rule(lines, options):
    rules = TextRules(**options)
    assert prepare([*lines, LONG], rules).lines == [*(rules.apply(line) for line in lines), rules.apply(LONG)]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"keep_accents": True}, {"do_lower_case": False, "remove_space": False}], ids=str)
def test_every_character_of_unicode(options):
    every = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    lines = ["".join(every[start : start + 500]) for start in range(0, len(every), 500)]
    rules = TextRules(**options)
    assert prepare(lines, rules).lines == [rules.apply(line) for line in lines]


@given(texts)
def test_offsets_cut_the_text_where_the_piece_came_from(lines):
    segmenter, reference = SEGMENTERS["tiny", True, True, False]
    for line, (_, offsets) in zip(lines, segmenter.ids_with_offsets(lines), strict=True):
        assert offsets.shape == (len(segmenter.pieces(line)), 2)
        assert (offsets[:, 0] <= offsets[:, 1]).all()
        assert (np.diff(offsets, axis=0) >= 0).all()
        for piece, (start, stop) in zip(segmenter.pieces(line), offsets.tolist(), strict=True):
            normal = segmenter._processor.normalize(reference.rules.apply(line[start:stop]))
            # A character that became several may be cut; a sigma's form hangs on its neighbours.
            assert piece.lstrip("▁").replace("ς", "σ") in normal.replace("ς", "σ"), (line, piece)
        gaps = "".join(line[left:right] for left, right in zip([0, *offsets[:, 1]], [*offsets[:, 0], len(line)], strict=True))
        assert not segmenter.ids([gaps])[0] or len(line) == 0 or not gaps.strip()


@pytest.mark.slow
def test_golden_lines_of_real_text(shared_data):
    tool = load_tool()
    expected = np.load(GOLDEN / "tokenizer_digests.npy")
    rows = list(tool.select_lines(shared_data))
    assert len(rows) == len(expected) >= 20_000
    for name, file in REAL.items():
        vocabulary = SentencePieceFile.read(shared_data / "albert-vocab" / file)
        chosen = [index for index, (vocabulary_name, _) in enumerate(rows) if vocabulary_name == name]
        ids = AlbertTokenizer(vocabulary=vocabulary)([rows[index][1] for index in chosen], add_special_tokens=False)["input_ids"]
        assert [index for index, row in zip(chosen, ids, strict=True) if tool.digest(row) != expected[index]] == []
        # Lines that spell a special token are the tokenizer's to cut; all others are the segmenter's alone.
        plain = [index for index in chosen if not any(token in rows[index][1] for token in SPECIAL)]
        assert len(plain) > 0.9 * len(chosen)
        ids = Segmenter(vocabulary).ids([rows[index][1] for index in plain])
        assert [index for index, row in zip(plain, ids, strict=True) if tool.digest(row) != expected[index]] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", REAL)
def test_real_text_in_many_scripts(shared_data, name):
    tool = load_tool()
    counts = {
        "wiki-en/enwiki-slice.jsonl.xz": 45_000, "novels-en/eltec-eng.jsonl.xz": 20_000, "wiki-ko/kowiki-slice.jsonl.xz": 15_000,
        "wiki-zh/zhwiki-slice.jsonl.xz": 15_000,
        **{f"squad/xquad.{language}.json.xz": 2000 for language in ("de", "vi", "ru", "tr", "zh")},
    }  # fmt: skip
    lines = [line for source, count in counts.items() for line in itertools.islice(tool.read_lines(shared_data / source), count)]
    assert len(lines) >= 100_000
    file = SentencePieceFile.read(shared_data / "albert-vocab" / REAL[name])
    segmenter, reference = Segmenter(file), reference_of(file)
    rows = segmenter.ids_with_offsets(lines)
    assert segmenter.ids(lines) == [ids for ids, _ in rows]
    assert [line for line, (ids, _) in zip(lines, rows, strict=True) if ids != reference.ids(line)] == []
    for line, (_, offsets) in itertools.islice(zip(lines, rows, strict=True), 0, None, 10):
        assert np.array_equal(offsets, reference.ids_with_offsets(line)[1]), line


def test_texts_do_not_hang_on_their_neighbours():
    segmenter, _ = SEGMENTERS["tiny", True, True, False]
    assert segmenter.ids(SENTENCES * 40) == [ids for text in SENTENCES for ids in segmenter.ids([text])] * 40
    assert segmenter.ids([]) == [] == segmenter.ids_with_offsets([])
    assert segmenter.ids(["", " ", "\u0301"]) == [[], [], []]
    assert segmenter.ids_with_offsets([""])[0][1].shape == (0, 2)


def test_sampling_draws_other_cuts_of_the_same_text():
    segmenter, _ = SEGMENTERS["tiny", True, True, False]
    lines = ["the model was in paris 1992, on the 2/12,"] * 50
    first = segmenter.sample_ids(lines, alpha=0.1, nbest_size=-1, seed=7)
    assert first == segmenter.sample_ids(lines, alpha=0.1, nbest_size=-1, seed=7)
    assert first != segmenter.sample_ids(lines, alpha=0.1, nbest_size=-1)  # which goes on, and does not start again
    assert len({tuple(ids) for ids in first}) > 10
    assert {segmenter.decode(ids) for ids in first} == {lines[0]}
    assert not {segmenter.piece_to_id("▁1992,"), segmenter.piece_to_id("/12,")} & {index for ids in first for index in ids}
    assert segmenter.sample_ids([], alpha=0.1, nbest_size=-1) == []
    with pytest.raises(InputError, match="nbest_size"):
        segmenter.sample_ids(lines, alpha=0.1, nbest_size=1)


def test_decoding_joins_pieces():
    segmenter, _ = SEGMENTERS["tiny", True, True, False]
    assert segmenter.decode(segmenter.ids(["The model, (1,000) was in Paris."])[0]) == "the model, (1,000) was in paris."
    assert segmenter.decode([]) == ""
    for wrong in ([101], [-1], [2**40]):
        with pytest.raises(InputError, match="from 0 to 100"):
            segmenter.decode(wrong)


@pytest.mark.parametrize("wrong", ["a\ud800", None, 7, b"bytes"])
def test_what_is_no_text_is_refused_in_one_sentence(wrong):
    segmenter, _ = SEGMENTERS["tiny", True, True, False]
    for call in (segmenter.ids, segmenter.ids_with_offsets, lambda lines: segmenter.sample_ids(lines, alpha=0.1)):
        with pytest.raises(InputError, match="a text must be"):
            call(["fine", wrong])


def test_the_tiny_vocabulary_fits_the_tiny_model():
    assert len(tiny_vocabulary().pieces) == tiny_config().vocab_size


def test_byte_pieces_are_refused():
    with pytest.raises(VocabularyError, match="byte pieces"):
        Segmenter(with_pieces("<0x0A>", types=PieceType.BYTE))
