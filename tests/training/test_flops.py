"""The operations of a step, counted by formula and by PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from albertkit.config import AlbertConfig
from albertkit.data.examples import PretrainingBatch
from albertkit.models.torch import AlbertForPreTraining
from albertkit.testing import tiny_config
from albertkit.training.batches import to_tensors
from albertkit.training.flops import count_flops, measure_matrix_rate


def make_batch(lengths: list[int], vocab_size: int, every: int) -> PretrainingBatch:
    """Sequences of which every so many-th token is predicted."""
    tokens = np.arange(sum(lengths), dtype=np.int32)
    return PretrainingBatch(
        input_ids=tokens % vocab_size,
        token_type_ids=tokens % 2,
        labels=np.where(tokens % every == 0, tokens % vocab_size, -100),
        cu_seqlens=np.cumsum([0, *lengths], dtype=np.int32),
        sentence_order_label=np.zeros(len(lengths), dtype=np.int32),
        next_example=len(lengths),
    )


@pytest.mark.parametrize("changes", [{}, {"num_hidden_groups": 1, "inner_group_num": 1, "num_hidden_layers": 3}])
def test_the_formula_is_what_a_step_multiplies(changes: dict[str, Any]) -> None:
    config = tiny_config(**changes)
    batch = make_batch([9, 4, 23, 4], config.vocab_size, every=3)
    model = AlbertForPreTraining(config).train()
    model.set_attn_implementation("eager")  # PyTorch counts the fused kernels' second computation of the scores too
    with FlopCounterMode(display=False) as counter:
        model(**to_tensors(batch, torch.device("cpu"))).loss.backward()
    assert count_flops(config, batch) == counter.get_total_flops()


@pytest.mark.parametrize(("length", "gigaflops"), [(128, 0.53), (512, 0.57)])
def test_a_token_of_base_costs_what_the_documentation_says(length: int, gigaflops: float) -> None:
    config = AlbertConfig.published("albert-base-v2")
    batch = make_batch([length] * 4, config.vocab_size, every=7)
    assert count_flops(config, batch) / (4 * length) / 1e9 == pytest.approx(gigaflops, abs=0.005)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_measuring_the_machine_leaves_the_runs_random_numbers_alone(dtype: torch.dtype) -> None:
    before = torch.get_rng_state()
    assert measure_matrix_rate(torch.device("cpu"), dtype) > 1e8
    assert torch.equal(torch.get_rng_state(), before)
