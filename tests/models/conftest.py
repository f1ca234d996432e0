"""One ragged batch, and models whose every parameter is random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from albertkit.config import AlbertConfig
from albertkit.models.torch import AlbertForPreTraining
from albertkit.models.torch.packing import pack
from albertkit.testing import random_parameters


@dataclass(frozen=True)
class RaggedBatch:
    """A padded batch whose sequences have lengths in no order, one of them alone and two alike."""

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor
    labels: Tensor
    sentence_order_label: Tensor

    @property
    def real(self) -> Tensor:
        return self.attention_mask == 1

    @property
    def padded(self) -> dict[str, Tensor]:
        return dict(vars(self))

    @property
    def packed(self) -> dict[str, Tensor]:
        names = ("input_ids", "token_type_ids", "labels")
        tensors = {name: pack(getattr(self, name), self.attention_mask)[0] for name in names}
        _, cu_seqlens = pack(self.input_ids, self.attention_mask)
        return tensors | {"sentence_order_label": self.sentence_order_label, "cu_seqlens": cu_seqlens}


def make_batch(config: AlbertConfig, lengths: tuple[int, ...] = (13, 5, 19, 5, 1), seed: int = 0) -> RaggedBatch:
    generator = np.random.default_rng(seed)
    shape = (len(lengths), max(lengths))
    ids = generator.integers(0, config.vocab_size, shape)  # the padding id too, where it is no padding
    mask = np.arange(shape[1]) < np.array(lengths)[:, None]
    labels = np.where((generator.random(shape) < 0.3) & mask, generator.integers(0, config.vocab_size, shape), -100)
    tensors = (
        np.where(mask, ids, config.pad_token_id),
        mask.astype(np.int64),
        generator.integers(0, config.type_vocab_size, shape),
        labels,
        generator.integers(0, 2, len(lengths)),
    )
    return RaggedBatch(*(torch.from_numpy(tensor) for tensor in tensors))


def make_model(config: AlbertConfig, scale: float = 1.0) -> AlbertForPreTraining:
    model = AlbertForPreTraining(config)
    state = {name: torch.from_numpy(values * np.float32(scale)) for name, values in random_parameters(config).items()}
    model.load_state_dict(state)
    return model.eval()


@pytest.fixture(name="make_batch", scope="session")
def make_batch_fixture() -> Callable[..., RaggedBatch]:
    return make_batch


@pytest.fixture(name="make_model", scope="session")
def make_model_fixture() -> Callable[..., AlbertForPreTraining]:
    return make_model


@pytest.fixture(scope="session")
def assert_near() -> Callable[..., None]:
    """Equal within 1e-5 and 1e-5 of the largest value: the bar of every comparison in float32."""

    def check(received: Tensor, expected: Tensor, name: str = "") -> None:
        assert received.shape == expected.shape, name
        bar = 1e-5 + 1e-5 * expected.abs().max().item()
        difference = (received - expected).abs().max().item()
        assert difference <= bar, f"{name}: {difference:.3g} > {bar:.3g}"

    return check
