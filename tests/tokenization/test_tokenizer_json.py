"""tokenizer.json, read and written; and the other files a tokenizer is saved in."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from albertkit.errors import AlbertError, CheckpointError, InputError, VocabularyError
from albertkit.testing import tiny_tokenizer
from albertkit.testing.vocabulary import tiny_vocabulary
from albertkit.tokenization import AddedToken, AlbertTokenizer, saved_tokenizer, tokenizer_json
from albertkit.tokenization.sentencepiece_file import SentencePieceFile
from albertkit.tokenization.tokenizer_json import ends_in_digit_comma, read_tokenizer_json
from albertkit.tokenization.wordpiece_file import WordPieceFile

WORD_PIECES = WordPieceFile(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "##é", "中"))
TEXT = "Paris (U.S.) 1992, 19 the-cat [MASK]é"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    tiny_tokenizer().save_pretrained(tmp_path)
    return tmp_path


def edit(path: Path, change: Any) -> None:
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def test_a_vocabulary_survives_the_journey_exactly(saved: Path) -> None:
    read, file = read_tokenizer_json(saved / "tokenizer.json"), tiny_vocabulary()
    assert read.file.pieces == file.pieces
    np.testing.assert_array_equal(read.file.scores, file.scores)
    np.testing.assert_array_equal(read.file.types, file.types)
    assert read.file.normalizer.precompiled_charsmap == file.normalizer.precompiled_charsmap
    assert {token.content for token in read.added.values()} == {"<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]"}
    assert read.added[4].lstrip
    assert (read.do_lower_case, read.keep_accents) == (True, False)


def test_real_scores_come_back_to_the_last_bit(shared_data: Path, tmp_path: Path) -> None:
    tokenizer = AlbertTokenizer(shared_data / "albert-vocab" / "de-privately-30k-clean.model")
    tokenizer.save_pretrained(tmp_path)
    read = read_tokenizer_json(tmp_path / "tokenizer.json").file
    np.testing.assert_array_equal(read.scores, tokenizer.file.scores)
    np.testing.assert_array_equal(read.types, tokenizer.file.types)


def test_pieces_that_end_in_digit_and_comma_are_written_100_lower(saved: Path) -> None:
    vocab = json.loads((saved / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    lowered = {piece for (piece, score), own in zip(vocab, tiny_vocabulary().scores.tolist(), strict=True) if score == own - 100}
    assert (
        lowered == {piece for piece in tiny_vocabulary().pieces if ends_in_digit_comma(piece)} == {"▁1,", "▁1992,", "/12,", "2,"}
    )


def test_files_of_other_versions_give_the_same_tokenizer(saved: Path) -> None:
    expected = tiny_tokenizer()(TEXT)

    def as_version_5(values: dict[str, Any]) -> None:
        """Scores as they are, 13 added tokens, [MASK] without its lstrip, no final Replace."""
        for entry, own in zip(values["model"]["vocab"], tiny_vocabulary().scores.tolist(), strict=True):
            entry[1] = own
        values["added_tokens"][4]["lstrip"] = False
        values["added_tokens"] += [
            {"id": index, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}
            | {"content": tiny_vocabulary().pieces[index]}
            for index in range(5, 13)
        ]
        values["normalizer"]["normalizers"].pop()

    edit(saved / "tokenizer.json", as_version_5)
    (saved / "spiece.model").unlink()
    (saved / "tokenizer_config.json").unlink()
    read = AlbertTokenizer.from_pretrained(saved)
    assert read(TEXT) == expected
    assert read.all_special_tokens == tiny_tokenizer().all_special_tokens
    # Version 5 also lists the symbols as extra special tokens, which would let decoding skip punctuation.
    config = {"extra_special_tokens": ["<pad>", "[CLS]", "(", ")", "-", "."], "model_max_length": 1e30, "mask_token": "[MASK]"}
    (saved / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")
    read = AlbertTokenizer.from_pretrained(saved)
    assert read(TEXT) == expected
    assert read.all_special_tokens == tiny_tokenizer().all_special_tokens
    assert read.model_max_length == 512


def test_symbols_that_version_4_lists_as_added_tokens_do_not_cut_words(saved: Path) -> None:
    symbols = {str(index): {"content": tiny_vocabulary().pieces[index], "special": False} for index in range(5, 13)}
    edit(saved / "tokenizer_config.json", lambda values: values["added_tokens_decoder"].update(symbols))
    read = AlbertTokenizer.from_pretrained(saved)
    assert read(TEXT) == tiny_tokenizer()(TEXT)
    assert read.get_added_vocab() == tiny_tokenizer().get_added_vocab()


@pytest.mark.parametrize(
    "arguments", [{"do_lower_case": False}, {"keep_accents": True}, {"do_lower_case": False, "keep_accents": True}]
)
def test_the_normaliser_tells_the_rules(tmp_path: Path, arguments: dict[str, bool]) -> None:
    tokenizer = AlbertTokenizer(vocabulary=tiny_vocabulary(), **arguments)
    tokenizer.save_pretrained(tmp_path)
    read = AlbertTokenizer(tmp_path / "tokenizer.json")
    assert (read.do_lower_case, read.keep_accents) == (tokenizer.do_lower_case, tokenizer.keep_accents)
    assert read(TEXT) == tokenizer(TEXT)
    assert AlbertTokenizer(tmp_path / "tokenizer.json", do_lower_case=True).do_lower_case


def test_everything_about_a_tokenizer_is_saved(tmp_path: Path) -> None:
    tokenizer = AlbertTokenizer(
        vocabulary=tiny_vocabulary(), keep_accents=True, remove_space=False, mask_token="<m>", model_max_length=77,
        sp_model_kwargs={"enable_sampling": False, "alpha": 0.5},
    )  # fmt: skip
    tokenizer.add_tokens(["newtok", AddedToken("Odd", single_word=True, normalized=False), "at"])
    tokenizer.add_special_tokens({"additional_special_tokens": ["<x>"]})
    paths = tokenizer.save_pretrained(tmp_path)
    assert sorted(Path(path).name for path in paths) == ["spiece.model", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["spiece.model", "tokenizer.json", "tokenizer_config.json"]
    for missing in ("nothing", "spiece.model"):
        (tmp_path / missing).unlink(missing_ok=True)
        read = AlbertTokenizer.from_pretrained(tmp_path)
        text = TEXT + " <m> newtok Odd<x>[CLS]"  # "at" is a piece too: it now cuts "cat"
        assert read(text) == tokenizer(text)
        assert read.special_tokens_map == tokenizer.special_tokens_map
        assert read.get_vocab() == tokenizer.get_vocab()
        for name in ("keep_accents", "remove_space", "do_lower_case", "model_max_length", "sp_model_kwargs"):
            assert getattr(read, name) == getattr(tokenizer, name)
        assert read.added_tokens.by_id == tokenizer.added_tokens.by_id


def test_older_files_are_read_too(tmp_path: Path) -> None:
    (vocabulary,) = tiny_tokenizer().save_vocabulary(tmp_path, "30k-clean")
    Path(vocabulary).rename(tmp_path / "30k-clean.model")
    (tmp_path / "added_tokens.json").write_text('{"newtok": 101, "<x>": 102}')
    mapping = {"additional_special_tokens": ["<x>"], "mask_token": {"content": "newtok", "lstrip": True}}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(mapping))
    read = AlbertTokenizer.from_pretrained(tmp_path)
    assert (read.mask_token, read.mask_token_id, len(read)) == ("newtok", 101, 103)
    assert read.all_special_tokens[-1] == "<x>"
    assert read("a newtok<x>")["input_ids"][2:4] == [101, 102]


def test_a_vocab_of_pieces_and_scores_is_read(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "albert-vocab" / "30k-clean.vocab"
    (tmp_path / "any.vocab").write_bytes(source.read_bytes())
    assert AlbertTokenizer.from_pretrained(source).vocab_size == 30000
    ids = AlbertTokenizer.from_pretrained(tmp_path)("In 1992, this is a test")["input_ids"]
    assert ids == AlbertTokenizer(source)("In 1992, this is a test")["input_ids"] == [2, 19, 1483, 15, 48, 25, 21, 1289, 3]


def test_arguments_take_the_place_of_what_was_saved(saved: Path) -> None:
    read = AlbertTokenizer.from_pretrained(saved, do_lower_case=False, model_max_length=9)
    assert (read.do_lower_case, read.model_max_length) == (False, 9)
    with pytest.raises(InputError, match="did you mean do_lower_case"):
        AlbertTokenizer.from_pretrained(saved, do_lowercase=False)


def test_a_failed_save_leaves_the_old_files_whole(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    def full(*_arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        AlbertTokenizer.from_pretrained(saved, do_lower_case=False).save_pretrained(saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


BROKEN = [
    ("spiece.model", b"", "is not empty"),
    ("spiece.model", b"\x0a\xff\xff no model", "spiece.model"),
    ("spiece.model", b"[PAD]\n[unused1]\n[UNK]\n", r"a WordPiece vocabulary.*the name vocab\.txt"),
    ("tokenizer.json", b"{", "valid JSON"),
    ("tokenizer.json", b"[]", "one object"),
    ("tokenizer.json", b"{}", "Unigram"),
    ("tokenizer.json", b'{"model": {"type": "BPE"}}', "Unigram model; received .*'BPE'"),
    ("tokenizer.json", b'{"model": {"type": "Unigram", "unk_id": 0, "vocab": [["a"]]}}', "fields of the tokenizers package"),
    (
        "tokenizer.json",
        b'{"model": {"type": "Unigram", "unk_id": 9, "vocab": [["a", 0]]}, "added_tokens": []}',
        "tokenizers package",
    ),
    ("tokenizer.json", b"[" * 100_000, "valid JSON"),
    ("30k-clean.vocab", b"no tab here\n", "piece<TAB>score"),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_a_file_that_is_no_albert_vocabulary_is_named_in_one_sentence(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (lambda: AlbertTokenizer.from_pretrained(tmp_path), lambda: AlbertTokenizer(tmp_path / name)):
        with pytest.raises(VocabularyError, match=message) as caught:
            read()
        assert "\n" not in str(caught.value)


def test_a_bpe_model_is_refused(tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on the mat and the dog sat"] * 20), model_prefix=str(tmp_path / "m"), vocab_size=40,
        model_type="bpe", control_symbols=["[CLS]", "[SEP]", "[MASK]"], pad_id=0, unk_id=1, bos_id=-1, eos_id=-1, minloglevel=9,
        hard_vocab_limit=False,
    )  # fmt: skip
    with pytest.raises(VocabularyError, match=r"(?i)unigram"):
        AlbertTokenizer(tmp_path / "m.model")


def test_missing_and_oversized_files_are_refused(tmp_path: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VocabularyError, match="No such file"):
        AlbertTokenizer(tmp_path / "none.model")
    with pytest.raises(InputError, match="from vocab_file or vocabulary; received neither"):
        AlbertTokenizer()
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"spiece\.model or .*tokenizer\.json"):
        AlbertTokenizer.from_pretrained(tmp_path / "empty")
    (tmp_path / "empty" / "tokenizer_config.json").write_text("{}")
    with pytest.raises(VocabularyError, match=r"one of spiece\.model, .*tokenizer\.json"):
        AlbertTokenizer.from_pretrained(tmp_path / "empty")
    for module in (tokenizer_json, saved_tokenizer):
        monkeypatch.setattr(module, "LARGEST_FILE_BYTES", 100)
    for name in ("spiece.model", "tokenizer.json"):
        with pytest.raises(VocabularyError, match="at most 100 bytes"):
            AlbertTokenizer(saved / name)


@pytest.mark.parametrize(
    "config",
    [
        {"added_tokens_decoder": {"200": {"content": "far", "special": False}}},
        {"added_tokens_decoder": {"x": {"content": "far", "special": False}}},
        {"added_tokens_decoder": {"101": {"special": False}}},
        {"tokenizer_class": "BertTokenizer"},
    ],
)
def test_settings_that_cannot_be_are_refused(saved: Path, config: dict[str, Any]) -> None:
    edit(saved / "tokenizer_config.json", lambda values: values.update(config))
    with pytest.raises(VocabularyError):
        AlbertTokenizer.from_pretrained(saved)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 120) | st.floats() | st.sampled_from(["", "Sequence", "[MASK]", "a", "ÿ"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "content", "x"]), inner, max_size=3),
    max_leaves=4,
)


@pytest.mark.slow
@pytest.mark.parametrize("vocabulary", [tiny_vocabulary(), WORD_PIECES], ids=["SentencePiece", "WordPiece"])
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), name=st.sampled_from(["tokenizer.json", "tokenizer_config.json"]))
def test_a_damaged_file_is_read_or_refused_but_never_crashes(
    tmp_path: Path, vocabulary: SentencePieceFile | WordPieceFile, data: st.DataObject, name: str
) -> None:
    saved = tmp_path
    AlbertTokenizer(vocabulary=vocabulary).save_pretrained(saved)
    original = (saved / name).read_text(encoding="utf-8")
    values = json.loads(original)
    place: Any = values
    while True:
        key = data.draw(st.sampled_from(list(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    (saved / name).write_text(json.dumps(values), encoding="utf-8")
    with contextlib.suppress(AlbertError):
        AlbertTokenizer(saved / name)(TEXT) if name == "tokenizer.json" else AlbertTokenizer.from_pretrained(saved)(TEXT)
    (saved / name).write_text(original, encoding="utf-8")
