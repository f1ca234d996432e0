"""What every TensorFlow model of ours can do beside its forward pass: load, save and hand over its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import keras
import numpy as np

from albertkit.checkpoints.huggingface import load_parameters, save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS, Head, Parameter, list_parameters
from albertkit.checkpoints.weight_files import read_weights
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError, InputError, suggest
from albertkit.hub import Name, Source
from albertkit.models.differences import warn_of_differences
from albertkit.models.tensorflow.fitting import Fittable
from albertkit.models.tensorflow.initialization import Policy
from albertkit.models.tensorflow.inputs import as_tensor
from albertkit.outputs import ModelOutput

__all__ = ["AlbertPreTrainedModel"]

Model = TypeVar("Model", bound="AlbertPreTrainedModel")
AnyOutput = TypeVar("AnyOutput", bound=ModelOutput)

_LEAVES = {"kernel": "kernel", "embedding": "embeddings", "scale": "gamma"}
"""Kind of a parameter → Keras' name of it."""
_DTYPES = ("float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


class AlbertPreTrainedModel(Fittable):
    """Base of all models: a configuration, and parameters under the contract's names.

    Args:
        config: Sizes, rates and convention of the model.
        heads: The heads on its encoder.
        dtype: Keras' policy: ``float32``, ``mixed_bfloat16`` …; the global one when absent.
        name: Keras' name of the model.
    """

    prefix: ClassVar[str] = ""
    """What the contract's names have and this class's own have not: ``albert.`` for a bare encoder."""

    constructor_options: ClassVar[tuple[str, ...]] = ()
    """Arguments of the class beside the configuration, which :meth:`from_pretrained` takes too."""

    def __init__(
        self, config: AlbertConfig, heads: tuple[Head, ...] = (), *, dtype: Policy = None, name: str | None = None
    ) -> None:
        super().__init__(dtype=dtype, name=name, autocast=False)  # the layers cast what they compute with; labels stay
        self.config = config
        self.heads = heads

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Run the model: the arguments of ``call``, one mapping of them, such as a tokenizer's answer, or one list in order."""
        if inputs and isinstance(inputs[0], Mapping):
            inputs, named = inputs[1:], {**inputs[0], **named}
        elif inputs and isinstance(inputs[0], list | tuple) and all(hasattr(each, "shape") for each in inputs[0]):
            inputs = (*inputs[0], *inputs[1:])
        known = self._call_signature.parameters
        for unknown in named.keys() - known:
            rule = f"every input must be an argument of {type(self).__name__}"
            raise InputError(rule, received=unknown, fix=suggest(unknown, known))
        given = {name: as_tensor(value) for name, value in named.items()}
        return super().__call__(*map(as_tensor, inputs), **given)

    def _as_asked(self, output: AnyOutput, return_dict: bool | None) -> AnyOutput | tuple[Any, ...]:
        """The output itself, or its present values as a tuple."""
        wanted = self.config.return_dict if return_dict is None else return_dict
        return output if wanted else output.to_tuple()

    # -------------------------------------------------------------- parameters

    @property
    def contract(self) -> list[Parameter]:
        """Every parameter of this model as the contract lists it."""
        return list_parameters(self.config, self.heads)

    def named_by_contract(self) -> dict[str, keras.Variable]:
        """Contract name → variable; kernels are ``[in, out]``, as Keras has them."""
        return {parameter.name: self._find(parameter) for parameter in self.contract}

    def _find(self, parameter: Parameter) -> keras.Variable:
        owner: Any = self
        *path, _ = parameter.name.removeprefix(self.prefix).split(".")
        for step in path:
            owner = owner[int(step)] if step.isdigit() else getattr(owner, step)
        bias = "beta" if isinstance(owner, keras.layers.LayerNormalization) else "bias"
        return getattr(owner, _LEAVES.get(parameter.kind, bias))

    def load_parameters(self, parameters: Mapping[str, np.ndarray]) -> None:
        """Take values; what they lack stays as it is.

        Args:
            parameters: Contract name → array in the contract's shape.

        Raises:
            CheckpointError: If a name is none of this model's, or a shape is another.
        """
        contract = {parameter.name: parameter for parameter in self.contract}
        for name, array in parameters.items():
            if name not in contract:
                raise CheckpointError("every parameter must be one of the model's", received=name, fix=suggest(name, contract))
            shape = contract[name].shape
            if array.shape != shape:
                raise CheckpointError(f"{name} must have the shape {shape} that the configuration gives", received=array.shape)
            self._find(contract[name]).assign(array.T if contract[name].kind == "kernel" else array)

    def export_parameters(self) -> dict[str, np.ndarray]:
        """Contract name → float32 array in the contract's shape."""
        found = {}
        for parameter in self.contract:
            array = keras.ops.cast(self._find(parameter), "float32").numpy()
            found[parameter.name] = np.ascontiguousarray(array.T) if parameter.kind == "kernel" else array
        return found

    def num_parameters(self, only_trainable: bool = False) -> int:
        """Count the parameters, each shared one once.

        Args:
            only_trainable: Leave out those that ask for no gradient.
        """
        return sum(int(np.prod(weight.shape)) for weight in (self.trainable_weights if only_trainable else self.weights))

    # -------------------------------------------------------------- load, save

    def get_config(self) -> dict[str, Any]:
        """What Keras' own files (``model.save``) keep of a model beside its variables."""
        policy = keras.dtype_policies.serialize(self.dtype_policy)
        return {"config": self.config.to_dict(), "dtype": policy, "name": self.name}

    @classmethod
    def from_config(cls: type[Model], config: dict[str, Any], custom_objects: Any = None) -> Model:
        """Make a model of what :meth:`get_config` gave; there are no custom objects in it."""
        policy = keras.dtype_policies.deserialize(config["dtype"])
        options = {name: value for name, value in config.items() if name not in ("config", "dtype")}
        return cls(AlbertConfig.from_dict(config["config"]), dtype=policy, **options)

    @classmethod
    def from_pretrained(
        cls: type[Model],
        name: Name,
        *,
        config: AlbertConfig | None = None,
        dtype: str | None = None,
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
            dtype: ``float32``, ``float16``, ``bfloat16``, ``auto`` for the type of the file, or Keras' ``mixed_bfloat16`` or
                ``mixed_float16``; Keras' global policy when absent.
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
        if dtype not in (None, "auto", *_DTYPES):
            raise InputError(f"dtype must be auto or one of {', '.join(_DTYPES)}", received=dtype)
        source = Source.of(name, revision, cache_dir, token, local_files_only, allow_pickle)
        options = {option: overrides.pop(option) for option in cls.constructor_options if option in overrides}
        if config is None:
            config = AlbertConfig.from_pretrained(source, **overrides)
        elif overrides:
            config = config.replace(**overrides)
        model = cls(config, dtype=read_weights(source).dtype if dtype == "auto" else dtype, **options)
        loaded = load_parameters(source, config, model.heads, ignore_mismatched_sizes=ignore_mismatched_sizes)
        warn_of_differences(str(source), cls.__name__, model.heads, config, loaded)
        model.load_parameters(loaded.parameters)
        return model

    def save_pretrained(self, directory: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` with Hugging Face's names, in the parameters' own type.

        Args:
            directory: Where to; made if need be.

        Raises:
            CheckpointError: If the files cannot be written.
            ConfigError: If ``hidden_act`` is a callable.
        """
        known = (owner.__name__ for owner in type(self).__mro__ if owner.__name__ in HEADS_OF_CLASS)
        dtype = self.variable_dtype
        save_checkpoint(directory, self.config, self.export_parameters(), dtype=dtype, architecture=next(known, None))
