"""The ways of running an encoder that :mod:`benchmarks.inference` compares, each built in a process of its own.

A method takes sequences as lists of ids and gives the last hidden states of each. Ours lay them end to end; the peers are given
padded batches of a fixed size, in the order of the texts or sorted by length.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import exports
from benchmarks.exports import INPUTS, Job
from benchmarks.workers import AbsentError

Texts = Sequence[tuple[Sequence[int], Sequence[int]]]  # ids and segment numbers of each
Forward = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # ids, mask, segments [B, L] to states [B, L, H]


@dataclass(frozen=True)
class Method:
    """A row of the tables.

    Attributes:
        build: Makes what :meth:`load` gives.
        packages: What it imports.
        export: Makes the file that it loads, in a process of its own.
        ours: Takes sequences; a peer takes padded batches.
        only_single: Too slow for many texts: no rows for those.
        slow: Takes minutes to prepare, or is never the best: left out unless asked for.
    """

    name: str
    dtype: str
    build: Callable[[Job], Any]
    packages: tuple[str, ...] = ()
    export: Callable[[Job], object] | None = None
    ours: bool = False
    only_single: bool = False
    slow: bool = False

    @property
    def key(self) -> str:
        return f"{self.name} {self.dtype}"

    def load(self, job: Job) -> Callable[[Texts, bool], list[np.ndarray]]:
        """The function that runs texts, as they come or, for a peer, sorted by length; the packages are imported already."""
        if not self.ours:
            forward = self.build(job)
            return lambda texts, by_length: run_padded(forward, texts, by_length, job.batch_size)
        run: Callable[[Texts], list[np.ndarray]] = self.build(job)
        return lambda texts, _: run(texts)


def run_padded(forward: Forward, texts: Texts, by_length: bool, batch_size: int) -> list[np.ndarray]:
    """Pad batches to their longest text."""
    answers: list[np.ndarray] = [np.empty(0)] * len(texts)
    order = sorted(range(len(texts)), key=lambda index: len(texts[index][0])) if by_length else list(range(len(texts)))
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        columns = np.zeros((3, len(rows), max(len(texts[row][0]) for row in rows)), np.int64)
        for place, row in enumerate(rows):
            ids, types = texts[row]
            columns[0, place, : len(ids)], columns[1, place, : len(ids)], columns[2, place, : len(ids)] = ids, 1, types
        for row, states in zip(rows, forward(*columns), strict=True):
            answers[row] = states[: len(texts[row][0])]
    return answers


def build_ours(engine: str, dtype: str) -> Callable[[Job], Callable[[Texts], list[np.ndarray]]]:
    """An engine of albertkit, given batches as the pipelines give them."""

    def build(job: Job) -> Callable[[Texts], list[np.ndarray]]:
        from albertkit.errors import AlbertError
        from albertkit.inference import TokenBatch, load_engine, plan_batches
        from albertkit.pipelines.base import RunSettings

        if engine == "torch":
            _torch(job)
        try:
            loaded = load_engine(job.model, None, engine=engine, dtype=dtype)
        except AlbertError as error:
            raise AbsentError(str(error)) from error

        def run(texts: Texts) -> list[np.ndarray]:
            answers: list[np.ndarray] = [np.empty(0)] * len(texts)
            for rows in plan_batches([len(ids) for ids, _ in texts], RunSettings().token_budget):
                batch = TokenBatch.from_sequences([texts[row][0] for row in rows], [texts[row][1] for row in rows])
                states = np.split(loaded.hidden_states(batch), batch.cu_seqlens[1:-1])
                for row, part in zip(rows, states, strict=True):
                    answers[row] = part
            return answers

        return run

    return build


def _torch(job: Job) -> Any:
    import torch

    torch.set_num_threads(job.threads)
    return torch


def build_transformers(attention: str, dtype: str, *, compiled: bool = False) -> Callable[[Job], Forward]:
    """Transformers' encoder."""

    def build(job: Job) -> Forward:
        torch = _torch(job)
        from transformers import AlbertModel

        model = AlbertModel.from_pretrained(
            job.model, add_pooling_layer=False, attn_implementation=attention, dtype=getattr(torch, dtype)
        ).eval()
        encoder = torch.compile(model, dynamic=True) if compiled else model

        def forward(ids: np.ndarray, mask: np.ndarray, types: np.ndarray) -> np.ndarray:
            with torch.inference_mode():
                tensors = [torch.from_numpy(column) for column in (ids, mask, types)]
                return encoder(*tensors).last_hidden_state.float().numpy()  # type: ignore[no-any-return]

        return forward

    return build


