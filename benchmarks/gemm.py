"""How fast this machine multiplies matrices of an ALBERT layer's shapes: ``python -m benchmarks.gemm``.

The rates are the limit that :mod:`benchmarks.inference` holds its rows against: each kernel alone, on the same matrices again
and again, with weights prepared beforehand where the kernel can. Kernels of oneDNN that PyTorch keeps for its own compiler are
left out where a release has them no more.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import describe, publish
from benchmarks.workers import Watch, measure

Shape = tuple[int, int]  # input and output features
TOKENS = (16, 128, 1024)
SAMPLES, SECONDS = 3, 0.1  # of a product each time, and the least time of one


def layer_shapes(hidden_size: int, intermediate_size: int) -> list[Shape]:
    """The linear layers of an encoder's layer: query, key and value as one, the context's, and the two of the feed-forward."""
    return [
        (hidden_size, 3 * hidden_size),
        (hidden_size, hidden_size),
        (hidden_size, intermediate_size),
        (intermediate_size, hidden_size),
    ]


def gigaflops(tokens: int, shapes: list[Shape]) -> float:
    """Of multiplying ``tokens`` rows with each shape once."""
    return sum(2 * tokens * inputs * outputs for inputs, outputs in shapes) / 1e9


def _plain(dtype: str, tokens: int, shape: Shape) -> Callable[[], object]:
    import torch

    of_type = {"dtype": getattr(torch, dtype)}
    rows, weight, bias = (
        torch.randn(tokens, shape[0], **of_type),
        torch.randn(*shape[::-1], **of_type),
        torch.randn(shape[1], **of_type),
    )
    return functools.partial(torch.nn.functional.linear, rows, weight, bias)


def _prepacked(dtype: str, tokens: int, shape: Shape) -> Callable[[], object]:
    import torch

    of_type = {"dtype": getattr(torch, dtype)}
    rows, bias = torch.randn(tokens, shape[0], **of_type), torch.randn(shape[1], **of_type)
    weight = torch.ops.mkldnn._reorder_linear_weight(torch.randn(*shape[::-1], **of_type), tokens)
    return functools.partial(torch.ops.mkldnn._linear_pointwise, rows, weight, bias, "none", [], "")


def _int8_onednn(dtype: str, tokens: int, shape: Shape) -> Callable[[], object]:
    """Rows of unsigned bytes around 128, weights of signed bytes with a scale for each output."""
    import torch

    rows = torch.randint(0, 255, (tokens, shape[0]), dtype=torch.uint8)
    plain = torch.randint(-127, 127, shape[::-1], dtype=torch.int8)
    weight = torch.ops.onednn.qlinear_prepack(plain, list(rows.shape))
    scales, zeros = torch.full((shape[1],), 0.01), torch.zeros(shape[1], dtype=torch.int64)
    output = getattr(torch, dtype)
    multiply: Any = torch.ops.onednn.qlinear_pointwise.default
    return lambda: multiply(rows, 0.01, 128, weight, scales, zeros, torch.zeros(shape[1]), 1.0, 0, output, "none", [], "")


def _int8_dynamic(dtype: str, tokens: int, shape: Shape) -> Callable[[], object]:
    """PyTorch's dynamic quantisation; quantising the rows counts."""
    import torch

    weight = torch.quantize_per_tensor(torch.randn(*shape[::-1]), 0.01, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(weight, torch.zeros(shape[1]))
    rows = torch.randn(tokens, shape[0])
    return lambda: torch.ops.quantized.linear_dynamic(rows, packed)


KERNELS: dict[str, tuple[str, Callable[[str, int, Shape], Callable[[], object]], str]] = {
    "float32 F.linear": ("float32", _plain, "float32"),
    "float32 oneDNN prepacked": ("float32", _prepacked, "float32"),
    "bfloat16 F.linear": ("bfloat16", _plain, "bfloat16"),
    "bfloat16 oneDNN prepacked": ("bfloat16", _prepacked, "bfloat16"),
    "int8 oneDNN prepacked, bfloat16 out": ("int8", _int8_onednn, "bfloat16"),
    "int8 dynamic, float32 in and out": ("int8", _int8_dynamic, "float32"),
}
"""Kernel → numbers it multiplies, what makes a product, type of its rows or results."""


class Rates:
    """Samples of a kernel's speed at a number of tokens and a shape, GFLOP/s."""

    def __init__(self, shapes: list[Shape]) -> None:
        self.shapes = shapes
        self.samples: dict[tuple[str, int, Shape], list[float]] = {}

    def add(self, rows: list[list[Any]]) -> None:
        """Take in what :func:`sample_rates` gave."""
        for kernel, tokens, inputs, outputs, rate in rows:
            self.samples.setdefault((kernel, tokens, (inputs, outputs)), []).append(rate)

    def best(self, kernel: str, tokens: int, shape: Shape) -> float | None:
        """The median of the samples."""
        rates = self.samples.get((kernel, tokens, shape))
        return statistics.median(rates) if rates else None

    def limit(self, dtype: str, tokens: int) -> float | None:
        """GFLOP/s over the layer's shapes, each with the fastest kernel for numbers of that type."""
        seconds = 0.0
        for shape in self.shapes:
            rates = [self.best(kernel, tokens, shape) for kernel, (numbers, _, _) in KERNELS.items() if numbers == dtype]
            known = [rate for rate in rates if rate]
            if not known:
                return None
            seconds += gigaflops(tokens, [shape]) / max(known)
        return gigaflops(tokens, self.shapes) / seconds

    def table(self) -> list[str]:
        """A row for each kernel and number of tokens."""
        heads = " | ".join(f"{inputs} × {outputs}" for inputs, outputs in self.shapes)
        lines = [f"| kernel | tokens | {heads} |", "| --- | --- |" + " --- |" * len(self.shapes)]
        for kernel, tokens in sorted({key[:2] for key in self.samples}, key=lambda key: (list(KERNELS).index(key[0]), key[1])):
            rates = [self.best(kernel, tokens, shape) for shape in self.shapes]
            lines.append(f"| {kernel} | {tokens} | " + " | ".join(f"{rate:,.0f}" if rate else "—" for rate in rates) + " |")
        return lines


Product = tuple[str, int, Shape, Callable[[], object]]  # kernel, tokens, shape, what multiplies


def make_products(shapes: list[Shape], tokens: tuple[int, ...] = TOKENS) -> list[Product]:
    """Every kernel that runs here, ready to multiply, for each number of tokens and shape."""
    products: list[Product] = []
    for kernel, (_, build, dtype) in KERNELS.items():
        for number, shape in itertools.product(tokens, shapes):
            try:
                multiply = build(dtype, number, shape)
                multiply()
            except (RuntimeError, AttributeError, NotImplementedError):
                continue  # not in this release, or not on this processor
            products.append((kernel, number, shape, multiply))
    return products


def sample_rates(products: list[Product], seconds: float) -> dict[str, Any]:
    """A few samples of each product, all products in turn: rows for :meth:`Rates.add`, and the noise."""
    import torch

    watch = Watch()
    with torch.inference_mode():
        rows = [
            [kernel, tokens, *shape, gigaflops(tokens, [shape]) / measure(multiply, seconds)["seconds"]]
            for _ in range(SAMPLES)
            for kernel, tokens, shape, multiply in products
        ]
    return {"rates": rows, "noise": watch.noise}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hidden-size", type=int, default=768)
    parser.add_argument("--intermediate-size", type=int, default=3072)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(arguments.threads)
    rates = Rates(layer_shapes(arguments.hidden_size, arguments.intermediate_size))
    products = make_products(rates.shapes)
    for _ in range(arguments.rounds):
        rates.add(sample_rates(products, SECONDS)["rates"])
    title = describe("torch") + f" · {arguments.threads} threads, medians of {SAMPLES * arguments.rounds} samples, GFLOP/s"
    publish(["# Matrix products of a layer's shapes", "", title, "", *rates.table()], arguments.output)


if __name__ == "__main__":
    main()
