"""The fused encoder gives the values and gradients of the plain model, steps aside where it cannot, and sees new weights."""

from __future__ import annotations

import copy
import pickle
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from albertkit.config import AlbertConfig
from albertkit.models.torch import AlbertForPreTraining, AlbertForSequenceClassification
from albertkit.models.torch.activations import ACTIVATION_FUNCTIONS
from albertkit.models.torch.encoder import AlbertEncoder
from albertkit.testing import tiny_config
from albertkit.training import fused, fused_activation, fused_attention
from albertkit.training.fused import fuse
from albertkit.training.fused_activation import find_both_ways
from albertkit.training.fused_attention import attend_in_blocks, attend_with_kernel
from albertkit.training.pretraining import pretrain
from albertkit.training.recipe import Recipe

pytestmark = pytest.mark.skipif(not fused.has_prepacking(torch.float32), reason="this PyTorch has no prepacked products")

_RAGGED = (3, 11, 7, 3, 40, 1, 8)
_MIDDLE = AlbertConfig(
    vocab_size=300,
    embedding_size=32,
    hidden_size=192,
    num_attention_heads=3,
    intermediate_size=768,
    num_hidden_layers=3,
    max_position_embeddings=256,
    classifier_dropout_prob=0.0,
)


def make_model(config: AlbertConfig | None = None, **changes: object) -> AlbertForPreTraining:
    torch.manual_seed(0)
    plain = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout_prob": 0.0}
    return AlbertForPreTraining((tiny_config() if config is None else config).replace(**plain | changes)).train()


def make_batch(lengths: Sequence[int] = _RAGGED, vocab_size: int = 101) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, vocab_size, (sum(lengths),), generator=generator)
    chosen = torch.rand(len(ids), generator=generator) < 0.3
    chosen[0] = True
    return {
        "input_ids": ids,
        "labels": ids.masked_fill(~chosen, -100),
        "cu_seqlens": torch.tensor([0, *lengths]).cumsum(0),
        "sentence_order_label": torch.randint(0, 2, (len(lengths),), generator=generator),
    }


def differentiate(model: nn.Module, *batches: dict[str, Tensor], bfloat16: bool = False) -> dict[str, Tensor]:
    """The loss and the gradient of each parameter."""
    model.zero_grad()
    losses = []
    for batch in batches or (make_batch(),):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
            losses.append(model(**batch).loss)
        losses[-1].backward()
    gradients = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    return gradients | {"loss": torch.stack(losses).detach()}


