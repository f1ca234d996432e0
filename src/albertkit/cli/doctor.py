"""Say what is installed, what this machine can do, and which engine would run, and why."""

from __future__ import annotations

import contextlib
import json
import os
import platform
from argparse import ArgumentParser, Namespace
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["add_arguments", "run"]

_PACKAGES = {
    "core": ("numpy", "sentencepiece", "safetensors", "huggingface_hub", "jsonargparse", "pyyaml", "tqdm"),
    "torch": ("torch",),
    "onnx": ("onnx", "onnxruntime"),
    "jax": ("jax", "flax", "optax"),
    "tensorflow": ("tensorflow", "keras"),
    "formats": ("h5py", "msgpack"),
    "wordpiece": ("tokenizers",),
}
_TYPES = "float32; --dtype bfloat16 and int8 are quicker and change some answers: docs/export.md says what they cost"
_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("--json", action="store_true", help="print one JSON object, for programs")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status: 1 if the core is incomplete or the embedded model does not answer."""
    import albertkit

    packages = {extra: {name: _version(name) for name in names} for extra, names in _PACKAGES.items()}
    works, answer = _try_default_model()
    report: dict[str, Any] = {
        "albertkit": albertkit.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "packages": packages,
        "engines": _engines(),
        "types": _TYPES,
        "embedded_model": answer,
    }
    healthy = works and None not in packages["core"].values()
    print(json.dumps(report, indent=2, ensure_ascii=False) if arguments.json else _page(report))
    return 0 if healthy else 1


def _version(package: str) -> str | None:
    for distribution in (package, f"{package}-cpu"):  # TensorFlow comes as either
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(distribution)
    return None


def _engines() -> list[dict[str, str]]:
    """What ``auto`` would take for which work in a fresh process, and why."""
    from functools import partial

    from albertkit import optional
    from albertkit.config import AlbertConfig
    from albertkit.hub import DEFAULT_MODEL
    from albertkit.inference.engine import SWITCH_WORK, Choice, choose_engine, find_installed, work_of_token

    installed = find_installed()
    choose = partial(choose_engine, installed=installed, loaded=())
    switch = round(SWITCH_WORK / work_of_token(AlbertConfig.from_pretrained(DEFAULT_MODEL)), -3)
    found = {
        "one short text": choose(0),
        f"many texts ({switch:,.0f} tokens with {DEFAULT_MODEL}, fewer with a larger model)": choose(SWITCH_WORK + 1),
    }
    if "torch" in installed:
        accelerator = optional.require("torch").accelerator.current_accelerator(check_available=True)
        if accelerator is not None:
            found[f"--device {accelerator.type}"] = choose(0, accelerator.type)
    for name in ("jax", "tensorflow"):
        if name in installed:
            found[f"--engine {name}"] = Choice(name, "it has to be asked for: it compiles a program for every shape of a batch")
    return [{"work": work, "engine": engine, "reason": reason} for work, (engine, reason) in found.items()]


def _try_default_model() -> tuple[bool, str]:
    """Fill one mask with the embedded model."""
    from albertkit.errors import AlbertError
    from albertkit.hub import DEFAULT_MODEL
    from albertkit.pipelines import pipeline

    try:
        best = pipeline("fill-mask", engine="numpy")("Paris is the capital of [MASK].", top_k=1)[0]
    except AlbertError as error:
        return False, f"{DEFAULT_MODEL} does not answer: {error}"
    return True, f"{DEFAULT_MODEL} answers: {best['sequence']}"


def _processor() -> str:
    """Model name and the instruction sets that matter for matrix products, where the system tells."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return platform.processor() or "unknown"
    fields = dict(line.split(":", 1) for line in path.read_text(encoding="utf-8").split("\n\n")[0].splitlines() if ":" in line)
    cleaned = {name.strip(): value.strip() for name, value in fields.items()}
    sets = [name for name in _FEATURES if name in cleaned.get("flags", "").split()]
    return f"{cleaned.get('model name', 'unknown')} ({', '.join(sets) or 'no vector sets known'})"


def _page(report: dict[str, Any]) -> str:
    lines = [f"{name:16} {report[name]}" for name in ("albertkit", "python", "system", "processor", "cores")]
    for extra, versions in report["packages"].items():
        listed = ", ".join(f"{name} {version or 'NOT INSTALLED'}" for name, version in versions.items())
        lines.append(f"{extra:16} {listed}")
    lines += [f"{'engine':16} {choice['engine']} for {choice['work']}: {choice['reason']}" for choice in report["engines"]]
    lines += [f"{'types':16} {report['types']}", f"{'embedded model':16} {report['embedded_model']}"]
    return "\n".join(lines)
