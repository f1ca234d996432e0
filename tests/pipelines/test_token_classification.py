"""token-classification: entities beside transformers' own pipeline, word boundaries, windows, and what is refused."""

from __future__ import annotations

import lzma
from collections import Counter

import numpy as np
import pytest

from albertkit import pipeline
from albertkit.errors import CheckpointError, InputError
from albertkit.pipelines.entities import STRATEGIES, Unit, group_units, label_units
from albertkit.pipelines.token_classification import _join_windows
from albertkit.tokenization import AlbertTokenizer

CLASS = "AlbertForTokenClassification"
BIO = {"id2label": dict(enumerate(["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"]))}


@pytest.fixture(scope="module")
def tiny(save_tiny):
    return pipeline("token-classification", save_tiny(CLASS, **BIO), engine="numpy")


@pytest.fixture(scope="module")
def every_word(save_tiny):
    """A model that knows one label, ``B-X``: whatever is labelled together is an entity by itself."""
    return pipeline("ner", save_tiny(CLASS, id2label={0: "B-X"}), engine="numpy")


@pytest.fixture(scope="module")
def sentences(shared_data) -> list[str]:
    with lzma.open(shared_data / "glue/RTE/dev.tsv.xz", "rt", encoding="utf8") as lines:
        prose = [field for line in lines for field in line.split("\t")[1:3]][2:202]
    with lzma.open(shared_data / "ner/conll2003/valid.txt.xz", "rt", encoding="utf8") as lines:
        cut = [" ".join(line.split()[0] for line in block.split("\n") if line) for block in lines.read().split("\n\n")[:100]]
    return prose + cut


@pytest.fixture(scope="module")
def english(save_english):
    return save_english(CLASS, **BIO)


def is_plain(tokenizer, text: str) -> bool:
    """Transformers' words are the vocabulary's: no other white space than spaces, no lone ``▁``, nothing unknown."""
    return text.split() == text.split(" ") and not {"▁", "<unk>"} & set(tokenizer(text).tokens())


def assert_equal(ours: list[dict], theirs: list[dict]) -> None:
    """Equal answers, but for two faults: transformers drops the spaces between words that it labels whole, and ends an entity
    whose last token is a lone ``▁`` in the next word."""
    for found, expected in zip(ours, theirs, strict=True):
        assert list(found) == list(expected)
        for key in found.keys() & {"entity", "entity_group", "index"}:
            assert found[key] == expected[key]
        assert found["score"] == pytest.approx(float(expected["score"]), rel=1e-5, abs=1e-5)
        assert found["word"].replace(" ", "") == expected["word"].replace(" ", "")
        assert found["start"] == expected["start"]
        assert found["end"] == expected["end"] or expected["word"].endswith(" ")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_real_sentences_are_labelled_as_by_transformers(english, sentences, peer_pipeline, strategy):
    kinds = [pipeline("token-classification", english, engine=engine) for engine in ("numpy", "torch")]
    theirs = peer_pipeline("token-classification", english, aggregation_strategy=strategy)
    texts = [text for text in sentences if strategy in ("none", "simple") or is_plain(kinds[0].tokenizer, text)]
    assert len(texts) > 100
    for ignored in ([], ["O", "PER", "B-LOC"]):
        expected = theirs(texts, batch_size=16, ignore_labels=ignored)
        labels = Counter(answer.get("entity", answer.get("entity_group")) for answers in expected for answer in answers)
        assert len(labels) >= (2 if ignored else 4), labels
        for kind in kinds:
            found = kind(texts, aggregation_strategy=strategy, ignore_labels=ignored)
            for answers, others in zip(found, expected, strict=True):
                assert_equal(answers, others)


# ------------------------------------------------------------------- words


@pytest.mark.parametrize("strategy", ["first", "average", "max"])
@pytest.mark.parametrize(
    "text",
    [
        "Paris, (France) isn't it?",
        " the\tmodel\nof  a\u00a0cat\u2003sat ",  # white space that is no space
        "the 日本 x😀y \u00e9t\u00e9 cafe\u0301",  # unknown pieces, accents in one character or two
        "In 1992, he had 1,000 and 12/12, so",  # pieces of a digit and a comma
        "“the” `` cat '' ﬁ ½",  # characters that become several, and two that become one
        "\u2581the cat",  # the sign for a space itself
    ],
)
def test_a_word_is_what_white_space_cuts(every_word, text, strategy):
    answers = every_word(text, aggregation_strategy=strategy)
    assert [text[answer["start"] : answer["end"]] for answer in answers] == text.replace("\u2581", " ").split()
    assert {answer["entity_group"] for answer in answers} == {"X"}


