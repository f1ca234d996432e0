"""The ONNX engine: ONNX Runtime on the CPU, with an exported model or with a checkpoint that is exported in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from albertkit import hub, optional
from albertkit.checkpoints.exported import ONNX_FILE, is_only_exported
from albertkit.checkpoints.huggingface import heads_on_disk, load_parameters
from albertkit.checkpoints.parameters import Head
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError, InputError
from albertkit.hub import Name
from albertkit.inference.batching import TokenBatch
from albertkit.inference.heads import require_head
from albertkit.inference.padded_engine import PaddedEngine
from albertkit.inference.padding import PaddedBlock, pad_blocks
from albertkit.models.onnx import BARRED, BEAM_WIDTH, MASKED_POSITIONS, NEVER, PRODUCER, make_onnx_model, output_names
from albertkit.outputs import QuestionAnsweringWithAnswerabilityOutput

__all__ = ["OnnxEngine"]

_MOST_PADDING = 0.25  # of a block's places: only attention is padded, so it costs less than another call does
_MOST_PLACES = 512  # of a block: what lies between its layers stays in cache, and memory small
_ERRORS_ONLY = 3  # ONNX Runtime's log levels; it warns of the input that may be left out


class OnnxEngine(PaddedEngine):
    """Runs an ONNX model.

    Args:
        config: Sizes.
        model: Of :func:`~albertkit.models.onnx.make_onnx_model`, serialised, or its file.

    Raises:
        CheckpointError: If the model cannot be read, or another program made it.
        MissingExtraError: If ONNX Runtime is not installed.
    """

    name = "onnx"

    def __init__(self, config: AlbertConfig, model: bytes | Path) -> None:
        runtime = optional.require("onnxruntime", "The onnx engine")
        options = runtime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        options.intra_op_num_threads = _count_threads()
        options.enable_mem_pattern = False  # it plans memory for every shape it meets, and few come twice
        try:
            self._session: Any = runtime.InferenceSession(
                model if isinstance(model, bytes) else str(model), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's errors have no other common base
            raise CheckpointError(
                f"{ONNX_FILE} must be a whole, readable ONNX model", received=_first_line(error), fix="export it again"
            ) from None
        self._run_options = runtime.RunOptions()
        self._run_options.only_execute_path_to_fetches = True  # a head that is not asked for costs nothing
        meta = self._session.get_modelmeta()
        if meta.producer_name != PRODUCER:
            raise CheckpointError(
                "the onnx engine runs what albertkit export wrote",
                received=f"a model by {meta.producer_name or 'an unknown program'}",
                fix="export the checkpoint again",
            )
        self.config = config
        self.heads: tuple[Head, ...] = tuple(filter(None, meta.custom_metadata_map["heads"].split(",")))

    @classmethod
    def load(cls, name: Name, head: Head | None = None, *, dtype: str | None = None) -> OnnxEngine:
        """Load ``model.onnx``, or export a checkpoint's weights in memory.

        Args:
            name: A directory, an embedded model, a published name, a hub id, or a source.
            head: The head that will be asked for.
            dtype: ``"float32"`` or ``"int8"``: exported so from the weights; ``None``: as ``model.onnx`` is if there is one,
                else float32.

        Raises:
            CheckpointError: If the model cannot be read or has no such head.
            InputError: If the type is another, or ``model.onnx`` is all there is and has another.
        """
        if dtype not in (None, "float32", "int8"):
            raise InputError("the onnx engine computes in float32 or int8", received=f"dtype={dtype!r}")
        config = AlbertConfig.from_pretrained(name)
        files = hub.open_files(name)
        if is_only_exported(name) or (dtype is None and files.has(ONNX_FILE)):
            engine = cls(config, files.fetch(ONNX_FILE))
            stored = engine._session.get_modelmeta().custom_metadata_map["weights"]
            if dtype not in (None, stored):
                raise InputError(f"this {ONNX_FILE} is in {stored}", received=f"dtype={dtype!r}", fix="leave dtype out")
        else:
            parameters = load_parameters(name, config).parameters
            heads = heads_on_disk(parameters, config.architectures)
            require_head(head, heads)
            engine = cls(config, make_onnx_model(config, parameters, heads, is_int8=dtype == "int8").SerializeToString())
        require_head(head, engine.heads)
        return engine

    def answer_spans(self, batch: TokenBatch, allowed: np.ndarray) -> QuestionAnsweringWithAnswerabilityOutput:
        """See :class:`~albertkit.inference.engine.Engine`."""
        require_head("answerability", self.heads)
        count = len(batch.cu_seqlens) - 1
        starts, ends = (count, BEAM_WIDTH), (count, BEAM_WIDTH, BEAM_WIDTH)
        found = QuestionAnsweringWithAnswerabilityOutput(
            start_top_log_probs=np.full(starts, NEVER, np.float32),
            start_top_index=np.zeros(starts, np.int64),
            end_top_log_probs=np.full(ends, NEVER, np.float32),
            end_top_index=np.zeros(ends, np.int64),
            cls_logits=np.empty(count, np.float32),
        )
        for block in self._blocks(batch):
            barred = {BARRED: block.pad((~allowed).astype(np.int64))}
            for name, output in zip(found, self._call(tuple(found), batch, block, barred), strict=True):
                for sequence, values in zip(block.sequences, output, strict=True):
                    found[name][(sequence, *map(slice, values.shape))] = values  # a short block's beam is narrower
        return found

    def _cut(self, batch: TokenBatch) -> Iterator[PaddedBlock]:
        return pad_blocks(batch, _MOST_PADDING, _MOST_PLACES)

    def _compute(self, head: Head | None, batch: TokenBatch, block: PaddedBlock, places: np.ndarray | None = None) -> np.ndarray:
        names = ("last_hidden_state",) if head is None else output_names(head, self.heads)
        found = self._call(names, batch, block, {} if places is None else {MASKED_POSITIONS: places})
        if head == "question_answering":
            return np.stack(found, axis=-1)
        return found[0][0] if head == "masked_lm" else found[0]

    def _call(
        self, names: tuple[str, ...], batch: TokenBatch, block: PaddedBlock, extra: Mapping[str, np.ndarray]
    ) -> list[np.ndarray]:
        columns = {"input_ids": block.pad(batch.input_ids), "attention_mask": block.mask.astype(np.int64)}
        columns["token_type_ids"] = block.pad(batch.token_type_ids)
        if "multiple_choice" in self.heads:  # [b, 1, L]: here every choice is a sequence of its own
            columns = {name: values[:, None] for name, values in columns.items()}
        found: list[np.ndarray] = self._session.run(list(names), columns | dict(extra), self._run_options)
        return found


def _count_threads() -> int:
    """As many as NumPy and PyTorch take: what ``OMP_NUM_THREADS`` says, or 0, by which the runtime takes every core."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdigit() else 0


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
