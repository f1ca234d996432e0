"""The prepared encoder computes what the model does, steps aside where it cannot, and never answers with old weights."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS, Head
from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.inference import TokenBatch, load_engine, prepacked, prepared, torch_engine
from albertkit.inference.attention_blocks import AttentionBlocks, plan_attention
from albertkit.inference.prepacked import PlainLinear, PrepackedLinear, has_prepacking, prepare_linear
from albertkit.models.torch import AlbertForMaskedLM, AlbertModel
from albertkit.models.torch.activations import ACTIVATION_FUNCTIONS
from albertkit.testing import random_parameters, save_tiny_checkpoint, tiny_config

_LENGTHS = (3, 11, 7, 3, 43, 1, 8, 9, 40, 16)
_MIDDLE = {
    "vocab_size": 300, "embedding_size": 32, "hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768,
    "num_hidden_layers": 3, "max_position_embeddings": 512,
}  # fmt: skip


def make_batch(lengths: tuple[int, ...] = _LENGTHS, vocab_size: int = 101) -> TokenBatch:
    generator = np.random.default_rng(0)
    sequences = [generator.integers(5, vocab_size, length).tolist() for length in lengths]
    return TokenBatch.from_sequences(sequences, [[int(i > len(ids) // 2) for i in range(len(ids))] for ids in sequences])


def make_model(config: AlbertConfig | None = None, dtype: torch.dtype = torch.float32) -> AlbertModel:
    chosen = tiny_config() if config is None else config
    model = AlbertModel(chosen)
    parameters = random_parameters(chosen, ("pooler",))
    model.load_state_dict({name.removeprefix("albert."): torch.from_numpy(values) for name, values in parameters.items()})
    return model.to(dtype).eval()


def run_model(model: AlbertModel, batch: TokenBatch) -> np.ndarray:
    columns = (torch.from_numpy(column) for column in (batch.input_ids, batch.token_type_ids, batch.cu_seqlens))
    ids, types, boundaries = columns
    with torch.inference_mode():
        return model(ids, token_type_ids=types, cu_seqlens=boundaries).last_hidden_state.float().numpy()


def assert_equal(received: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(received, expected, atol=1e-5 * (1 + np.abs(expected).max()), rtol=0)


@pytest.fixture
def counted(monkeypatch) -> list[AlbertModel]:
    """The models that were prepared."""
    made: list[AlbertModel] = []

    class Counting(prepared.PreparedEncoder):
        def __init__(self, model: AlbertModel, int8: bool = False) -> None:
            made.append(model)
            super().__init__(model, int8)

    monkeypatch.setattr(torch_engine, "PreparedEncoder", Counting)
    return made


@pytest.fixture
def without_prepacking(monkeypatch) -> None:
    """A PyTorch whose operations are gone or changed."""
    monkeypatch.setattr(prepacked, "PrepackedLinear", None)
    monkeypatch.setattr(prepacked, "has_prepacking", lambda dtype: False)


CONFIGS = {
    "tiny": (tiny_config(), _LENGTHS),
    "relu": (tiny_config(hidden_act="relu"), _LENGTHS),
    "silu": (tiny_config(hidden_act="silu"), _LENGTHS),
    "gelu": (tiny_config(hidden_act="gelu"), _LENGTHS),
    "middle": (AlbertConfig(**_MIDDLE), (5, 16, 17, 30, 128, 128, 300)),
}


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("fallback", [False, True])
def test_the_prepared_encoder_is_the_model(kind: str, fallback: bool, counted, request):
    if fallback:
        request.getfixturevalue("without_prepacking")
    config, lengths = CONFIGS[kind]
    model, batch = make_model(config), make_batch(lengths, config.vocab_size)
    assert_equal(load_engine(model).hidden_states(batch), run_model(model, batch))
    assert counted == [model]


def test_chunks_change_nothing(monkeypatch):
    model, batch = make_model(), make_batch()
    whole = load_engine(model).hidden_states(batch)
    monkeypatch.setattr(prepared, "_CHUNK_TOKENS", 20)
    assert_equal(load_engine(model).hidden_states(batch), whole)


@pytest.mark.parametrize("plan", [lambda *planned: AttentionBlocks(*planned).attend, plan_attention])
@pytest.mark.parametrize("lengths", [(1,), (7,), (33,), (8, 8, 8), (5, 5, 6, 8), (1, 2, 9, 17, 17), (64, 70, 70)])
def test_every_sequence_is_attended_as_if_alone(lengths: tuple[int, ...], plan):
    heads, size = 3, 5
    tokens = torch.randn(sum(lengths), 3 * heads * size, generator=torch.Generator().manual_seed(0))
    attend = plan(lengths, (heads, size), torch.float32)
    first = 0
    for length, attended in zip(lengths, attend(tokens).split(lengths), strict=True):
        query, key, value = tokens[first : first + length].view(length, 3, heads, size).permute(1, 2, 0, 3)
        alone = torch.nn.functional.scaled_dot_product_attention(query, key, value)
        torch.testing.assert_close(attended, alone.transpose(0, 1).flatten(1), rtol=0, atol=1e-5)
        first += length


def test_equal_lengths_are_not_masked_and_near_ones_share_a_block():
    blocks = AttentionBlocks([8, 8, 9, 12, 16, 17], (2, 4), torch.float32).blocks
    assert [block.shape for block in blocks] == [(4, 8), (6, 16), (2, 17)]
    assert [block.bias is None for block in blocks] == [True, False, True]


def test_bfloat16_is_as_near_to_float32_as_the_models_own():
    config = AlbertConfig(**_MIDDLE)
    batch = make_batch((5, 16, 17, 30, 128, 128, 300), 300)
    exact = run_model(make_model(config), batch)
    narrow = make_model(config, torch.bfloat16)
    own = np.abs(run_model(narrow, batch) - exact)
    received = np.abs(load_engine(narrow).hidden_states(batch) - exact)
    assert 0 < received.mean() <= 1.1 * own.mean()
    assert received.max() <= 2 * own.max()


@pytest.mark.parametrize("kind", HEADS_OF_CLASS)
def test_every_head_reads_the_prepared_encoder(kind: str, tmp_path, counted, monkeypatch):
    config, heads = tiny_config(num_labels=4), HEADS_OF_CLASS[kind]
    save_checkpoint(tmp_path, config, random_parameters(config, heads), architecture=kind)
    batch, chosen = make_batch(), np.array([1, 0, 4])
    for head in heads:
        if head in ("pooler", "answerability"):
            continue
        received = load_engine(tmp_path, head, engine="torch").logits(head, batch, chosen)
        assert len(counted) == 1
        counted.clear()
        with monkeypatch.context() as patched:
            patched.setattr(torch_engine, "can_prepare", lambda model: False)
            assert_equal(received, load_engine(tmp_path, head, engine="torch").logits(head, batch, chosen))


@pytest.mark.parametrize("head", ["masked_lm", "sentence_order"])
def test_the_last_layer_treats_only_the_rows_that_a_head_reads(head: Head, tmp_path, monkeypatch):
    save_tiny_checkpoint(tmp_path)
    engine, batch = load_engine(tmp_path, head, engine="torch"), make_batch()
    whole = engine.logits(head, batch)
    monkeypatch.setattr(prepared, "_CHUNK_TOKENS", 20)
    seen: list[int] = []
    normalise = prepared._normalise
    monkeypatch.setattr(prepared, "_normalise", lambda tokens, *norm: (seen.append(len(tokens)), normalise(tokens, *norm))[1])
    per_chunk = 2 * len(engine._prepared[1].layers)
    assert engine.logits(head, batch, np.empty(0, np.int64)).shape == (0, whole.shape[1])
    assert seen == []
    with pytest.raises(IndexError):
        engine.logits(head, batch, np.array([0, len(batch.input_ids)]))
    for chosen in ([1, 0, 4, 4], [9]):
        seen.clear()
        assert_equal(engine.logits(head, batch, np.array(chosen)), whole[chosen])
        chunks = [seen[first : first + per_chunk] for first in range(0, len(seen), per_chunk)]
        assert sum(chunk[-1] for chunk in chunks) == sum(chunk[-2] for chunk in chunks) == len(chosen)
        assert len(chunks) <= len(chosen), "chunks that nobody reads were run"


class _AddingLinear(nn.Module):
    """Stands for LoRA: a linear layer in a wrapping that adds to it."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__()
        self.base = base
        self.added = nn.Parameter(torch.full_like(base.weight, 0.1))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.base(tokens) + nn.functional.linear(tokens, self.added)


