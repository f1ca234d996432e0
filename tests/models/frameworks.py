"""One face for the three frameworks, so that one test body runs on all: NumPy in, NumPy out, parameters by contract."""

from __future__ import annotations

import functools
import importlib
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.config import AlbertConfig
from albertkit.testing import random_parameters

Arrays = dict[str, np.ndarray]

KINDS = tuple(name for name in HEADS_OF_CLASS if name != "AlbertForQuestionAnsweringWithAnswerability")
"""The classes that all frameworks have."""
ONE_LAYER = {"num_hidden_layers": 1, "num_hidden_groups": 1, "inner_group_num": 1}
"""For a tiny model where sharing is not the point: a compiler takes a quarter of the time."""
QUICKLY = {"xla_backend_optimization_level": 0}
"""How JAX compiles what runs once."""

_REFUSED = """
from albertkit.errors import InputError

for message, call in cases:
    try:
        call()
    except InputError as error:
        assert message in str(error), error
    else:
        raise SystemExit(f"not refused: {message}")
"""


def run_refusals(program: str) -> None:
    """Run a program that makes ``cases``, pairs of a part of the message and a call that is refused with it.

    In a process of its own: here the annotations are checked first.
    """
    subprocess.run([sys.executable, "-c", program + _REFUSED], check=True)


