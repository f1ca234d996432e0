"""What every JAX model of ours can do beside its forward pass: hold its parameters as a tree, take, load and save them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx, traverse_util
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from albertkit.checkpoints.huggingface import load_parameters, save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS, Head, Kind, Parameter, list_parameters
from albertkit.checkpoints.weight_files import read_weights
from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.hub import Name, Source
from albertkit.models.differences import warn_of_differences
from albertkit.outputs import ModelOutput

__all__ = ["AlbertPreTrainedModel"]

Model = TypeVar("Model", bound="AlbertPreTrainedModel")
AnyOutput = TypeVar("AnyOutput", bound=ModelOutput)

_DTYPES = ("float32", "float16", "bfloat16")
_unflatten: Callable[[Mapping[Any, Any]], dict[str, Any]] = traverse_util.unflatten_dict


class AlbertPreTrainedModel(nnx.Module):
    """Base of all models: a configuration, and parameters that are a tree under Hugging Face's Flax names.

    A model is an nnx module and a pytree. What it computes depends on its arguments alone: dropout is asked for in the call, by
    ``train=True`` and a key, and no random state is kept.

    Args:
        config: Sizes, rates and convention.
        input_shape: Ignored: no parameter's shape depends on it.
        seed: Of the initial parameters.
        dtype: What it computes in; its parameters are float32.
        rngs: Where the initial parameters are drawn from, in place of ``seed``.
        heads: The heads on its encoder, if not those of its class.
    """

    architecture: ClassVar[str]
    """The class, as a key of :data:`~albertkit.checkpoints.parameters.HEADS_OF_CLASS`."""

    prefix: ClassVar[str] = ""
    """What the contract's names have and this class's own have not: ``albert.`` for a bare encoder."""

    constructor_options: ClassVar[tuple[str, ...]] = ()
    """Arguments of the class beside those of all, which :meth:`from_pretrained` takes too."""

    def __init__(
        self,
        config: AlbertConfig,
        input_shape: tuple[int, ...] = (1, 1),
        seed: int = 0,
        dtype: DTypeLike = jnp.float32,
        *,
        rngs: nnx.Rngs | None = None,
        heads: tuple[Head, ...] | None = None,
    ) -> None:
        self.config = config
        self.heads = HEADS_OF_CLASS[self.architecture] if heads is None else heads
        self.dtype = find_dtype(dtype)
        self._build(nnx.Rngs(seed) if rngs is None else rngs)

    def _build(self, rngs: nnx.Rngs) -> None:
        """Make the modules that the model consists of."""
        raise NotImplementedError

    # -------------------------------------------------------------- parameters

    @property
    def contract(self) -> list[Parameter]:
        """Every parameter of this model as the contract lists it."""
        return list_parameters(self.config, self.heads)

    @property
    def params(self) -> dict[str, Any]:
        """The parameters as a tree of dictionaries: the contract's names split at the dots, linear kernels ``[in, out]``.

        Another such tree may be assigned.
        """
        state = nnx.to_flat_state(nnx.state(self, nnx.Param))
        return _unflatten({tuple(str(key) for key in path): param.get_value() for path, param in state})

    if not TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None:
            if name == "params":  # nnx would keep it as an attribute of that name
                nnx.update(self, self._read_params(value))
            else:
                super().__setattr__(name, value)

    def with_params(self: Model, params: Mapping[str, Any]) -> Model:
        """The same model with other parameters, this one being left as it is.

        Args:
            params: A tree like :attr:`params`, or the model's state as Flax has it; the arrays may be tracers.

        Raises:
            InputError: If it is not exactly this model's tree.
        """
        model: Model = nnx.merge(nnx.graphdef(self), self._read_params(params))
        return model

    def load_parameters(self, parameters: Mapping[str, ArrayLike]) -> None:
        """Take the values of every parameter.

        Args:
            parameters: Contract name → array in the contract's shape.

        Raises:
            InputError: If one is missing, unknown or of another shape.
        """
        kinds = {parameter.name: parameter.kind for parameter in self.contract}
        tree = {}
        for name, values in parameters.items():
            array = np.asarray(values, dtype=np.float32)
            # A copy: what it was made from may change.
            tree[self._path(name, kinds.get(name))] = jnp.array(array.T if kinds.get(name) == "kernel" else array)
        nnx.update(self, self._read_params(_unflatten(tree)))

    def export_parameters(self) -> dict[str, np.ndarray]:
        """Contract name → float32 array in the contract's shape."""
        arrays = jax.tree.map(lambda array: np.asarray(array, dtype=np.float32), self.params)
        return {name: np.ascontiguousarray(values) for name, values in self._to_contract(arrays).items()}

    def num_parameters(self) -> int:
        """Count the parameters, each shared one once."""
        return sum(array.size for array in jax.tree.leaves(self.params))

    def _to_contract(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Contract name → array in the contract's shape, from a tree of arrays of any kind."""
        flat = _flatten(params)
        values = {parameter: flat[self._path(parameter.name, parameter.kind)] for parameter in self.contract}
        return {parameter.name: array.T if parameter.kind == "kernel" else array for parameter, array in values.items()}

    def _path(self, name: str, kind: Kind | None) -> tuple[str, ...]:
        """Where a parameter of the contract stands in the tree: its leaf is named after its kind."""
        *owners, leaf = name.removeprefix(self.prefix).split(".")
        return (*owners, kind or leaf)

    def _read_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The tree as nnx has it, where the members of lists are numbered by integers."""
        if not isinstance(params, Mapping):
            raise InputError("params must be a tree of dictionaries, as model.params is", received=type(params).__name__)
        flat = _flatten(params)
        given = {path: np.shape(values) for path, values in flat.items()}
        wanted = {
            self._path(item.name, item.kind): item.shape[::-1] if item.kind == "kernel" else item.shape for item in self.contract
        }
        for path in (*wanted, *given):
            if given.get(path) != wanted.get(path):
                rule = f"of the shape {wanted[path]}" if path in wanted else "no part of this model"
                received = f"shape {given[path]}" if path in given else "none"
                raise InputError(f"{'/'.join(path)} in the parameters must be {rule}", received=received)
        return _unflatten({tuple(int(key) if key.isdigit() else key for key in path): flat[path] for path in flat})

    def _as_asked(self, output: AnyOutput, return_dict: bool | None) -> AnyOutput | tuple[Any, ...]:
        """The output itself, or its present values as a tuple."""
        wanted = self.config.return_dict if return_dict is None else return_dict
        return output if wanted else output.to_tuple()

    # -------------------------------------------------------------- load, save

    @classmethod
    def from_pretrained(
        cls: type[Model],
        name: Name,
        *,
        config: AlbertConfig | None = None,
        dtype: DTypeLike | None = None,
        seed: int = 0,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | None = None,
        local_files_only: bool = False,
        allow_pickle: bool = False,
        ignore_mismatched_sizes: bool = False,
        **overrides: Any,
    ) -> Model:
        """Load a checkpoint.

        Args:
            name: A directory, an embedded model, a published name or a hub id.
            config: Used in place of the checkpoint's own.
            dtype: What the model computes in: ``float32`` (the default), ``float16``, ``bfloat16``, or ``auto`` for the type of
                the file; its parameters are float32.
            seed: Of what the checkpoint lacks.
            revision: Branch, tag or commit of a hub repository.
            cache_dir: Where downloads are kept, if not where the hub library keeps them.
            token: For a private repository.
            local_files_only: Never download.
            allow_pickle: Read ``pytorch_model.bin`` where there is no safetensors file.
            ignore_mismatched_sizes: Let a head of another size, as of other labels, start at random.
            overrides: Fields of the configuration to change, as ``num_labels=3``; :attr:`constructor_options`.

        Raises:
            CheckpointError: If the weights are missing, damaged or of other shapes.
            ConfigError: If the configuration is impossible or an override is no field of it.
            InputError: If the type is none of these.

        Warns:
            UserWarning: If the checkpoint lacks a head, which then starts at random, or holds weights of unknown purpose.
        """
        source = Source.of(name, revision, cache_dir, token, local_files_only, allow_pickle)
        options = {option: overrides.pop(option) for option in cls.constructor_options if option in overrides}
        if config is None:
            config = AlbertConfig.from_pretrained(source, **overrides)
        elif overrides:
            config = config.replace(**overrides)
        computed_in = read_weights(source).dtype if dtype == "auto" else dtype or jnp.float32

        def build() -> Model:
            return cls(config, seed=seed, dtype=computed_in, **options)

        model: Model = nnx.eval_shape(build)  # shapes only: nothing is drawn that the file has
        loaded = load_parameters(source, config, model.heads, ignore_mismatched_sizes=ignore_mismatched_sizes)
        warn_of_differences(str(source), cls.__name__, model.heads, config, loaded)
        drawn = _draw(build, loaded.missing) if loaded.missing else {}
        model.load_parameters(loaded.parameters | drawn)
        return model

    def save_pretrained(self, directory: str | Path, params: Mapping[str, Any] | None = None) -> None:
        """Write ``config.json`` and ``model.safetensors`` with Hugging Face's names, which every framework reads.

        Args:
            directory: Where to; made if need be.
            params: A tree to write in place of the model's own.

        Raises:
            CheckpointError: If the files cannot be written.
            ConfigError: If ``hidden_act`` is a callable.
            InputError: If ``params`` is not exactly this model's tree.
        """
        model = self if params is None else self.with_params(params)
        save_checkpoint(directory, self.config, model.export_parameters(), architecture=self.architecture)


def _flatten(tree: Mapping[Any, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Path → leaf of a tree of mappings: of Flax's states too, which number the members of lists."""
    flat: dict[tuple[str, ...], Any] = {}
    for key, value in tree.items():
        below = (*path, str(key))
        flat |= _flatten(value, below) if isinstance(value, Mapping) else {below: value}
    return flat


def _draw(build: Callable[[], AlbertPreTrainedModel], names: Collection[str]) -> dict[str, np.ndarray]:
    """Initial values of some parameters, by contract name; of a new model the compiler leaves out all the others."""

    def pick() -> dict[str, Array]:
        model = build()
        return {name: values for name, values in model._to_contract(model.params).items() if name in names}

    return {name: np.asarray(values) for name, values in jax.jit(pick)().items()}


def find_dtype(dtype: DTypeLike) -> np.dtype:
    """The floating type that is meant.

    Raises:
        InputError: If models do not compute in it.
    """
    try:
        name = dtype if isinstance(dtype, str) else jnp.dtype(dtype).name
    except TypeError:  # another framework's
        name = str(dtype)
    if name not in _DTYPES:
        rule = f"dtype must be auto, where a checkpoint is loaded, or one of {', '.join(_DTYPES)}"
        raise InputError(rule, received=name)
    return jnp.dtype(name)