def test_transformers_cuts_and_joins_words_wrongly(every_word, save_tiny, peer_pipeline):
    """It guesses words by the spaces before them: an opening bracket, an unknown piece and a tab mislead it."""
    theirs = peer_pipeline("token-classification", save_tiny(CLASS, id2label={0: "B-X"}), aggregation_strategy="first")
    for text, cut in {
        "the (cat) sat": ["the", "(", "(cat)", "sat"],
        "the x😀y": ["the", "x", "x", "😀y"],
        "the\tcat": ["the\tcat"],
    }.items():
        assert [text[answer["start"] : answer["end"]] for answer in theirs(text)] == cut
        ours = every_word(text, aggregation_strategy="first")
        assert [text[answer["start"] : answer["end"]] for answer in ours] == text.split()
    names = {"id2label": {0: "X"}}
    ours = pipeline("ner", save_tiny(CLASS, **names), engine="numpy", aggregation_strategy="first")("the new cat")
    theirs = peer_pipeline("ner", save_tiny(CLASS, **names), aggregation_strategy="first")("the new cat")
    assert (ours[0]["word"], theirs[0]["word"]) == ("the new cat", "thenewcat")


def test_tokens_are_answered_with_their_place_and_never_the_special_ones(every_word):
    text = " A😀 (Cat)  "
    answers = every_word(text)
    assert [(answer["index"], answer["word"], answer["start"], answer["end"]) for answer in answers] == [
        (1, "▁a", 1, 2), (2, "😀", 2, 3), (3, "▁", 4, 5), (4, "(", 4, 5), (5, "c", 5, 6), (6, "at", 6, 8), (7, ")", 8, 9),
    ]  # fmt: skip
    assert all(answer["entity"] == "B-X" and answer["score"] == 1.0 for answer in answers)
    assert every_word("\u0301") == []


def test_an_entity_has_no_space_around_it(save_tiny):
    kind = pipeline("ner", save_tiny(CLASS, id2label={0: "X"}), engine="numpy", aggregation_strategy="simple")
    text = "  (the cat)  "
    assert [(answer["start"], answer["end"]) for answer in kind(text)] == [(2, 11)]


def test_an_entity_ends_before_the_space_that_is_its_last_token(tiny):
    text = "the (cat"  # ▁the ▁ ( c at
    (tokens,) = tiny._tokenize([text], None)
    options = tiny.options.changed(aggregation_strategy="simple")
    answers = list(tiny._name_entities(tokens, np.eye(7)[[1, 2, 0, 3, 4]], options))
    assert [(answer["entity_group"], answer["word"], answer["start"], answer["end"]) for answer in answers] == [
        ("PER", "the", 0, 3), ("ORG", "cat", 5, 8),
    ]  # fmt: skip


# ------------------------------------------------------- strategies by hand


PROBABILITIES = np.array([[0.5, 0.4, 0.1], [0.1, 0.6, 0.3], [0.0, 0.1, 0.9], [0.2, 0.7, 0.1]])


@pytest.mark.parametrize(
    ("strategy", "units"),
    [
        ("none", [Unit(0, 1, 0, 0.5), Unit(1, 2, 1, 0.6), Unit(2, 3, 2, 0.9), Unit(3, 4, 1, 0.7)]),
        ("simple", [Unit(0, 1, 0, 0.5), Unit(1, 2, 1, 0.6), Unit(2, 3, 2, 0.9), Unit(3, 4, 1, 0.7)]),
        ("first", [Unit(0, 3, 0, 0.5), Unit(3, 4, 1, 0.7)]),
        ("average", [Unit(0, 3, 2, 1.3 / 3), Unit(3, 4, 1, 0.7)]),
        ("max", [Unit(0, 3, 2, 0.9), Unit(3, 4, 1, 0.7)]),
    ],
)
def test_strategies_by_example(strategy, units):
    found = label_units(PROBABILITIES, [0, 0, 0, 1], strategy)
    assert [unit[:3] for unit in found] == [unit[:3] for unit in units]
    assert [unit.score for unit in found] == pytest.approx([unit.score for unit in units])


@pytest.mark.parametrize(
    ("labels", "sizes"),
    [
        ("B-A I-A I-A", [3]), ("B-A B-A", [1, 1]), ("I-A I-A I-B", [2, 1]), ("A I-A B-A", [2, 1]), ("O O B-A O", [2, 1, 1]),
        ("I-A B-B I-B", [1, 2]), ("A A B A", [2, 1, 1]), ("B- I-", [2]),
        ("B-A I-A E-A", [3]), ("B-A E-A I-A E-A", [2, 2]), ("S-A S-A B-A E-A", [1, 1, 2]), ("B-A E-A S-B", [2, 1]),
        ("E-MAIL E-MAIL S-A S-A", [2, 2]),
    ],
)  # fmt: skip
def test_neighbours_of_one_tag_are_one_entity_unless_one_begins(labels, sizes):
    names = labels.split()
    units = [Unit(place, place + 1, place, 0.5) for place in range(len(names))]
    assert [len(group) for group in group_units(units, dict(enumerate(names)))] == sizes


# ----------------------------------------------------------------- windows


def forget_context(parameters: dict) -> None:
    """Make tokens blind to each other and to their place, so that every window says the same of a token."""
    for name, values in parameters.items():
        if ".attention.dense." in name or "position_embeddings" in name:
            values[...] = 0.0


