"""``token-classification``: named entities and other labels of tokens or words, in the answer form of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import InputError, suggest
from albertkit.pipelines.base import UNSET, Options, Pipeline, Record, Rows, Unset
from albertkit.pipelines.entities import STRATEGIES, group_units, label_units, name_entity
from albertkit.pipelines.probabilities import softmax
from albertkit.tasks.windows import place_tokens
from albertkit.tokenization.truncation import list_windows

__all__ = ["TokenClassificationOptions", "TokenClassificationPipeline"]

_SPACE = "▁"  # a piece that stands for white space and nothing else


@dataclass(frozen=True, kw_only=True)
class TokenClassificationOptions(Options):
    """Options of ``token-classification``.

    Raises:
        InputError: If a value is impossible.
    """

    aggregation_strategy: str = "none"
    """``none``: every token; ``simple``: neighbouring tokens of one tag together; ``first``, ``average``, ``max``: the same with
    whole words, which take the label of their first token, of the mean over their tokens, or of their most certain token."""
    ignore_labels: Sequence[str] = ("O",)
    """Labels that are not answered."""
    stride: int | None = None
    """Tokens that windows over a text too long for the model share; without one such a text is refused."""

    def __post_init__(self) -> None:
        if self.aggregation_strategy not in tuple(STRATEGIES):
            raise InputError(
                f"aggregation_strategy must be one of {', '.join(STRATEGIES)}",
                received=repr(self.aggregation_strategy),
                fix=suggest(self.aggregation_strategy, STRATEGIES),
            )
        if isinstance(self.ignore_labels, str) or not isinstance(self.ignore_labels, Iterable):
            raise InputError("ignore_labels must be a list of labels", received=repr(self.ignore_labels))
        if self.stride is not None and (type(self.stride) is not int or self.stride < 0):
            raise InputError("stride must be a whole number of at least 0, or None", received=repr(self.stride))


@dataclass(frozen=True)
class _Text:
    """A text's tokens, the special ones around it left out.

    Attributes:
        row: Ids, the special ones included.
        pieces: Pieces, unknown ones as they stand in the text.
        offsets: Characters of the text; for a lone ``▁`` the first one of the word it begins.
        words: The word of each.
        windows: First and last + 1 token of each window that the model reads.
    """

    row: list[int]
    pieces: list[str]
    offsets: list[tuple[int, int]]
    words: list[int]
    windows: list[tuple[int, int]]


class TokenClassificationPipeline(Pipeline[TokenClassificationOptions]):
    """Labels tokens, and puts them together to entities."""

    task = "token-classification"
    head: ClassVar[Head | None] = "token_classification"
    options_class = TokenClassificationOptions
    too_long = "shorten it, or give stride=… to read it in overlapping windows"

    def __call__(
        self,
        inputs: str | Iterable[str],
        *,
        aggregation_strategy: str | Unset = UNSET,
        ignore_labels: Sequence[str] | Unset = UNSET,
        stride: int | Unset | None = UNSET,
    ) -> Any:
        """Label the tokens of one text or of several.

        Args:
            inputs: A text, a list of texts, or any other iterable of them.
            aggregation_strategy: See :class:`TokenClassificationOptions`.
            ignore_labels: See :class:`TokenClassificationOptions`.
            stride: See :class:`TokenClassificationOptions`.

        Returns:
            For one text a list of ``{"entity", "score", "index", "word", "start", "end"}``, one per token, or with an aggregation
            strategy ``{"entity_group", "score", "word", "start", "end"}``, one per entity; ``text[start:end]`` is where it
            stands. For a list of texts a list of such lists; for another iterable an iterator of them.

        Raises:
            InputError: If a text is empty or too long, or an option is impossible.
        """
        options = self.options.changed(aggregation_strategy=aggregation_strategy, ignore_labels=ignore_labels, stride=stride)
        return self._run(inputs, options)

    def _answer(self, records: list[Record], options: TokenClassificationOptions) -> list[Any]:
        texts = self._tokenize([record["text"] for record in records], options.stride)
        rows = [[text.row[0], *text.row[start + 1 : stop + 1], text.row[-1]] for text in texts for start, stop in text.windows]
        outputs = iter(self._token_outputs("token_classification", Rows(rows, [[0] * len(row) for row in rows])))
        answers = []
        for text in texts:
            logits = _join_windows(len(text.words), text.windows, [next(outputs)[1:-1] for _window in text.windows])
            answers.append(list(self._name_entities(text, softmax(logits), options)))
        return answers

    def _tokenize(self, texts: list[str], stride: int | None) -> list[_Text]:
        """The tokens of texts, and the windows to read them in."""
        found = []
        for text, row in zip(texts, self.tokenizer(texts, return_offsets_mapping=True).encodings, strict=True):
            windows = [(0, len(row) - 2)]
            if stride is None:
                self._require_fit(len(row), text)
            else:
                listed = list_windows((len(row) - 2,), self.room - 2, "longest_first", stride=stride, overflow=True)
                windows = [window for (window,) in listed]
            spans = row.offsets[1:-1]
            pieces = [
                text[start:stop] if token == self.tokenizer.unk_token_id else piece
                for token, piece, (start, stop) in zip(row.ids[1:-1], row.tokens[1:-1], spans, strict=True)
            ]
            offsets = place_tokens(text, spans)
            found.append(_Text(row.ids, pieces, offsets, [word or 0 for word in row.word_ids[1:-1]], windows))
        return found

    def _name_entities(
        self, text: _Text, probabilities: np.ndarray, options: TokenClassificationOptions
    ) -> Iterator[dict[str, Any]]:
        """The answers for one text, from the probabilities ``[tokens, C]`` of its tokens."""
        names: Mapping[int, str] = self.engine.config.id2label or {}
        units = label_units(probabilities, text.words, options.aggregation_strategy)
        if options.aggregation_strategy == "none":
            for unit in units:
                label = names[unit.label]
                if label not in options.ignore_labels:
                    start, end = text.offsets[unit.start]
                    yield {
                        "entity": label, "score": unit.score, "index": unit.start + 1, "word": text.pieces[unit.start],
                        "start": start, "end": end,
                    }  # fmt: skip
            return
        for group in group_units(units, names):
            entity = name_entity(names[group[0].label])
            if entity not in options.ignore_labels:
                tokens = range(group[0].start, group[-1].stop)
                last = next((token for token in reversed(tokens) if text.pieces[token] != _SPACE), tokens[-1])
                yield {
                    "entity_group": entity,
                    "score": sum(unit.score for unit in group) / len(group),
                    "word": self.tokenizer.convert_tokens_to_string(text.pieces[tokens.start : tokens.stop]),
                    "start": text.offsets[tokens[0]][0],
                    "end": text.offsets[last][1],
                }


def _join_windows(length: int, windows: Sequence[tuple[int, int]], outputs: Sequence[np.ndarray]) -> np.ndarray:
    """The scores ``[length, C]`` of a text's tokens, each from the window that shows most of what is around it.

    Args:
        length: Tokens of the text.
        windows: First and last + 1 token of each window.
        outputs: The scores of each.
    """
    joined = outputs[0]
    if len(windows) > 1:
        joined = np.empty((length, joined.shape[1]), joined.dtype)
        context = np.full(length, -1)
        for (start, stop), scores in zip(windows, outputs, strict=True):
            tokens = np.arange(start, stop)
            # Where the text itself begins or ends nothing is cut off.
            before = tokens - start if start else np.full(stop - start, length)
            after = stop - 1 - tokens if stop < length else np.full(stop - start, length)
            wider = np.minimum(before, after) > context[start:stop]
            joined[start:stop][wider] = scores[wider]
            context[start:stop] = np.maximum(np.minimum(before, after), context[start:stop])
    return joined
