"""What the fields of a configuration may hold, what others' files hold besides, and the eight published sizes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from albertkit.errors import ConfigError

__all__ = [
    "ACTIVATIONS",
    "CONVENTIONS",
    "GOOGLE_ACTIVATION",
    "GOOGLE_KEYS",
    "GOOGLE_ONLY",
    "KNOWN_TO_OTHERS",
    "LARGEST",
    "MOST_LAYERS",
    "POSITION_TYPES",
    "PROBLEM_TYPES",
    "PUBLISHED",
    "FrozenDict",
    "from_keras_hub",
]

ACTIVATIONS = (
    "gelu", "gelu_fast", "gelu_new", "gelu_pytorch_tanh", "leaky_relu", "linear", "mish", "quick_gelu",
    "relu", "relu6", "sigmoid", "silu", "swish", "tanh",
)  # fmt: skip
"""Names ``hidden_act`` may take on every engine; ``gelu`` is the erf form, ``gelu_new`` the tanh form Google trained with."""

POSITION_TYPES = ("absolute", "relative_key", "relative_key_query")
PROBLEM_TYPES = ("regression", "single_label_classification", "multi_label_classification")
CONVENTIONS = ("google", "huggingface")

# Bounds before anything is allocated: far above every published model, far below what exhausts a machine by mistake.
LARGEST = {
    "vocab_size": 10_000_000, "embedding_size": 65_536, "hidden_size": 65_536, "intermediate_size": 1_048_576,
    "num_hidden_layers": 1024, "num_hidden_groups": 1024, "inner_group_num": 1024, "num_attention_heads": 4096,
    "max_position_embeddings": 1_048_576, "type_vocab_size": 65_536, "num_labels": 1_000_000,
}  # fmt: skip

MOST_LAYERS = 1024  # with parameters of their own, which a file of a hundred bytes could otherwise ask for by the million

# Keys that others write and that change nothing here: kept as they are, without a warning.
KNOWN_TO_OTHERS = frozenset({
    "_attn_implementation_autoset", "_name_or_path", "add_cross_attention", "architectures", "attn_implementation",
    "bad_words_ids", "chunk_size_feed_forward", "cross_attention_hidden_size", "decoder_start_token_id", "down_scale_factor",
    "dtype", "finetuning_task", "gap_size", "is_decoder", "is_encoder_decoder", "language", "layers_to_keep", "max_length",
    "model_type", "net_structure_type", "num_memory_blocks", "output_past", "prefix", "pruned_heads", "sep_token_id",
    "task_specific_params", "tf_legacy_loss", "tokenizer_class", "torch_dtype", "torchscript", "transformers_version",
    "use_bfloat16", "use_cache",
})  # fmt: skip

# The one key whose meaning differs: Google's code maps "gelu" to the tanh form always (modeling.py, get_activation).
GOOGLE_ACTIVATION = {"gelu": "gelu_new", "relu": "relu", "tanh": "tanh", "linear": "linear"}
GOOGLE_KEYS = (
    "attention_probs_dropout_prob", "hidden_act", "hidden_dropout_prob", "embedding_size", "hidden_size", "initializer_range",
    "intermediate_size", "max_position_embeddings", "num_attention_heads", "num_hidden_layers", "num_hidden_groups",
    "inner_group_num", "type_vocab_size", "vocab_size",
)  # fmt: skip
GOOGLE_ONLY = {"net_structure_type": 0, "gap_size": 0, "num_memory_blocks": 0, "down_scale_factor": 1}

# Our fields by the arguments of KerasHub's AlbertBackbone, which has one dropout.
_KERAS_HUB_KEYS = {
    "vocab_size": "vocabulary_size", "embedding_size": "embedding_dim", "hidden_size": "hidden_dim",
    "intermediate_size": "intermediate_dim", "num_hidden_layers": "num_layers", "num_attention_heads": "num_heads",
    "num_hidden_groups": "num_groups", "inner_group_num": "num_inner_repetitions", "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "dropout", "max_position_embeddings": "max_sequence_length",
    "type_vocab_size": "num_segments",
}  # fmt: skip


def from_keras_hub(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration that describes KerasHub's ``AlbertBackbone`` under our keys; any other as it is.

    Raises:
        ConfigError: If it lacks an argument of that class.
    """
    if values.get("class_name") != "AlbertBackbone":
        return values
    arguments = values.get("config")
    missing = [key for key in _KERAS_HUB_KEYS.values() if not isinstance(arguments, Mapping) or key not in arguments]
    if not isinstance(arguments, Mapping) or missing:
        raise ConfigError(
            "a KerasHub configuration must hold every argument of AlbertBackbone", received=f"one without {missing[0]}"
        )
    fields = {ours: arguments[theirs] for ours, theirs in _KERAS_HUB_KEYS.items()}
    return {"model_type": "albert", "architectures": ["AlbertModel"], "hidden_act": "gelu_new"} | fields  # always the tanh form


class FrozenDict(dict[Any, Any]):
    """A dictionary that refuses changes; it pickles, copies and serialises as a dictionary does."""

    def _refuse(self, *args: object, **kwargs: object) -> Any:
        raise TypeError("a configuration cannot be changed; make a new one with config.replace(...)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[FrozenDict], tuple[dict[Any, Any]]]:
        return FrozenDict, (dict(self),)


_SIZES: dict[str, dict[str, Any]] = {
    "base": {"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12},
    "large": {"hidden_size": 1024, "intermediate_size": 4096, "num_attention_heads": 16, "num_hidden_layers": 24},
    "xlarge": {"hidden_size": 2048, "intermediate_size": 8192, "num_attention_heads": 16, "num_hidden_layers": 24},
    "xxlarge": {"hidden_size": 4096, "intermediate_size": 16384, "num_attention_heads": 64, "num_hidden_layers": 12},
}
_V1_DROPOUT = {"base": 0.1, "large": 0.1, "xlarge": 0.1, "xxlarge": 0.0}

PUBLISHED: dict[str, dict[str, Any]] = {
    f"albert-{size}-v1": values
    | {"hidden_act": "gelu", "hidden_dropout_prob": _V1_DROPOUT[size], "attention_probs_dropout_prob": _V1_DROPOUT[size]}
    for size, values in _SIZES.items()
} | {f"albert-{size}-v2": values | {"hidden_act": "gelu_new"} for size, values in _SIZES.items()}
"""The eight published checkpoints: name → what differs from the defaults. Version 1 says ``gelu`` (erf) as Hugging Face's
files do, though Google trained it with the tanh form: pass ``hidden_act="gelu_new"`` for that."""
