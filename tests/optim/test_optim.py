"""LAMB against optax and against plain NumPy; schedules; groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from albertkit.checkpoints.parameters import PRETRAINING_HEADS, list_parameters
from albertkit.errors import ConfigError
from albertkit.optim import Lamb, build_optimizer, decay_by_layer, group_parameters, learning_rate_at
from albertkit.testing import random_parameters, tiny_config

STEPS = 7
SHAPES = {"matrix": (5, 3), "zero": (4,), "bias": (3,)}


def draw(seed: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}


def start() -> dict[str, np.ndarray]:
    values = draw(0)
    values["zero"][:] = 0.0  # norm 0: the ratio is 1
    return values


def train(rates: list[float]) -> dict[str, np.ndarray]:
    weights = {name: torch.nn.Parameter(torch.from_numpy(values)) for name, values in start().items()}
    groups = [
        {"params": [weights["matrix"], weights["zero"]]},
        {"params": [weights["bias"]], "weight_decay": 0.0, "trust_ratio": False},
    ]
    optimizer = Lamb(groups, lr=0.0)
    for step, rate in enumerate(rates):
        for name, gradient in draw(step + 1).items():
            weights[name].grad = torch.from_numpy(gradient)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
    return {name: weight.detach().numpy() for name, weight in weights.items()}


RATES = [0.1 / (step + 1) for step in range(STEPS)]


def test_lamb_equals_the_formula_in_numpy() -> None:
    expected = {name: values.astype(np.float64) for name, values in start().items()}
    first = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    second = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    for step, rate in enumerate(RATES):
        for name, gradient in draw(step + 1).items():
            first[name] = 0.9 * first[name] + 0.1 * gradient
            second[name] = 0.999 * second[name] + 0.001 * gradient.astype(np.float64) ** 2
            change = first[name] / (np.sqrt(second[name]) + 1e-6)
            ratio = 1.0
            if name != "bias":
                change = change + 0.01 * expected[name]
                norm = np.linalg.norm(expected[name])
                ratio = norm / np.linalg.norm(change) if norm > 0 else 1.0
            expected[name] = expected[name] - rate * ratio * change
    for name, values in train(RATES).items():
        np.testing.assert_allclose(values, expected[name], rtol=2e-6, atol=2e-7)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_lamb_equals_optax_without_bias_correction() -> None:
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")

    def without_bias_correction() -> object:
        # optax's own moments, corrected by a known factor; Google's code does not correct, so the factor is taken out again.
        inner = optax.scale_by_adam(b1=0.9, b2=0.999, eps=0.0)

        def update(gradients: object, state: object, parameters: object = None) -> tuple[object, object]:
            _, state = inner.update(gradients, state, parameters)
            updates = jax.tree.map(lambda mu, nu: mu / (jax.numpy.sqrt(nu) + 1e-6), state.mu, state.nu)
            return updates, state

        return optax.GradientTransformation(inner.init, update)

    def masked(transform: object) -> object:
        return optax.masked(transform, {"matrix": True, "zero": True, "bias": False})

    chain = optax.chain(
        without_bias_correction(), masked(optax.add_decayed_weights(0.01)), masked(optax.scale_by_trust_ratio()),
        optax.scale_by_learning_rate(lambda count: jax.numpy.asarray(RATES)[count]),
    )  # fmt: skip
    weights = {name: jax.numpy.asarray(values) for name, values in start().items()}
    state = chain.init(weights)
    for step in range(STEPS):
        updates, state = chain.update(draw(step + 1), state, weights)
        weights = optax.apply_updates(weights, updates)
    for name, values in train(RATES).items():
        np.testing.assert_allclose(values, weights[name], rtol=1e-5, atol=1e-6)


def test_lamb_refuses_impossible_settings() -> None:
    with pytest.raises(ConfigError, match="betas from 0 to below 1"):
        Lamb([torch.nn.Parameter(torch.ones(2))], lr=0.1, betas=(0.9, 1.0))


def test_only_kernels_and_embeddings_decay() -> None:
    contract = list_parameters(tiny_config(), PRETRAINING_HEADS)
    parameters = {name: torch.nn.Parameter(torch.from_numpy(v)) for name, v in random_parameters(tiny_config()).items()}
    names = {id(parameter): name for name, parameter in parameters.items()}
    decayed, plain = ({names[id(item)] for item in group} for group in group_parameters(parameters, contract))
    assert decayed | plain == set(parameters)
    assert plain == {name for name in parameters if "LayerNorm" in name or "layer_norm" in name or name.endswith("bias")}
    lamb = build_optimizer("lamb", parameters, contract)
    assert [(group["weight_decay"], group["trust_ratio"]) for group in lamb.param_groups] == [(0.01, True), (0.0, False)]
    adamw = build_optimizer("adamw", parameters, contract, weight_decay=0.1)
    assert [group["weight_decay"] for group in adamw.param_groups] == [0.1, 0.0]


def test_linear_schedule_is_googles() -> None:
    # optimization.py at the paper's settings: a rising line for 3,125 steps, then peak * (1 - step / total).
    rates = [
        learning_rate_at(s, peak=0.00176, warmup_steps=3125, total_steps=125_000) for s in (0, 1, 3124, 3125, 62_500, 125_000)
    ]
    expected = [0.0, 0.00176 / 3125, 0.00176 * 3124 / 3125, 0.00176 * 0.975, 0.00088, 0.0]
    np.testing.assert_allclose(rates, expected, rtol=1e-12, atol=1e-18)


def test_other_schedules() -> None:
    def rate(step: int, decay: str, **more: int) -> float:
        return learning_rate_at(step, peak=2.0, warmup_steps=10, total_steps=100, decay=decay, **more)  # type: ignore[arg-type]

    assert [rate(step, "constant") for step in (0, 5, 10, 99, 1000)] == [0.0, 1.0, 2.0, 2.0, 2.0]
    assert [rate(step, "trapezoid", decay_steps=20) for step in (5, 80, 90, 100, 120)] == [1.0, 2.0, 1.0, 0.0, 0.0]
    assert rate(50, "cosine") == pytest.approx(1.0)
    assert rate(75, "cosine") == pytest.approx(1 + math.cos(0.75 * math.pi))
    assert rate(100, "cosine") == pytest.approx(0.0)


def test_muon_is_pytorchs_for_the_kernels_of_the_layers_and_adamw_for_the_rest() -> None:
    contract = list_parameters(tiny_config(), PRETRAINING_HEADS)

    def train_once(make: bool) -> dict[str, torch.Tensor]:
        parameters = {name: torch.nn.Parameter(torch.from_numpy(v)) for name, v in random_parameters(tiny_config()).items()}
        kernels = [name for name in parameters if "albert_layers" in name and parameters[name].ndim == 2]
        norms = [name for name in parameters if "LayerNorm" in name or "layer_norm" in name or name.endswith("bias")]
        others = [name for name in parameters if name not in kernels and name not in norms]
        if make:
            optimizers = [build_optimizer("muon", parameters, contract, muon_rate=3.0)]
        else:
            optimizers = [
                torch.optim.Muon([parameters[name] for name in kernels], lr=0.0, weight_decay=0.01),
                torch.optim.AdamW([parameters[name] for name in others], lr=0.0, eps=1e-6, weight_decay=0.01),
                torch.optim.AdamW([parameters[name] for name in norms], lr=0.0, eps=1e-6, weight_decay=0.0),
            ]
        generator = torch.Generator().manual_seed(1)
        for step in range(3):
            for parameter in parameters.values():
                parameter.grad = torch.randn(parameter.shape, generator=generator)
            for optimizer in optimizers:
                for group in optimizer.param_groups:
                    factor = group["rate_factor"] if make else 3.0 if isinstance(optimizer, torch.optim.Muon) else 1.0
                    group["lr"] = factor * 0.01 * (step + 1)
                optimizer.step()
        if make:  # what a checkpoint keeps is in one place
            assert all(set(optimizers[0].state[parameters[name]]) == {"momentum_buffer"} for name in kernels)
            assert all("exp_avg_sq" in optimizers[0].state[parameters[name]] for name in others + norms)
        return {name: parameter.detach() for name, parameter in parameters.items()}

    ours, theirs = train_once(True), train_once(False)
    for name, values in ours.items():
        torch.testing.assert_close(values, theirs[name], rtol=1e-6, atol=1e-6, msg=name)


def test_rates_fall_from_the_head_down_to_the_embeddings() -> None:
    config = tiny_config()  # six layers: the first three share one group, the last three the other
    contract = list_parameters(config, ("pooler", "sequence_classification"))
    parameters = {entry.name: torch.nn.Parameter(torch.ones(entry.shape)) for entry in contract}
    factors = decay_by_layer(parameters, config, 0.5)
    assert factors["classifier.weight"] == factors["albert.pooler.bias"] == 1.0
    assert factors["albert.embeddings.word_embeddings.weight"] == 0.5**7
    assert factors["albert.encoder.embedding_hidden_mapping_in.weight"] == 0.5**7
    layers = "albert.encoder.albert_layer_groups.{}.albert_layers.1.ffn.weight"
    assert (factors[layers.format(0)], factors[layers.format(1)]) == (0.5**5, 0.5**2)
    for name in ("adamw", "lamb"):
        optimizer = build_optimizer(name, parameters, contract, rate_factors=factors)  # type: ignore[arg-type]
        given = {id(item): group["rate_factor"] for group in optimizer.param_groups for item in group["params"]}
        assert given == {id(parameters[key]): factor for key, factor in factors.items()}
        decays = {group["weight_decay"] for group in optimizer.param_groups}
        assert decays == {0.01, 0.0}
        assert len(optimizer.param_groups) == 8


def test_what_no_contract_names_is_optimised_too() -> None:
    contract = list_parameters(tiny_config())
    adapter = {
        "lora_A": torch.nn.Parameter(torch.ones(2, 3)),
        "classifier.modules_to_save.bias": torch.nn.Parameter(torch.ones(2)),
    }
    decayed, plain = group_parameters(adapter, contract)
    assert (decayed, plain) == ([adapter["lora_A"]], [adapter["classifier.modules_to_save.bias"]])
