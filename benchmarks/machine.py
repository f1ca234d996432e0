"""What every table says of the machine it was measured on."""

from __future__ import annotations

import os
import platform
import statistics
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path


def describe(*packages: str) -> str:
    """One line: processor, cores, Python and the versions of ``packages``."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        model = next((line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line), model)
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in packages)
    day = datetime.now(tz=UTC).date().isoformat()
    return f"{day} · {model}, {len(os.sched_getaffinity(0))} cores · Python {platform.python_version()}, {versions}"


def spread(values: list[float], digits: int = 2) -> str:
    """Median with minimum and maximum."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def publish(lines: list[str], output: Path | None) -> None:
    """Print a table, and keep it where one is to be kept."""
    text = "\n".join(lines) + "\n"
    print(text)
    if output:
        output.write_text(text, encoding="utf-8")
