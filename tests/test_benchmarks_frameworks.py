"""The table of frameworks: ratios are of the same round, absent methods are named, and PyTorch's method runs a batch."""

from __future__ import annotations

import pytest

pytest.importorskip("psutil")

from albertkit import AlbertConfig
from benchmarks import frameworks
from benchmarks.models import SIZES


def test_ratios_are_of_the_same_round():
    values = {"JAX, jit": [10.0, 40.0], "KerasHub, tf.function": [5.0, 10.0]}
    rates = {(shape, method): values[method] for shape in frameworks.SHAPES for method in values}
    compiling = {(method, layers): [layers / 12] for method in values for layers in frameworks.DEPTHS}
    absent = {method: "not installed: it" for method in frameworks.METHODS if method not in values}
    lines = frameworks.make_tables(rates, compiling, absent)
    assert any(line.startswith("| JAX, jit | 3.00 (2.00–4.00)") for line in lines)
    assert any(line.startswith("| JAX, jit | 1.00 (1.00–1.00)") and line.endswith("| 4.00 |") for line in lines)
    assert "TensorFlow, XLA could not run: not installed: it" in lines


@pytest.mark.slow
@pytest.mark.parametrize("method", [method for method in frameworks.METHODS if method.startswith(("PyTorch", "JAX"))])
def test_a_method_runs_a_batch_of_tokens(method):
    config = AlbertConfig(**SIZES["tiny"])
    run = frameworks.METHODS[method](config, 1)
    assert run(frameworks.draw(config, (2, 5))).size == 2 * 5 * config.hidden_size
