"""What a fine-tuning run came to, as ``results.json`` keeps it: scores, data, time, and all that it takes to do it again."""

from __future__ import annotations

import dataclasses
import json
import shlex
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from albertkit.errors import TrainingError
from albertkit.files import new_file
from albertkit.tasks.base import Scores
from albertkit.training.finetuning.recipe import FinetuningRecipe

__all__ = ["RESULTS_FILE", "Results", "Spread", "describe_command", "write_json"]

RESULTS_FILE = "results.json"


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of a run with one seed."""

    command: str
    """What makes them again."""
    task: str
    """Its name."""
    model: str
    """The checkpoint that the run started from."""
    seed: int
    """Of the head's first weights, the order and dropout."""
    scores: Scores
    """Of the final model, which is the best one, on the examples it was chosen by."""
    test: Scores | None
    """Of the same model on the test set; ``None`` if there is none, or it has no right answers."""
    best_step: int
    """Updates after which the final model stood."""
    steps: int
    """Updates of the run."""
    epochs: float
    """Passes over the training examples."""
    tokens: int
    """Tokens trained on, special ones included."""
    seconds: float
    """Wall-clock time, evaluations included."""
    examples_per_second: float
    """Trained on in that time."""
    peak_memory_bytes: int
    """The most that was in use at once: of a GPU by tensors, else of the process."""
    parameters: int
    """Of the model."""
    trained_parameters: int
    """Those of them that were trained."""
    examples: dict[str, int]
    """Number of examples: ``train``, ``eval`` and ``test``."""
    counts: dict[str, dict[str, int]]
    """What happened to some of them on the way: ``train``, ``eval`` and ``test`` → ``truncated`` and the like → number."""
    labels: list[str] | None
    """Names of the classes."""
    is_pair: bool
    """Whether rows have two parts: pairs of texts, questions with passages."""
    hardware: str
    """Processor, and GPUs if they computed."""
    software: str
    """Versions."""
    recipe: dict[str, Any]
    """The whole recipe, as plain values."""

    def write(self, directory: Path) -> None:
        """Write ``results.json``.

        Args:
            directory: Of the run.

        Raises:
            TrainingError: If it cannot be written.
        """
        write_json(directory / RESULTS_FILE, dataclasses.asdict(self))

    @classmethod
    def read(cls, directory: Path) -> Results:
        """Read ``results.json``.

        Args:
            directory: Of the run.

        Raises:
            TrainingError: If it cannot be read.
        """
        path = directory / RESULTS_FILE
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            test = content.pop("test")
            return cls(scores=Scores(**content.pop("scores")), test=None if test is None else Scores(**test), **content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise TrainingError(
                "the results of a run must be readable", received=f"{path} ({error})", fix="run with --resume, which writes them"
            ) from None


@dataclass(frozen=True)
class Spread:
    """How the values of a score lie over several seeds."""

    values: Sequence[float]
    """One for each seed, in their order; at least one."""

    @property
    def median(self) -> float:
        """The middle one, or the mean of the middle two."""
        return statistics.median(self.values)

    @property
    def deviation(self) -> float:
        """Standard deviation of the population that they are drawn from; 0 of one value."""
        return statistics.stdev(self.values) if len(self.values) > 1 else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As ``results.json`` has it."""
        return {
            "median": self.median, "min": min(self.values), "max": max(self.values), "standard_deviation": self.deviation,
            "values": list(self.values),
        }  # fmt: skip


def describe_command(recipe: FinetuningRecipe) -> str:
    """The command that follows a recipe, every key that differs from its default in it.

    Args:
        recipe: Of the run.
    """
    words = ["albertkit", "finetune"]
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        if not dataclasses.is_dataclass(value):
            words += _words(field.name, value, field)
            continue
        for key in dataclasses.fields(value):
            words += _words(f"{field.name}.{key.name}", getattr(value, key.name), None if field.name == "lora" else key)
    return shlex.join(words)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values as a file that appears whole or not at all.

    Args:
        path: The file.
        values: As JSON takes them.

    Raises:
        TrainingError: If it cannot be written.
    """
    try:
        with new_file(path) as temporary:
            temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise TrainingError("results must be writable", received=f"{path} ({error.strerror or error})") from None


def _words(name: str, value: Any, field: dataclasses.Field[Any] | None) -> list[str]:
    """``--name value``, or nothing if that is the field's default."""
    if field is not None:
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        if value == default:
            return []
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(plain, default_flow_style=True, width=10**6, allow_unicode=True).removesuffix("...\n").strip()
    return [f"--{name}", text]
