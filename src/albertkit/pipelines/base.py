"""What all pipelines share: reading inputs, running a model in batches without padding, and answering in the order of the inputs.

A pipeline looks at a window of inputs at once: it tokenizes them, sorts their rows by length, fills batches up to a budget of
tokens, and puts the answers back in order. However many inputs come, one window is in memory.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np

from albertkit import optional
from albertkit.checkpoints.parameters import Head
from albertkit.errors import InputError, suggest
from albertkit.hub import Source
from albertkit.inference import Engine, TokenBatch, plan_batches
from albertkit.tokenization import AlbertTokenizer

__all__ = ["UNSET", "Field", "Options", "Pipeline", "Rows", "RunSettings", "Unset", "require_count", "shorten"]

_WINDOW = 1024  # inputs looked at together
_WINDOW_CHARACTERS = 1 << 17  # and their characters: what the outputs of a window weigh is bounded too

Record = Mapping[str, Any]
AnyOptions = TypeVar("AnyOptions", bound="Options")


class Unset(Enum):
    """The type of :data:`UNSET`."""

    UNSET = "as the pipeline was made"

    def __repr__(self) -> str:
        return "UNSET"


UNSET = Unset.UNSET
"""Stands for an option that a call leaves as the pipeline was made with."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a call of a pipeline may be told; its subclasses check the values."""

    def changed(self, **changes: Any) -> Self:
        """A copy with the changes that are not :data:`UNSET`.

        Raises:
            InputError: If a name is no option of the task, or a value is impossible.
        """
        names = [field.name for field in fields(self)]
        for name in changes:
            if name not in names:
                raise InputError(
                    f"the options of this task are {', '.join(names) or 'none'}", received=name, fix=suggest(name, names)
                )
        return replace(self, **{name: value for name, value in changes.items() if value is not UNSET})


@dataclass(frozen=True)
class RunSettings:
    """How a pipeline goes about many inputs.

    Raises:
        InputError: If a value is impossible.
    """

    token_budget: int = 4096
    """Most tokens the engine is given at once; a longer sequence runs alone."""
    batch_size: int | None = None
    """Most sequences at once; without one the tokens alone count."""
    progress: bool = False
    """Show a progress bar."""
    errors: str = "raise"
    """``"raise"``: an input that cannot be used ends the call; ``"return"``: its answer is the :class:`InputError`."""

    def __post_init__(self) -> None:
        require_count("token_budget", self.token_budget)
        require_count("batch_size", self.batch_size, or_none=True)
        if self.errors not in ("raise", "return"):
            raise InputError('errors must be "raise" or "return"', received=repr(self.errors))


@dataclass(frozen=True)
class Field:
    """One part of an input.

    Attributes:
        many: It is a list of texts, not one.
        required: Every input has it.
    """

    many: bool = False
    required: bool = True


@dataclass(frozen=True)
class Rows:
    """Sequences to run, one list of ids and one of token types each."""

    input_ids: Sequence[Sequence[int]]
    token_type_ids: Sequence[Sequence[int]]


