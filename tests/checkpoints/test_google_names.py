"""Google's names: every head both ways, what an optimiser keeps, TF-Hub's prefix and the norms of newer TensorFlows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from albertkit.checkpoints.google_bundle import read_bundle, write_bundle
from albertkit.checkpoints.google_names import GOOGLE, read_google, write_google
from albertkit.checkpoints.parameters import HEADS, Head, list_parameters
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError
from albertkit.testing import random_parameters, tiny_config

CONFIG = tiny_config(num_labels=5)
ONE_LAYER = tiny_config(num_hidden_groups=1, inner_group_num=1, num_hidden_layers=1)
E, H, F, V, S = 7, 15, 31, 101, 43  # of the tiny model
SQUAD_V2 = {
    "start_logits/dense/kernel": (H, 1), "start_logits/dense/bias": (1,),
    "end_logits/dense_0/kernel": (2 * H, H), "end_logits/dense_0/bias": (H,),
    "end_logits/LayerNorm/gamma": (H,), "end_logits/LayerNorm/beta": (H,),
    "end_logits/dense_1/kernel": (H, 1), "end_logits/dense_1/bias": (1,),
    "answer_class/dense_0/kernel": (2 * H, H), "answer_class/dense_0/bias": (H,),
    "answer_class/dense_1/kernel": (H, 1),
}  # fmt: skip
LAYER = {
    "attention_1/self/query/kernel": (H, H), "attention_1/self/query/bias": (H,),
    "attention_1/self/key/kernel": (H, H), "attention_1/self/key/bias": (H,),
    "attention_1/self/value/kernel": (H, H), "attention_1/self/value/bias": (H,),
    "attention_1/output/dense/kernel": (H, H), "attention_1/output/dense/bias": (H,),
    "LayerNorm/gamma": (H,), "LayerNorm/beta": (H,),
    "ffn_1/intermediate/dense/kernel": (H, F), "ffn_1/intermediate/dense/bias": (F,),
    "ffn_1/intermediate/output/dense/kernel": (F, H), "ffn_1/intermediate/output/dense/bias": (H,),
    "LayerNorm_1/gamma": (H,), "LayerNorm_1/beta": (H,),
}  # fmt: skip
GOOGLE_SHAPES = {
    "bert/embeddings/word_embeddings": (V, E), "bert/embeddings/position_embeddings": (S, E),
    "bert/embeddings/token_type_embeddings": (2, E),
    "bert/embeddings/LayerNorm/gamma": (E,), "bert/embeddings/LayerNorm/beta": (E,),
    "bert/encoder/embedding_hidden_mapping_in/kernel": (E, H), "bert/encoder/embedding_hidden_mapping_in/bias": (H,),
    **{
        f"bert/encoder/transformer/group_{group}/inner_group_{inner}/{name}": shape
        for group in range(2) for inner in range(2) for name, shape in LAYER.items()
    },
    "bert/pooler/dense/kernel": (H, H), "bert/pooler/dense/bias": (H,),
    "cls/predictions/transform/dense/kernel": (H, E), "cls/predictions/transform/dense/bias": (E,),
    "cls/predictions/transform/LayerNorm/gamma": (E,), "cls/predictions/transform/LayerNorm/beta": (E,),
    "cls/predictions/output_bias": (V,),
    "cls/seq_relationship/output_weights": (2, H), "cls/seq_relationship/output_bias": (2,),
    "output_weights": (5, H), "output_bias": (5,),
    "cls/squad/output_weights": (2, H), "cls/squad/output_bias": (2,),
    **SQUAD_V2,
}  # fmt: skip
"""Every variable of Google's code for the tiny model, written down from its own checkpoints and not from our table."""


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def write_renamed(folder: Path, parameters: dict[str, np.ndarray], rename: Callable[[str], str]) -> Path:
    tensors = {rename(name): array for name, array in GOOGLE.from_contract(parameters).items()}
    return write_bundle(folder / "model.ckpt", tensors)[0]


def test_every_variable_of_googles_has_its_place_in_the_contract():
    heads = tuple(head for head in HEADS if head not in ("multiple_choice", "token_classification"))  # classifiers all three
    variables = {name: np.empty(shape, np.float32) for name, shape in GOOGLE_SHAPES.items()}
    renamed = GOOGLE.to_contract(variables)
    assert renamed.unknown == ()
    assert {name: array.shape for name, array in renamed.parameters.items()} == {
        parameter.name: parameter.shape for parameter in list_parameters(CONFIG, heads)
    }


