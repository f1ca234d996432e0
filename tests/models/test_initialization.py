"""Heads that look at their neighbours from the start."""

from __future__ import annotations

import pytest
import torch

from albertkit.config import AlbertConfig
from albertkit.errors import ConfigError
from albertkit.models.torch import AlbertModel
from albertkit.models.torch.initialization import draw_local_attention

SIZES = {
    "vocab_size": 101, "embedding_size": 32, "hidden_size": 48, "num_hidden_layers": 3, "num_hidden_groups": 2,
    "num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 64,
}  # fmt: skip


def attend(config: AlbertConfig) -> torch.Tensor:
    """The first layer's probabilities, averaged over sequences: [N, L, L]."""
    torch.manual_seed(0)
    model = AlbertModel(config).eval()
    draw_local_attention(model.named_by_contract(), config)
    with torch.no_grad():
        output = model(input_ids=torch.randint(5, 101, (16, 40)), output_attentions=True)
    return output.attentions[0].mean(0)


@pytest.mark.parametrize("groups", [1, 2])
def test_heads_look_left_right_around_and_one_is_free(groups: int) -> None:
    attention = attend(AlbertConfig(**SIZES | {"num_hidden_groups": groups}))
    at = {offset: attention.diagonal(offset, 1, 2).mean(1) for offset in (-2, -1, 0, 1, 2)}  # each [N]
    assert at[-1][0] > 0.35  # 0.40 to 0.56 over ten seeds, where chance is 1/40
    assert at[1][1] > 0.35
    assert at[0][2] > 2 / 40  # mostly at the place itself, and
    assert at[1][2] > at[2][2]  # the nearer the more
    assert all(0.8 / 40 < at[offset][3] < 1.2 / 40 for offset in at)


def test_positions_that_were_never_trained_are_addressed_alike() -> None:
    attention = attend(AlbertConfig(**SIZES))
    near, far = attention[0].diagonal(-1).split([13, 26])
    torch.testing.assert_close(near.mean(), far.mean(), rtol=0.2, atol=0.0)


def test_what_has_no_absolute_positions_or_too_wide_heads_is_refused() -> None:
    for changes in ({"position_embedding_type": "relative_key"}, {"num_attention_heads": 1}):
        config = AlbertConfig(**SIZES | changes)
        with pytest.raises(ConfigError, match="truncated_normal"):
            draw_local_attention(AlbertModel(config).named_by_contract(), config)
