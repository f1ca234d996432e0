"""The recipe of a pre-training run: a YAML file with one section for each dataclass here. No framework is imported."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from albertkit.config import AlbertConfig
from albertkit.data.options import DataRecipe, ExampleOptions
from albertkit.errors import ConfigError
from albertkit.training.settings import apply_override, build, check_keys, describe_fields, read_values, read_yaml, require

__all__ = [
    "EvaluationRecipe",
    "OptimizerRecipe",
    "Recipe",
    "ScheduleRecipe",
    "StageRecipe",
    "TrainingRecipe",
    "list_keys",
    "read_recipe",
]


@dataclass(frozen=True, kw_only=True)
class OptimizerRecipe:
    """How gradients become updates. The defaults are those of arXiv:1909.11942 §4.1 and Google's code."""

    name: Literal["lamb", "adamw", "muon"] = "lamb"
    """``lamb`` (arXiv:1904.00962, with Google's semantics), ``adamw``, or ``muon`` (AdamW for all but the layers' kernels)."""
    learning_rate: float = 0.00176
    """The peak of the schedule."""
    muon_rate: float = 10.0
    """For ``muon``: the rate of the layers' kernels, as a multiple of ``learning_rate``."""
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
        require(self.muon_rate > 0, "muon_rate must be above 0", self.muon_rate)
        require(self.weight_decay >= 0, "weight_decay must be at least 0", self.weight_decay)
        require(all(0 <= beta < 1 for beta in self.betas), "betas must be from 0 to below 1", self.betas)
        require(self.epsilon > 0, "epsilon must be above 0", self.epsilon)
        require(self.clip_norm is None or self.clip_norm > 0, "clip_norm must be above 0, or null", self.clip_norm)