class Framework:
    """What a test does with a model, whatever it is written in."""

    name: ClassVar[str]

    def kind(self, name: str) -> Any:
        """A class by its name."""
        return getattr(importlib.import_module(f"albertkit.models.{self.name}"), name)

    def make(self, kind: str, config: AlbertConfig, parameters: Arrays) -> Any:
        """A model with the values of ``parameters``."""
        model = self.kind(kind)(config)
        model.load_parameters(parameters)
        return model

    def open(self, kind: str, directory: Path, **options: Any) -> Any:
        """A model of a checkpoint."""
        return self.kind(kind).from_pretrained(directory, **options)

    def parameters(self, model: Any) -> Arrays:
        """Every value of a model."""
        return {name: np.asarray(array) for name, array in model.export_parameters().items()}

    def array(self, values: np.ndarray) -> Any:
        """An array of the framework."""
        raise NotImplementedError

    def call(self, model: Any, inputs: Mapping[str, Any], *, seed: int | None = None) -> Any:
        """What a model returns: in training, with dropout, if there is a ``seed``."""
        raise NotImplementedError

    def compute(self, model: Any, inputs: Mapping[str, Any], *, seed: int | None = None) -> Any:
        """The same by the quickest way there is."""
        return self.call(model, inputs, seed=seed)

    def differentiate(self, model: Any, inputs: Mapping[str, Any]) -> tuple[Any, Arrays]:
        """What a model returns, and the derivatives of :meth:`total`."""
        raise NotImplementedError

    def run(self, model: Any, inputs: Mapping[str, Any], *, seed: int | None = None) -> Arrays:
        """Every array that a model returns."""
        return self.read(self.compute(model, inputs, seed=seed))

    def read(self, output: Any) -> Arrays:
        """Every array of an output by name; one of several as ``name[i]``."""
        found = {}
        for name, value in output.items():
            several = isinstance(value, tuple)
            for index, array in enumerate(value if several else (value,)):
                found[f"{name}[{index}]" if several else name] = self.numpy(array)
        return found

    def numpy(self, array: Any) -> np.ndarray:
        """A NumPy array of what :meth:`array` gave or a model returned; bfloat16 as float32, which holds it."""
        values = np.asarray(array)
        return values if values.dtype.kind in "iub" else values.astype(np.float32)

    def total(self, output: Any, mask: np.ndarray) -> Any:
        """The loss; of the bare encoder, which has none, a sum over what is real."""
        if "loss" in output:
            return output.loss
        real = output.last_hidden_state * self.array(mask[:, :, None].astype(np.float32))
        return self.sum(real * real) / 100 + self.sum(output.pooler_output)

    def sum(self, array: Any) -> Any:
        """The sum of all elements."""
        return array.sum()

    def arrays(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Inputs as the framework's own arrays; flags stay as they are."""
        return {name: self.array(value) if isinstance(value, np.ndarray) else value for name, value in inputs.items()}


class Torch(Framework):
    name = "torch"

    def make(self, kind: str, config: AlbertConfig, parameters: Arrays) -> Any:
        import torch

        model = self.kind(kind)(config).eval()
        model.load_state_dict({name.removeprefix(model.prefix): torch.tensor(array) for name, array in parameters.items()})
        return model

    def parameters(self, model: Any) -> Arrays:
        return {name: self.numpy(parameter) for name, parameter in model.named_by_contract().items()}

    def array(self, values: np.ndarray) -> Any:
        import torch

        return torch.tensor(values)

    def numpy(self, array: Any) -> np.ndarray:
        detached = array.detach()
        return (detached.float() if detached.is_floating_point() else detached).numpy()

    def call(self, model: Any, inputs: Mapping[str, Any], *, seed: int | None = None) -> Any:
        import torch

        if seed is not None:
            torch.manual_seed(seed)
        try:
            return model.train(seed is not None)(**self.arrays(inputs))
        finally:
            model.eval()

    def differentiate(self, model: Any, inputs: Mapping[str, Any]) -> tuple[Any, Arrays]:
        model.zero_grad()
        output = self.call(model, inputs)
        self.total(output, real(inputs)).backward()
        return output, {
            name: np.zeros(parameter.shape, np.float32) if parameter.grad is None else self.numpy(parameter.grad)
            for name, parameter in model.named_by_contract().items()
        }


class Jax(Framework):
    name = "jax"

    def array(self, values: np.ndarray) -> Any:
        import jax.numpy as jnp

        return jnp.asarray(values)

    def call(self, model: Any, inputs: Mapping[str, Any], *, seed: int | None = None) -> Any:
        import jax

        dropout = {} if seed is None else {"train": True, "dropout_rng": jax.random.key(seed)}
        return model(**self.arrays(inputs), **dropout)

    def compute(self, model: Any, inputs: Mapping[str, Any], *, seed: int | None = None) -> Any:
        import jax

        arrays, flags = self._split(inputs)
        return jax.jit(lambda arrays: self.call(model, arrays | flags, seed=seed), compiler_options=QUICKLY)(arrays)

    def differentiate(self, model: Any, inputs: Mapping[str, Any]) -> tuple[Any, Arrays]:
        import jax

        arrays, flags = self._split(inputs)

        def run(params: Any, arrays: dict[str, Any]) -> tuple[Any, Any]:
            output = self.call(model, arrays | flags | {"params": params})
            return self.total(output, real(inputs)), output

        compiled = jax.jit(jax.value_and_grad(run, has_aux=True), compiler_options=QUICKLY)
        (_, output), gradients = compiled(model.params, arrays)
        return output, self.parameters(model.with_params(gradients))  # which have the shapes of parameters

    def _split(self, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The arrays, and the flags that a compiler must know."""
        flags = {name: value for name, value in inputs.items() if isinstance(value, bool)}
        return self.arrays({name: value for name, value in inputs.items() if name not in flags}), flags


class TensorFlow(Framework):
    name = "tensorflow"

    def array(self, values: np.ndarray) -> Any:
        import tensorflow as tf

        return tf.constant(values)

    def sum(self, array: Any) -> Any:
        import tensorflow as tf

        return tf.reduce_sum(array)

    def call(self, model: Any, inputs: Mapping[str, Any], *, seed: int | None = None) -> Any:
        import keras

        if seed is not None:
            keras.utils.set_random_seed(seed)
        return model(**self.arrays(inputs), training=seed is not None)

    def differentiate(self, model: Any, inputs: Mapping[str, Any]) -> tuple[Any, Arrays]:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            output = self.call(model, inputs)
            total = self.total(output, real(inputs))
        variables = model.trainable_variables
        gradients = tape.gradient(total, [variable.value for variable in variables], unconnected_gradients="zero")
        bearer = self.kind(type(model).__name__)(model.config)  # as in JAX
        for variable, gradient in zip(bearer.trainable_variables, gradients, strict=True):
            variable.assign(tf.convert_to_tensor(gradient))  # of a table that was looked up in: slices
        return output, self.parameters(bearer)


FRAMEWORKS: dict[str, type[Framework]] = {each.name: each for each in (Torch, Jax, TensorFlow)}


def get_framework(name: str) -> Framework:
    """The framework of that name; the test is skipped where it is not installed."""
    pytest.importorskip(name)
    return FRAMEWORKS[name]()


@pytest.fixture(params=list(FRAMEWORKS))
def framework(request: pytest.FixtureRequest) -> Framework:
    """Each framework in turn."""
    return get_framework(request.param)


@pytest.fixture(params=["jax", "tensorflow"])
def other(request: pytest.FixtureRequest) -> Framework:
    """Each framework that is compared with PyTorch."""
    return get_framework(request.param)


@pytest.fixture(params=KINDS)
def class_name(request: pytest.FixtureRequest) -> str:
    """Each class in turn."""
    return request.param


@pytest.fixture(scope="session")
def make_arrays(make_inputs: Callable[..., dict[str, Any]]) -> Callable[..., Arrays]:
    """The inputs and labels of a class as NumPy arrays."""
    import albertkit.models.torch as models

    def make(class_name: str, config: AlbertConfig, **options: Any) -> Arrays:
        inputs = make_inputs(getattr(models, class_name), config, **options)
        return {name: tensor.numpy() for name, tensor in inputs.items()}

    return make


@pytest.fixture(scope="session")
def save(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Write the checkpoint of a class and a configuration once, for all frameworks to open."""

    @functools.cache
    def write(class_name: str, config: AlbertConfig, scale: float = 1.0) -> Path:
        values = random_parameters(config, HEADS_OF_CLASS[class_name])
        directory = tmp_path_factory.mktemp(class_name)
        scaled = {name: value * np.float32(scale) for name, value in values.items()}
        save_checkpoint(directory, config, scaled, architecture=class_name)
        return directory

    return write


def real(inputs: Mapping[str, Any]) -> np.ndarray:
    """Which positions are no padding, ``[B, L]``."""
    mask = np.asarray(inputs["attention_mask"])
    return mask.reshape(-1, mask.shape[-1]) == 1


def at_real_positions(arrays: Arrays, mask: np.ndarray) -> Arrays:
    """What a model returned at real positions, those of an attention's queries among them."""
    chosen = {}
    for name, array in arrays.items():
        chosen[name] = array[mask] if array.shape[:2] == mask.shape else array
        if name.startswith("attentions"):
            chosen[name] = array * mask[:, None, :, None]
    return chosen


def assert_agree(received: Arrays, expected: Arrays, bar: float = 1e-5) -> None:
    """The same names, and values within ``bar`` and ``bar`` of the largest; losses within half of it."""
    assert received.keys() == expected.keys()
    for name, array in expected.items():
        assert received[name].shape == array.shape, name
        allowed = bar / 2 if name == "loss" else bar * (1 + np.abs(array).max())
        difference = np.abs(received[name] - array).max()
        assert difference <= allowed, f"{name}: {difference:.3g} > {allowed:.3g}"
