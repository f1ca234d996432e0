"""Write a model for other runtimes: ONNX, in float32 or int8, or a PyTorch program, with its tokenizer and configuration."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from albertkit.hub import Source

if TYPE_CHECKING:
    from albertkit.export import Agreement

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("model", metavar="MODEL", help="directory, embedded model, published name or hub id")
    parser.add_argument("directory", metavar="DIRECTORY", help="where to write; made if need be")
    parser.add_argument(
        "--format", default="onnx", choices=("onnx", "torch"), help="model.onnx or model.pt2 (default: %(default)s)"
    )
    parser.add_argument(
        "--architecture", metavar="CLASS", help="class to export, such as AlbertForMaskedLM (default: the checkpoint's own)"
    )
    parser.add_argument("--int8", action="store_true", help="quantise every linear layer and the embeddings; onnx only")
    parser.add_argument(
        "--texts", metavar="FILE", help="compare before and after on a text a line, or on .jsonl with text, text_pair and label"
    )
    parser.add_argument(
        "--min-agreement", type=float, metavar="SHARE", help="write nothing if fewer answers than this share are the same"
    )
    parser.add_argument(
        "--max-accuracy-loss", type=float, metavar="SHARE", help="write nothing if accuracy falls by more than this"
    )
    parser.add_argument("--revision", metavar="REVISION", help="branch, tag or commit of a hub repository")
    parser.add_argument("--allow-pickle", action="store_true", help="read pytorch_model.bin where there is no safetensors file")
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    from albertkit.checkpoints.exported import ONNX_FILE, PROGRAM_FILE

    source = Source(arguments.model, arguments.revision, allow_pickle=arguments.allow_pickle)
    agreement = None
    if arguments.format == "torch":
        _export_torch(source, arguments)
    else:
        agreement = _export_onnx(source, arguments)
    path = Path(arguments.directory) / (PROGRAM_FILE if arguments.format == "torch" else ONNX_FILE)
    if arguments.json:
        print(json.dumps({"file": str(path), "bytes": path.stat().st_size, "agreement": agreement and agreement.to_dict()}))
        return 0
    print(f"{path}  {path.stat().st_size:,} bytes")
    if agreement is not None:
        print(agreement)
    return 0


def _export_onnx(source: Source, arguments: Namespace) -> Agreement | None:
    from albertkit.export import export_onnx, read_texts

    return export_onnx(
        source,
        arguments.directory,
        architecture=arguments.architecture,
        is_int8=arguments.int8,
        texts=read_texts(arguments.texts) if arguments.texts else (),
        min_agreement=arguments.min_agreement,
        max_accuracy_loss=arguments.max_accuracy_loss,
    )


def _export_torch(source: Source, arguments: Namespace) -> None:
    from albertkit import optional
    from albertkit.errors import InputError

    for flag in ("int8", "texts", "min_agreement", "max_accuracy_loss"):
        if getattr(arguments, flag):
            raise InputError(f"--{flag.replace('_', '-')} is for ONNX", received="--format torch", fix="leave one out")
    optional.require("torch", "Export of a PyTorch program")
    from albertkit.export.torch_program import export_torch

    export_torch(source, arguments.directory, architecture=arguments.architecture)
