"""What every PyTorch model of ours can do beside its forward pass: draw, load, save, count and resize its parameters."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from albertkit.checkpoints.huggingface import LoadedParameters, load_parameters, save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS, Head, Parameter, list_parameters
from albertkit.checkpoints.publish import push_folder
from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.hub import Name, Source
from albertkit.models.differences import warn_of_differences
from albertkit.models.torch.attention import ATTENTION_IMPLEMENTATIONS, AlbertAttention
from albertkit.models.torch.embeddings import AlbertEmbeddings
from albertkit.models.torch.encoder import AlbertEncoder
from albertkit.models.torch.initialization import draw_parameters
from albertkit.models.torch.loading import Device, find_dtype, move
from albertkit.models.torch.recomputation import Recomputable, read_options
from albertkit.outputs import ModelOutput

__all__ = ["AlbertPreTrainedModel"]

Model = TypeVar("Model", bound="AlbertPreTrainedModel")
AnyOutput = TypeVar("AnyOutput", bound=ModelOutput)


class AlbertPreTrainedModel(nn.Module):
    """Base of all models: a configuration, and parameters under the contract's names.

    Args:
        config: Sizes, rates and convention of the model.
        heads: The heads on its encoder.
    """

    prefix: ClassVar[str] = ""
    """What the contract's names have and this class's own have not: ``albert.`` for a bare encoder."""

    constructor_options: ClassVar[tuple[str, ...]] = ()
    """Arguments of the class beside the configuration, which :meth:`from_pretrained` takes too."""

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

    @property
    def dtype(self) -> torch.dtype:
        """The parameters' floating type."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next(self.parameters()).device

    def _as_asked(self, output: AnyOutput, return_dict: bool | None) -> AnyOutput | tuple[Any, ...]:
        """The output itself, or its present values as a tuple."""
        wanted = self.config.return_dict if return_dict is None else return_dict
        return output if wanted else output.to_tuple()

    # -------------------------------------------------------------- vocabulary

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embeddings, which are the masked-LM decoder too."""
        return self._embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Embedding) -> None:
        """Take other word embeddings; the masked-LM decoder is then these too.

        Raises:
            InputError: If they are not ``[V, E]``.
        """
        shape = (self.config.vocab_size, self.config.embedding_size)
        if tuple(value.weight.shape) != shape:
            raise InputError(
                f"word embeddings must have the shape {shape}: [vocab_size, embedding_size]",
                received=f"shape {tuple(value.weight.shape)}",
                fix="call resize_token_embeddings first",
            )
        self._embeddings.word_embeddings = value

    def resize_token_embeddings(self, new_num_tokens: int | None = None, pad_to_multiple_of: int | None = None) -> nn.Embedding:
        """Give the vocabulary another size: the first entries stay, new ones are drawn as those of a new model.

        The masked-LM decoder and its bias follow; the model gets a new configuration, and the old one stays as it is.

        Args:
            new_num_tokens: V; as it is when absent.
            pad_to_multiple_of: Round V up to a multiple of it.

        Returns:
            The word embeddings.

        Raises:
            ConfigError: If the vocabulary would be empty, or lose a special token of the configuration.
            InputError: If ``pad_to_multiple_of`` is less than 1.
        """
        size = self.config.vocab_size if new_num_tokens is None else new_num_tokens
        if pad_to_multiple_of is not None:
            if pad_to_multiple_of < 1:
                raise InputError("pad_to_multiple_of must be at least 1", received=pad_to_multiple_of)
            size = math.ceil(size / pad_to_multiple_of) * pad_to_multiple_of
        config = self.config.replace(vocab_size=size)
        for module in self.modules():
            if isinstance(module, AlbertPreTrainedModel | AlbertEncoder):
                module.config = config
        for name, parameter in self.named_by_contract().items():
            self._resize(name, parameter)
        table = self.get_input_embeddings()
        table.num_embeddings = size
        return table

    def _resize(self, name: str, parameter: nn.Parameter) -> None:
        """Replace a parameter whose number of entries the configuration has changed."""
        described = next(item for item in self.contract if item.name == name)
        if tuple(parameter.shape) == described.shape:
            return
        fresh = parameter.detach().new_empty(described.shape)
        draw_parameters({name: fresh}, [described], self.config)
        kept = min(len(fresh), len(parameter))
        fresh[:kept] = parameter.detach()[:kept]
        owner, _, leaf = name.removeprefix(self.prefix).rpartition(".")
        setattr(self.get_submodule(owner), leaf, nn.Parameter(fresh, requires_grad=parameter.requires_grad))

    @property
    def _embeddings(self) -> AlbertEmbeddings:
        return self.get_submodule("embeddings" if self.prefix else "albert.embeddings")  # type: ignore[return-value]

    # ------------------------------------------------------- how it is computed

    @property
    def attn_implementation(self) -> str:
        """How attention is computed, one of :data:`~albertkit.models.torch.attention.ATTENTION_IMPLEMENTATIONS`."""
        return next(module.implementation for module in self.modules() if isinstance(module, AlbertAttention))

    def set_attn_implementation(self, attn_implementation: str) -> None:
        """Choose how attention is computed; the numbers are the same.

        Args:
            attn_implementation: ``sdpa``, PyTorch's fused kernels (flash attention among them), or ``eager``, in the open.

        Raises:
            InputError: If it is neither.
        """
        if attn_implementation not in ATTENTION_IMPLEMENTATIONS:
            raise InputError(
                f"attn_implementation must be {' or '.join(ATTENTION_IMPLEMENTATIONS)}",
                received=repr(attn_implementation),
                fix="sdpa takes PyTorch's flash attention where it can",
            )
        for module in self.modules():
            if isinstance(module, AlbertAttention):
                module.implementation = attn_implementation

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether layers are computed again in the backward pass."""
        return any(isinstance(module, Recomputable) and module.recomputation is not None for module in self.modules())

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: Mapping[str, Any] | None = None) -> None:
        """Keep only what enters each layer, and compute the rest again in the backward pass: less memory, a third more work.

        Args:
            gradient_checkpointing_kwargs: Options of ``torch.utils.checkpoint.checkpoint``, non-reentrant.

        Raises:
            InputError: If one is unknown, or asks for the reentrant form.
        """
        self._recompute(read_options(gradient_checkpointing_kwargs))

    def gradient_checkpointing_disable(self) -> None:
        """Keep everything that the backward pass needs, as in the beginning."""
        self._recompute(None)

    def _recompute(self, options: Mapping[str, Any] | None) -> None:
        for module in self.modules():
            if isinstance(module, Recomputable):
                module.recomputation = options

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
        device_map: Device | Mapping[str, Device] | None = None,
        attn_implementation: str | None = None,
        ignore_mismatched_sizes: bool = False,
        **overrides: Any,
    ) -> Model:
        """Load a checkpoint; the model is in evaluation mode.

        Args:
            name: A directory, an embedded model, a published name or a hub id.
            config: Used in place of the checkpoint's own.
            dtype: ``float32`` (the default), ``float16``, ``bfloat16``, or ``auto`` for the type of the file.
            torch_dtype: An older name of ``dtype``.
            revision: Branch, tag or commit of a hub repository.
            cache_dir: Where downloads are kept, if not where the hub library keeps them.
            token: For a private repository.
            local_files_only: Never download.
            allow_pickle: Read ``pytorch_model.bin`` where there is no safetensors file.
            device_map: ``"auto"``, the fastest device that is there, or a device; the CPU without it.
            attn_implementation: See :meth:`set_attn_implementation`.
            ignore_mismatched_sizes: Let a head of another size, as of other labels, start at random.
            overrides: Fields of the configuration to change, as ``num_labels=3``; :attr:`constructor_options`.

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
        options = {option: overrides.pop(option) for option in cls.constructor_options if option in overrides}
        if config is None:
            config = AlbertConfig.from_pretrained(source, **overrides)
        elif overrides:
            config = config.replace(**overrides)
        with torch.device("meta"):  # shapes only: nothing is drawn that the file would replace
            model = cls(config, **options)
        loaded = load_parameters(source, config, model.heads, ignore_mismatched_sizes=ignore_mismatched_sizes)
        warn_of_differences(str(source), cls.__name__, model.heads, config, loaded)
        wanted = dtype if dtype is not None else torch_dtype
        model._take(loaded, find_dtype(loaded.dtype if wanted == "auto" else wanted))
        move(model, device_map)
        model.set_attn_implementation(attn_implementation or model.attn_implementation)
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
        known = (owner.__name__ for owner in type(self).__mro__ if owner.__name__ in HEADS_OF_CLASS)
        dtype = str(self.dtype).removeprefix("torch.")
        save_checkpoint(directory, self.config, arrays, dtype=dtype, architecture=next(known, None))

    def push_to_hub(
        self,
        repo_id: str,
        *,
        commit_message: str | None = None,
        private: bool | None = None,
        token: str | None = None,
        revision: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Send the files of :meth:`save_pretrained` to a repository of the hub, with a model card unless it has one.

        Args:
            repo_id: ``owner/name``, or a name alone for one's own; made if need be.
            commit_message: The commit's first line.
            private: Whether a new repository is seen by its owner alone.
            token: With the right to write; that of ``hf auth login`` when absent.
            revision: Branch to commit to, made if need be; the main one when absent.
            create_pr: Open a pull request instead.

        Returns:
            The URL of the commit, or of the pull request.

        Raises:
            CheckpointError: If the hub refuses or cannot be reached.
            ConfigError: If ``hidden_act`` is a callable.
            InputError: If both a branch and a pull request are asked for.
        """
        with TemporaryDirectory() as directory:
            self.save_pretrained(directory)
            return push_folder(
                directory, repo_id, commit_message=commit_message, private=private, token=token, revision=revision,
                create_pr=create_pr,
            )  # fmt: skip

    def _take(self, loaded: LoadedParameters, dtype: torch.dtype) -> None:
        """Replace the shapes by the file's values, and draw what it lacks."""
        state: dict[str, Tensor] = {}
        for parameter in self.contract:
            if parameter.name in loaded.parameters:
                # A copy: the file stays as it is.
                values = torch.from_numpy(np.array(loaded.parameters[parameter.name])).to(dtype)
            else:
                values = torch.empty(parameter.shape, dtype=dtype)
            state[parameter.name.removeprefix(self.prefix)] = values
        self.load_state_dict(state, assign=True)
        self.initialize_parameters(loaded.missing)
