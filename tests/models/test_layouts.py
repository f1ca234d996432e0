"""Padded, packed and NumPy give the same numbers, and no sequence sees its neighbours or its padding."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from albertkit.checkpoints.parameters import PRETRAINING_HEADS
from albertkit.config import ACTIVATIONS
from albertkit.errors import CheckpointError, ConfigError, InputError
from albertkit.models.lengths import group_by_length
from albertkit.models.numpy import AlbertNumPy
from albertkit.models.torch import AlbertForMultipleChoice, AlbertForQuestionAnswering
from albertkit.models.torch.packing import Packed, pack, unpack
from albertkit.testing import random_parameters, tiny_config

RELATIVE = [{"position_embedding_type": kind} for kind in ("relative_key", "relative_key_query")]
LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=6)


def per_token(inputs, tensors):
    """The real positions of what a padded batch gave for each of its tokens; the rest as it is."""
    mask = inputs["attention_mask"].flatten(0, -2) == 1
    return {name: tensor[mask] if tensor.shape[:2] == mask.shape else tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("changes", [{}, *RELATIVE], ids=str)
def test_packed_equals_padded_in_values_and_gradients(
    changes, packed_kind, make_any, make_inputs, flatten_output, assert_near, assert_all_near
):
    config = tiny_config(**changes)
    given, flat = (make_inputs(packed_kind, config, layout) for layout in ("padded", "packed"))
    padded, packed = make_any(packed_kind, config), make_any(packed_kind, config)
    expected = per_token(given, flatten_output(padded(**given, output_hidden_states=True)))
    received = flatten_output(packed(**flat, output_hidden_states=True))
    if packed_kind is AlbertForQuestionAnswering:  # whose padded loss counts padding among the places
        expected["loss"] = loss_of_spans_alone(expected, given)
    assert_all_near(received, expected)
    for output in (received, expected):
        (
            output["loss"] if "loss" in output else output["last_hidden_state"].square().sum() + output["pooler_output"].sum()
        ).backward()
    for name, parameter in packed.named_parameters():
        if parameter.grad is not None:
            assert_near(parameter.grad, padded.get_parameter(name).grad, name)


def loss_of_spans_alone(output, given):
    """The loss of a span head, each sequence by itself."""
    losses = []
    for end in ("start", "end"):
        rows = output[f"{end}_logits"].split(given["attention_mask"].sum(1).tolist())
        pairs = zip(rows, given[f"{end}_positions"], strict=True)
        losses.append(torch.stack([torch.nn.functional.cross_entropy(row, place) for row, place in pairs]).mean())
    return torch.stack(losses).mean()


def test_packed_takes_head_masks_positions_and_embeddings(make_batch, make_model, assert_near):
    config = tiny_config()
    batch, model = make_batch(config), make_model(config).albert
    padded = {"attention_mask": batch.attention_mask}
    packed = {"cu_seqlens": batch.packed["cu_seqlens"]}
    shape = batch.input_ids.shape
    values = {"inputs_embeds": torch.randn(*shape, config.embedding_size), "position_ids": torch.randint(0, 43, shape)}
    for name, tensor in values.items():
        padded[name], packed[name] = tensor, pack(tensor, batch.attention_mask)[0]
    head_mask = torch.rand(config.num_hidden_layers, config.num_attention_heads)
    received, expected = model(**packed, head_mask=head_mask), model(**padded, head_mask=head_mask)
    assert_near(received.last_hidden_state, expected.last_hidden_state[batch.real])


@given(st.lists(st.integers(1, 12), min_size=1, max_size=4), st.integers(0, 9), st.randoms(use_true_random=False))
@settings(max_examples=10)
def test_an_answer_does_not_depend_on_padding_company_or_order(kind, make_any, make_inputs, assert_near, lengths, extra, random):
    config = tiny_config()
    choices = kind is AlbertForMultipleChoice
    rows = [3 * [length] for length in lengths] if choices else [[length] for length in lengths]  # each question's sequences
    inputs = make_inputs(kind, config, lengths=tuple(chain(*rows)), labelled=False)
    model, order = make_any(kind, config), list(range(len(rows)))
    random.shuffle(order)
    wider = {name: torch.nn.functional.pad(tensor[order], (0, extra)) for name, tensor in inputs.items()}
    with torch.no_grad():
        together = model(**wider)
        for place, row in enumerate(order):
            alone = model(**{name: tensor[row : row + 1, ..., : lengths[row]] for name, tensor in inputs.items()})
            for name, expected in alone.items():
                cut = tuple(slice(size) for size in expected.shape[1:])  # what padding added: positions, or places of a beam
                if expected.is_floating_point():
                    assert_near(together[name][place][cut], expected[0], f"{name} of {row}")
                else:
                    assert torch.equal(together[name][place][cut], expected[0]), name


@given(LENGTHS)
@settings(max_examples=10)
def test_a_packed_sequence_is_the_same_alone(make_batch, make_model, assert_near, lengths):
    config = tiny_config()
    batch, model = make_batch(config, tuple(lengths)), make_model(config).albert
    with torch.no_grad():
        packed = model(**{name: batch.packed[name] for name in ("input_ids", "token_type_ids", "cu_seqlens")})
        for row, split in enumerate(packed.last_hidden_state.split(lengths)):
            cut = (slice(row, row + 1), slice(lengths[row]))
            alone = model(batch.input_ids[cut], token_type_ids=batch.token_type_ids[cut])
            assert_near(split, alone.last_hidden_state[0])
            assert_near(packed.pooler_output[row], alone.pooler_output[0])


@given(LENGTHS)
def test_pack_and_unpack_are_inverse_and_sorting_is_a_permutation(lengths):
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    values = torch.arange(1, mask.numel() + 1).view(mask.shape) * mask
    tokens, cu_seqlens = pack(values, mask)
    assert torch.equal(unpack(tokens, cu_seqlens), values)
    layout = Packed.from_cu_seqlens(cu_seqlens, len(tokens), tokens.device)
    in_order = layout.sort(tokens)
    assert torch.equal(layout.restore(in_order), tokens)
    assert torch.equal(layout.join(layout.split(in_order)), in_order)
    assert sorted(length for count, length in layout.groups for _ in range(count)) == sorted(lengths)
    assert len(layout.groups) == len(set(lengths))
    assert torch.equal(in_order[layout.position_ids == 0].sort().values, tokens[layout.first_tokens].sort().values)


def test_equal_lengths_that_stand_together_are_left_in_place():
    assert group_by_length([0, 3, 6, 8], 8).order is None
    assert group_by_length([0, 3, 5, 8], 8).order is not None


@pytest.mark.parametrize(
    "mask", [[[1, 0, 1]], [[0, 1, 1]], [[1, 1, 1], [0, 0, 0]]], ids=["gap", "padded on the left", "empty row"]
)
def test_pack_refuses_what_it_would_move(mask):
    with pytest.raises(InputError, match="padded on the right"):
        pack(torch.ones(len(mask), 3), torch.tensor(mask))


def test_numpy_equals_pytorch(make_batch, make_model, assert_near):
    for changes in [*({"hidden_act": name} for name in ACTIVATIONS), *RELATIVE]:
        config = tiny_config(**changes)
        packed = make_batch(config).packed
        ids, types, boundaries = (packed[name].numpy() for name in ("input_ids", "token_type_ids", "cu_seqlens"))
        model = AlbertNumPy(config, random_parameters(config), PRETRAINING_HEADS)
        hidden = model.hidden_states(ids, types, boundaries)
        positions = np.array([5, 0, len(ids) - 1])
        with torch.no_grad():
            expected = make_model(config)(**packed, output_hidden_states=True)
        logits = torch.from_numpy(model.logits("masked_lm", hidden, boundaries, positions))
        assert hidden.dtype == logits.numpy().dtype == np.float32
        assert_near(torch.from_numpy(hidden), expected.hidden_states[-1], str(changes))
        assert_near(logits, expected.prediction_logits[positions], str(changes))
        order = model.logits("sentence_order", hidden, boundaries)
        assert_near(torch.from_numpy(order), expected.sop_logits, str(changes))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_numpy_activations_far_from_zero(name):
    from albertkit.models.numpy.activations import ACTIVATION_FUNCTIONS
    from albertkit.models.torch.activations import ACTIVATION_FUNCTIONS as EXPECTED

    x = np.concatenate([np.linspace(-12, 12, 48_001), [-100.0, 100.0, 0.0]]).astype(np.float32)
    received, expected = ACTIVATION_FUNCTIONS[name](x.copy()), EXPECTED[name](torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(received, expected, rtol=2e-6, atol=1e-6)


def test_numpy_refuses_what_pytorch_refuses():
    config = tiny_config()
    parameters = random_parameters(config, ("masked_lm",))
    model = AlbertNumPy(config, parameters, ("masked_lm",))
    ids, boundaries = np.array([2, 7, 3]), np.array([0, 3])
    hidden = model.hidden_states(ids, None, boundaries)
    for call, message in [
        (lambda: model.hidden_states(ids + 100, None, boundaries), "vocab_size=101"),
        (lambda: model.hidden_states(ids, ids, boundaries), "token_type_ids must be from 0 to 1"),
        (lambda: model.hidden_states(np.tile(ids, 20), None, np.array([0, 60])), "max_position_embeddings=43"),
        (lambda: model.hidden_states(ids, None, np.array([0, 2])), "cu_seqlens must rise from 0"),
        (lambda: model.pooled(hidden, boundaries), "needs the pooler head"),
        (lambda: model.logits("sentence_order", hidden, boundaries), "needs the pooler head"),
        (lambda: model.logits("token_classification", hidden, boundaries), "needs the token_classification head"),
    ]:
        with pytest.raises(InputError, match=message):
            call()
    with pytest.raises(ConfigError, match="by name only"):
        AlbertNumPy(tiny_config(hidden_act=np.tanh), parameters, ("masked_lm",))
    with pytest.raises(CheckpointError, match=r"predictions\.dense\.bias must have the shape"):
        incomplete = {name: value for name, value in parameters.items() if name != "predictions.dense.bias"}
        AlbertNumPy(config, incomplete, ("masked_lm",))
