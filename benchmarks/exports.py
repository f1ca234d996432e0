"""What the peers of :mod:`benchmarks.inference` load: transformers' encoder in the forms of other runtimes.

Each form is a file in the folder of the job, made where there is none yet, with any batch size and length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from albertkit import AlbertConfig

INPUTS = ("ids", "mask", "types")
PLAIN, OPTIMISED, QUANTISED = "encoder.onnx", "encoder_optimised.onnx", "encoder_int8.onnx"
OPENVINO, OPENVINO_INT8 = "encoder.xml", "encoder_int8.xml"


@dataclass(frozen=True)
class Job:
    """What a method is built of: a checkpoint, a folder for what is exported, and its share of the machine."""

    model: Path
    work: Path
    threads: int
    batch_size: int = 32


def make_file(path: Path, make: Callable[[Path], object]) -> Path:
    """``path``, made under another name first: what is there is whole."""
    if not path.exists():
        part = path.with_name(f"part_{path.name}")
        make(part)
        for written in path.parent.glob(f"{part.stem}.*"):
            written.replace(path.with_suffix(written.suffix))
    return path


def peer_module(job: Job) -> tuple[Any, tuple[Any, ...]]:
    """Transformers' encoder as a function of three tensors, and an example of them, for exporters."""
    import torch
    from transformers import AlbertModel

    class Encoder(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = AlbertModel.from_pretrained(job.model, add_pooling_layer=False, attn_implementation="sdpa").eval()

        def forward(self, ids: Any, mask: Any, types: Any) -> Any:
            return self.model(ids, mask, types).last_hidden_state

    return Encoder().eval(), tuple(torch.ones((3, 11), dtype=torch.int64) for _ in INPUTS)


def export_onnx(job: Job) -> Path:
    """The graph that PyTorch's exporter makes."""

    def make(path: Path) -> None:
        import torch

        module, example = peer_module(job)
        axes = dict.fromkeys(INPUTS, dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC))
        torch.onnx.export(
            module, example, path, dynamo=True, input_names=INPUTS, output_names=["states"],
            dynamic_shapes=axes, external_data=False, verbose=False,
        )  # fmt: skip

    return make_file(job.work / PLAIN, make)


def optimise_onnx(job: Job) -> Path:
    """That graph after ONNX Runtime's optimiser for transformers: GELU and normalisation fused, constants folded."""

    def make(path: Path) -> None:
        from onnxruntime.transformers.optimizer import optimize_model

        config = AlbertConfig.from_pretrained(job.model)
        sizes = {"num_heads": config.num_attention_heads, "hidden_size": config.hidden_size}
        optimize_model(str(export_onnx(job)), model_type="bert", opt_level=1, **sizes).save_model_to_file(str(path))

    return make_file(job.work / OPTIMISED, make)


def quantise_onnx(job: Job) -> Path:
    """The optimised graph after ONNX Runtime's dynamic quantiser: on the plain one it finds a transpose between each weight and
    its product, and quantises none of them; folding the constants takes those away."""

    def make(path: Path) -> None:
        from onnxruntime.quantization import quantize_dynamic

        quantize_dynamic(optimise_onnx(job), path)

    return make_file(job.work / QUANTISED, make)


def export_openvino(job: Job) -> Path:
    """OpenVINO's own form."""
    return make_file(job.work / OPENVINO, lambda path: _save_openvino(_convert_openvino(job), path))


def quantise_openvino(job: Job) -> Path:
    """The same in int8, by NNCF's post-training quantisation, calibrated on random ids."""

    def make(path: Path) -> None:
        import nncf

        config = AlbertConfig.from_pretrained(job.model)
        length = min(32, config.max_position_embeddings)
        ids = np.random.default_rng(0).integers(0, config.vocab_size, (32, 1, length))
        samples = [{"ids": row, "mask": np.ones_like(row), "types": np.zeros_like(row)} for row in ids]
        kind = nncf.ModelType.TRANSFORMER
        _save_openvino(nncf.quantize(_convert_openvino(job), nncf.Dataset(samples), model_type=kind, subset_size=32), path)

    return make_file(job.work / OPENVINO_INT8, make)


def _convert_openvino(job: Job) -> Any:
    import openvino

    module, example = peer_module(job)
    inputs = [(name, [-1, -1], openvino.Type.i64) for name in INPUTS]
    return openvino.convert_model(module, example_input=example, input=inputs)


def _save_openvino(model: Any, path: Path) -> None:
    import openvino

    openvino.save_model(model, path, compress_to_fp16=False)