def assert_equal(received: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert received.keys() == expected.keys()
    for name, values in expected.items():
        torch.testing.assert_close(received[name], values, rtol=0, atol=1e-5 * (1 + float(values.abs().max())), msg=name)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many layers each pass of the fused encoder applied."""
    passes: list[int] = []
    forward = fused._Encode.forward

    def count(ctx: object, hidden: Tensor, layers: list[object], *others: object) -> Tensor:
        passes.append(len(layers))
        return forward(ctx, hidden, layers, *others)

    monkeypatch.setattr(fused._Encode, "forward", staticmethod(count))
    return passes


@pytest.mark.parametrize("lengths", [_RAGGED, (16,) * 8, (32, 32)])
@pytest.mark.parametrize("activation", ["gelu_new", "gelu", "relu", "silu"])
@pytest.mark.parametrize("recomputes", [False, True])
def test_values_and_gradients_are_the_models(
    lengths: tuple[int, ...], activation: str, recomputes: bool, counted: list[int]
) -> None:
    model = make_model(hidden_act=activation)
    batch = make_batch(lengths)
    expected = differentiate(model, batch)
    if recomputes:
        model.gradient_checkpointing_enable()
    fuse(model, torch.float32)
    assert_equal(differentiate(model, batch), expected)
    assert counted == [12]  # six layers of two inner ones


def test_several_batches_and_every_head_add_up(counted: list[int]) -> None:
    model = make_model()
    batches = [make_batch(), make_batch((5, 5, 9)), make_batch((40, 40))]
    expected = differentiate(model, *batches)
    fuse(model, torch.float32)
    assert_equal(differentiate(model, *batches), expected)
    assert len(counted) == 3
    labels = torch.tensor([0, 1, 1])
    classifier = AlbertForSequenceClassification(model.config).train()
    batch = {name: batches[1][name] for name in ("input_ids", "cu_seqlens")} | {"labels": labels}
    expected = differentiate(classifier, batch)
    fuse(classifier, torch.float32)
    assert_equal(differentiate(classifier, batch), expected)
    assert len(counted) == 4


def test_two_passes_before_their_gradients() -> None:
    model = make_model()
    first, second = make_batch(), make_batch((5, 5, 9))
    expected = differentiate(model, first, second)
    fuse(model, torch.float32)
    model.zero_grad()
    (model(**first).loss + model(**second).loss).backward()
    received = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert_equal(received | {"loss": expected["loss"]}, expected)


def test_nothing_to_predict_gives_gradients_of_0() -> None:
    model = make_model()
    fuse(model, torch.float32)
    batch = make_batch((30, 43, 43))
    del batch["sentence_order_label"]
    batch["labels"].fill_(-100)
    gradients = differentiate(model, batch)
    assert all(float(values.abs().max()) == 0 for values in gradients.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast_around_everything_changes_nothing(dtype: torch.dtype) -> None:
    model, batch = make_model(), make_batch()
    fuse(model, dtype)
    layer = model.albert.encoder.albert_layer_groups[0].albert_layers[0].ffn.weight
    gradients = []
    for around in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = model(**batch).loss
            if around:
                loss.backward()
        if not around:
            loss.backward()
        gradients.append(layer.grad.clone())
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


def test_a_second_backward_pass_is_refused() -> None:
    model = make_model()
    fuse(model, torch.float32)
    loss = model(**make_batch()).loss
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second backward pass"):
        loss.backward()


@pytest.mark.parametrize("groups", [((1, 1),), ((8, 8),), ((2, 5), (1, 6), (1, 8), (1, 33)), ((20, 32), (1, 600), (1, 601))])
def test_both_ways_of_attention_agree(groups: tuple[tuple[int, int], ...]) -> None:
    rows = sum(count * length for count, length in groups) + 3
    generator = torch.Generator().manual_seed(0)
    projected, gradient = torch.randn(rows, 3 * 2 * 5, generator=generator), torch.randn(rows, 2 * 5, generator=generator)
    gradient[-3:] = 0
    with torch.no_grad():
        (expected, differentiate_expected), (received, differentiate_received) = (
            make(groups, (2, 5))(projected) for make in (attend_with_kernel, attend_in_blocks)
        )
        torch.testing.assert_close(received[:-3], expected[:-3], rtol=0, atol=1e-5)
        torch.testing.assert_close(differentiate_received(gradient), differentiate_expected(gradient), rtol=0, atol=2e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["gelu_new", "gelu", "silu"])
def test_both_ways_of_an_activation_are_pytorchs(name: str, dtype: torch.dtype) -> None:
    function = ACTIVATION_FUNCTIONS[name]
    edges = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 30.0, -30.0, 1e4, -1e4, 1e15, -1e15])
    wide = torch.cat([torch.linspace(-12, 12, 300_001), edges]).to(dtype)[None]
    gradient = torch.linspace(-1, 1, wide.numel()).to(dtype)[None]
    exact = wide.double().requires_grad_()
    (expected := function(exact)).backward(gradient.double())
    assert exact.grad is not None
    with torch.no_grad():
        both_ways = find_both_ways(function)
        assert (type(both_ways) is fused_activation._GeluTanh) == (name == "gelu_new")
        activated, differentiate = both_ways.replay(wide)
        assert torch.equal(activated, both_ways(wide))
        tolerance = {"rtol": 4 * torch.finfo(dtype).eps, "atol": 2e-6}
        torch.testing.assert_close(activated.double(), expected.detach(), **tolerance)
        torch.testing.assert_close(differentiate(gradient).double(), exact.grad, **tolerance)


def test_blocks_have_few_shapes() -> None:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 513, (2000,), generator=generator).tolist()
    batches = [sorted(lengths[first : first + 20]) for first in range(0, 2000, 20)]
    shapes = {
        (len(block), fused_attention._round(block[-1]))
        for batch in batches
        for block in fused_attention._cut([(1, length) for length in batch])
    }
    assert len(shapes) <= 40


@pytest.mark.parametrize("lengths", [(5, 16, 17, 30, 128, 128, 200), (128,) * 4])
def test_bfloat16_is_as_near_as_autocast(lengths: tuple[int, ...], counted: list[int]) -> None:
    model, batch = make_model(_MIDDLE), make_batch(lengths, 300)
    expected = differentiate(model, batch)
    ordinary = differentiate(model, batch, bfloat16=True)
    fuse(model, torch.bfloat16)
    received = differentiate(model, batch, bfloat16=True)
    assert counted == [3]

    def distance(gradients: dict[str, Tensor], names: list[str]) -> float:
        squares = [(gradients[name] - expected[name]).square().sum() / expected[name].square().sum() for name in names]
        return float(torch.stack(squares).mean().sqrt())

    # A key's bias moves all scores of a query alike: its gradient is 0 but for rounding.
    names = [name for name in expected if name != "loss" and not name.endswith("key.bias")]
    assert 0 < distance(received, names) <= 1.2 * distance(ordinary, names)
    assert float((received["loss"] - expected["loss"]).abs()) < 2e-3


def test_changes_of_the_weights_are_seen() -> None:
    model, twin = make_model(), make_model()
    fuse(model, torch.float32)

    def step(chosen: AlbertForPreTraining) -> None:
        torch.optim.AdamW(chosen.parameters(), lr=0.01, fused=True).step()

    def load(chosen: AlbertForPreTraining) -> None:
        chosen.load_state_dict({name: 0.9 * value for name, value in chosen.state_dict().items()})

    def assign(chosen: AlbertForPreTraining) -> None:
        chosen.load_state_dict({name: 1.1 * value for name, value in chosen.state_dict().items()}, assign=True)

    def nudge(chosen: AlbertForPreTraining) -> None:
        for parameter in chosen.parameters():
            parameter.data += 0.01  # no version counts it

    changes: list[Callable[[AlbertForPreTraining], None]] = [step, load, assign, nudge]
    before = differentiate(model)
    assert_equal(before, differentiate(twin))
    for change in changes:
        change(model)
        change(twin)
        after = differentiate(model)
        assert_equal(after, differentiate(twin))
        assert float((after["loss"] - before["loss"]).abs()) > 1e-4
        before = after


class _AddingLinear(nn.Linear):
    """Stands for LoRA."""

    def forward(self, tokens: Tensor) -> Tensor:
        return super().forward(tokens) + 0.1 * tokens


def _replace(model: AlbertForPreTraining) -> None:
    attention = model.albert.encoder.albert_layer_groups[0].albert_layers[0].attention
    attention.dense.__class__ = _AddingLinear


def _hook(model: AlbertForPreTraining) -> None:
    norm = model.albert.encoder.albert_layer_groups[0].albert_layers[0].attention.LayerNorm
    norm.register_forward_hook(lambda module, inputs, output: output * 2)


def _hook_back(model: AlbertForPreTraining) -> None:
    norm = model.albert.encoder.albert_layer_groups[0].albert_layers[0].attention.LayerNorm
    norm.register_full_backward_hook(lambda module, inner, outer: (inner[0] * 2,))


def _ask_pytorch(model: AlbertForPreTraining) -> None:
    model.gradient_checkpointing_enable({"preserve_rng_state": False})


@pytest.mark.parametrize("change", [_replace, _hook, _hook_back, _ask_pytorch])
def test_it_steps_aside_where_a_layer_was_changed(change: Callable[[AlbertForPreTraining], None], counted: list[int]) -> None:
    model, twin = make_model(), make_model()
    fuse(model, torch.float32)
    change(model)
    change(twin)
    assert_equal(differentiate(model), differentiate(twin))
    assert counted == []


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_dropout_prob": 0.1},
        {"attention_probs_dropout_prob": 0.1},
        {"position_embedding_type": "relative_key"},
    ],
)
def test_it_steps_aside_where_the_configuration_asks_for_more(changes: dict[str, object], counted: list[int]) -> None:
    model, twin = make_model(**changes), make_model(**changes)
    fuse(model, torch.float32)
    torch.manual_seed(0)
    received = differentiate(model)
    torch.manual_seed(0)
    assert_equal(received, differentiate(twin))
    assert counted == []


def test_it_steps_aside_where_a_call_asks_for_more(counted: list[int]) -> None:
    model, twin = make_model(), make_model()
    fuse(model, torch.float32)
    batch = make_batch()
    padded = batch["input_ids"][:12].view(2, 6)
    calls: list[Callable[[AlbertForPreTraining], Tensor]] = [
        lambda chosen: chosen(**batch, head_mask=torch.full((chosen.config.num_attention_heads,), 0.5)).loss,
        lambda chosen: chosen(**batch, output_hidden_states=True).hidden_states[3],
        lambda chosen: chosen(padded).prediction_logits,
        lambda chosen: chosen(padded, output_attentions=True).attentions[0],
    ]
    for call in calls:
        torch.testing.assert_close(call(model), call(twin), rtol=0, atol=0)
    with torch.no_grad():
        torch.testing.assert_close(model(**batch).loss, twin(**batch).loss, rtol=0, atol=0)
    assert counted == []


def test_without_prepacked_products_the_model_runs(monkeypatch: pytest.MonkeyPatch, counted: list[int]) -> None:
    monkeypatch.setattr(fused, "has_prepacking", lambda dtype: False)
    model, twin = make_model(), make_model()
    fuse(model, torch.float32)
    assert_equal(differentiate(model), differentiate(twin))
    assert counted == []


def test_a_fused_model_is_copied_and_keeps_its_names(counted: list[int]) -> None:
    model = make_model()
    names = list(model.state_dict())
    fuse(model, torch.float32)
    expected = differentiate(model)
    assert list(model.state_dict()) == names
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        encoder = twin.albert.encoder
        assert isinstance(encoder, AlbertEncoder)
        assert encoder.forward.encoder is encoder
        assert_equal(differentiate(twin), expected)
    assert counted == [12, 12, 12]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_run_is_fused_and_resumes_to_the_bit(make_recipe: Callable[..., Recipe], dtype: str, counted: list[int]) -> None:
    without_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "classifier_dropout_prob": 0.0}
    recipe = make_recipe(model=without_dropout, training={"dtype": dtype, "micro_batch_tokens": 64})
    file = pretrain(recipe).directory / "model.safetensors"
    assert len(counted) >= 12  # six updates, of two parts or more
    whole = file.read_bytes()
    output = Path(recipe.output)
    for name in ("final", "checkpoint-00000006", "checkpoint-00000004"):
        shutil.rmtree(output / name)
    pretrain(recipe, resume=True)
    assert file.read_bytes() == whole
