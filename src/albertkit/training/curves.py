"""The picture of a run: loss, scores, learning rate and gradient norm over its steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from albertkit import optional
from albertkit.errors import TrainingError
from albertkit.files import new_file
from albertkit.training.monitoring import describe_seconds

__all__ = ["BLUE", "CURVES_FILE", "GREEN", "ORANGE", "Sheet", "draw_curves"]

CURVES_FILE = "curves.png"
"""The picture of a run, in its output and beside its model's card."""

BLUE, ORANGE, GREEN = "#3b6fb6", "#d9772b", "#3a8f5b"
"""Colours of the curves."""

_SMOOTHED = 25  # a smoothed curve is a mean over a window of the run's length divided by this

Line = dict[str, Any]


class Sheet:
    """Four panels over the steps of a log: above two to be filled, below learning rate and gradient norm.

    Args:
        log: The ``log.jsonl`` of a run.

    Attributes:
        train: The log's lines on training.
        tests: Those on evaluations.
        panels: The two panels above.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        TrainingError: If the log cannot be read or tells of no step.
    """

    def __init__(self, log: Path) -> None:
        self._figure = optional.require("matplotlib.figure", "A picture of the run").Figure(
            figsize=(12, 7.5), layout="constrained"
        )
        lines = _read(log)
        self.train = [line for line in lines if line["event"] == "train"]
        self.tests = [line for line in lines if line["event"] == "evaluation"]
        if not self.train:
            raise TrainingError("a log must have a line on training to be drawn", received=f"{log}, which has none")
        last = self.train[-1]
        self._figure.suptitle(f"{last['step']:,} steps · {last['tokens']:,} tokens · {describe_seconds(last['seconds'])}")
        self.panels, (rates, norms) = self._figure.subplots(2, 2, sharex=True)

        self.name(rates, "learning rate")
        self.draw(rates, self.train, "learning_rate", color=BLUE)
        rates.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        rates.set_ylim(bottom=0)
        rates.set_xlabel("step")

        self.name(norms, "gradient norm before clipping")
        norms.set_yscale("log")
        for axis_formatter in (norms.yaxis.set_major_formatter, norms.yaxis.set_minor_formatter):
            axis_formatter(lambda value, _: f"{value:g}")
        self.draw_noisy(norms, self.train, "grad_norm", "gradient norm")
        norms.grid(which="both", color="#e6e6e6", linewidth=0.8)
        norms.set_xlabel("step")
        norms.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")

    def name(self, panel: Any, title: str, unit: str = "") -> None:
        """Give a panel its title and its grid.

        Args:
            panel: Axes of matplotlib.
            title: Above it.
            unit: Of its values.
        """
        panel.set_title(title, fontsize=11, loc="left")
        panel.set_ylabel(unit)
        panel.grid(color="#e6e6e6", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelbottom=True)

    def draw(
        self, panel: Any, lines: list[Line], name: str, *, color: str, label: str = "", marker: str = "", linestyle: str = "-"
    ) -> None:
        """Draw a series.

        Args:
            panel: Axes of matplotlib.
            lines: Of the log.
            name: Key of the series.
            color: Of line and marks.
            label: For the legend.
            marker: At each value.
            linestyle: As matplotlib writes it.
        """
        _plot(panel, lines, name, color=color, label=label, marker=marker, linestyle=linestyle)

    def draw_noisy(self, panel: Any, lines: list[Line], name: str, label: str) -> None:
        """Draw a series as it is, pale, and over it the mean of each point's neighbours, as many on either side.

        Args:
            panel: Axes of matplotlib.
            lines: Of the log.
            name: Key of the series.
            label: For the legend.
        """
        known = [line for line in lines if line.get(name) is not None]
        _plot(panel, known, name, color=BLUE, alpha=0.3, linewidth=1)
        reach = len(known) // (2 * _SMOOTHED)
        smooth = []
        for place, line in enumerate(known):
            near = min(reach, place, len(known) - 1 - place)
            window = [neighbour[name] for neighbour in known[place - near : place + near + 1]]
            smooth.append({"step": line["step"], name: sum(window) / len(window)})
        self.draw(panel, smooth, name, color=BLUE, label=label)

    def save(self, picture: Path) -> None:
        """Write the sheet as a PNG that appears whole or not at all.

        Args:
            picture: The file.

        Raises:
            TrainingError: If it cannot be written.
        """
        try:
            with new_file(picture) as temporary:
                self._figure.savefig(temporary, format="png", dpi=120)
        except OSError as error:
            raise TrainingError("the picture must be writable", received=f"{picture} ({error.strerror or error})") from None


def draw_curves(log: Path, picture: Path) -> None:
    """Draw the log of a pre-training run as a PNG of four panels; the picture appears whole or not at all.

    Args:
        log: The ``log.jsonl`` of the run.
        picture: File to write.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        TrainingError: If the log cannot be read or tells of no step, or the picture cannot be written.
    """
    sheet = Sheet(log)
    losses, accuracies = sheet.panels

    sheet.name(losses, "masked LM loss", "nats per predicted token")
    sheet.draw_noisy(losses, sheet.train, "mlm_loss", "training")
    sheet.draw(losses, sheet.tests, "masked_lm_loss", color=ORANGE, label="held out", marker="o")
    losses.legend(frameon=False)

    sheet.name(accuracies, "accuracy on held-out documents")
    accuracies.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    sheet.draw(accuracies, sheet.tests, "sentence_order_accuracy", color=GREEN, label="sentence order", marker="o")
    accuracies.axhline(0.5, color=GREEN, linestyle=":", label="sentence order by chance")
    sheet.draw(accuracies, sheet.tests, "masked_lm_accuracy", color=BLUE, label="masked LM", marker="o")
    majority = "masked LM, always the commonest token"
    sheet.draw(accuracies, sheet.tests, "majority_accuracy", color=BLUE, label=majority, linestyle=":")
    accuracies.set_ylim(bottom=0)
    accuracies.legend(frameon=False)
    sheet.save(picture)


def _read(log: Path) -> list[Line]:
    try:
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise TrainingError("a log must be a readable file of JSON lines", received=f"{log} ({error})") from None


def _plot(panel: Any, lines: list[Line], name: str, **style: Any) -> None:
    """Steps at which a series is absent or was not finite are left out, and nothing is drawn of none."""
    points = [(line["step"], line[name]) for line in lines if line.get(name) is not None]
    if points:
        panel.plot(*zip(*points, strict=True), **({"markersize": 3.5, "linewidth": 1.6} | style))
