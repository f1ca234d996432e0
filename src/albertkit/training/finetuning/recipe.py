"""The recipe of a fine-tuning run: a YAML file with one section for each dataclass here. No framework is imported."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from albertkit.errors import ConfigError
from albertkit.hub import DEFAULT_MODEL
from albertkit.training.settings import apply_override, build, check_keys, describe_fields, read_yaml, require

__all__ = [
    "COLUMNS",
    "ConfigRecipe",
    "FinetuneDataRecipe",
    "FinetuneOptimizerRecipe",
    "FinetuneScheduleRecipe",
    "FinetuneTrainingRecipe",
    "FinetuningRecipe",
    "LoraRecipe",
    "list_keys",
    "read_recipe",
]

COLUMNS = ("id", "text", "text_pair", "label", "words", "tags", "context", "question", "answers", "answer_start", "choices")
"""What a column of one's own table may hold, beside ``choice0``, ``choice1`` …; ``data.columns`` says how it is called there."""

_NUMBERED = re.compile(r"(choice|ending)\d+")
_COLUMN_FLAG = "data.columns."


@dataclass(frozen=True, kw_only=True)
class FinetuneDataRecipe:
    """Which examples, and how the model reads them."""

    train: str
    """File or folder to learn from, or ``datasets:NAME[/CONFIG]@SPLIT`` for a data set of the hub."""
    eval: str | None = None
    """The same to choose the best checkpoint by; null holds ``eval_share`` of the training examples out."""
    test: str | None = None
    """The same, scored once at the end with the best checkpoint; where it has no right answers, predictions are written."""
    eval_share: float = 0.1
    """Without ``eval``: share of the training examples to hold out, chosen by a hash of their text."""
    columns: dict[str, str] = field(default_factory=dict)
    """Of one's own table: what a column holds → its name there, all in one: ``{choice0: first, choice1: second}``."""
    max_seq_length: int | None = None
    """Most tokens of a row; null is the task's, as far as the model has positions."""
    doc_stride: int | None = None
    """Questions: the tokens that neighbouring windows of a long text share; null is 128, or less where windows are too short."""
    answerability: bool = False
    """Questions: Google's head of three parts (SQuAD 2.0) in place of two scores for each token."""
    workers: int | None = None
    """Processes that tokenize; null is one for each core."""
    cache: str | None = None
    """Folder that keeps tokenized examples for the next run; null keeps none."""

    def __post_init__(self) -> None:
        require(0 < self.eval_share < 1, "eval_share must be above 0 and below 1", self.eval_share)
        require(self.max_seq_length is None or self.max_seq_length >= 8, "max_seq_length must be at least 8", self.max_seq_length)
        require(self.doc_stride is None or self.doc_stride >= 1, "doc_stride must be at least 1, or null", self.doc_stride)
        require(self.workers is None or self.workers >= 1, "workers must be at least 1, or null", self.workers)
        check_keys([key for key in self.columns if not _NUMBERED.fullmatch(key)], COLUMNS, "columns")


