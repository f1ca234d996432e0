"""The picture of a run: loss, accuracy, learning rate and gradient norm over its steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from albertkit import optional
from albertkit.errors import TrainingError
from albertkit.files import new_file

__all__ = ["draw_curves"]

_BLUE, _ORANGE, _GREEN = "#3b6fb6", "#d9772b", "#3a8f5b"
_SMOOTHED = 25  # a smoothed curve is a mean over a window of the run's length divided by this

Line = dict[str, Any]


def draw_curves(log: Path, picture: Path) -> None:
    """Draw a log as a PNG of four panels; the picture appears whole or not at all.

    Args:
        log: The ``log.jsonl`` of a run.
        picture: File to write.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        TrainingError: If the log cannot be read or tells of no step, or the picture cannot be written.
    """
    figure = optional.require("matplotlib.figure", "A picture of the run").Figure(figsize=(12, 7.5), layout="constrained")
    lines = _read(log)
    train = [line for line in lines if line["event"] == "train"]
    tests = [line for line in lines if line["event"] == "evaluation"]
    if not train:
        raise TrainingError("a log must have a line on training to be drawn", received=f"{log}, which has none")
    figure.suptitle(f"{train[-1]['step']:,} steps · {train[-1]['tokens']:,} tokens · {train[-1]['seconds'] / 3600:,.1f} hours")
    (losses, accuracies), (rates, norms) = figure.subplots(2, 2, sharex=True)

    _prepare(losses, "masked LM loss", "nats per predicted token")
    _draw_noisy(losses, train, "mlm_loss", "training")
    _draw(losses, tests, "masked_lm_loss", color=_ORANGE, label="held out", marker="o")
    losses.legend(frameon=False)

    _prepare(accuracies, "accuracy on held-out documents", None)
    accuracies.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    _draw(accuracies, tests, "sentence_order_accuracy", color=_GREEN, label="sentence order", marker="o")
    accuracies.axhline(0.5, color=_GREEN, linestyle=":", label="sentence order by chance")
    _draw(accuracies, tests, "masked_lm_accuracy", color=_BLUE, label="masked LM", marker="o")
    _draw(accuracies, tests, "majority_accuracy", color=_BLUE, label="masked LM, always the commonest token", linestyle=":")
    accuracies.set_ylim(bottom=0)
    accuracies.legend(frameon=False)

    _prepare(rates, "learning rate", None)
    _draw(rates, train, "learning_rate", color=_BLUE)
    rates.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    rates.set_ylim(bottom=0)
    rates.set_xlabel("step")

    _prepare(norms, "gradient norm before clipping", None)
    norms.set_yscale("log")
    for axis_formatter in (norms.yaxis.set_major_formatter, norms.yaxis.set_minor_formatter):
        axis_formatter(lambda value, _: f"{value:g}")
    _draw_noisy(norms, train, "grad_norm", "gradient norm")
    norms.grid(which="both", color="#e6e6e6", linewidth=0.8)
    norms.set_xlabel("step")
    norms.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    try:
        with new_file(picture) as temporary:
            figure.savefig(temporary, format="png", dpi=120)
    except OSError as error:
        raise TrainingError("the picture must be writable", received=f"{picture} ({error.strerror or error})") from None


def _read(log: Path) -> list[Line]:
    try:
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise TrainingError("a log must be a readable file of JSON lines", received=f"{log} ({error})") from None


def _prepare(axes: Any, title: str, unit: str | None) -> None:
    axes.set_title(title, fontsize=11, loc="left")
    axes.set_ylabel(unit or "")
    axes.grid(color="#e6e6e6", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelbottom=True)


def _draw(axes: Any, lines: list[Line], name: str, **style: Any) -> None:
    """One series; steps at which it is absent or was not finite are left out, and nothing is drawn of none."""
    points = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
    if points:
        axes.plot(*zip(*points, strict=True), **({"markersize": 3.5, "linewidth": 1.6} | style))


def _draw_noisy(axes: Any, lines: list[Line], name: str, label: str) -> None:
    """A series as it is, pale, and over it the mean of each point's neighbours, as many on either side."""
    known = [line for line in lines if line.get(name) is not None]
    _draw(axes, known, name, color=_BLUE, alpha=0.3, linewidth=1)
    reach = len(known) // (2 * _SMOOTHED)
    smooth = []
    for place, line in enumerate(known):
        near = min(reach, place, len(known) - 1 - place)
        window = [neighbour[name] for neighbour in known[place - near : place + near + 1]]
        smooth.append({"step": line["step"], name: sum(window) / len(window)})
    _draw(axes, smooth, name, color=_BLUE, label=label)
