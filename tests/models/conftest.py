"""Ragged batches, the inputs and labels of every class, and models whose every parameter is random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

import albertkit.models.torch as models
from albertkit.config import AlbertConfig
from albertkit.models.torch import AlbertForPreTraining, AlbertPreTrainedModel
from albertkit.models.torch.packing import pack
from albertkit.testing import random_parameters

from .frameworks import class_name, framework, make_arrays, other, save  # noqa: F401  -- fixtures

CLASSES = tuple(getattr(models, name) for name in models.__all__ if name.startswith("Albert") and name != "AlbertPreTrainedModel")
PADDED_ONLY = (models.AlbertForQuestionAnsweringWithAnswerability,)
LENGTHS = (13, 5, 19, 5, 1, 7)
CHOICES = 3


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


def make_labels(kind: type, config: AlbertConfig, batch: RaggedBatch, seed: int = 1) -> dict[str, Tensor]:
    """Right answers of a padded batch for a class."""
    generator = torch.Generator().manual_seed(seed)
    lengths = batch.attention_mask.sum(1)
    spread = [(torch.rand(len(lengths), generator=generator) * lengths).long() for _ in range(2)]
    start, end = torch.stack(spread).sort(dim=0).values
    spans = {"start_positions": start, "end_positions": end}
    classes = torch.randint(0, config.num_labels, batch.input_ids.shape, generator=generator)
    return {
        "AlbertModel": {},
        "AlbertForPreTraining": {"labels": batch.labels, "sentence_order_label": batch.sentence_order_label},
        "AlbertForMaskedLM": {"labels": batch.labels},
        "AlbertForSequenceClassification": {"labels": classes[:, 0]},
        "AlbertForMultipleChoice": {"labels": torch.randint(0, CHOICES, (len(lengths) // CHOICES,), generator=generator)},
        "AlbertForTokenClassification": {"labels": torch.where(batch.real & (classes > 0), classes, -100)},
        "AlbertForQuestionAnswering": spans,
        "AlbertForQuestionAnsweringWithAnswerability": spans | {"is_impossible": batch.sentence_order_label},
    }[kind.__name__]


def make_inputs(
    kind: type,
    config: AlbertConfig,
    layout: str = "padded",
    *,
    lengths: tuple[int, ...] = LENGTHS,
    labelled: bool = True,
    seed: int = 0,
) -> dict[str, Tensor]:
    """All arguments of a forward call, in either layout."""
    batch = make_batch(config, lengths, seed)
    labels = make_labels(kind, config, batch) if labelled else {}
    given = {name: batch.padded[name] for name in ("input_ids", "token_type_ids")} | labels
    if layout == "packed":
        per_token = {name for name, tensor in given.items() if tensor.shape == batch.input_ids.shape}
        packed = {name: pack(tensor, batch.attention_mask)[0] if name in per_token else tensor for name, tensor in given.items()}
        choices = {"num_choices": CHOICES} if kind.__name__ == "AlbertForMultipleChoice" else {}
        return packed | {"cu_seqlens": batch.packed["cu_seqlens"]} | choices
    given |= {"attention_mask": batch.attention_mask}
    if kind.__name__ == "AlbertForMultipleChoice":
        given = {name: tensor.unflatten(0, (-1, CHOICES)) if tensor.dim() == 2 else tensor for name, tensor in given.items()}
    return given


def make_any(kind: type, config: AlbertConfig, scale: float = 1.0) -> AlbertPreTrainedModel:
    """A model of a class, in evaluation mode, whose encoder is the same in all classes."""
    model = kind(config)
    values = random_parameters(config, model.heads)
    state = {name.removeprefix(model.prefix): torch.from_numpy(value * np.float32(scale)) for name, value in values.items()}
    model.load_state_dict(state)
    return model.eval()


def make_model(config: AlbertConfig, scale: float = 1.0) -> AlbertForPreTraining:
    return make_any(AlbertForPreTraining, config, scale)


def flatten_output(output: object, mask: Tensor | None = None) -> dict[str, Tensor]:
    """Every tensor of an output by name; of a padded batch the real positions, those of an attention's queries among them."""
    found = {}
    for name, value in output.items():
        for index, tensor in enumerate(value if isinstance(value, tuple) else (value,)):
            label = f"{name}[{index}]" if isinstance(value, tuple) else name
            if mask is not None and tensor.shape[:2] == mask.shape:
                found[label] = tensor[mask]
            elif mask is not None and name == "attentions":
                found[label] = tensor * mask[:, None, :, None]
            else:
                found[label] = tensor
    return found


@pytest.fixture(name="make_batch", scope="session")
def make_batch_fixture() -> Callable[..., RaggedBatch]:
    return make_batch


@pytest.fixture(name="make_model", scope="session")
def make_model_fixture() -> Callable[..., AlbertForPreTraining]:
    return make_model


@pytest.fixture(name="make_any", scope="session")
def make_any_fixture() -> Callable[..., AlbertPreTrainedModel]:
    return make_any


@pytest.fixture(name="make_inputs", scope="session")
def make_inputs_fixture() -> Callable[..., dict[str, Tensor]]:
    return make_inputs


@pytest.fixture(name="flatten_output", scope="session")
def flatten_output_fixture() -> Callable[..., dict[str, Tensor]]:
    return flatten_output


@pytest.fixture(scope="session", params=CLASSES, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[AlbertPreTrainedModel]:
    """Each class in turn."""
    return request.param


@pytest.fixture(scope="session", params=[kind for kind in CLASSES if kind not in PADDED_ONLY], ids=lambda kind: kind.__name__)
def packed_kind(request: pytest.FixtureRequest) -> type[AlbertPreTrainedModel]:
    """Each class that takes packed batches in turn."""
    return request.param


@pytest.fixture(scope="session")
def assert_near() -> Callable[..., None]:
    """Equal within 1e-5 and 1e-5 of the largest value: the bar of every comparison in float32."""

    def check(received: Tensor, expected: Tensor, name: str = "") -> None:
        assert received.shape == expected.shape, name
        bar = 1e-5 + 1e-5 * expected.abs().max().item()
        difference = (received - expected).abs().max().item()
        assert difference <= bar, f"{name}: {difference:.3g} > {bar:.3g}"

    return check


@pytest.fixture(scope="session")
def assert_all_near(assert_near) -> Callable[..., None]:
    """:func:`assert_near` for two dictionaries of the same tensors."""

    def check(received: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
        assert list(received) == list(expected)
        for name, tensor in received.items():
            if tensor.is_floating_point():
                assert_near(tensor, expected[name], name)
            else:
                assert torch.equal(tensor, expected[name]), name

    return check