@dataclass(frozen=True, kw_only=True)
class ConfigRecipe:
    """What to change of the checkpoint's configuration; null leaves a key as it is."""

    hidden_dropout_prob: float | None = None
    """Dropout after the embeddings, the attention output and the feed-forward output."""
    attention_probs_dropout_prob: float | None = None
    """Dropout of the attention probabilities."""
    classifier_dropout_prob: float | None = None
    """Dropout before a classifier."""

    def changes(self) -> dict[str, float]:
        """Key → value of what is given."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class FinetuneOptimizerRecipe:
    """How gradients become updates."""

    name: Literal["adamw", "lamb"] = "adamw"
    """``adamw``, or ``lamb`` (arXiv:1904.00962, with Google's semantics)."""
    learning_rate: float = 2e-5
    """The peak of the schedule."""
    layer_decay: float = 1.0
    """The head learns at ``learning_rate``, and what lies below it at this factor of it for every layer of distance; a layer that
    is applied several times stands at the mean of its places."""
    weight_decay: float = 0.01
    """Decoupled decay of kernels and embeddings; LayerNorm and biases have none."""
    betas: tuple[float, float] = (0.9, 0.999)
    """Decay rates of the two moments."""
    epsilon: float = 1e-6
    """Added to the root of the second moment."""
    clip_norm: float | None = 1.0
    """Largest global norm of the gradient; null is no bound."""

    def __post_init__(self) -> None:
        require(self.learning_rate > 0, "learning_rate must be above 0", self.learning_rate)
        require(0 < self.layer_decay <= 1, "layer_decay must be above 0 and at most 1", self.layer_decay)
        require(self.weight_decay >= 0, "weight_decay must be at least 0", self.weight_decay)
        require(all(0 <= beta < 1 for beta in self.betas), "betas must be from 0 to below 1", self.betas)
        require(self.epsilon > 0, "epsilon must be above 0", self.epsilon)
        require(self.clip_norm is None or self.clip_norm > 0, "clip_norm must be above 0, or null", self.clip_norm)


@dataclass(frozen=True, kw_only=True)
class FinetuneScheduleRecipe:
    """How long, and how the learning rate goes (:func:`albertkit.optim.schedules.learning_rate_at`)."""

    epochs: float | None = None
    """Passes over the training examples, 3 by default; or give ``total_steps``."""
    total_steps: int | None = None
    """Instead: number of updates."""
    warmup_steps: int | None = None
    """First steps, over which the rate rises linearly to its peak; or give ``warmup_share``."""
    warmup_share: float | None = None
    """Instead: the share of all steps; 0.1 by default."""
    decay: Literal["linear", "cosine", "constant"] = "linear"
    """What follows: ``linear`` and ``cosine`` fall to 0 over the run, ``constant`` stays."""

    def __post_init__(self) -> None:
        for first, second in (("epochs", "total_steps"), ("warmup_steps", "warmup_share")):
            given = (getattr(self, first), getattr(self, second))
            require(None in given, f"one of {first} and {second} may be given", f"{given[0]} and {given[1]}")
        require(self.epochs is None or self.epochs > 0, "epochs must be above 0", self.epochs)
        require(self.total_steps is None or self.total_steps >= 1, "total_steps must be at least 1", self.total_steps)
        require(self.warmup_steps is None or self.warmup_steps >= 0, "warmup_steps must be at least 0", self.warmup_steps)
        share = self.warmup_share
        require(share is None or 0 <= share < 1, "warmup_share must be at least 0 and below 1", share)

    def count_steps(self, units: int, examples_per_batch: int) -> tuple[int, int]:
        """Steps of the whole run, and of its warmup.

        Args:
            units: Number of things to train on.
            examples_per_batch: Of them in a batch.

        Raises:
            ConfigError: If the warmup is no shorter than the run.
        """
        total = self.total_steps or math.ceil((self.epochs or 3) * units / examples_per_batch)
        share = 0.1 if self.warmup_share is None else self.warmup_share
        warmup = int(total * share) if self.warmup_steps is None else self.warmup_steps
        if warmup >= total:
            raise ConfigError(
                "schedule.warmup_steps must be below the number of steps",
                received=f"{warmup} and {total}",
                fix="write warmup_share: 0.1 in its place, or more epochs",
            )
        return total, warmup


@dataclass(frozen=True, kw_only=True)
class FinetuneTrainingRecipe:
    """Batches, numbers and intervals."""

    examples_per_batch: int = 32
    """What is trained on in an update: texts, windows of questions or sentences, or questions with all their choices."""
    micro_batch_tokens: int | None = None
    """Cut a batch into parts of about so many tokens, whose gradients are added up: less memory, the same update."""
    seeds: list[int] = field(default_factory=lambda: [0])
    """Of the head's first weights, the order and dropout. Of several, each makes a run of its own, one after the other."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Numbers of the matrix products; weights, moments and losses are float32 always."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1`` …; ``auto`` is a GPU if there is one."""
    log_every_steps: int = 10
    """Steps between two lines of ``log.jsonl``."""
    evaluate_every_steps: int | None = None
    """Steps between two evaluations; null is an epoch. There is one at the end too."""
    save_every_steps: int | None = None
    """Steps between two checkpoints; null is one at each evaluation. There is one at the end, and one when the run is stopped."""
    keep_checkpoints: int = 1
    """Newest checkpoints to keep; the best model is kept besides."""
    patience: int | None = None
    """Evaluations in a row without a better score, after which the run ends; null goes through to its end."""
    freeze: Literal["none", "embeddings", "encoder"] = "none"
    """What is not trained: the three tables of embeddings, or all but pooler and head."""
    tensorboard: bool = False
    """Whether the log's numbers are written for TensorBoard too, into ``tensorboard`` of the output."""

    def __post_init__(self) -> None:
        for name in (
            "examples_per_batch", "micro_batch_tokens", "log_every_steps", "evaluate_every_steps", "save_every_steps",
            "keep_checkpoints", "patience",
        ):  # fmt: skip
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name} must be at least 1", value)
        require(all(0 <= seed < 2**32 for seed in self.seeds), "seeds must be from 0 to 4294967295", self.seeds)
        require(0 < len(self.seeds) == len(set(self.seeds)), "seeds must be one or more, each once", self.seeds)


