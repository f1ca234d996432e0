"""feature-extraction: hidden states beside transformers', pooled vectors beside sentence-transformers', from the same files."""

from __future__ import annotations

import json
import lzma
import warnings
from pathlib import Path

import numpy as np
import pytest

from albertkit import pipeline
from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.errors import CheckpointError, InputError
from albertkit.hub import DEFAULT_MODEL, EMBEDDED, Source
from albertkit.pipelines import FeatureExtractionPipeline
from albertkit.pipelines.pooling import POOLINGS, SavedPooling, pool, read_saved_pooling
from albertkit.testing import random_parameters, tiny_config, tiny_tokenizer

TEXTS = ["the cat sat on the model", "paris", "a dog is in france, the capital of the new york", "the cat sat on the model"]


@pytest.fixture(scope="module")
def extractor(tiny_checkpoint) -> FeatureExtractionPipeline:
    return pipeline("feature-extraction", tiny_checkpoint, engine="numpy")


@pytest.fixture(scope="module")
def sentences(shared_data) -> list[str]:
    with lzma.open(shared_data / "glue/SST-2/dev.tsv.xz", "rt", encoding="utf8") as lines:
        return [line.split("\t")[0].strip() for line in lines][1:251]


@pytest.fixture(scope="module")
def save_sentence_transformer(tmp_path_factory, tiny_checkpoint):
    """Saves the tiny model as sentence-transformers does, with poolings of given names, and gives its own object too."""
    sentence_transformers = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer import modules

    def save(pooling, *, normalize: bool = False, checkpoint: Path = tiny_checkpoint, **extra):
        directory = tmp_path_factory.mktemp("sentences")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            encoder = modules.Transformer(str(checkpoint), **extra)
            parts = [encoder, modules.Pooling(encoder.get_embedding_dimension(), pooling_mode=pooling)]
            model = sentence_transformers.SentenceTransformer(modules=[*parts, *([modules.Normalize()] if normalize else [])])
            model.save(str(directory))
        return directory, model.float()

    return save


