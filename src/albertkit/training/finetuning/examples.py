"""The examples of a fine-tuning run: read, split if need be, and as features."""

from __future__ import annotations

import dataclasses
import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from albertkit.config import AlbertConfig
from albertkit.data.workers import count_cores
from albertkit.errors import ConfigError, DataError
from albertkit.tasks.base import Example, Features, Task
from albertkit.tasks.features import make_features
from albertkit.tasks.registry import find_file, open_task
from albertkit.training.finetuning.recipe import FinetuningRecipe

__all__ = ["Examples", "find_task", "read_examples", "split"]


@dataclass(frozen=True, eq=False)
class Examples:
    """All a run reads, the same for each of its seeds.

    Attributes:
        task: With the labels of the examples of ``data.train``.
        train_examples: To learn from.
        eval_examples: To choose the best checkpoint by.
        test_examples: To score at the end; may be none.
        train: Features to learn from.
        eval: Features to choose by.
        test: Features to score at the end, if there are such examples; made with the others, so that what is wrong with them is
            told before anything is trained.
    """

    task: Task[Any]
    train_examples: list[Example]
    eval_examples: list[Example]
    test_examples: list[Example]
    train: Features
    eval: Features
    test: Features | None


def find_task(recipe: FinetuningRecipe, config: AlbertConfig) -> Task[Any]:
    """The task of a recipe, with rows that the model has positions for.

    Args:
        recipe: The run's.
        config: The model's.

    Raises:
        ConfigError: If there is no such task, or ``data.max_seq_length`` exceeds the model's positions.
    """
    data = recipe.data
    task = open_task(
        recipe.task,
        columns=data.columns or None,
        max_seq_length=data.max_seq_length,
        doc_stride=data.doc_stride,
        with_answerability=data.answerability,
    )
    longest = config.max_position_embeddings
    if data.max_seq_length is not None and data.max_seq_length > longest:
        raise ConfigError(
            "data.max_seq_length must fit into the model's max_position_embeddings",
            received=f"{data.max_seq_length} and {longest}",
            fix=f"write at most {longest}",
        )
    return dataclasses.replace(task, max_seq_length=min(task.max_seq_length, longest))


def read_examples(recipe: FinetuningRecipe, *, world_size: int, is_main: bool) -> Examples:
    """Read, check, split and tokenize what a recipe names.

    Args:
        recipe: The run's.
        world_size: Processes that do the same at once.
        is_main: Whether to show progress.

    Raises:
        AlbertError: See :func:`albertkit.training.finetuning.finetune.finetune`.
    """
    data = recipe.data
    bare = find_task(recipe, AlbertConfig.from_pretrained(recipe.model))
    train = bare.read(find_file(recipe.task, data.train, "train"))
    task = bare.with_labels_of(train)  # before the split, which may hold out every example of a rare label
    held_out = [] if data.eval is None else task.read(find_file(recipe.task, data.eval, "eval"))
    if data.eval is None:
        train, held_out = split(train, data.eval_share, data.train)
        unlearnt = sorted(set(task.labels or ()) - set(bare.with_labels_of(train).labels or ()))
        if unlearnt and is_main:
            found = ", ".join(unlearnt)
            warnings.warn(f"nothing is learnt of the labels whose examples are all held out: {found:.200}", stacklevel=2)
    test = [] if data.test is None else task.read(find_file(recipe.task, data.test, "test"))
    features = {
        name: _featurize(recipe, task, examples, name, world_size=world_size, is_main=is_main)
        for name, examples in (("train", train), ("eval", held_out), ("test", test))
        if examples
    }
    for name in ("train", "eval"):
        if not features[name].targets:
            raise DataError(f"data.{name} must have right answers", received=f"{getattr(data, name)}, which has none")
    return Examples(task, train, held_out, test, features["train"], features["eval"], features.get("test"))


def _featurize(
    recipe: FinetuningRecipe, task: Task[Any], examples: Sequence[Example], name: str, *, world_size: int, is_main: bool
) -> Features:
    """Features of some examples, by all cores and from the cache of the recipe; ``name`` is for the bar of progress."""
    data = recipe.data
    workers = data.workers or max(1, count_cores() // world_size)
    cache = None if data.cache is None else Path(data.cache)
    with tqdm(total=len(examples), desc=f"{name} examples", leave=False, disable=None if is_main else True) as bar:

        def show(done: int, _: int) -> None:
            bar.update(done - bar.n)

        return make_features(task, examples, recipe.model, workers=workers, cache=cache, on_progress=show)


def split(examples: Sequence[Any], share: float, where: str) -> tuple[list[Any], list[Any]]:
    """Hold examples out: those whose texts have the lowest hashes, so that equal texts stay together and order means nothing.

    Args:
        examples: All.
        share: Of the different texts, to hold out; one at least.
        where: Their file, for the message.

    Returns:
        Those to learn from, and those held out.

    Raises:
        DataError: If one of the two would be empty.
    """
    hashes = [_hash(example) for example in examples]
    texts = sorted(set(hashes))
    chosen = set(texts[: max(1, round(share * len(texts)))])
    train = [example for example, text in zip(examples, hashes, strict=True) if text not in chosen]
    held_out = [example for example, text in zip(examples, hashes, strict=True) if text in chosen]
    if not train or not held_out:
        raise DataError(
            "data.eval_share must leave examples on both sides",
            received=f"{len(train)} to learn from and {len(held_out)} held out of {where}",
            fix="give data.eval, or more examples",
        )
    return train, held_out


def _hash(example: Any) -> bytes:
    """Of the text alone: that of the passage where questions share one."""
    text = next(getattr(example, name) for name in ("context", "text", "words") if hasattr(example, name))
    return hashlib.sha256(repr(text).encode("utf-8", "surrogatepass")).digest()
