"""The model in PyTorch, JAX and TensorFlow, beside KerasHub's: ``python -m benchmarks.frameworks``.

Forward passes of the encoder with its pooler in float32 on full batches, each framework in a process of its own, in turn; then
how long the first call takes over the second at 12, 24 and 48 layers, which is what compiling costs. PyTorch's engine is what
``albertkit --engine torch`` runs; its plain model does not compile. KerasHub draws its own weights: it is timed, not compared.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import describe, name_result, publish, spread
from benchmarks.models import SIZES
from benchmarks.workers import NOISE, Worker, measure, serve

SHAPES = ((8, 128), (2, 512), (1, 16))  # sequences of tokens
DEPTHS = (12, 24, 48)  # layers

Run = Callable[[np.ndarray], object]
"""A forward pass over ids ``[B, L]`` that has ended when it returns."""


# ------------------------------------------------------------------ the side of a worker


def load_torch_engine(config: Any, threads: int) -> Run:
    """What ``--engine torch`` runs, on packed batches."""
    import torch

    from albertkit import AlbertModel
    from albertkit.inference import TokenBatch
    from albertkit.inference.torch_engine import TorchEngine

    torch.set_num_threads(threads)
    engine = TorchEngine(AlbertModel(config).eval(), None)

    def run(ids: np.ndarray) -> object:
        boundaries = np.arange(0, ids.size + 1, ids.shape[1])
        return engine.hidden_states(TokenBatch(ids.ravel(), np.zeros(ids.size, np.int64), boundaries))

    return run


def load_torch_model(config: Any, threads: int) -> Run:
    """The PyTorch class as it is, without compiling."""
    import torch

    from albertkit import AlbertModel

    torch.set_num_threads(threads)
    model = AlbertModel(config).eval()

    @torch.inference_mode()
    def run(ids: np.ndarray) -> object:
        return model(torch.from_numpy(ids)).last_hidden_state.numpy()

    return run


def load_jax(config: Any, threads: int) -> Run:
    """The Flax class under ``jax.jit``, which takes every core there is."""
    import jax
    from flax import nnx

    from albertkit import FlaxAlbertModel

    definition, state = nnx.split(FlaxAlbertModel(config))
    forward = jax.jit(lambda state, ids: nnx.merge(definition, state)(ids).last_hidden_state)
    return lambda ids: np.asarray(forward(state, ids.astype(np.int32)))


def load_tensorflow(config: Any, threads: int, *, xla: bool = False) -> Run:
    """The Keras class in a ``tf.function``."""
    tf = use_tensorflow(threads)
    from albertkit import TFAlbertModel

    model = TFAlbertModel(config)
    forward = tf.function(lambda ids: model(ids).last_hidden_state, jit_compile=xla)
    return lambda ids: forward(tf.constant(ids, tf.int32)).numpy()


def load_keras_hub(config: Any, threads: int, *, xla: bool = False) -> Run:
    """KerasHub's backbone of the same sizes, in a ``tf.function``."""
    tf = use_tensorflow(threads)
    from keras_hub.models import AlbertBackbone

    model = AlbertBackbone(
        vocabulary_size=config.vocab_size, num_layers=config.num_hidden_layers, num_heads=config.num_attention_heads,
        embedding_dim=config.embedding_size, hidden_dim=config.hidden_size, intermediate_dim=config.intermediate_size,
        dropout=0.0, max_sequence_length=config.max_position_embeddings,
    )  # fmt: skip

    @tf.function(jit_compile=xla)
    def forward(ids: Any) -> Any:
        inputs = {"token_ids": ids, "segment_ids": tf.zeros_like(ids), "padding_mask": tf.ones_like(ids)}
        return model(inputs)["sequence_output"]

    return lambda ids: forward(tf.constant(ids, tf.int32)).numpy()


def use_tensorflow(threads: int) -> Any:
    """TensorFlow, told its threads before its first operation."""
    import tensorflow as tf

    if tf.config.threading.get_intra_op_parallelism_threads() != threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    return tf


METHODS: dict[str, Callable[[Any, int], Run]] = {
    "PyTorch, engine": load_torch_engine,
    "PyTorch, model": load_torch_model,
    "JAX, jit": load_jax,
    "TensorFlow, tf.function": load_tensorflow,
    "TensorFlow, XLA": lambda config, threads: load_tensorflow(config, threads, xla=True),
    "KerasHub, tf.function": load_keras_hub,
    "KerasHub, XLA": lambda config, threads: load_keras_hub(config, threads, xla=True),
}
COMPILED = tuple(method for method in METHODS if not method.startswith("PyTorch"))


