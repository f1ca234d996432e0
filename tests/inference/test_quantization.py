"""Products in int8 are near those in float32, and what cannot run in int8 says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.inference import TokenBatch, load_engine, quantization, torch_engine
from albertkit.inference.quantization import QuantizedLinear, has_int8, quantize_tokens
from albertkit.models.torch import AlbertForMaskedLM, AlbertForQuestionAnsweringWithAnswerability, AlbertModel
from albertkit.models.torch.activations import ACTIVATION_FUNCTIONS
from albertkit.testing import save_tiny_checkpoint, tiny_config

pytestmark = pytest.mark.skipif(not has_int8(torch.float32), reason="needs a PyTorch with oneDNN's products of bytes")

_CONFIG = AlbertConfig(
    vocab_size=300, embedding_size=32, hidden_size=192, num_attention_heads=3, intermediate_size=768, num_hidden_layers=4,
    initializer_range=0.1,
)  # fmt: skip


def make_batch(lengths: tuple[int, ...], vocab_size: int) -> TokenBatch:
    generator = np.random.default_rng(0)
    sequences = [generator.integers(5, vocab_size, length).tolist() for length in lengths]
    return TokenBatch.from_sequences(sequences, [[0] * length for length in lengths])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_bytes_are_the_nearest_to_the_tokens(dtype: torch.dtype):
    tokens = (torch.randn(13, 7, generator=torch.Generator().manual_seed(0)) - 0.7).to(dtype)
    numbers, scale = quantize_tokens(tokens)
    assert numbers.dtype == torch.uint8
    assert scale == pytest.approx(tokens.abs().max().item() / 127)
    assert int(numbers.min()) == 1, "the largest of them is negative here"
    error = (numbers.float() - 128) * scale - tokens.float()
    assert error.abs().max() <= 0.501 * scale
    assert abs(error.mean()) < 0.1 * scale
    assert quantize_tokens(torch.zeros(2, 3, dtype=dtype))[0].tolist() == [[128] * 3] * 2


@pytest.mark.parametrize("activation", [None, *ACTIVATION_FUNCTIONS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_quantized_products_are_near(activation: str | None, dtype: torch.dtype):
    generator = torch.Generator().manual_seed(0)
    weight, bias, tokens, residual = (torch.randn(shape, generator=generator) for shape in ((11, 70), (11,), (13, 70), (13, 11)))
    weight[3] = 0.0
    function = None if activation is None else ACTIVATION_FUNCTIONS[activation]
    quantized = QuantizedLinear(weight, bias, dtype)
    for added in (None, residual):
        product = torch.nn.functional.linear(tokens, weight, bias)
        expected = (product if function is None else function(product)) + (0 if added is None else added)
        received = quantized(tokens.to(dtype), function, None if added is None else added.to(dtype))
        assert received.dtype == dtype
        assert (received.float() - expected).abs().max() < 0.4, "of values up to 25"
        assert (received.float() - expected).pow(2).mean().sqrt() < 0.02 * product.std()


def test_int8_is_near_and_heads_stay_exact():
    torch.manual_seed(0)
    model = AlbertForMaskedLM(_CONFIG).eval()
    batch = make_batch((5, 16, 17, 30, 128, 128, 300), 300)
    exact = load_engine(model).logits("masked_lm", batch)
    received = load_engine(model, dtype="int8").logits("masked_lm", batch)
    assert model.dtype == torch.float32, "the caller's model stays as it is"
    relative = np.sqrt(np.mean((received - exact) ** 2) / np.mean(exact**2))
    assert 1e-4 < relative < 0.06


def test_int8_loads_by_name(tmp_path):
    save_tiny_checkpoint(tmp_path)
    batch = make_batch((3, 11, 40), 101)
    exact = load_engine(tmp_path, engine="torch").hidden_states(batch)
    for head in (None, "masked_lm"):
        engine = load_engine(tmp_path, head, dtype="int8")
        assert engine.name == "torch"
        difference = np.abs(engine.hidden_states(batch) - exact)
        assert 1e-4 < difference.mean() < 0.1


def test_what_cannot_run_in_int8_says_so(monkeypatch):
    with pytest.raises(InputError, match="absolute positions"):
        load_engine(AlbertModel(tiny_config(position_embedding_type="relative_key")), dtype="int8")
    answers = load_engine(AlbertForQuestionAnsweringWithAnswerability(tiny_config()), dtype="int8")
    with pytest.raises(InputError, match="received int8"):
        answers.answer_spans(make_batch((7,), 101), np.ones(7, bool))
    monkeypatch.setattr(torch_engine, "has_int8", lambda dtype: False)
    with pytest.raises(InputError, match="products of bytes"):
        load_engine(AlbertModel(tiny_config()), dtype="int8")


def test_the_probe_finds_wrong_answers(monkeypatch):
    class Wrong(QuantizedLinear):
        def __call__(self, tokens, activation=None, residual=None):
            return super().__call__(tokens, activation, residual) * 1.5

    has_int8.cache_clear()
    monkeypatch.setattr(quantization, "QuantizedLinear", Wrong)
    assert not has_int8(torch.float32)
    has_int8.cache_clear()
