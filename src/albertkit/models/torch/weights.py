"""What every PyTorch model of ours can do with its parameters: draw, load, save and count them."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from albertkit.checkpoints.huggingface import LoadedParameters, load_parameters, save_checkpoint
from albertkit.checkpoints.parameters import Head, Parameter, list_parameters
from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.hub import Name, Source
from albertkit.models.torch.initialization import draw_parameters

__all__ = ["AlbertPreTrainedModel"]

Model = TypeVar("Model", bound="AlbertPreTrainedModel")

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

# Heads of other models, which a checkpoint may well hold and this model not.
_OTHER_HEADS = ("albert.pooler.", "predictions.", "sop_classifier.", "classifier.", "qa_outputs.")


class AlbertPreTrainedModel(nn.Module):
    """Base of all models: a configuration, and parameters under the contract's names.

    Args:
        config: Sizes, rates and convention of the model.
        heads: The heads on its encoder.
    """

    prefix: ClassVar[str] = ""
    """What the contract's names have and this class's own have not: ``albert.`` for a bare encoder."""

    def __init__(self, config: AlbertConfig, heads: tuple[Head, ...] = ()) -> None:
        super().__init__()
        self.config = config
        self.heads = heads

    # -------------------------------------------------------------- parameters

    @property
    def contract(self) -> list[Parameter]:
        """Every parameter of this model as the contract lists it."""
        return list_parameters(self.config, self.heads)

    def named_by_contract(self) -> dict[str, nn.Parameter]:
        """Contract name → parameter."""
        return {self.prefix + name: parameter for name, parameter in self.named_parameters()}

    def initialize_parameters(self, names: Collection[str] | None = None) -> None:
        """Draw fresh values from PyTorch's default generator.

        Args:
            names: Contract names; all of this model's when absent.
        """
        parameters = self.named_by_contract()
        chosen = parameters if names is None else {name: parameters[name] for name in names}
        draw_parameters(chosen, self.contract, self.config)

    def num_parameters(self, only_trainable: bool = False) -> int:
        """Count the parameters, each shared one once.

        Args:
            only_trainable: Leave out those that ask for no gradient.
        """
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad or not only_trainable)

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings, which are the masked-LM decoder too."""
        table = self.get_submodule("embeddings" if self.prefix else "albert.embeddings").word_embeddings
        return table  # type: ignore[return-value]

    @property
    def dtype(self) -> torch.dtype:
        """The parameters' floating type."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    # -------------------------------------------------------------- load, save

    @classmethod
    def from_pretrained(
        cls: type[Model],
        name: Name,
        *,
        config: AlbertConfig | None = None,
        dtype: torch.dtype | str | None = None,
        torch_dtype: torch.dtype | str | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | None = None,
        local_files_only: bool = False,
        allow_pickle: bool = False,
        add_pooling_layer: bool = True,
        **overrides: Any,
    ) -> Model:
        """Load a checkpoint; the model is in evaluation mode.

        Args:
            name: A directory, an embedded model, a published name or a hub id.
            config: Used in place of the checkpoint's own.
            dtype: ``float32`` (the default), ``float16``, ``bfloat16``, or ``auto`` for the type of the file.
            torch_dtype: An older name of ``dtype``.
            revision: Branch, tag or commit of a hub repository.
            overrides: Fields of the configuration to change, as ``hidden_act="gelu_new"``.

        Raises:
            CheckpointError: If the weights are missing, damaged or of other shapes.
            ConfigError: If the configuration is impossible or an override is no field of it.
            InputError: If the type is none of these.

        Warns:
            UserWarning: If the checkpoint lacks a head, which then starts at random, or holds weights of unknown purpose.
        """
        if dtype is not None and torch_dtype is not None:
            raise InputError("give dtype or its older name torch_dtype, not both", received=f"{dtype} and {torch_dtype}")
        source = Source.of(name, revision, cache_dir, token, local_files_only, allow_pickle)
        if config is None:
            config = AlbertConfig.from_pretrained(source, **overrides)
        elif overrides:
            config = config.replace(**overrides)
        with torch.device("meta"):  # shapes only: nothing is drawn that the file would replace
            model = cls(config) if add_pooling_layer else cls(config, add_pooling_layer=False)  # type: ignore[call-arg]
        loaded = load_parameters(source, config, model.heads)
        _warn(source, model, loaded)
        wanted = dtype if dtype is not None else torch_dtype
        model._take(loaded, _find_dtype(loaded.dtype if wanted == "auto" else wanted))
        return model.eval()

    def save_pretrained(self, directory: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` with Hugging Face's names, in the parameters' own type.

        Args:
            directory: Where to; made if need be.

        Raises:
            CheckpointError: If the files cannot be written.
            ConfigError: If ``hidden_act`` is a callable.
        """
        arrays = {name: tensor.detach().float().cpu().numpy() for name, tensor in self.named_by_contract().items()}
        save_checkpoint(directory, self.config, arrays, dtype=str(self.dtype).removeprefix("torch."))

    def _take(self, loaded: LoadedParameters, dtype: torch.dtype) -> None:
        """Replace the shapes by the file's values, and draw what it lacks."""
        state: dict[str, Tensor] = {}
        for parameter in self.contract:
            if parameter.name in loaded.parameters:
                values = torch.from_numpy(np.array(loaded.parameters[parameter.name])).to(
                    dtype
                )  # a copy: the file stays as it is
            else:
                values = torch.empty(parameter.shape, dtype=dtype)
            state[parameter.name.removeprefix(self.prefix)] = values
        self.load_state_dict(state, assign=True)
        self.initialize_parameters(loaded.missing)


def _find_dtype(dtype: torch.dtype | str | None) -> torch.dtype:
    name = str(dtype or "float32").removeprefix("torch.")
    if name not in _DTYPES:
        raise InputError(f"dtype must be auto or one of {', '.join(_DTYPES)}", received=name)
    return _DTYPES[name]


def _warn(name: Name, model: AlbertPreTrainedModel, loaded: LoadedParameters) -> None:
    """Say in one sentence what does not match between a checkpoint and a model."""
    parts = []
    if loaded.missing:
        parts.append(f"lacks these weights, which start at random: {', '.join(loaded.missing)}")
    unknown = [key for key in loaded.unexpected if not key.startswith(_OTHER_HEADS)]
    if unknown:
        parts.append(f"holds weights the model has no place for: {', '.join(unknown)}")
    if parts:
        warnings.warn(f"{name}, loaded as {type(model).__name__}, {' and '.join(parts)}", UserWarning, stacklevel=3)