def build(method: str, size: str, threads: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Answer requests: ``shape`` and ``seconds`` for a rate, ``layers`` for the cost of compiling."""
    from albertkit import AlbertConfig

    config = AlbertConfig(hidden_act="gelu_new", **SIZES[size])
    load = METHODS[method]
    model = load(config, threads)
    ready: set[tuple[int, ...]] = set()

    def respond(request: dict[str, Any]) -> dict[str, Any]:
        if "layers" in request:
            deep, ids = load(config.replace(num_hidden_layers=request["layers"]), threads), draw(config, (1, 16))
            started = time.perf_counter()
            deep(ids)
            first = time.perf_counter() - started
            return {"seconds": first - measure(lambda: deep(ids), 0)["seconds"], "noise": 0.0}
        shape = tuple(request["shape"])
        ids = draw(config, shape)
        if shape not in ready:
            ready.add(shape)
            model(ids)
        return measure(lambda: model(ids), request["seconds"])

    return respond


def draw(config: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Ids ``[B, L]``, the same at every call."""
    return np.random.default_rng(0).integers(5, config.vocab_size, shape)


# ------------------------------------------------------------------ the asking side


def time_methods(arguments: argparse.Namespace) -> tuple[dict[Any, list[float]], dict[Any, list[float]], dict[str, str]]:
    """Tokens a second by shape and method, seconds of compiling by method and depth, and who was absent."""
    rates: dict[Any, list[float]] = {}
    compiling: dict[Any, list[float]] = {}
    absent: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        workers: dict[str, Worker] = {}
        for number, method in enumerate(METHODS):
            words = ["--worker", json.dumps([method, arguments.size, arguments.threads])]
            worker = Worker("benchmarks.frameworks", words, arguments.threads, Path(folder) / str(number))
            if reason := worker.absent():
                absent[method] = reason
            else:
                workers[method] = worker
        for _round in range(arguments.rounds):
            for shape in SHAPES:
                for method, worker in workers.items():
                    answer = worker.ask_quietly(shape=shape, seconds=arguments.seconds)
                    rates.setdefault((shape, method), []).append(shape[0] * shape[1] / answer["seconds"])
                    print(f"{shape} {method}: {rates[shape, method][-1]:,.0f} tokens/s", file=sys.stderr)
            for method in COMPILED:
                for layers in DEPTHS if method in workers else ():
                    compiling.setdefault((method, layers), []).append(workers[method].ask(layers=layers)["seconds"])
        for worker in workers.values():
            worker.close()
    return rates, compiling, absent


def make_tables(rates: dict[Any, list[float]], compiling: dict[Any, list[float]], absent: dict[str, str]) -> list[str]:
    """Rates, their ratios to KerasHub's of the same round, seconds of compiling, and who was absent."""
    present = [method for method in METHODS if method not in absent]
    lines = [
        f"| tokens/s | {' | '.join(f'{count} × {length}' for count, length in SHAPES)} |",
        "| --- |" + " --- |" * len(SHAPES),
    ]
    lines += [f"| {method} | {' | '.join(spread(rates[shape, method], 0) for shape in SHAPES)} |" for method in present]
    peer = "KerasHub, tf.function"
    if peer in present:
        lines += [
            "",
            "As multiples of KerasHub's `tf.function`, round by round:",
            "",
            f"| times KerasHub | {' | '.join(f'{count} × {length}' for count, length in SHAPES)} |",
            "| --- |" + " --- |" * len(SHAPES),
        ]
        for method in present:
            ratios = ([mine / other for mine, other in zip(rates[s, method], rates[s, peer], strict=True)] for s in SHAPES)
            lines.append(f"| {method} | {' | '.join(map(spread, ratios))} |")
    lines += ["", f"| seconds to compile, 1 × 16 tokens | {' | '.join(f'{layers} layers' for layers in DEPTHS)} | 48 over 12 |"]
    lines.append("| --- |" + " --- |" * (len(DEPTHS) + 1))
    for method in (method for method in COMPILED if method in present):
        cells = [spread(compiling[method, layers]) for layers in DEPTHS]
        growth = statistics.median(compiling[method, DEPTHS[-1]]) / statistics.median(compiling[method, DEPTHS[0]])
        lines.append(f"| {method} | {' | '.join(cells)} | {growth:.2f} |")
    return [*lines, "", *(f"{method} could not run: {reason}" for method, reason in absent.items())]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a sample")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--results", type=Path, help="also write the table into this folder")
    arguments = parser.parse_args(argv)
    if arguments.worker:
        serve(lambda: build(*json.loads(arguments.worker)))
        return
    found = time_methods(arguments)
    lines = [
        "# ALBERT in three frameworks, and KerasHub's", "",
        describe("numpy", "torch", "jax", "flax", "tensorflow-cpu", "keras", "keras-hub")
        + f" · albert-{arguments.size}, float32, {arguments.threads} threads, {arguments.rounds} rounds in turn, samples with"
        f" more than {NOISE:.0%} of the processors' time spent for others measured again",
        "", *make_tables(*found),
    ]  # fmt: skip
    publish(lines, arguments.results and arguments.results / f"{name_result('frameworks')}.md")


if __name__ == "__main__":
    main()
