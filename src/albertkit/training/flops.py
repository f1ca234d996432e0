"""What a batch costs in floating-point operations, and how many of them the device can do: the two halves of MFU.

Model FLOPs utilisation (arXiv:2204.02311, appendix B) is the share of the device's matrix rate that the model's own products
sustain. What a step computes besides, such as layers again (recomputation), softmax, norms, the optimiser, does not count.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from albertkit.config import AlbertConfig
from albertkit.data.examples import PretrainingBatch

__all__ = ["count_encoder_flops", "count_flops", "measure_matrix_rate"]


def count_flops(config: AlbertConfig, batch: PretrainingBatch) -> int:
    """Floating-point operations of the matrix products of a step, forward and backward (twice the forward).

    Each application of a shared layer counts; the masked-LM head does at the predicted positions, pooler and sentence order
    once a sequence.

    Args:
        config: The model's.
        batch: Sequences end to end.
    """
    width, narrow = config.hidden_size, config.embedding_size
    lengths = np.diff(batch.cu_seqlens)
    heads = int((batch.labels >= 0).sum()) * narrow * (width + config.vocab_size) + len(lengths) * width * (width + 2)
    return count_encoder_flops(config, lengths) + 3 * 2 * heads


def count_encoder_flops(config: AlbertConfig, lengths: np.ndarray) -> int:
    """The encoder's part of :func:`count_flops`, beside which a head of few classes is nothing.

    Args:
        config: The model's.
        lengths: ``[B]`` tokens of each sequence.
    """
    width = config.hidden_size
    each = lengths.astype(np.int64)
    layers = config.num_hidden_layers * config.inner_group_num
    linear = layers * (4 * width * width + 2 * width * config.intermediate_size) + config.embedding_size * width  # a token's
    attention = layers * 2 * width * int((each * each).sum())  # scores, and what they weigh
    return 3 * 2 * (int(each.sum()) * linear + attention)


def measure_matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product, the best of four; it takes a few milliseconds on a GPU, and
    on a CPU some tenths of a second.

    Args:
        device: Of the model.
        dtype: What its products are computed in.
    """
    size = 8192 if device.type == "cuda" else 1024
    generator = torch.Generator(device).manual_seed(0)  # its own: a run's random numbers stay as they are
    matrix = torch.randn(size, size, generator=generator, device=device, dtype=dtype)
    seconds = []
    for _ in range(5):  # the first chooses a kernel
        begin = time.perf_counter()
        (matrix @ matrix)[0, 0].item()  # which waits for it
        seconds.append(time.perf_counter() - begin)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)  # these matrices are none of the run's
    return float(2 * size**3 / min(seconds[1:]))