def test_changes_after_the_first_call_are_seen(counted):
    model, batch = make_model(), make_batch()
    engine = load_engine(model)
    layer = model.encoder.albert_layer_groups[1].albert_layers[0]
    attention = layer.attention
    plain = attention.query

    def prune() -> None:
        layer.ffn.weight.data[1:] = 0.0  # as nudge(), and the first value stays

    def wrap() -> None:
        attention.query = _AddingLinear(plain)

    def merge() -> None:
        attention.query = plain
        nudge()

    def nudge() -> None:
        plain.weight.data += 0.3  # as merging LoRA does: no version counts it

    def assign() -> None:
        model.load_state_dict({name: value + 0.01 for name, value in model.state_dict().items()}, assign=True)

    changes = [
        lambda: None,
        lambda: model.load_state_dict({name: value * 0.9 for name, value in model.state_dict().items()}),
        assign,
        wrap,
        merge,
        nudge,
        prune,
        lambda: setattr(layer, "activation", torch.relu),
        lambda: attention.LayerNorm.register_forward_hook(lambda module, inputs, output: output * 2),
        attention.LayerNorm._forward_hooks.clear,
        lambda: model.to(torch.bfloat16),
    ]
    before = np.zeros(())
    for change in changes:
        change()
        after = engine.hidden_states(batch)
        if model.dtype == torch.float32:
            assert_equal(after, run_model(model, batch))
        assert change is changes[0] or np.abs(after - before).max() > 1e-4
        before = after
    assert len(counted) == len(changes) - 2, "all but the wrapped and the hooked"
    engine.hidden_states(batch)
    assert len(counted) == len(changes) - 2, "prepared again though nothing had changed"


