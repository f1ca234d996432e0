"""The WordPiece vocabulary of Chinese checkpoints: the same calls as ever, beside transformers' BertTokenizer and pipelines."""

from __future__ import annotations

import itertools
import json
import pickle
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from albertkit import pipeline
from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.data.options import DataRecipe
from albertkit.data.prepare import prepare
from albertkit.data.shards import read_vocabulary
from albertkit.errors import InputError, VocabularyError
from albertkit.optional import MissingExtraError
from albertkit.tasks.question_answering import QuestionAnsweringTask
from albertkit.tasks.squad import Answer, QuestionExample
from albertkit.testing import random_parameters, tiny_config, tiny_tokenizer
from albertkit.testing.vocabulary import tiny_vocabulary
from albertkit.tokenization import AddedToken, AlbertTokenizer
from albertkit.tokenization.wordpiece import WordPieceSegmenter
from albertkit.tokenization.wordpiece_file import WordPieceFile

pytest.importorskip("tokenizers")

SPECIAL = ("[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
CHARACTERS = "中国的首都是北京上海天气很好我你他们在学习模型言語，。？！（）、：《》"
WORDS = [
    "the", "model", "alb", "##ert", "##s", "cafe", "na", "##ive", "learn", "##ing", "a", "b", "c", "##a", "##b", "##c", "e", "x",
    "1", "9", "##9", "##2", "2019", "##年", ",", ".", "?", "!", "'", "-", "(", "#", "don", "t", "ß", "α", "é", "s",
]  # fmt: skip
PIECES = tuple(dict.fromkeys([*SPECIAL, *CHARACTERS, *WORDS]))

TEXTS = (
    "中国的首都是北京。", "ALBERT models learning 学习模型a言語b, don't!", "Café naïve ß α Α 1992, 2019年", "", " \t\n ", "é" * 3,
    "[MASK]国的 [UNK][MASK] x[SEP]", "a\u200bb\x00c\u3000北京 \u00a0 a\ufffdb", "𠀀中😀한국어", "##ing # #a ##", "abc" * 60,
    "《中国》：（北京）？！", "e\u0301 E\u0301 İ ŉ ﬁ", "[mask] [cls] <pad> ▁中",
)  # fmt: skip
COLUMNS = ("input_ids", "token_type_ids", "attention_mask", "special_tokens_mask")


def sentences(count: int, longest: int, seed: int = 0) -> list[str]:
    generator = random.Random(seed)
    parts = [*CHARACTERS, *(f" {word.removeprefix('##')}" for word in WORDS), "[MASK]", "鳥", " "]
    return ["".join(generator.choices(parts, k=generator.randint(0, longest))) for _ in range(count)]


def save_vocabulary(directory: Path, pieces: tuple[str, ...] = PIECES, name: str = "vocab.txt") -> Path:
    directory.mkdir(exist_ok=True)
    (directory / name).write_text("".join(f"{piece}\n" for piece in pieces), encoding="utf-8")
    return directory


def save_chinese(directory: Path, architecture: str) -> Path:
    """A tiny Chinese checkpoint, with relu as Google's."""
    config = tiny_config(vocab_size=len(PIECES), hidden_act="relu", pad_token_id=0, bos_token_id=3, eos_token_id=4)
    parameters = random_parameters(config, HEADS_OF_CLASS[architecture])
    save_checkpoint(directory, config, parameters, architecture=architecture)
    return save_vocabulary(directory)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vocabulary(tmp_path_factory.mktemp("chinese"))


@pytest.fixture(scope="module")
def ours(directory: Path) -> AlbertTokenizer:
    return AlbertTokenizer.from_pretrained(directory)


@pytest.fixture(scope="module")
def theirs(directory: Path) -> Any:
    return pytest.importorskip("transformers").BertTokenizer.from_pretrained(directory)


def assert_same(ours: AlbertTokenizer, theirs: Any, texts: Any) -> None:
    """Ids, offsets, words, tokens and decoded text are theirs."""
    for text in texts:
        options = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
        found, expected = ours(text, **options), theirs(text, **options)
        assert dict(found) == dict(expected), repr(text)
        assert found.word_ids() == expected.word_ids(), repr(text)
        assert found.tokens() == expected.tokens()
        assert ours.tokenize(text) == theirs.tokenize(text)
        for skip in (False, True):
            assert ours.decode(found["input_ids"], skip) == theirs.decode(found["input_ids"], skip)


@pytest.mark.parametrize("settings", [{}, {"do_lower_case": False}, {"tokenize_chinese_chars": False}, {"strip_accents": False}])
def test_text_is_cut_as_by_transformers(tmp_path: Path, settings: dict[str, bool]) -> None:
    transformers = pytest.importorskip("transformers")
    save_vocabulary(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer", **settings}))
    ours = AlbertTokenizer.from_pretrained(tmp_path)
    assert_same(ours, transformers.BertTokenizer.from_pretrained(tmp_path), [*TEXTS, *sentences(60, 20)])
    assert ours.do_lower_case is settings.get("do_lower_case", True)


def test_ids_and_places_by_example(ours: AlbertTokenizer) -> None:
    encoding = ours("ALBERT  学习[MASK]鳥。", return_offsets_mapping=True)
    assert encoding.tokens() == ["[CLS]", "alb", "##ert", "学", "习", "[MASK]", "[UNK]", "。", "[SEP]"]
    assert encoding["offset_mapping"] == [(0, 0), (0, 3), (3, 6), (8, 9), (9, 10), (10, 16), (16, 17), (17, 18), (0, 0)]
    assert encoding.word_ids() == [None, 0, 0, 1, 2, 3, 4, 5, None]
    assert encoding["input_ids"] == [PIECES.index(token) for token in encoding.tokens()]
    assert (ours.pad_token, ours.unk_token, ours.pad_token_id, ours.unk_token_id, ours.mask_token_id) == (
        "[PAD]",
        "[UNK]",
        0,
        2,
        5,
    )
    assert ours.vocab_size == len(ours) == len(PIECES)
    assert ours.convert_tokens_to_ids(["中", "鳥", "[MASK]"]) == [6, 2, 5]
    assert ours.decode(encoding["input_ids"], skip_special_tokens=True) == "albert 学 习 。"


@pytest.mark.parametrize("strategy", ["longest_first", "only_first", "only_second"])
@pytest.mark.parametrize("stride", [0, 2])
def test_pairs_are_truncated_with_stride_and_padded_as_there(
    ours: AlbertTokenizer, theirs: Any, strategy: str, stride: int
) -> None:
    firsts, seconds = ([f"中{text}国" * 3 for text in sentences(30, 9, seed)] for seed in (1, 2))
    for first, second, limit in zip(firsts, seconds, itertools.cycle(range(40, 60)), strict=False):
        options = {
            "truncation": strategy, "max_length": limit, "stride": stride, "padding": "max_length",
            "return_overflowing_tokens": True, "return_special_tokens_mask": True, "return_offsets_mapping": True,
        }  # fmt: skip
        found, expected = ours([first], [second], **options), theirs([first], [second], **options)
        for name in (*COLUMNS, "offset_mapping", "overflow_to_sample_mapping"):
            assert found[name] == expected[name]
        assert [found.sequence_ids(row) for row in range(len(found["input_ids"]))] == [
            expected.sequence_ids(row) for row in range(len(found["input_ids"]))
        ]


def test_batches_and_words_given_one_by_one_as_there(ours: AlbertTokenizer, theirs: Any) -> None:
    texts = sentences(20, 30)
    options = {"padding": True, "truncation": True, "max_length": 16, "pad_to_multiple_of": 8, "return_special_tokens_mask": True}
    found, expected = ours(texts, return_tensors="np", **options), theirs(texts, return_tensors="np", **options)
    for name in COLUMNS:
        np.testing.assert_array_equal(found[name], expected[name])
    words = [["学习", "models", "中a"], [], ["[MASK]"]]
    split, there = ours(words, is_split_into_words=True), theirs(words, is_split_into_words=True)
    assert split["input_ids"] == there["input_ids"]
    assert [split.word_ids(row) for row in range(3)] == [there.word_ids(row) for row in range(3)]


def test_saved_files_are_read_by_us_and_by_transformers(ours: AlbertTokenizer, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    added = AlbertTokenizer(vocabulary=ours.file, do_lower_case=False, model_max_length=43)
    added.add_tokens(["newtok", AddedToken("<x>", normalized=False)])
    written = {Path(path).name for path in added.save_pretrained(tmp_path / "all")}
    assert written == {"vocab.txt", "tokenizer.json", "tokenizer_config.json"}
    assert Path(added.save_vocabulary(tmp_path, "zh")[0]).read_bytes() == added.file.to_bytes()
    for dropped in ("nothing", "vocab.txt", "tokenizer.json"):
        shutil.copytree(tmp_path / "all", tmp_path / dropped)
        (tmp_path / dropped / dropped).unlink(missing_ok=True)
        read = AlbertTokenizer.from_pretrained(tmp_path / dropped)
        assert (read.file, len(read), read.do_lower_case, read.keep_accents) == (added.file, len(PIECES) + 2, False, True)
        assert read.added_tokens.by_id == added.added_tokens.by_id
        assert read.model_max_length == 43
    for loader in (transformers.BertTokenizer, transformers.AutoTokenizer, transformers.PreTrainedTokenizerFast):
        assert_same(added, loader.from_pretrained(tmp_path / "all"), [*TEXTS, "在newtok<x>E newtok"])
    there = transformers.BertTokenizer.from_pretrained(tmp_path / "all")
    there.save_pretrained(tmp_path / "there")
    assert_same(AlbertTokenizer.from_pretrained(tmp_path / "there"), there, TEXTS)


def test_an_override_brings_berts_rule_for_accents_with_it(ours: AlbertTokenizer, tmp_path: Path) -> None:
    ours.save_pretrained(tmp_path)
    read = AlbertTokenizer.from_pretrained(tmp_path, do_lower_case=False, pad_token="[unused1]")
    assert read.keep_accents
    assert not ours.keep_accents
    assert read.pad_token_id == 1
    kept = AlbertTokenizer(tmp_path / "vocab.txt", keep_accents=True)
    assert kept.tokenize("é") == ["é"]
    kept.save_pretrained(tmp_path)
    assert AlbertTokenizer.from_pretrained(tmp_path).keep_accents


def test_worker_processes_can_have_a_tokenizer(ours: AlbertTokenizer) -> None:
    copy = pickle.loads(pickle.dumps(ours))
    assert copy(list(TEXTS)) == ours(list(TEXTS))
    assert copy.get_vocab() == ours.get_vocab()


def test_googles_archive_is_read(tmp_path: Path) -> None:
    save_vocabulary(tmp_path, name="vocab_chinese.txt")
    (tmp_path / "albert_config.json").write_text(json.dumps({"vocab_size": len(PIECES), "hidden_act": "relu"}))
    assert AlbertTokenizer.from_pretrained(tmp_path).tokenize("中国") == ["中", "国"]


# ------------------------------------------------------------------- pipelines


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_masks_are_filled_as_by_transformers(tmp_path: Path, engine: str) -> None:
    transformers = pytest.importorskip("transformers")
    directory = save_chinese(tmp_path, "AlbertForMaskedLM")
    texts = ["中国的首[MASK]是北京。", "a [MASK] model", "[MASK]国[MASK]都"]
    tokenizer = transformers.BertTokenizer.from_pretrained(directory)
    model = transformers.AlbertForMaskedLM.from_pretrained(directory)
    peer = transformers.pipeline("fill-mask", model=model, tokenizer=tokenizer)
    found = pipeline("fill-mask", directory, engine=engine)(texts)
    for rows, others in zip([*found[:2], *found[2]], [*peer(texts)[:2], *peer(texts)[2]], strict=True):
        for row, other in zip(rows, others, strict=True):
            assert row | {"score": 0} == other | {"score": 0}
            assert row["score"] == pytest.approx(other["score"], abs=1e-5)


def test_entities_answers_and_classes_are_where_the_text_has_them(tmp_path: Path) -> None:
    text = "北京 models学习Café"
    tagger = pipeline("token-classification", save_chinese(tmp_path / "tags", "AlbertForTokenClassification"), ignore_labels=())
    tokens = tagger(text)
    assert [text[token["start"] : token["end"]] for token in tokens] == ["北", "京", "model", "s", "学", "习", "Café"]
    grouped = tagger(text, aggregation_strategy="first")
    assert "".join(text[group["start"] : group["end"]] for group in grouped).replace(" ", "") == text.replace(" ", "")
    reader = pipeline("question-answering", save_chinese(tmp_path / "qa", "AlbertForQuestionAnswering"))
    answer = reader(question="首都？", context="中国的首都是北京。")
    assert "中国的首都是北京。"[answer["start"] : answer["end"]] == answer["answer"]
    classes = pipeline("text-classification", save_chinese(tmp_path / "classes", "AlbertForSequenceClassification"))
    assert classes([{"text": "中国", "text_pair": "北京"}])[0]["label"].startswith("LABEL_")


def test_an_answer_that_begins_with_an_unknown_character_keeps_its_place(ours: AlbertTokenizer) -> None:
    context = "北京的鳥很好。"
    example = QuestionExample(id="q", place="here", question="什", context=context, answers=(Answer("鳥很", 3),))
    features = QuestionAnsweringTask(name="squad").featurize([example], ours)
    first, last = (int(features.targets[f"{name}_positions"][0]) for name in ("start", "end"))
    assert (features.places["offsets"][first, 0], features.places["offsets"][last, 1]) == (3, 5)


def test_pretraining_data_are_prepared_with_it(directory: Path, tmp_path: Path) -> None:
    (tmp_path / "corpus.txt").write_text("中国的首都是北京。我们在学习模型。\n\n" * 9, encoding="utf-8")
    output = str(tmp_path / "prepared")
    sources = [str(tmp_path / "corpus.txt")]
    prepare(DataRecipe(sources=sources, tokenizer=str(directory), output=output, held_out=0, workers=1))
    vocabulary = read_vocabulary(output)
    assert tuple(vocabulary.pieces) == PIECES
    assert (vocabulary.pad_token_id, vocabulary.unk_token_id, vocabulary.mask_token_id) == (0, 2, 5)
    assert AlbertTokenizer.from_pretrained(tmp_path / "prepared" / "tokenizer").tokenize("北京") == ["北", "京"]


# ----------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n", r"a piece for each of .*\[MASK\].*one without \[MASK\]"),
        ("vocab.txt", b"the\ncat\n", r"no WordPiece vocabulary.*one without \[UNK\]"),
        ("vocab.txt", b"[UNK]\na\nb\na\n", "'a' in lines 2 and 4"),
        ("vocab.txt", b"", "is not empty"),
        ("vocab.txt", tiny_vocabulary().to_bytes(), r"text in UTF-8.*the name spiece\.model"),
        ("vocab.txt", "<pad>\t0\n<unk>\t0\n▁the\t-3\n".encode(), r"one without \[UNK\]"),
        ("spiece.model", b"[PAD]\n[UNK]\n", r"a WordPiece vocabulary.*the name vocab\.txt"),
        ("30k-clean.vocab", b"[PAD]\n[UNK]\n", r"a WordPiece vocabulary.*the name vocab\.txt"),
    ],
)
def test_a_vocabulary_of_the_wrong_kind_is_named_in_one_sentence(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (lambda: AlbertTokenizer.from_pretrained(tmp_path), lambda: AlbertTokenizer(tmp_path / name)):
        with pytest.raises(VocabularyError, match=message) as caught:
            read()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values["model"].update(continuing_subword_prefix="@@"), "follows BERT's rules.*'@@'"),
        (lambda values: values["normalizer"].update(type="Lowercase"), "follows BERT's rules.*a Lowercase"),
        (lambda values: values.update(normalizer=None), "fields of the tokenizers package"),
        (lambda values: values["model"]["vocab"].update({"x": 9999}), "fields of the tokenizers package"),
        (lambda values: values["model"]["vocab"].update({"\ud800": len(PIECES)}), "valid Unicode"),
        (lambda values: values["model"].pop("vocab"), "fields of the tokenizers package"),
        (lambda values: values["model"].update(unk_token="[NO]"), r"one without \[NO\]"),
    ],
)
def test_a_wordpiece_tokenizer_json_of_other_rules_is_refused(
    ours: AlbertTokenizer, tmp_path: Path, change: Any, message: str
) -> None:
    ours.save_pretrained(tmp_path)
    values = json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))
    change(values)
    (tmp_path / "tokenizer.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(VocabularyError, match=message):
        AlbertTokenizer(tmp_path / "tokenizer.json")


def test_a_vocabulary_that_is_too_large_for_the_model_beside_it_is_refused(tmp_path: Path) -> None:
    save_vocabulary(tmp_path)
    (tmp_path / "config.json").write_text('{"vocab_size": 30}')
    with pytest.raises(VocabularyError, match=rf"the {len(PIECES)} WordPiece pieces of .*vocab\.txt and vocab_size=30"):
        AlbertTokenizer.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"vocab_size": 1000}')  # rows to spare are usual
    assert AlbertTokenizer.from_pretrained(tmp_path).vocab_size == len(PIECES)
    tiny_tokenizer().save_pretrained(tmp_path / "english")
    (tmp_path / "english" / "albert_config.json").write_text('{"vocab_size": 100}')
    with pytest.raises(VocabularyError, match=r"101 SentencePiece pieces .* vocab_size=100"):
        AlbertTokenizer.from_pretrained(tmp_path / "english")


def test_a_bert_tokenizer_is_no_sentencepiece_one(tmp_path: Path) -> None:
    tiny_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizerFast"}')
    with pytest.raises(VocabularyError, match=r"BertTokenizerFast with the SentencePiece vocabulary .*spiece\.model"):
        AlbertTokenizer.from_pretrained(tmp_path)


def test_what_wordpiece_cannot_do_is_refused(ours: AlbertTokenizer) -> None:
    with pytest.raises(InputError, match="no white space to keep"):
        AlbertTokenizer(vocabulary=ours.file, remove_space=False)
    sampler = AlbertTokenizer(vocabulary=ours.file, sp_model_kwargs={"enable_sampling": True})
    with pytest.raises(InputError, match="only a SentencePiece vocabulary"):
        sampler("中国")
    for texts in ("a\ud800b", ["中", "a\ud800b"]):
        with pytest.raises(InputError, match="surrogate"):
            ours(texts)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(MissingExtraError, match=r'pip install "albertkit\[wordpiece\]"'):
        WordPieceSegmenter(WordPieceFile(PIECES))