def test_each_variable_goes_to_the_parameter_of_its_meaning():
    layer, google = "albert.encoder.albert_layer_groups.1.albert_layers.0", "bert/encoder/transformer/group_1/inner_group_0"
    pairs = {
        f"{google}/attention_1/output/dense/bias": f"{layer}.attention.dense.bias",
        f"{google}/LayerNorm/gamma": f"{layer}.attention.LayerNorm.weight",
        f"{google}/LayerNorm_1/beta": f"{layer}.full_layer_layer_norm.bias",
        f"{google}/ffn_1/intermediate/dense/bias": f"{layer}.ffn.bias",
        f"{google}/ffn_1/intermediate/output/dense/bias": f"{layer}.ffn_output.bias",
        "cls/seq_relationship/output_weights": "sop_classifier.classifier.weight",
        "cls/squad/output_weights": "qa_outputs.weight",
        "output_weights": "classifier.weight",
    }
    renamed = GOOGLE.to_contract({name: np.empty(1) for name in pairs})
    assert list(renamed.parameters) == list(pairs.values())


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("shards", [1, 3])
def test_every_head_goes_both_ways(tmp_path, head: Head, shards: int):
    parameters = random_parameters(CONFIG, (head,))
    index, *_ = write_google(tmp_path / "model.ckpt-best", parameters, shards=shards)
    assert_equal(read_google(index).tensors, parameters)
    again, *_ = write_google(tmp_path / "again", read_google(index).tensors, shards=shards)
    assert again.read_bytes() == index.read_bytes()


def test_what_an_optimiser_keeps_is_left_out_and_the_unknown_kept(tmp_path):
    parameters = random_parameters(CONFIG, ())
    tensors = GOOGLE.from_contract(parameters)
    slots = {f"{name}/{slot}": array for name, array in tensors.items() for slot in ("adam_m", "adam_v", "lamb_m", "Adam_1")}
    counters = {"global_step": np.int64(9), "beta1_power": np.float32(0.9)}
    mine = {"mine/kernel": np.ones((2, 3), np.float32)}
    index, *_ = write_bundle(tmp_path / "model.ckpt", tensors | slots | counters | mine)
    assert_equal(read_google(index).tensors, parameters | mine)


def test_tf_hub_names_are_read(tmp_path):
    parameters = random_parameters(CONFIG, ("pooler", "masked_lm"))
    assert_equal(read_google(write_renamed(tmp_path, parameters, "module/{}".format)).tensors, parameters)


def number_norms(name: str, layer: int = 0) -> str:
    """As tf.keras counts them through the graph of a model of one group and one inner layer (huggingface/transformers#10774)."""
    if layer:
        name = name.replace("group_0/inner", f"group_0_{layer}/layer_{layer}/inner")
    name = name.replace("inner_group_0/LayerNorm_1", f"inner_group_0/layer_normalization_{2 * layer + 2}")
    name = name.replace("inner_group_0/LayerNorm", f"inner_group_0/layer_normalization_{2 * layer + 1}")
    return name.replace("transform/LayerNorm", "transform/layer_normalization_25").replace("LayerNorm", "layer_normalization")


def test_layer_normalization_names_are_read(tmp_path):
    parameters = random_parameters(ONE_LAYER, ("pooler", "masked_lm"))
    assert not any("LayerNorm" in number_norms(name) for name in GOOGLE.from_contract(parameters))
    assert_equal(read_google(write_renamed(tmp_path, parameters, number_norms)).tensors, parameters)


@pytest.mark.parametrize("same", [True, False])
def test_norms_of_every_layer_must_be_one(tmp_path, same: bool):
    """Files of the kind in that thread have the norms of 9 to 10 layers beside one group: no ALBERT, unless they are equal."""
    parameters = random_parameters(ONE_LAYER, ())
    tensors = GOOGLE.from_contract(parameters)
    norms = {name: array for name, array in tensors.items() if "inner_group_0/LayerNorm" in name}
    later = {number_norms(name, layer): array + (not same) for name, array in norms.items() for layer in (1, 11)}
    index, *_ = write_bundle(tmp_path / "m", {number_norms(name): array for name, array in tensors.items()} | later)
    if same:
        assert_equal(read_google(index).tensors, parameters)
    else:
        with pytest.raises(CheckpointError, match="norms of a group's layers, must be equal"):
            read_google(index)


def test_a_model_as_wide_as_its_embeddings_has_no_projection_there(tmp_path):
    config: AlbertConfig = tiny_config(embedding_size=15)
    parameters = random_parameters(config, ("pooler",))
    with pytest.raises(CheckpointError, match="no projection where embedding_size equals hidden_size"):
        write_google(tmp_path / "model.ckpt", parameters)
    projection = "albert.encoder.embedding_hidden_mapping_in"
    identity = {f"{projection}.weight": np.eye(15, dtype=np.float32), f"{projection}.bias": np.zeros(15, np.float32)}
    index, *_ = write_google(tmp_path / "model.ckpt", parameters | identity)
    assert not any("embedding_hidden" in name for name in read_bundle(index).tensors)
    assert_equal(read_google(index).tensors, parameters | identity)


def test_what_google_has_no_name_for_is_refused(tmp_path):
    config = tiny_config(position_embedding_type="relative_key")
    with pytest.raises(CheckpointError, match=r"must have a name in the format.*distance_embedding"):
        write_google(tmp_path / "model.ckpt", random_parameters(config, ()))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_type_on_disk_is_told(tmp_path, dtype: str):
    index, *_ = write_google(tmp_path / "model.ckpt", random_parameters(CONFIG, ()), dtype=dtype)
    assert read_google(index).dtype == dtype
