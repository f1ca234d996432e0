"""Pre-training in JAX with optax: masked LM and sentence order, data-parallel over all devices.

    albertkit prepare recipe.yaml                                  # text → shards, once
    python examples/pretrain_jax.py --data prepared --output runs/jax

Here is the whole of a step, to build on. ``albertkit pretrain`` (PyTorch) is the trainer: it resumes, evaluates and keeps a
record.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from albertkit import AlbertConfig
from albertkit.data.batches import PretrainingData
from albertkit.data.examples import IGNORED_LABEL
from albertkit.data.options import ExampleOptions
from albertkit.models.jax import AlbertForPreTraining

Tree = dict[str, Any]
Step = Callable[[Tree, Any, Tree, jax.Array], tuple[Tree, Any, jax.Array]]


def make_optimizer(learning_rate: float, warmup_steps: int, steps: int) -> optax.GradientTransformation:
    """LAMB (arXiv:1904.00962) with Google's exclusions: LayerNorm and biases have neither decay nor trust ratio.

    What is left of LAMB without them is Adam. Google's has no bias correction, which optax's has: the first steps differ.
    """
    rise = optax.linear_schedule(0.0, learning_rate, warmup_steps)
    fall = optax.linear_schedule(learning_rate, 0.0, steps - warmup_steps)
    rate = optax.join_schedules([rise, fall], [warmup_steps])
    kinds = {"matrix": optax.lamb(rate, eps=1e-6, weight_decay=0.01), "vector": optax.adam(rate, eps=1e-6)}
    by_rank = partial(jax.tree.map, lambda parameter: "matrix" if parameter.ndim > 1 else "vector")
    return optax.chain(optax.clip_by_global_norm(1.0), optax.partition(kinds, by_rank))


def make_step(model: AlbertForPreTraining, optimizer: optax.GradientTransformation) -> Step:
    """One update of the parameters, compiled; where they and the batch lie decides where it runs."""

    @partial(jax.jit, donate_argnums=(0, 1))
    def step(params: Tree, state: Any, batch: Tree, key: jax.Array) -> tuple[Tree, Any, jax.Array]:
        def loss_of(params: Tree) -> jax.Array:
            return model(**batch, params=params, dropout_rng=key, train=True).loss

        loss, gradients = jax.value_and_grad(loss_of)(params)
        updates, state = optimizer.update(gradients, state, params)
        return optax.apply_updates(params, updates), state, loss

    return step


def read_batches(data: PretrainingData, batch_size: int, length: int) -> Iterator[dict[str, np.ndarray]]:
    """Batches without end, all padded to one length, so that the step compiles once."""
    pad_token_id = data.vocabulary.pad_token_id
    fill = {"input_ids": pad_token_id, "labels": IGNORED_LABEL}
    for batch in data.batches(examples_per_batch=batch_size):
        rows = batch.padded(pad_token_id)
        for name in ("input_ids", "attention_mask", "token_type_ids", "labels"):
            missing = length - rows[name].shape[1]
            rows[name] = np.pad(rows[name], ((0, 0), (0, missing)), constant_values=fill.get(name, 0))
        yield rows


def train(options: argparse.Namespace) -> None:
    """Train, say the loss now and then, and save a checkpoint that every framework opens."""
    data = PretrainingData(options.data, options=ExampleOptions(max_seq_length=options.length), seed=options.seed)
    config = AlbertConfig.from_pretrained(options.config, vocab_size=len(data.vocabulary.pieces))
    model = AlbertForPreTraining(config, seed=options.seed, dtype=options.dtype)
    optimizer = make_optimizer(options.learning_rate, options.warmup_steps, options.steps)

    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))
    everywhere, by_row = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))
    params = jax.device_put(model.params, everywhere)  # each device has all parameters and a part of each batch,
    state = jax.device_put(optimizer.init(params), everywhere)  # and the compiler sums their gradients
    step, key = make_step(model, optimizer), jax.random.key(options.seed)
    print(f"{sum(leaf.size for leaf in jax.tree.leaves(params)):,} parameters on {jax.device_count()} devices", flush=True)

    batches = read_batches(data, options.batch_size, options.length)
    for number, batch in zip(range(options.steps), batches, strict=False):
        batch_on_devices = jax.device_put(batch, by_row)
        params, state, loss = step(params, state, batch_on_devices, jax.random.fold_in(key, number))
        if number % options.log_every == 0 or number == options.steps - 1:
            print(f"step {number + 1}  loss {loss:.3f}", flush=True)
    model.save_pretrained(options.output, params=params)


def main() -> None:
    """Read the options, and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True, help="folder that albertkit prepare wrote")
    parser.add_argument("--output", required=True, help="folder for config.json and model.safetensors")
    parser.add_argument("--config", default="albert-base-v2", help="sizes: a published name or a config.json")
    parser.add_argument("--length", type=int, default=512, help="tokens of a sequence")
    parser.add_argument(
        "--batch-size", type=int, default=64, help="sequences of a batch over all devices, whose number divides it"
    )
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--warmup-steps", type=int, default=300)
    parser.add_argument("--learning-rate", type=float, default=1.76e-3, help="peak; the paper's is for batches of 4096")
    parser.add_argument("--dtype", default="float32", help="what is computed in: float32 or bfloat16")
    parser.add_argument("--log-every", type=int, default=100, metavar="STEPS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--host-devices", type=int, help="treat the CPU as so many devices, to try it without accelerators")
    options = parser.parse_args()
    if options.host_devices:
        jax.config.update("jax_num_cpu_devices", options.host_devices)
    train(options)


if __name__ == "__main__":
    main()