def test_what_cannot_be_prepared_runs_as_it_is(counted):
    batch = make_batch()
    relative = make_model(tiny_config(position_embedding_type="relative_key"))
    half = make_model(dtype=torch.float16)
    hooked = make_model()
    hooked.encoder.albert_layer_groups[0].register_forward_hook(lambda module, inputs, output: output)
    wrapped = make_model()
    layer = wrapped.encoder.albert_layer_groups[0].albert_layers[1]
    layer.ffn = _AddingLinear(layer.ffn)
    for model in (relative, half, hooked, wrapped):
        np.testing.assert_array_equal(load_engine(model).hidden_states(batch), run_model(model, batch))
    assert counted == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_probe_finds_wrong_answers(dtype: torch.dtype, monkeypatch):
    class Wrong(PrepackedLinear):
        def __call__(self, tokens, activation=None, residual=None):
            return super().__call__(tokens, activation, residual) * 1.5

    class Absent(PrepackedLinear):
        def __init__(self, weight, bias) -> None:
            raise AttributeError("no such operation")

    for impostor in (Wrong, Absent):
        has_prepacking.cache_clear()
        monkeypatch.setattr(prepacked, "PrepackedLinear", impostor)
        assert not has_prepacking(dtype)
        assert isinstance(prepare_linear(torch.zeros(2, 3, dtype=dtype), torch.zeros(2, dtype=dtype)), PlainLinear)
    has_prepacking.cache_clear()


@pytest.mark.parametrize("activation", [None, *ACTIVATION_FUNCTIONS])
@pytest.mark.skipif(not has_prepacking(torch.float32), reason="needs a PyTorch with oneDNN's operations")
def test_prepacked_products_are_plain_ones(activation: str | None):
    generator = torch.Generator().manual_seed(0)
    weight, bias, tokens, residual = (torch.randn(shape, generator=generator) for shape in ((11, 7), (11,), (13, 7), (13, 11)))
    function = None if activation is None else ACTIVATION_FUNCTIONS[activation]
    ours, plain = PrepackedLinear(weight, bias), PlainLinear(weight, bias)
    for added in (None, residual):
        torch.testing.assert_close(ours(tokens, function, added), plain(tokens, function, added), rtol=1e-5, atol=1e-5)


def test_a_copied_models_activation_is_still_fused():
    model = copy.deepcopy(make_model(tiny_config(hidden_act="gelu_new")))
    copied = model.encoder.albert_layer_groups[0].albert_layers[0].activation
    assert prepacked.find_fused(copied) == ("gelu", "tanh")
    assert prepacked.find_fused(ACTIVATION_FUNCTIONS["silu"]) == ("none", "")


def test_wrong_inputs_are_still_refused():
    engine = load_engine(make_model())
    with pytest.raises(InputError, match="vocab_size"):
        engine.hidden_states(TokenBatch.from_sequences([[5, 101]], [[0, 0]]))
    with pytest.raises(InputError, match="43"):
        engine.hidden_states(make_batch((44,)))


def test_a_model_loaded_in_inference_mode_can_be_prepared(counted):
    with torch.inference_mode():
        model = AlbertForMaskedLM(tiny_config()).eval()
    batch = make_batch()
    assert_equal(load_engine(model).hidden_states(batch), run_model(model.albert, batch))
    assert len(counted) == 1
