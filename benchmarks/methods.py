"""The ways of running an encoder that :mod:`benchmarks.inference` compares, each built in a process of its own.

A method takes sequences as lists of ids and gives the last hidden states of each. Ours lay them end to end; the peers are given
padded batches of a fixed size, in the order of the texts or sorted by length.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workers import AbsentError

Texts = Sequence[tuple[Sequence[int], Sequence[int]]]  # ids and segment numbers of each
Forward = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]  # ids, mask, segments [B, L] to states [B, L, H]
INPUTS = ("ids", "mask", "types")


@dataclass(frozen=True)
class Job:
    """What a method is built of: a checkpoint, a folder for what it exports, and its share of the machine."""

    model: Path
    work: Path
    threads: int
    batch_size: int = 32


@dataclass(frozen=True)
class Method:
    """A row of the tables."""

    name: str
    dtype: str
    build: Callable[[Job], Any]
    packages: tuple[str, ...] = ()
    ours: bool = False
    slow: bool = False

    @property
    def key(self) -> str:
        return f"{self.name} {self.dtype}"

    def load(self, job: Job) -> Callable[[Texts, bool], list[np.ndarray]]:
        """The function that runs texts, as they come or, for a peer, sorted by length.

        Raises:
            AbsentError: If a package it needs is not installed, or it says itself that it cannot.
        """
        missing = [name for name in self.packages if importlib.util.find_spec(name) is None]
        if missing:
            raise AbsentError(f"not installed: {', '.join(missing)}")
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


def peer_module(job: Job) -> tuple[Any, tuple[Any, ...]]:
    """Transformers' encoder as a function of three tensors, and an example of them, for exporters."""
    torch = _torch(job)
    from transformers import AlbertModel

    class Encoder(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = AlbertModel.from_pretrained(job.model, add_pooling_layer=False, attn_implementation="sdpa").eval()

        def forward(self, ids: Any, mask: Any, types: Any) -> Any:
            return self.model(ids, mask, types).last_hidden_state

    return Encoder().eval(), tuple(torch.ones((3, 11), dtype=torch.int64) for _ in INPUTS)


def export_onnx(job: Job) -> Path:
    """The graph that PyTorch's exporter makes of transformers' encoder, with any batch size and length."""
    path = job.work / "encoder.onnx"
    if not path.exists():
        torch = _torch(job)
        module, example = peer_module(job)
        axes = dict.fromkeys(INPUTS, dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC))
        part = job.work / "part.onnx"
        torch.onnx.export(
            module, example, part, dynamo=True, input_names=INPUTS, output_names=["states"],
            dynamic_shapes=axes, external_data=False, verbose=False,
        )  # fmt: skip
        part.replace(path)
    return path


def build_onnxruntime(job: Job) -> Forward:
    """ONNX Runtime on that graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = job.threads
    session = onnxruntime.InferenceSession(export_onnx(job), options, providers=["CPUExecutionProvider"])
    return lambda *columns: session.run(None, dict(zip(INPUTS, columns, strict=True)))[0]  # type: ignore[no-any-return]


def convert_openvino(job: Job, dtype: str) -> Path:
    """OpenVINO's own form of transformers' encoder; int8 by post-training quantisation, calibrated on random ids."""
    import openvino

    path = job.work / f"encoder_{'int8' if dtype == 'int8' else 'float'}.xml"
    if not path.exists():
        module, example = peer_module(job)
        inputs = [(name, [-1, -1], openvino.Type.i64) for name in INPUTS]
        model = openvino.convert_model(module, example_input=example, input=inputs)
        openvino.save_model(_quantize(model, job) if dtype == "int8" else model, path, compress_to_fp16=False)
    return path


def _quantize(model: Any, job: Job) -> Any:
    import nncf

    from albertkit import AlbertConfig

    config = AlbertConfig.from_pretrained(job.model)
    length = min(32, config.max_position_embeddings)
    ids = np.random.default_rng(0).integers(0, config.vocab_size, (32, 1, length))
    samples = [{"ids": row, "mask": np.ones_like(row), "types": np.zeros_like(row)} for row in ids]
    return nncf.quantize(model, nncf.Dataset(samples), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(samples))


def build_openvino(dtype: str) -> Callable[[Job], Forward]:
    """OpenVINO; what its int8 model leaves in floating point is bfloat16 where the processor has it, as is its default."""

    def build(job: Job) -> Forward:
        import openvino

        core = openvino.Core()
        has_bfloat16 = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if dtype == "bfloat16" and not has_bfloat16:
            raise AbsentError("the processor has no bfloat16")
        precision = "bf16" if has_bfloat16 and dtype != "float32" else "f32"
        settings = {"INFERENCE_NUM_THREADS": job.threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
        model = core.read_model(convert_openvino(job, dtype))
        request = core.compile_model(model, "CPU", settings).create_infer_request()

        def forward(*columns: np.ndarray) -> np.ndarray:
            states: np.ndarray = request.infer(dict(zip(INPUTS, columns, strict=True)))[0]
            return states

        return forward

    return build


METHODS = (
    Method("albertkit numpy", "float32", build_ours("numpy", "float32"), ours=True),
    Method("albertkit torch", "float32", build_ours("torch", "float32"), ("torch",), ours=True),
    Method("albertkit torch", "bfloat16", build_ours("torch", "bfloat16"), ("torch",), ours=True),
    Method("albertkit torch", "int8", build_ours("torch", "int8"), ("torch",), ours=True),
    Method("albertkit onnx", "float32", build_ours("onnx", "float32"), ("onnx", "onnxruntime"), ours=True),
    Method("albertkit onnx", "int8", build_ours("onnx", "int8"), ("onnx", "onnxruntime"), ours=True),
    Method("transformers eager", "float32", build_transformers("eager", "float32"), ("torch", "transformers")),
    Method("transformers SDPA", "float32", build_transformers("sdpa", "float32"), ("torch", "transformers")),
    Method("transformers SDPA", "bfloat16", build_transformers("sdpa", "bfloat16"), ("torch", "transformers")),
    Method(
        "transformers compiled", "float32", build_transformers("sdpa", "float32", compiled=True), ("torch", "transformers"),
        slow=True,
    ),
    Method(
        "transformers compiled", "bfloat16", build_transformers("sdpa", "bfloat16", compiled=True), ("torch", "transformers"),
        slow=True,
    ),
    Method("ONNX Runtime", "float32", build_onnxruntime, ("torch", "transformers", "onnxscript", "onnxruntime")),
    Method("OpenVINO", "float32", build_openvino("float32"), ("torch", "transformers", "openvino")),
    Method("OpenVINO", "bfloat16", build_openvino("bfloat16"), ("torch", "transformers", "openvino")),
    Method("OpenVINO", "int8", build_openvino("int8"), ("torch", "transformers", "openvino", "nncf")),
)  # fmt: skip
"""In the order of the tables."""
