"""Bumblebee (Elixir) names the same model differently: its options and its architectures in ours.

Bumblebee reads Hugging Face's files, so only what its users type needs a translation. Source: ``Bumblebee.Text.Albert`` of
version 0.6, where the options that concern outputs have become arguments of loading.
"""

from __future__ import annotations

from collections.abc import Mapping

from albertkit.config import AlbertConfig
from albertkit.errors import ConfigError

__all__ = ["ARCHITECTURES", "config_from_bumblebee"]

ARCHITECTURES: dict[str, str] = {
    "base": "AlbertModel",
    "for_masked_language_modeling": "AlbertForMaskedLM",
    "for_sequence_classification": "AlbertForSequenceClassification",
    "for_token_classification": "AlbertForTokenClassification",
    "for_question_answering": "AlbertForQuestionAnswering",
    "for_multiple_choice": "AlbertForMultipleChoice",
    "for_pre_training": "AlbertForPreTraining",
}
"""Bumblebee's ``:architecture`` without its colon → our class, a key of
:data:`~albertkit.checkpoints.parameters.HEADS_OF_CLASS`; ``Flax`` or ``TF`` before it names the other frameworks'."""

_ACTIVATIONS = {"gelu_approx_tanh": "gelu_new", "gelu_approx_sigmoid": "quick_gelu"}
"""The activations that Bumblebee has another name for."""


def config_from_bumblebee(
    *,
    vocab_size: int = 30000,
    max_positions: int = 512,
    max_token_types: int = 2,
    embedding_size: int = 128,
    hidden_size: int = 768,
    num_blocks: int = 12,
    num_groups: int = 1,
    block_depth: int = 1,
    num_attention_heads: int = 12,
    intermediate_size: int = 16384,
    activation: str = "gelu",
    dropout_rate: float = 0.0,
    attention_dropout_rate: float = 0.0,
    classifier_dropout_rate: float | None = None,
    layer_norm_epsilon: float = 1e-12,
    initializer_scale: float = 0.02,
    num_labels: int | None = None,
    id_to_label: Mapping[int, str] | None = None,
) -> AlbertConfig:
    """Make a configuration from the eighteen options of Bumblebee's documentation, with its defaults.

    Args:
        vocab_size: V: number of vocabulary entries.
        max_positions: S: the longest sequence.
        max_token_types: Number of token types.
        embedding_size: E: width of the factorised embeddings.
        hidden_size: H: width of the encoder.
        num_blocks: Number of layers applied.
        num_groups: G: number of parameter groups, a divisor of ``num_blocks``.
        block_depth: Inner layers in a group.
        num_attention_heads: N: attention heads.
        intermediate_size: F: width of the feed-forward layer; the default belongs to a wider encoder than ``hidden_size``'s.
        activation: The name of Bumblebee's atom; ``gelu`` is the erf form, ``gelu_approx_tanh`` Google's.
        dropout_rate: Dropout of embeddings and encoder.
        attention_dropout_rate: Dropout of the attention probabilities.
        classifier_dropout_rate: Dropout before a classification head; ``None``: as ``dropout_rate``.
        layer_norm_epsilon: Epsilon of every LayerNorm.
        initializer_scale: Standard deviation of the initial weights.
        num_labels: C: classes of a task head; ``None``: as many as ``id_to_label`` names, or 2.
        id_to_label: Class number → name.

    Raises:
        ConfigError: If a value is impossible.
    """
    if num_groups > 0 and num_blocks % num_groups:
        raise ConfigError(
            "num_groups must divide num_blocks, or Bumblebee makes more groups than it was asked for",
            received=f"num_groups={num_groups} and num_blocks={num_blocks}",
        )
    return AlbertConfig(
        vocab_size=vocab_size,
        max_position_embeddings=max_positions,
        type_vocab_size=max_token_types,
        embedding_size=embedding_size,
        hidden_size=hidden_size,
        num_hidden_layers=num_blocks,
        num_hidden_groups=num_groups,
        inner_group_num=block_depth,
        num_attention_heads=num_attention_heads,
        intermediate_size=intermediate_size,
        hidden_act=_ACTIVATIONS.get(activation, activation),
        hidden_dropout_prob=dropout_rate,
        attention_probs_dropout_prob=attention_dropout_rate,
        classifier_dropout_prob=dropout_rate if classifier_dropout_rate is None else classifier_dropout_rate,
        layer_norm_eps=layer_norm_epsilon,
        initializer_range=initializer_scale,
        num_labels=num_labels,
        id2label=id_to_label or None,
    )
