"""The arguments that every command with a model takes."""

from __future__ import annotations

from argparse import ArgumentParser, _ArgumentGroup

from albertkit.hub import DEFAULT_MODEL

__all__ = ["add_engine_arguments", "add_model_arguments", "add_source_arguments"]


def add_model_arguments(parser: ArgumentParser) -> None:
    """Add ``--model``, ``--engine`` and what else says which model runs, where, and in which batches."""
    group = parser.add_argument_group("model")
    group.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME",
        help="directory, embedded model, published name or hub id (default: %(default)s)",
    )
    add_source_arguments(group)
    add_engine_arguments(group)
    group.add_argument("--batch-size", type=int, metavar="N", help="most sequences computed at once (default: no limit)")


def add_source_arguments(group: ArgumentParser | _ArgumentGroup) -> None:
    """Add ``--revision`` and ``--allow-pickle``."""
    group.add_argument("--revision", metavar="REVISION", help="branch, tag or commit of a hub repository")
    group.add_argument(
        "--allow-pickle", action="store_true", help="read pytorch_model.bin where there is no safetensors file; needs PyTorch"
    )


def add_engine_arguments(group: _ArgumentGroup) -> None:
    """Add ``--engine``, ``--device``, ``--dtype`` and ``--token-budget``."""
    group.add_argument(
        "--engine",
        default="auto",
        choices=("auto", "numpy", "torch", "onnx", "jax", "tensorflow"),
        help="what computes (default: %(default)s)",
    )
    group.add_argument("--device", metavar="DEVICE", help="where to compute with PyTorch, JAX or TensorFlow: cpu, cuda:0 …")
    group.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16", "int8", "auto"),
        help="number type to compute in with PyTorch, JAX or TensorFlow; int8 on the CPU only, with PyTorch or ONNX Runtime",
    )
    group.add_argument(
        "--token-budget", type=int, default=4096, metavar="N", help="most tokens computed at once (default: %(default)s)"
    )