@dataclass(frozen=True, kw_only=True)
class LoraRecipe:
    """Low-rank adapters (arXiv:2106.09685) by ``peft``: they and the head are trained, all else stays."""

    rank: int = 8
    """Of the two matrices of an adapter."""
    alpha: float = 16.0
    """An adapter's work is multiplied by ``alpha / rank``."""
    dropout: float = 0.0
    """Before an adapter."""
    targets: list[str] = field(default_factory=lambda: ["query", "value"])
    """Linear layers that get one: ``query``, ``key``, ``value``, ``dense``, ``ffn``, ``ffn_output``."""

    def __post_init__(self) -> None:
        require(self.rank >= 1, "rank must be at least 1", self.rank)
        require(self.alpha > 0, "alpha must be above 0", self.alpha)
        require(0 <= self.dropout < 1, "dropout must be from 0 to below 1", self.dropout)
        check_keys(self.targets, ("query", "key", "value", "dense", "ffn", "ffn_output"), "targets")
        require(bool(self.targets), "targets must name a layer", self.targets)


@dataclass(frozen=True, kw_only=True)
class FinetuningRecipe:
    """A whole recipe."""

    task: str
    """A known task (``sst-2``, ``squad-v2``, ``race`` …), or the form of one's own table (``text-classification`` …)."""
    model: str = DEFAULT_MODEL
    """Checkpoint to start from: directory, embedded model, published name or hub id."""
    output: str
    """Directory of the log, the checkpoints and, in ``final``, the model; ``runs/TASK`` if absent."""
    data: FinetuneDataRecipe
    """Which examples, and how the model reads them."""
    config: ConfigRecipe = field(default_factory=ConfigRecipe)
    """What to change of the checkpoint's configuration."""
    optimizer: FinetuneOptimizerRecipe = field(default_factory=FinetuneOptimizerRecipe)
    """How gradients become updates."""
    schedule: FinetuneScheduleRecipe = field(default_factory=FinetuneScheduleRecipe)
    """How long, and how the learning rate goes."""
    training: FinetuneTrainingRecipe = field(default_factory=FinetuneTrainingRecipe)
    """Batches, numbers and intervals."""
    lora: LoraRecipe | None = None
    """Adapters to train in place of the encoder; null trains the encoder."""

    def __post_init__(self) -> None:
        adapted = self.lora is not None and self.training.freeze != "none"
        require(not adapted, "training.freeze must be none beside lora, which freezes the encoder", self.training.freeze)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON takes them."""
        return dataclasses.asdict(self)


_SECTIONS: dict[str, type[Any]] = {
    "data": FinetuneDataRecipe, "config": ConfigRecipe, "optimizer": FinetuneOptimizerRecipe,
    "schedule": FinetuneScheduleRecipe, "training": FinetuneTrainingRecipe,
}  # fmt: skip


def read_recipe(path: str | Path | None, overrides: Sequence[str] = ()) -> FinetuningRecipe:
    """Read and check a recipe.

    Args:
        path: A YAML file; its relative paths count from the working directory. ``None``: the overrides say all.
        overrides: ``section.key=value`` each, which take the place of the file's.

    Raises:
        ConfigError: If the file cannot be read, a key is unknown or missing, or a value is impossible: one sentence that names
            the file, the key and the likely fix.
    """
    where = "the command" if path is None else str(path)
    content = {} if path is None else read_yaml(path)
    for override in overrides:
        name, _, text = override.partition("=")
        is_column = name.startswith(_COLUMN_FLAG)  # whose name is taken as it stands: 0, #1 String, yes
        apply_override(content, f"{name}={json.dumps(text)}" if is_column else override)
    check_keys(content, [section.name for section in dataclasses.fields(FinetuningRecipe)], where)
    for key in ("task", "data"):
        require(content.get(key) is not None, f"{where} must give {key if key == 'task' else 'data.train'}", "nothing")
    texts = {"output": f"runs/{content['task']}"} | {
        key: content[key] for key in ("task", "model", "output") if content.get(key) is not None
    }
    for key, value in texts.items():
        require(isinstance(value, str), f"{where}, {key} must be text", repr(value))
    sections = {name: build(kind, content.get(name), f"{where}, section {name}") for name, kind in _SECTIONS.items()}
    lora = None if content.get("lora") is None else build(LoraRecipe, content["lora"], f"{where}, section lora")
    try:
        return FinetuningRecipe(**texts, **sections, lora=lora)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def list_keys() -> dict[str, str]:
    """Every key of a recipe, ``training.seeds`` and so on, and its meaning, for the help of a command."""
    names = {f"{_COLUMN_FLAG}{name}": f"Name of the column that holds {name}." for name in COLUMNS}
    return describe_fields(FinetuningRecipe) | names