class Pipeline(ABC, Generic[AnyOptions]):
    """Base of all pipelines.

    Args:
        engine: Runs the model.
        tokenizer: The model's own.
        options: What calls do unless they say otherwise.
        settings: How to go about many inputs.

    Raises:
        InputError: If the tokenizer's vocabulary is larger than the model's.
    """

    task: ClassVar[str]
    """The hub's name of the task."""
    head: ClassVar[Head | None]
    """The head that the task needs; ``None``: hidden states alone."""
    other_heads: ClassVar[tuple[Head, ...]] = ()
    """Heads that do as well, and are taken where the model has them."""
    fields: ClassVar[Mapping[str, Field]] = {"text": Field()}
    """Parts of an input by name. Where the first is the only one required, a bare string is an input too."""
    options_class: ClassVar[type[Options]]
    """The task's options."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: AlbertTokenizer,
        options: AnyOptions | None = None,
        settings: RunSettings | None = None,
    ) -> None:
        if len(tokenizer) > engine.config.vocab_size:
            raise InputError(
                "a tokenizer must not know more tokens than the model",
                received=f"{len(tokenizer)} tokens for a model of {engine.config.vocab_size}",
                fix="load both from the same checkpoint",
            )
        self.engine = engine
        self.tokenizer = tokenizer
        self.options: AnyOptions = self.options_class() if options is None else options  # type: ignore[assignment]
        self.settings = settings or RunSettings()

    @classmethod
    def make_options(cls, source: Source | None, given: Mapping[str, Any]) -> Options:
        """The options of a pipeline that is about to be made.

        Args:
            source: The checkpoint, whose files may set other defaults; ``None`` for a model object.
            given: Options by name.

        Raises:
            InputError: If a name is no option of the task, or a value is impossible.
        """
        return cls.options_class().changed(**given)

    @property
    def longest(self) -> int:
        """Most tokens of a sequence, special tokens included."""
        return self.engine.config.max_position_embeddings

    @property
    def room(self) -> int:
        """Most tokens of what a longer text is cut to, special tokens included."""
        return min(self.longest, self.tokenizer.model_max_length)

    @abstractmethod
    def _answer(self, records: list[Record], options: AnyOptions) -> list[Any]:
        """Answer the inputs of a window, which have been read: one answer each."""

    # ---------------------------------------------------------- many inputs

    def _run(self, inputs: Any, options: AnyOptions) -> Any:
        """Answer one input, a list of them (a list of answers), or any other iterable (an iterator of answers)."""
        if isinstance(inputs, str | Mapping):
            (answer,) = self._stream([inputs], options)
            return answer
        if isinstance(inputs, Sequence):
            return list(self._stream(inputs, options))
        if isinstance(inputs, Iterable):
            return self._stream(inputs, options)
        raise InputError(f"the input of {self.task} is {self._describe_input()}, or many", received=f"a {type(inputs).__name__}")

    def _stream(self, inputs: Iterable[Any], options: AnyOptions) -> Iterator[Any]:
        total = len(inputs) if isinstance(inputs, Sized) else None
        bar = optional.require("tqdm").tqdm(total=total, unit=" texts") if self.settings.progress else None
        for window in _windows(inputs):
            answers = self._answer_each(window, options)
            if bar is not None:
                bar.update(len(answers))
            yield from answers
        if bar is not None:
            bar.close()

    def _answer_each(self, window: list[Any], options: AnyOptions) -> list[Any]:
        """Answer a window; with ``errors="return"`` find what cannot be used by halving, and let the rest be answered."""
        try:
            return self._answer([self._read(item) for item in window], options)
        except InputError as error:
            if self.settings.errors == "raise":
                raise
            if len(window) == 1:
                return [error]
        middle = len(window) // 2
        return self._answer_each(window[:middle], options) + self._answer_each(window[middle:], options)

    def _read(self, item: Any) -> Record:
        """An input as its parts, checked."""
        first, *others = self.fields
        if isinstance(item, str) and not any(self.fields[name].required for name in others):
            item = {first: item}
        required = {name for name, field in self.fields.items() if field.required}
        if not isinstance(item, Mapping) or not required <= item.keys() <= self.fields.keys():
            received = ", ".join(map(str, item)) if isinstance(item, Mapping) else f"a {type(item).__name__}"
            raise InputError(f"an input of {self.task} is {self._describe_input()}", received=received or "an empty object")
        for name, value in item.items():
            texts = value if self.fields[name].many else [value]
            if isinstance(texts, str) or not isinstance(texts, Sequence) or not all(isinstance(text, str) for text in texts):
                kind = "a list of strings" if self.fields[name].many else "a string"
                raise InputError(f"{name} must be {kind}", received=f"a {type(value).__name__}")
            if not texts or not all(text.strip() for text in texts):
                raise InputError(f"{name} must not be empty", received=repr(value))
        return item

    def _describe_input(self) -> str:
        names = [f'"{name}"' + ("" if field.required else " (if wanted)") for name, field in self.fields.items()]
        first, *others = self.fields.values()
        bare = "a string or " if not any(field.required for field in others) and not first.many else ""
        return f"{bare}an object with {', '.join(names)}"

    # ------------------------------------------------------------ one window

    def _encode(self, texts: list[str], pairs: list[str] | None = None, *, truncation: bool | str = False) -> Rows:
        """Rows of texts or of pairs.

        Args:
            texts: The first texts.
            pairs: The second ones.
            truncation: Cut what the model or the tokenizer's ``model_max_length`` has no room for, or the tokenizer's strategy
                for it (``"only_first"``); what the model cannot read is refused otherwise.

        Raises:
            InputError: If a text is no valid Unicode, or too long.
        """
        limit = {"truncation": truncation, "max_length": self.room} if truncation else {}
        encoded = self.tokenizer(texts, pairs, return_attention_mask=False, **limit)  # type: ignore[arg-type]
        for ids, text in zip(encoded["input_ids"], texts, strict=True):
            self._require_fit(len(ids), text)
        return Rows(encoded["input_ids"], encoded["token_type_ids"])

    def _encode_many(
        self, texts: Iterable[str], pairs: Iterable[str] | None = None, *, truncation: bool | str = False
    ) -> Iterator[Rows]:
        """Rows of texts that may be many times those that came in (a pair for each label, say), a window at a time.

        The arguments and errors are those of :meth:`_encode`.
        """
        if pairs is None:
            for window in _windows(texts):
                yield self._encode(window, truncation=truncation)
        else:
            for window in _windows(zip(texts, pairs, strict=True)):
                yield self._encode([text for text, _pair in window], [pair for _text, pair in window], truncation=truncation)

    def _require_fit(self, length: int, text: str) -> None:
        """Refuse a text of more tokens than the model can read."""
        if length > self.longest:
            raise InputError(
                f"a text must fit in max_position_embeddings={self.longest} tokens, [CLS] and [SEP] included",
                received=f"{length} tokens in {shorten(text)}",
                fix=self.too_long,
            )

    too_long: ClassVar[str] = "shorten it, or cut it with truncation=True"
    """What to do about a text that is too long."""

    def _batches(self, rows: Rows) -> Iterator[tuple[list[int], TokenBatch]]:
        """Rows in batches of similar length: the rows' numbers and their tokens."""
        lengths = [len(ids) for ids in rows.input_ids]
        for numbers in plan_batches(lengths, self.settings.token_budget, self.settings.batch_size):
            yield (
                numbers,
                TokenBatch.from_sequences([rows.input_ids[i] for i in numbers], [rows.token_type_ids[i] for i in numbers]),
            )

    def _sequence_logits(self, head: Head, rows: Rows) -> np.ndarray:
        """Scores ``[rows, C]`` of a head over whole sequences."""
        found: list[np.ndarray] = [np.empty(0)] * len(rows.input_ids)
        for numbers, batch in self._batches(rows):
            for number, scores in zip(numbers, self.engine.logits(head, batch), strict=True):
                found[number] = scores
        return np.stack(found)

    def _token_outputs(
        self, head: Head | None, rows: Rows, reduce: Callable[[np.ndarray], np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """For each row the scores ``[L, C]`` of a head over its tokens, or their hidden states ``[L, H]``.

        Args:
            head: The head; ``None``: hidden states.
            rows: The rows.
            reduce: What is kept of them; an array of its own, so that nothing else of a batch is.
        """
        found: list[np.ndarray] = [np.empty(0)] * len(rows.input_ids)
        for numbers, batch in self._batches(rows):
            outputs = self.engine.hidden_states(batch) if head is None else self.engine.logits(head, batch)
            for number, (start, stop) in zip(numbers, itertools.pairwise(batch.cu_seqlens), strict=True):
                found[number] = outputs[start:stop] if reduce is None else reduce(outputs[start:stop])
        return found


def require_count(name: str, value: int | None, *, or_none: bool = False) -> None:
    """Raise :class:`InputError` unless ``value`` is a positive whole number, or ``None`` where that is one of its values."""
    if not (or_none and value is None) and (type(value) is not int or value < 1):
        raise InputError(f"{name} must be a positive whole number{' or None' if or_none else ''}", received=repr(value))


def shorten(text: str) -> str:
    """A text as error messages show it."""
    return repr(text if len(text) <= 60 else text[:57] + "…")


def _windows(inputs: Iterable[Any]) -> Iterator[list[Any]]:
    """Inputs in lists of bounded length; one that is too large alone stands alone."""
    window: list[Any] = []
    characters = 0
    for item in inputs:
        more = _count_characters(item)
        if window and characters + more > _WINDOW_CHARACTERS:
            yield window
            window, characters = [], 0
        window.append(item)
        characters += more
        if len(window) == _WINDOW:
            yield window
            window, characters = [], 0
    if window:
        yield window


def _count_characters(item: Any) -> int:
    if isinstance(item, str):
        return len(item)
    if isinstance(item, Mapping):
        return sum(map(_count_characters, item.values()))
    return sum(map(_count_characters, item)) if isinstance(item, list | tuple) else 0