def assert_near(ours, theirs) -> None:
    """Equal within 1e-5 and 1e-5 of the largest value."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 + 1e-5 * np.abs(theirs).max())


@pytest.mark.slow
def test_real_sentences_have_transformers_features(sentences, peer_pipeline):
    peer = peer_pipeline("feature-extraction", EMBEDDED / DEFAULT_MODEL, dtype="float32")(sentences)
    for engine in ("numpy", "torch"):
        for answer, expected in zip(pipeline("feature-extraction", engine=engine)(sentences), peer, strict=True):
            assert type(answer) is list
            assert len(answer) == 1
            assert_near(answer, expected)


@pytest.mark.parametrize("engine", ["numpy", "torch"])
def test_form_and_numbers_are_transformers_own(engine, tiny_checkpoint, peer_pipeline):
    ours, peer = (
        pipeline("feature-extraction", tiny_checkpoint, engine=engine),
        peer_pipeline("feature-extraction", tiny_checkpoint),
    )
    assert_near(ours(TEXTS[0]), peer(TEXTS[0]))
    for answer, expected in zip(ours(TEXTS), peer(TEXTS), strict=True):
        assert_near(answer, expected)
    long = "the " * 90
    ours.tokenizer.model_max_length = peer.tokenizer.model_max_length = 11
    assert_near(ours(long, truncation=True), peer(long, truncation=True))


def test_pooled_vectors_lists_and_arrays(extractor):
    (states,) = extractor(TEXTS[0])
    for name, expected in (("cls", states[0]), ("mean", np.mean(states, axis=0)), ("max", np.max(states, axis=0))):
        assert_near(extractor(TEXTS[0], pooling=name), expected)
    both = extractor(TEXTS[0], pooling=["cls", "max"])
    assert_near(both, [*states[0], *np.max(states, axis=0)])
    unit = extractor(TEXTS[0], pooling="mean", normalize=True)
    assert np.linalg.norm(unit) == pytest.approx(1)
    assert_near(unit, np.mean(states, axis=0) / np.linalg.norm(np.mean(states, axis=0)))
    array = extractor(TEXTS, return_tensors="np")
    assert [features.dtype for features in array] == [np.float32] * 4
    assert array[0].shape == (1, len(states), 15)
    assert array[0].base is None
    assert extractor(TEXTS[0], pooling="mean", return_tensors="np").shape == (15,)
    assert isinstance(extractor(TEXTS[0], pooling="mean")[0], float)


def test_company_order_and_engines_change_nothing(extractor, tiny_checkpoint):
    alone = [extractor(text, pooling="mean") for text in TEXTS]
    torch = pipeline("feature-extraction", tiny_checkpoint, engine="torch", pooling="mean", batch_size=2)
    for answers in (
        extractor(TEXTS, pooling="mean"),
        extractor(TEXTS[::-1], pooling="mean")[::-1],
        list(extractor((text for text in TEXTS), pooling="mean")),
        torch(TEXTS),
    ):
        assert_near(answers, alone)


# ------------------------------------------------------ sentence-transformers


@pytest.mark.parametrize("pooling", [*POOLINGS, ["cls", "mean"]], ids=str)
def test_a_saved_pooling_gives_sentence_transformers_vectors(pooling, save_sentence_transformer):
    normalize = pooling in ("mean", "max")
    directory, model = save_sentence_transformer(pooling, normalize=normalize)
    expected = model.encode(TEXTS, show_progress_bar=False)
    for engine in ("numpy", "torch"):
        ours = pipeline("feature-extraction", directory, engine=engine, pooling="saved")
        assert ours.options.normalize is normalize
        assert_near(ours(TEXTS), expected)
    assert pipeline("feature-extraction", directory, engine="numpy").options.pooling is None
    assert pipeline("feature-extraction", directory, pooling="saved", normalize=not normalize).options.normalize is not normalize


@pytest.mark.slow
def test_real_sentences_have_sentence_transformers_vectors(sentences, save_sentence_transformer, tmp_path):
    """The embedded model, texts cut at 32 tokens as the directory says."""
    directory, model = save_sentence_transformer("mean", normalize=True, checkpoint=EMBEDDED / DEFAULT_MODEL, max_seq_length=32)
    expected = model.encode(sentences, show_progress_bar=False)
    ours = pipeline("feature-extraction", directory, engine="numpy", pooling="saved", truncation=True)
    lengths = [len(ids) for ids in ours.tokenizer(sentences)["input_ids"]]
    assert max(lengths) > 32 > min(lengths)
    assert_near(ours(sentences), expected)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"word_embedding_dimension": 15, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True, "pooling_mode_mean_tokens": False}, ("cls", "max")),
        ({"word_embedding_dimension": 15}, "mean"),
    ],
)
def test_directories_of_older_releases(config, expected, tmp_path):
    save_checkpoint(tmp_path, tiny_config(), random_parameters(tiny_config()))
    folders = ("", "1_Pooling")
    kinds = ("sentence_transformers.models.Transformer", "sentence_transformers.models.Pooling")
    modules = [{"idx": i, "name": str(i), "path": folders[i], "type": kinds[i]} for i in range(2)]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling/config.json").write_text(json.dumps(config))
    assert read_saved_pooling(Source(tmp_path)) == SavedPooling(expected, normalize=False)


@pytest.mark.parametrize(
    ("modules", "sentence"),
    [
        (
            ["Transformer", "Pooling", "Dense"],
            "may hold a Transformer, a Pooling and a Normalize.*received Transformer, Pooling, Dense",
        ),
        ("{", "as sentence-transformers writes them"),
        ("[1]", "as sentence-transformers writes them"),
        ("../other", "no folder in it"),
        ("2_Nowhere", "must hold 2_Nowhere/config.json"),
    ],
)
def test_what_a_directory_may_not_say(modules, sentence, tiny_checkpoint, tmp_path):
    save_checkpoint(tmp_path, tiny_config(), random_parameters(tiny_config()))
    tiny_tokenizer().save_pretrained(tmp_path)
    if isinstance(modules, list):
        modules = json.dumps([{"type": f"x.{name}", "path": "1_Pooling"} for name in modules])
    elif modules[0] not in "{[":
        modules = json.dumps([{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": modules}])
    (tmp_path / "modules.json").write_text(modules)
    with pytest.raises(CheckpointError, match=sentence):
        pipeline("feature-extraction", tmp_path, pooling="saved")
    assert pipeline("feature-extraction", tmp_path, pooling="cls").options.pooling == "cls"


def test_poolings_of_one_token():
    hidden = np.array([[3.0, -1.0]], np.float32)
    for name in POOLINGS:
        assert pool(hidden, name).tolist() == [3.0, -1.0]


# ------------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("text", "options", "rule"),
    [
        ("", {}, "text must not be empty"),
        ("the " * 600, {}, "max_position_embeddings=43 tokens.*received 602 tokens.*truncation=True"),
        ("a\ud800", {}, "surrogate"),
        ("a", {"pooling": "men"}, "pooling must be one of cls, mean, max.*received 'men'; did you mean mean"),
        ("a", {"pooling": []}, "pooling must be one of"),
        ("a", {"pooling": "saved"}, "pooling must be one of"),
        ("a", {"normalize": True}, "normalize is of pooled vectors"),
        ("a", {"return_tensors": "pt"}, 'return_tensors must be "np" or None'),
    ],
)
def test_bad_input_is_one_sentence(extractor, text, options, rule):
    with pytest.raises(InputError, match=rule) as error:
        extractor(text, **options)
    assert "\n" not in str(error.value)


def test_pooling_saved_needs_a_directory_that_says_it(tiny_checkpoint):
    with pytest.raises(CheckpointError, match="needs a directory that sentence-transformers wrote"):
        pipeline("feature-extraction", tiny_checkpoint, pooling="saved")
    with pytest.raises(InputError, match="did you mean truncation"):
        pipeline("feature-extraction", tiny_checkpoint, pooling="saved", truncations=True)


@pytest.mark.parametrize("options", [{}, {"pooling": "cls"}, {"pooling": "max", "normalize": True}])
def test_an_array_keeps_nothing_else_of_its_batch(extractor, options):
    assert all(features.base is None for features in extractor(TEXTS, return_tensors="np", **options))