def build_onnxruntime(graph: str) -> Callable[[Job], Forward]:
    """ONNX Runtime on one of the graphs of :mod:`benchmarks.exports`."""

    def build(job: Job) -> Forward:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        session = onnxruntime.InferenceSession(job.work / graph, options, providers=["CPUExecutionProvider"])
        return lambda *columns: session.run(None, dict(zip(INPUTS, columns, strict=True)))[0]  # type: ignore[no-any-return]

    return build


def build_openvino(graph: str, dtype: str) -> Callable[[Job], Forward]:
    """OpenVINO; what its int8 model leaves in floating point is bfloat16 where the processor has it, as is its default."""

    def build(job: Job) -> Forward:
        import openvino

        core = openvino.Core()
        has_bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if dtype == "bfloat16" and not has_bfloat16:
            raise AbsentError("the processor has no bfloat16")
        precision = "bf16" if has_bfloat16 and dtype != "float32" else "f32"
        settings = {"INFERENCE_NUM_THREADS": job.threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        request = core.compile_model(core.read_model(job.work / graph), "CPU", settings).create_infer_request()

        def forward(*columns: np.ndarray) -> np.ndarray:
            states: np.ndarray = request.infer(dict(zip(INPUTS, columns, strict=True)))[0]
            return states

        return forward

    return build


TRANSFORMERS = ("torch", "transformers.models.albert.modeling_albert")
METHODS = (
    Method("albertkit numpy", "float32", build_ours("numpy", "float32"), ours=True, only_single=True),
    Method("albertkit torch", "float32", build_ours("torch", "float32"), ("torch",), ours=True),
    Method("albertkit torch", "bfloat16", build_ours("torch", "bfloat16"), ("torch",), ours=True),
    Method("albertkit torch", "int8", build_ours("torch", "int8"), ("torch",), ours=True),
    Method("albertkit onnx", "float32", build_ours("onnx", "float32"), ("onnx", "onnxruntime"), ours=True),
    Method("albertkit onnx", "int8", build_ours("onnx", "int8"), ("onnx", "onnxruntime"), ours=True),
    Method("transformers eager", "float32", build_transformers("eager", "float32"), TRANSFORMERS, only_single=True),
    Method("transformers SDPA", "float32", build_transformers("sdpa", "float32"), TRANSFORMERS),
    Method("transformers SDPA", "bfloat16", build_transformers("sdpa", "bfloat16"), TRANSFORMERS),
    Method("transformers compiled", "float32", build_transformers("sdpa", "float32", compiled=True), TRANSFORMERS, slow=True),
    Method("transformers compiled", "bfloat16", build_transformers("sdpa", "bfloat16", compiled=True), TRANSFORMERS, slow=True),
    Method("ONNX Runtime", "float32", build_onnxruntime(exports.PLAIN), ("onnxruntime",), exports.export_onnx, slow=True),
    Method("ONNX Runtime, optimised", "float32", build_onnxruntime(exports.OPTIMISED), ("onnxruntime",), exports.optimise_onnx),
    Method("ONNX Runtime, optimised", "int8", build_onnxruntime(exports.QUANTISED), ("onnxruntime",), exports.quantise_onnx),
    Method("OpenVINO", "float32", build_openvino(exports.OPENVINO, "float32"), ("openvino",), exports.export_openvino),
    Method("OpenVINO", "bfloat16", build_openvino(exports.OPENVINO, "bfloat16"), ("openvino",), exports.export_openvino),
    Method("OpenVINO", "int8", build_openvino(exports.OPENVINO_INT8, "int8"), ("openvino",), exports.quantise_openvino),
)
"""In the order of the tables."""
