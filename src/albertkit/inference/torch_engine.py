"""The PyTorch engine: packed batches on the CPU or a GPU, in float32, bfloat16, float16 or int8.

On the CPU the encoder runs in its prepared form (:mod:`albertkit.inference.prepared`) wherever that computes what the model does;
elsewhere the model itself runs.
"""

from __future__ import annotations

import numpy as np
import torch

from albertkit.checkpoints.huggingface import find_heads
from albertkit.checkpoints.parameters import POOLED_HEADS, Head
from albertkit.errors import InputError
from albertkit.hub import Name
from albertkit.inference.batching import TokenBatch
from albertkit.inference.heads import require_head, require_scores
from albertkit.inference.prepared import PreparedEncoder, can_prepare, fingerprint
from albertkit.inference.quantization import has_int8
from albertkit.models.torch import (
    AlbertForMaskedLM,
    AlbertForMultipleChoice,
    AlbertForPreTraining,
    AlbertForQuestionAnswering,
    AlbertForQuestionAnsweringWithAnswerability,
    AlbertForSequenceClassification,
    AlbertForTokenClassification,
    AlbertModel,
    AlbertPreTrainedModel,
)
from albertkit.models.torch.inputs import Batch, read_batch
from albertkit.models.torch.loading import find_dtype, move
from albertkit.models.torch.packing import Packed, Padded, unpack
from albertkit.outputs import QuestionAnsweringWithAnswerabilityOutput

__all__ = ["TorchEngine"]

_MODELS: dict[Head, tuple[type[AlbertPreTrainedModel], str]] = {
    "pooler": (AlbertModel, "pooler"),
    "masked_lm": (AlbertForMaskedLM, "predictions"),
    "sentence_order": (AlbertForPreTraining, "sop_classifier"),
    "sequence_classification": (AlbertForSequenceClassification, "classifier"),
    "multiple_choice": (AlbertForMultipleChoice, "classifier"),
    "token_classification": (AlbertForTokenClassification, "classifier"),
    "question_answering": (AlbertForQuestionAnswering, "qa_outputs"),
    "answerability": (AlbertForQuestionAnsweringWithAnswerability, "answer_class"),
}
"""Head → the smallest model that has it, and the head's name there."""


