"""sentence-similarity: cosines beside sentence-transformers', and each sentence encoded once."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from albertkit import pipeline
from albertkit.errors import InputError
from albertkit.pipelines import SentenceSimilarityPipeline

RECORD = {
    "source_sentence": "the cat sat on the model",
    "sentences": ["a dog is in paris", "the cat sat on the model", "new york"],
}


@pytest.fixture(scope="module")
def similarity(tiny_checkpoint) -> SentenceSimilarityPipeline:
    return pipeline("sentence-similarity", tiny_checkpoint, engine="numpy")


def cosines(vectors: np.ndarray) -> list[float]:
    """Of the first vector with each of the others."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return (unit[1:] @ unit[0]).tolist()


def test_cosines_of_pooled_vectors(similarity, tiny_checkpoint):
    extractor = pipeline("feature-extraction", tiny_checkpoint, engine="numpy")
    texts = [RECORD["source_sentence"], *RECORD["sentences"]]
    for pooling in ("mean", "cls", ("max", "mean")):
        answer = similarity(RECORD, pooling=pooling)
        assert answer == pytest.approx(cosines(np.array(extractor(texts, pooling=pooling))), abs=1e-5)
        assert answer[1] == pytest.approx(1)
        assert all(type(score) is float for score in answer)
    assert similarity(RECORD) == similarity(RECORD, pooling="mean")


@pytest.mark.parametrize("pooling", ["cls", ("mean", "max")])
def test_a_directory_of_sentence_transformers_says_how_to_pool(pooling, tiny_checkpoint, tmp_path):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer import modules

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        encoder = modules.Transformer(str(tiny_checkpoint))
        parts = [encoder, modules.Pooling(encoder.get_embedding_dimension(), pooling_mode=pooling), modules.Normalize()]
        model = sentence_transformers.SentenceTransformer(modules=parts)
        model.save(str(tmp_path))
    expected = cosines(model.encode([RECORD["source_sentence"], *RECORD["sentences"]], show_progress_bar=False))
    for engine in ("numpy", "torch"):
        ours = pipeline("sentence-similarity", tmp_path, engine=engine)
        assert ours.options.pooling == pooling
        assert ours(RECORD) == pytest.approx(expected, abs=1e-5)
    assert pipeline("sentence-similarity", tmp_path, pooling="max").options.pooling == "max"


def test_each_sentence_is_encoded_once(similarity, monkeypatch):
    encoded: list[str] = []
    encode = SentenceSimilarityPipeline._encode

    def remember(self, texts, *arguments, **options):
        encoded.extend(texts)
        return encode(self, texts, *arguments, **options)

    monkeypatch.setattr(SentenceSimilarityPipeline, "_encode", remember)
    other = {"source_sentence": "new york", "sentences": RECORD["sentences"]}
    answers = similarity([RECORD, other])
    assert sorted(encoded) == sorted({RECORD["source_sentence"], *RECORD["sentences"]})
    assert answers[1][2] == pytest.approx(1)


def test_company_order_and_engines_change_nothing(similarity, tiny_checkpoint):
    records = [RECORD, {"source_sentence": "paris", "sentences": ["the capital of france"]}, {**RECORD, "sentences": ["a"]}]
    alone = [similarity(record) for record in records]
    torch = pipeline("sentence-similarity", tiny_checkpoint, engine="torch", token_budget=1)
    for answers in (
        similarity(records), similarity(records[::-1])[::-1], list(similarity(iter(records))), torch(records),
    ):  # fmt: skip
        for answer, expected in zip(answers, alone, strict=True):
            assert answer == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("record", "options", "rule"),
    [
        ("a", {}, 'an input of sentence-similarity is an object with "source_sentence", "sentences"; received a str'),
        ({"source_sentence": "a"}, {}, "received source_sentence"),
        ({"source_sentence": "a", "sentences": "b"}, {}, "sentences must be a list of strings"),
        ({"source_sentence": "a", "sentences": []}, {}, "sentences must not be empty"),
        ({"source_sentence": "a", "sentences": ["\ud800"]}, {}, "surrogate"),
        ({"source_sentence": "a", "sentences": ["the " * 600]}, {}, "max_position_embeddings=43 tokens.*truncation=True"),
        (RECORD, {"pooling": None}, "pooling must be one of"),
    ],
)
def test_bad_input_is_one_sentence(similarity, record, options, rule):
    with pytest.raises(InputError, match=rule) as error:
        similarity(record, **options)
    assert "\n" not in str(error.value)


def test_truncation_cuts_what_is_too_long(similarity):
    long = "the " * 600
    assert similarity({"source_sentence": long, "sentences": [long + "cat"]}, truncation=True) == pytest.approx([1.0])