@dataclass(frozen=True, kw_only=True)
class StageRecipe:
    """What is to differ from ``examples`` from some step on. Its examples are drawn from the whole corpus, in a new order."""

    from_step: int
    """Updates made before it begins; below 0 counted from the end, which comes earlier where ``max_hours`` make it."""
    max_seq_length: int | None = None
    """In place of the one in ``examples``; under ``tokens_per_batch``, longer sequences are fewer."""
    masked_lm_prob: float | None = None
    """In place of the one in ``examples``."""
    ngram: int | None = None
    """In place of the one in ``examples``."""
    short_seq_prob: float | None = None
    """In place of the one in ``examples``."""

    def apply(self, examples: ExampleOptions) -> ExampleOptions:
        """The stage's options.

        Args:
            examples: Those of the recipe.

        Raises:
            ConfigError: If a value is impossible.
        """
        given = {name: value for name, value in dataclasses.asdict(self).items() if name != "from_step"}
        return dataclasses.replace(examples, **{name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True, kw_only=True)
class ScheduleRecipe:
    """How the learning rate (:func:`albertkit.optim.schedules.learning_rate_at`) and the examples go over the steps."""

    total_steps: int
    """Updates of the whole run."""
    warmup_steps: int = 0
    """First steps, over which the rate rises linearly to its peak."""
    decay: Literal["linear", "cosine", "trapezoid", "constant"] = "linear"
    """What follows: ``linear`` and ``cosine`` fall to 0 over the run, ``trapezoid`` stays and falls over the last
    ``decay_steps``, ``constant`` stays."""
    decay_steps: int = 0
    """For ``trapezoid``: the number of last steps that fall."""
    stages: list[StageRecipe] = field(default_factory=list)
    """Later stages, such as longer sequences at the end: a list of ``{from_step: -1000, max_seq_length: 512}`` by rising step,
    each with any of ``max_seq_length``, ``masked_lm_prob``, ``ngram`` and ``short_seq_prob``, and all else as in ``examples``. A
    negative step counts from the end."""

    def __post_init__(self) -> None:
        require(self.total_steps >= 1, "total_steps must be at least 1", self.total_steps)
        require(0 <= self.warmup_steps < self.total_steps, "warmup_steps must be below total_steps", self.warmup_steps)
        falls = self.decay == "trapezoid"
        require(falls == (self.decay_steps > 0), "decay_steps must be above 0 for trapezoid, and only there", self.decay_steps)
        room = self.total_steps - self.warmup_steps
        require(self.decay_steps <= room, "warmup_steps and decay_steps must fit into total_steps", self.decay_steps)
        begins = [_count_from_start(stage, self.total_steps) for stage in self.stages]
        rise = all(first < second for first, second in pairwise([-1, *begins, self.total_steps]))
        require(rise, "stages must begin one after the other within total_steps", [stage.from_step for stage in self.stages])

    def stage_at(self, step: int, total_steps: int) -> int:
        """Number of the stage of an update, from 1; 0 before the first.

        Args:
            step: Updates made before.
            total_steps: Updates of the whole run, as the clock may have changed them.
        """
        begun = [number for number, stage in enumerate(self.stages, 1) if _count_from_start(stage, total_steps) <= step]
        return max(begun, default=0)


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Batches, numbers and intervals."""

    examples_per_batch: int | None = None
    """Sequences of an update; give this or ``tokens_per_batch``."""
    tokens_per_batch: int | None = None
    """Instead: as many sequences as have no more tokens in all."""
    micro_batch_tokens: int | None = None
    """Cut a batch into parts of about so many tokens, whose gradients are added up: less memory, the same update."""
    seed: int = 0
    """Of initial weights, examples, masks and dropout."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Numbers of the matrix products; weights, moments and losses are float32 always."""
    initialization: Literal["truncated_normal", "local_attention"] = "truncated_normal"
    """Weights of a new model: ``truncated_normal`` as Google draws them, or ``local_attention``, where most heads look at
    neighbouring tokens from the start (:func:`albertkit.models.torch.initialization.draw_local_attention`)."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1`` …; ``auto`` is a GPU if there is one."""
    compile: bool = False
    """For GPUs: have PyTorch's compiler fuse what lies between a layer's matrix products, for batches of all lengths at once."""
    log_every_steps: int = 50
    """Steps between two lines of ``log.jsonl``."""
    evaluate_every_steps: int = 1000
    """Steps between two evaluations; there is one at the end too."""
    save_every_steps: int = 1000
    """Steps between two checkpoints; there is one at the end, and one when the run is stopped."""
    keep_checkpoints: int = 2
    """Newest checkpoints to keep."""
    keep_best: bool = True
    """Whether the model with the lowest held-out masked-LM loss so far stands in ``best`` of the output, with its scores."""
    tensorboard: bool = False
    """Whether the log's numbers are written for TensorBoard too, into ``tensorboard`` of the output."""
    max_hours: float | None = None
    """Wall-clock hours of training over all resumed parts, after which the run ends as if complete. A trapezoid starts to fall
    early enough to reach 0 by then; the other schedules stay as planned."""

    def __post_init__(self) -> None:
        require(
            (self.examples_per_batch is None) != (self.tokens_per_batch is None),
            "one of examples_per_batch and tokens_per_batch must be given",
            f"{self.examples_per_batch} and {self.tokens_per_batch}",
        )
        for name in (
            "examples_per_batch", "tokens_per_batch", "micro_batch_tokens", "log_every_steps", "evaluate_every_steps",
            "save_every_steps", "keep_checkpoints",
        ):  # fmt: skip
            value = getattr(self, name)
            require(value is None or value >= 1, f"{name} must be at least 1", value)
        require(self.max_hours is None or self.max_hours > 0, "max_hours must be above 0, or null", self.max_hours)
        require(0 <= self.seed < 2**32, "seed must be from 0 to 4294967295", self.seed)


@dataclass(frozen=True, kw_only=True)
class EvaluationRecipe:
    """The fixed test on held-out documents: the paper's masks, the same at every evaluation and for every model."""

    num_examples: int = 512
    """Sequences; fewer if there are no more."""
    max_seq_length: int = 128
    """Longest sequence in tokens."""
    seed: int = 0
    """Of the cuts, swaps and masks."""
    tokens_per_batch: int = 8192
    """Tokens scored at a time."""
    digest: str | None = None
    """SHA-256 that the examples must have, as an evaluation tells it, so that scores are sure to compare; null takes any."""

    def __post_init__(self) -> None:
        for name in ("num_examples", "tokens_per_batch"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1", getattr(self, name))

    @property
    def examples(self) -> ExampleOptions:
        """The paper's way to make examples, none of them shortened."""
        return dataclasses.replace(ExampleOptions.paper(max_seq_length=self.max_seq_length), short_seq_prob=0.0)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole recipe."""

    data: DataRecipe
    """Texts, vocabulary and the prepared folder."""
    output: str
    """Directory of the log, the checkpoints and, in ``final``, the model."""
    model: AlbertConfig
    """Keys of the configuration; ``published: albert-base-v2`` takes those of a published size as defaults."""
    init_from: str | None = None
    """Directory or name of a checkpoint whose weights the run starts from, at step 0 and with fresh moments; what it lacks, such
    as a head, starts at random and is named. Null draws all weights. A run that resumes has weights already and ignores it."""
    examples: ExampleOptions = field(default_factory=ExampleOptions)
    """How sentences become examples, while training; the prepared folder does not depend on it. ``preset: google`` takes the
    choices of Google's code as defaults, ``paper``, as without it, those of the paper."""
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    """How gradients become updates."""
    schedule: ScheduleRecipe
    """How the learning rate goes."""
    training: TrainingRecipe
    """Batches, numbers and intervals."""
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)
    """The test on held-out documents."""

    def __post_init__(self) -> None:
        stages = [self.examples_of_stage(number) for number in range(len(self.schedule.stages) + 1)]
        longest = max(self.evaluation.max_seq_length, *(examples.max_seq_length for examples in stages))
        require(
            longest <= self.model.max_position_embeddings,
            "max_seq_length of examples, stages and evaluation must fit into the model's max_position_embeddings",
            f"{longest} and {self.model.max_position_embeddings}",
        )

    def examples_of_stage(self, number: int) -> ExampleOptions:
        """How sentences become examples in a stage.

        Args:
            number: As :meth:`ScheduleRecipe.stage_at` counts.
        """
        return self.schedule.stages[number - 1].apply(self.examples) if number else self.examples

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as JSON takes them."""
        values: dict[str, Any] = {}
        for section in dataclasses.fields(self):
            value = getattr(self, section.name)
            if isinstance(value, AlbertConfig):
                values[section.name] = value.to_dict()
            else:
                values[section.name] = dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value  # type: ignore[arg-type]
        return values


_SECTIONS: dict[str, type[Any]] = {
    "data": DataRecipe, "examples": ExampleOptions, "optimizer": OptimizerRecipe, "schedule": ScheduleRecipe,
    "training": TrainingRecipe, "evaluation": EvaluationRecipe,
}  # fmt: skip

_DEFAULTS_FROM = {
    "examples.preset": "paper or google: whose choices are the defaults of examples.",
    "model.published": "A published size, such as albert-base-v2, whose keys are the defaults of model.",
}
_PRESETS: dict[str, Callable[[], ExampleOptions]] = {"paper": ExampleOptions.paper, "google": ExampleOptions.google}


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        path: A YAML file. Its relative paths count from the working directory, as those of a command do.
        overrides: ``section.key=value`` each, which take the place of the file's.

    Raises:
        ConfigError: If the file cannot be read, a key is unknown or missing, or a value is impossible: one sentence that names
            the file, the key and the likely fix.
    """
    content = read_yaml(path)
    for override in overrides:
        apply_override(content, override)
    names = [section.name for section in dataclasses.fields(Recipe)]
    check_keys(content, names, str(path))
    for name in ("data", "output", "model", "schedule", "training"):
        require(content.get(name) is not None, f"{path} must give {name}", "nothing")
    require(isinstance(content["output"], str), f"{path}, output must be the path of a directory", repr(content["output"]))
    init_from = content.get("init_from")
    require(init_from is None or isinstance(init_from, str), f"{path}, init_from must be text or null", repr(init_from))
    content["examples"] = _fill_in_preset(content.get("examples"), f"{path}, section examples")
    sections = {name: build(kind, content.get(name), f"{path}, section {name}") for name, kind in _SECTIONS.items()}
    model = _read_model(content["model"], f"{path}, section model")
    try:
        return Recipe(output=content["output"], model=model, init_from=init_from, **sections)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def list_keys() -> dict[str, str]:
    """Every key of a recipe, ``training.seed`` and so on, and its meaning, for the help of a command."""
    return describe_fields(Recipe) | _DEFAULTS_FROM


def _fill_in_preset(values: Any, where: str) -> Any:
    """The section ``examples`` over the keys of its ``preset``, where that is given."""
    if not isinstance(values, Mapping) or "preset" not in values:
        return values
    given = dict(values)
    name = given.pop("preset")
    require(name in _PRESETS, f"{where}, preset must be one of {', '.join(_PRESETS)}", repr(name))
    return dataclasses.asdict(_PRESETS[name]()) | given


def _read_model(values: Any, where: str) -> AlbertConfig:
    """A configuration from its keys, over those of ``published`` where that is given."""
    given = dict(values) if isinstance(values, Mapping) else values
    published = given.pop("published", None) if isinstance(given, dict) else None
    typed = read_values(AlbertConfig, given, where)
    try:
        base = AlbertConfig() if published is None else AlbertConfig.published(str(published))
        return base.replace(**typed)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _count_from_start(stage: StageRecipe, total_steps: int) -> int:
    return stage.from_step + total_steps * (stage.from_step < 0)