class TorchEngine:
    """Runs a PyTorch model without padding.

    Args:
        model: Any model of :mod:`albertkit.models.torch`; it is put in evaluation mode.
        head: The head that will be asked for.
        device: Where to move it; it stays where it is without one.
        dtype: ``float32``, ``bfloat16`` or ``float16`` to convert it to; as it is without one. ``int8`` leaves the model itself
            as it is and quantises what the engine prepares of it.

    Raises:
        InputError: If the model is another library's, or the device or type is not to be had.
        CheckpointError: If the model has no such head.
    """

    name = "torch"

    def __init__(
        self, model: torch.nn.Module, head: Head | None = None, *, device: str | None = None, dtype: str | None = None
    ) -> None:
        if not isinstance(model, AlbertPreTrainedModel):
            raise InputError("the torch engine runs albertkit's own models", received=f"a {type(model).__name__}")
        require_head(head, model.heads)
        self._int8 = dtype == "int8"
        move(model, device, None if dtype in (None, "auto", "int8") else find_dtype(dtype))
        self.model = model.eval()
        self.config = model.config
        self.heads = model.heads
        self.encoder: AlbertModel = model if isinstance(model, AlbertModel) else model.albert  # type: ignore[assignment]
        self._prepared: tuple[list[object], PreparedEncoder | None] = ([], None)  # of which parameters; none where it cannot be
        if self._int8:
            self._prepare()  # which refuses at once what it would refuse at the first call

    def __getstate__(self) -> dict[str, object]:
        """What a copy or a pickle holds: all but the prepared form, whose weights are in an order of this processor's."""
        return vars(self) | {"_prepared": ([], None)}

    @classmethod
    def load(cls, name: Name, head: Head | None = None, *, device: str | None = None, dtype: str | None = None) -> TorchEngine:
        """Load a checkpoint as the model that has ``head``.

        Args:
            name: A directory, an embedded model, a published name, a hub id, or a source.
            head: The head that will be asked for; ``None``: the encoder alone.
            device: A PyTorch device.
            dtype: ``float32`` (the default), ``bfloat16``, ``float16``, ``int8``, or ``auto`` for the file's.

        Raises:
            CheckpointError: If the checkpoint cannot be read or has no such head.
        """
        stored, run = (None, dtype) if dtype == "int8" else (dtype, None)
        if head is None:
            model = AlbertModel.from_pretrained(name, dtype=stored, add_pooling_layer=False)
            return cls(model, device=device, dtype=run)
        require_head(head, find_heads(name))
        return cls(_MODELS[head][0].from_pretrained(name, dtype=stored), head, device=device, dtype=run)

    def hidden_states(self, batch: TokenBatch) -> np.ndarray:
        """See :class:`~albertkit.inference.engine.Engine`."""
        return _to_numpy(self._encode(batch))

    @torch.inference_mode()
    def logits(self, head: Head, batch: TokenBatch, positions: np.ndarray | None = None) -> np.ndarray:
        """See :class:`~albertkit.inference.engine.Engine`."""
        require_scores(head, self.heads)
        if head in POOLED_HEADS:
            first_tokens = batch.cu_seqlens[:-1]
            pooler: torch.nn.Module = self.encoder.pooler  # type: ignore[assignment]
            tokens = torch.tanh(pooler(self._encode(batch, first_tokens if positions is None else first_tokens[positions])))
        else:
            tokens = self._encode(batch, positions)
        module = self.model.get_submodule(_MODELS[head][1])
        return _to_numpy(module(tokens, self.model.get_input_embeddings().weight) if head == "masked_lm" else module(tokens))

    @torch.inference_mode()
    def answer_spans(self, batch: TokenBatch, allowed: np.ndarray) -> QuestionAnsweringWithAnswerabilityOutput:
        """See :class:`~albertkit.inference.engine.Engine`; padded, since the beam's probabilities run along each sequence."""
        require_head("answerability", self.heads)
        if self._int8:
            raise InputError("the answerability head runs in float32, bfloat16 or float16", received="int8")
        columns = (batch.input_ids, np.ones_like(batch.input_ids), batch.token_type_ids, ~allowed)
        boundaries = torch.from_numpy(batch.cu_seqlens)
        ids, mask, types, barred = (unpack(torch.from_numpy(column), boundaries).to(self.model.device) for column in columns)
        found: QuestionAnsweringWithAnswerabilityOutput = self.model(ids, mask, types, p_mask=barred, return_dict=True)
        return QuestionAnsweringWithAnswerabilityOutput(
            start_top_log_probs=_to_numpy(found.start_top_log_probs),
            start_top_index=_to_numpy(found.start_top_index),
            end_top_log_probs=_to_numpy(found.end_top_log_probs),
            end_top_index=_to_numpy(found.end_top_index),
            cls_logits=_to_numpy(found.cls_logits),
        )

    @torch.inference_mode()
    def _encode(self, batch: TokenBatch, positions: np.ndarray | None = None) -> torch.Tensor:
        """Hidden states at ``positions``, or of every token."""
        ids, types, boundaries = (
            torch.from_numpy(numbers) for numbers in (batch.input_ids, batch.token_type_ids, batch.cu_seqlens)
        )
        rows = None if positions is None else torch.from_numpy(positions)
        prepared = self._prepare()
        if prepared is not None:
            return _encode_prepared(self.encoder, prepared, Batch(ids, types, None, None, Padded(None)), boundaries, rows)
        device = self.model.device
        hidden: torch.Tensor = self.encoder(
            ids.to(device), token_type_ids=types.to(device), return_dict=True, cu_seqlens=boundaries
        ).last_hidden_state
        return hidden if rows is None else hidden.index_select(0, rows.to(device))

    def _prepare(self) -> PreparedEncoder | None:
        """The prepared form of the model as it is now: the caller may have trained or changed it since the last call."""
        if self._int8 and not has_int8(torch.float32):
            raise InputError("int8 needs a processor and a PyTorch with oneDNN's products of bytes", fix="use bfloat16")
        if self.model.device.type != "cpu" and not self._int8:
            return None  # and reading its values would hold the accelerator up
        found = fingerprint(self.encoder)
        known, prepared = self._prepared
        if found != known:
            prepared = PreparedEncoder(self.encoder, self._int8) if can_prepare(self.encoder) else None
            if self._int8 and prepared is None:
                raise InputError(
                    "int8 runs on the CPU, on ALBERT's own layers with absolute positions",
                    received=f"a model on {self.model.device} in {self.model.dtype}, or with layers that were replaced",
                    fix="use bfloat16",
                )
            self._prepared = (found, prepared)
        return prepared


def _encode_prepared(
    model: AlbertModel, prepared: PreparedEncoder, batch: Batch, cu_seqlens: torch.Tensor, rows: torch.Tensor | None
) -> torch.Tensor:
    """The hidden states that ``model`` gives at ``rows`` of a packed batch, or of all, by way of its prepared form."""
    read = read_batch(model.config, batch, None, cu_seqlens)
    layout: Packed = read.layout  # type: ignore[assignment]
    embedded = model.embeddings(read.input_ids, read.token_type_ids, read.position_ids, None)
    if rows is None:
        return layout.restore(prepared(embedded, layout))
    rising, order = layout.restore(torch.arange(len(embedded)))[rows].sort()
    encoded = prepared(embedded, layout, rising)
    return torch.empty_like(encoded).index_copy_(0, order, encoded)


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    return (tensor.float() if tensor.is_floating_point() else tensor).cpu().numpy()