@pytest.mark.slow
def test_windows_give_what_a_longer_model_and_transformers_give(save_english, sentences, peer_pipeline):
    long = save_english(CLASS, forget_context, max_position_embeddings=2048, **BIO)
    short = pipeline("ner", long, AlbertTokenizer.from_pretrained(long, model_max_length=64), engine="numpy")
    texts = [" ".join(sentences[start : start + 8]) for start in range(0, 24, 8)]
    for strategy in STRATEGIES:
        whole = pipeline("ner", long, engine="numpy", aggregation_strategy=strategy)(texts)
        for stride in (0, 7, 40):
            for answers, expected in zip(short(texts, aggregation_strategy=strategy, stride=stride), whole, strict=True):
                assert len(answers) > 30
                assert [(a["start"], a["end"]) for a in answers] == [(a["start"], a["end"]) for a in expected]
                assert_equal(answers, expected)
    theirs = peer_pipeline("ner", long)
    theirs.tokenizer.model_max_length = 64
    plain = [text for text in sentences if is_plain(short.tokenizer, text)]
    texts = [" ".join(plain[start : start + 12]) for start in range(0, 36, 12)]
    for text in texts:  # the other strategies take what transformers' windows cut off a word for a word
        form = {"aggregation_strategy": "simple", "stride": 30}
        assert_equal(short(text, **form), theirs(text, **form))


def test_each_token_is_judged_where_most_is_around_it():
    outputs = [np.full((6, 1), 0.0), np.full((6, 1), 1.0), np.full((3, 1), 2.0)]
    joined = _join_windows(11, [(0, 6), (4, 10), (8, 11)], outputs)
    assert joined[:, 0].tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert _join_windows(6, [(0, 6)], outputs[:1]) is outputs[0]


def test_a_text_that_fits_is_read_alike_with_a_stride(tiny):
    for strategy in STRATEGIES:
        text = "the cat sat on a new model"
        assert tiny(text, aggregation_strategy=strategy, stride=5) == tiny(text, aggregation_strategy=strategy)


# -------------------------------------------------------------- many inputs


def test_order_batches_and_neighbours_change_nothing(tiny, save_tiny):
    texts = ["the cat", "a dog sat on the new model of paris", "he", "it was"] * 3
    form = {"aggregation_strategy": "average", "ignore_labels": []}
    alone = [tiny(text, **form) for text in texts]
    for settings in ({"batch_size": 2}, {"token_budget": 8}, {}):
        other = pipeline("ner", save_tiny(CLASS, **BIO), engine="numpy", **settings)
        for found, expected in zip(other(texts, **form), alone, strict=True):
            assert_equal(found, expected)
    for found, expected in zip(reversed(tiny(texts[::-1], **form)), alone, strict=True):
        assert_equal(found, expected)


def test_a_generator_gives_an_iterator_and_errors_can_be_answers(save_tiny):
    kind = pipeline("token-classification", save_tiny(CLASS, **BIO), engine="numpy", errors="return", ignore_labels=[])
    answers = kind(text for text in ["the cat", "", "a dog", "\ud800", "the " * 50])
    found = list(answers)
    assert not isinstance(answers, list)
    assert [isinstance(answer, InputError) for answer in found] == [False, True, False, True, True]
    assert [answer["word"] for answer in found[2]] == ["▁a", "▁dog"]


@pytest.mark.parametrize(
    ("inputs", "options", "rule"),
    [
        ("", {}, "text must not be empty"),
        (["a", " "], {}, "text must not be empty"),
        ("a\udc00", {}, "valid Unicode"),
        ("the " * 60, {}, r"max_position_embeddings=43 tokens.*received 62 tokens.*give stride="),
        (["a", 3], {}, "an input of token-classification is a string or an object"),
        ("a", {"aggregation_strategy": "averge"}, "none, simple, first, average, max; received 'averge'; did you mean average"),
        ("a", {"aggregation_strategy": None}, "aggregation_strategy must be one of"),
        ("a", {"ignore_labels": "O"}, "ignore_labels must be a list of labels; received 'O'"),
        ("a", {"ignore_labels": 3}, "ignore_labels must be a list"),
        ("a", {"stride": -1}, "stride must be a whole number of at least 0"),
        ("a", {"stride": 2.0}, "stride must be a whole number"),
        ("the " * 60, {"stride": 41}, "stride must be smaller than the tokens of the text that fit into a row"),
    ],
)
def test_bad_input_is_one_sentence(tiny, inputs, options: dict, rule: str):
    with pytest.raises(InputError, match=rule):
        tiny(inputs, **options)


def test_other_heads_and_unknown_options_are_refused(tiny_checkpoint, save_tiny):
    with pytest.raises(CheckpointError, match="needs a checkpoint with a token_classification head"):
        pipeline("token-classification", tiny_checkpoint, engine="numpy")
    with pytest.raises(InputError, match="did you mean aggregation_strategy"):
        pipeline("ner", save_tiny(CLASS), engine="numpy", agregation_strategy="first")
