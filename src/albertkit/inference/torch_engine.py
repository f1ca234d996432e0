"""The PyTorch engine: packed batches on the CPU or a GPU, in float32, bfloat16 or float16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from albertkit.errors import InputError
from albertkit.inference.batching import TokenBatch
from albertkit.inference.heads import find_heads, require_head
from albertkit.models.torch import AlbertForMaskedLM, AlbertForPreTraining, AlbertModel, AlbertPreTrainedModel
from albertkit.outputs import BaseModelOutputWithPooling

__all__ = ["TorchEngine"]


class TorchEngine:
    """Runs a PyTorch model without padding.

    Args:
        model: Any model of :mod:`albertkit.models.torch`; it is put in evaluation mode.
        device: Where to move it; it stays where it is without one.
        dtype: ``float32``, ``bfloat16`` or ``float16`` to convert it to; as it is without one.

    Raises:
        InputError: If the model is another library's, or the device or type is not to be had.
    """

    name = "torch"

    def __init__(self, model: torch.nn.Module, *, device: str | None = None, dtype: str | None = None) -> None:
        if not isinstance(model, AlbertPreTrainedModel):
            raise InputError("the torch engine runs albertkit's own models", received=f"a {type(model).__name__}")
        wanted = None if dtype in (None, "auto") else getattr(torch, str(dtype), None)
        if wanted is not None and not (isinstance(wanted, torch.dtype) and wanted.is_floating_point):
            raise InputError("dtype must be float32, bfloat16, float16 or auto", received=repr(dtype))
        try:
            self.model = model.to(device=device, dtype=wanted).eval()
        except (RuntimeError, AssertionError) as error:
            raise InputError("device must be one that PyTorch has here", received=f"{device} ({error})", fix="try cpu") from None
        self.config = model.config
        self.encoder: AlbertModel = model if isinstance(model, AlbertModel) else model.albert  # type: ignore[assignment]

    @classmethod
    def load(
        cls, name: str | Path, *, device: str | None = None, dtype: str | None = None, revision: str | None = None
    ) -> TorchEngine:
        """Load a checkpoint with the heads it has.

        Args:
            name: A directory, an embedded model, a published name or a hub id.
            device: A PyTorch device.
            dtype: ``float32`` (the default), ``bfloat16``, ``float16``, or ``auto`` for the file's.
            revision: Branch, tag or commit of a hub repository.
        """
        heads = find_heads(name, revision=revision)
        if {"pooler", "sentence_order"} <= set(heads):
            return cls(AlbertForPreTraining.from_pretrained(name, dtype=dtype, revision=revision), device=device)
        if "masked_lm" in heads:
            return cls(AlbertForMaskedLM.from_pretrained(name, dtype=dtype, revision=revision), device=device)
        return cls(AlbertModel.from_pretrained(name, dtype=dtype, revision=revision), device=device)

    def hidden_states(self, batch: TokenBatch) -> np.ndarray:
        """See :class:`~albertkit.inference.engine.Engine`."""
        return _to_numpy(self._encode(batch).last_hidden_state)

    @torch.inference_mode()
    def masked_lm_logits(self, batch: TokenBatch, positions: np.ndarray) -> np.ndarray:
        """See :class:`~albertkit.inference.engine.Engine`."""
        require_head("masked_lm", self.model.heads)
        hidden = self._encode(batch).last_hidden_state
        chosen = hidden.index_select(0, torch.from_numpy(positions).to(hidden.device))
        return _to_numpy(self.model.get_submodule("predictions")(chosen, self.model.get_input_embeddings().weight))

    @torch.inference_mode()
    def sentence_order_logits(self, batch: TokenBatch) -> np.ndarray:
        """See :class:`~albertkit.inference.engine.Engine`."""
        require_head("sentence_order", self.model.heads)
        return _to_numpy(self.model.get_submodule("sop_classifier")(self._encode(batch).pooler_output))

    @torch.inference_mode()
    def _encode(self, batch: TokenBatch) -> BaseModelOutputWithPooling:
        device = self.model.device
        output: BaseModelOutputWithPooling = self.encoder(
            torch.from_numpy(batch.input_ids).to(device),
            token_type_ids=torch.from_numpy(batch.token_type_ids).to(device),
            return_dict=True,
            cu_seqlens=torch.from_numpy(batch.cu_seqlens),
        )
        return output


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.float().cpu().numpy()
