"""What every table says of the machine it was measured on."""

from __future__ import annotations

import csv
import os
import platform
import re
import statistics
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path


def processor() -> str:
    """Name of the processor's model."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        model = next((line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line), model)
    return model


def today() -> str:
    """The day, as results are named by it."""
    return datetime.now(tz=UTC).date().isoformat()


def name_result(script: str) -> str:
    """Name of a script's results on this machine today, without suffix: ``epyc-2core_2026-11-21_inference``."""
    words = re.sub(r"\([^)]*\)|@.*", " ", processor().lower())
    kept = [word for word in re.findall(r"[a-z0-9]+", words) if word not in ("intel", "amd", "cpu", "processor")]
    return f"{'-'.join(kept) or 'cpu'}-{len(os.sched_getaffinity(0))}core_{today()}_{script}"


def describe(*packages: str) -> str:
    """One line: processor, cores, Python and the versions of those of ``packages`` that are installed."""
    versions = [f"Python {platform.python_version()}"]
    for name in packages:
        with suppress(metadata.PackageNotFoundError):
            versions.append(f"{name} {metadata.version(name)}")
    return f"{today()} · {processor()}, {len(os.sched_getaffinity(0))} cores · {', '.join(versions)}"


def spread(values: list[float], digits: int = 2) -> str:
    """Median with minimum and maximum."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def publish(lines: list[str], output: Path | None) -> None:
    """Print a table, and keep it where one is to be kept."""
    text = "\n".join(lines) + "\n"
    print(text)
    if output:
        output.write_text(text, encoding="utf-8")


def write_csv(rows: list[dict[str, object]], path: Path) -> None:
    """Keep rows of equal columns as comma-separated values."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
