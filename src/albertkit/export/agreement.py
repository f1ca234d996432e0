"""How far a changed model answers as the original does, on texts of one's own, with labels or without."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.config import AlbertConfig
from albertkit.errors import InputError
from albertkit.inference import Engine, TokenBatch, plan_batches
from albertkit.tokenization import AlbertTokenizer

__all__ = ["Agreement", "Text", "measure_agreement", "read_texts"]

_TOKEN_BUDGET = 4096
_MASK_EVERY = 7  # about the 15 % of pre-training


@dataclass(frozen=True)
class Text:
    """A text to compare on.

    Attributes:
        text: The text.
        pair: A second one.
        label: Name or number of its class.
    """

    text: str
    pair: str | None = None
    label: str | int | None = None


@dataclass(frozen=True)
class Agreement:
    """What a comparison found.

    Attributes:
        head: The head that was compared; ``None``: hidden states.
        texts: How many texts.
        decisions: How many answers: a text each, a token each for heads over tokens.
        share: Of the answers that are the same class; for hidden states the mean cosine.
        largest_error: Largest absolute difference of two scores.
        mean_error: Root of the mean squared difference, as a share of that of the original's scores.
        accuracy: Of the original and of the changed model, where texts have labels.
    """

    head: Head | None
    texts: int
    decisions: int
    share: float
    largest_error: float
    mean_error: float
    accuracy: tuple[float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return dict(vars(self))

    def __str__(self) -> str:
        kind = "mean cosine" if self.head is None else "the same answers"
        found = (
            f"{kind} {self.share:.2%} of {self.decisions:,} on {self.texts:,} texts, "
            f"largest difference of a score {self.largest_error:.3g}, mean {self.mean_error:.2%}"
        )
        if self.accuracy is None:
            return found
        return f"{found}, accuracy {self.accuracy[0]:.2%} before and {self.accuracy[1]:.2%} after"


def read_texts(path: str | Path) -> list[Text]:
    """Read texts: a ``.jsonl`` of objects with ``text`` and, if wanted, ``text_pair`` and ``label``; else a text a line.

    Raises:
        InputError: If the file cannot be read, holds no text, or only some of its lines have a label.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8-sig").split("\n")  # a string of JSON may hold other ends of lines
    except (OSError, UnicodeDecodeError) as error:
        raise InputError("texts must be in a readable UTF-8 file", received=f"{path} ({error})") from None
    is_json = Path(path).suffix == ".jsonl"
    texts = [_read_line(line, number) if is_json else Text(line) for number, line in enumerate(lines, 1) if line.strip()]
    if not texts:
        raise InputError("there must be a text to compare on", received=f"{path}, which is empty")
    if len({text.label is None for text in texts}) == 2:
        raise InputError("every text must have a label, or none", received=f"{path}, where some have one")
    return texts


def _read_line(line: str, number: int) -> Text:
    try:
        found = json.loads(line)
        text, pair, label = found["text"], found.get("text_pair"), found.get("label")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise InputError('a line must be a JSON object with "text"', received=f"line {number}: {line[:60]!r}") from None
    kinds = ((text, (str,)), (pair, (str, type(None))), (label, (str, int, type(None))))
    if not all(isinstance(value, kind) for value, kind in kinds) or not text.strip():
        raise InputError(
            "text and text_pair must be strings, a label a name or a number", received=f"line {number}: {line[:60]!r}"
        )
    return Text(text, pair, label)


def measure_agreement(original: Engine, changed: Engine, tokenizer: AlbertTokenizer, texts: Sequence[Text]) -> Agreement:
    """Compare two models on texts; a longer text than the model reads is cut.

    With labels the head for classes of texts is compared, else the first that the model has. For masked LM every seventh token
    is masked and is its own label; a model without a head is compared by its hidden states.

    Args:
        original: The model before.
        changed: The model after, with the same heads.
        tokenizer: Of both.
        texts: What to compare on.

    Raises:
        InputError: If texts have labels and the model no head for classes of texts, or no such class; or hold no word.
    """
    head = _choose_head(changed.heads)
    labels = _read_labels(texts, head, original.config)
    room = min(original.config.max_position_embeddings, tokenizer.model_max_length)
    rows = [_encode(tokenizer, text, room) for text in texts]
    tally = _Tally(head)
    for numbers in plan_batches([len(ids) for ids, _ in rows], _TOKEN_BUDGET):
        batch = TokenBatch.from_sequences([rows[i][0] for i in numbers], [rows[i][1] for i in numbers])
        positions, expected = None, None if labels is None else labels[numbers]
        if head == "masked_lm":
            batch, positions, expected = _mask(batch, tokenizer)
        tally.add(_answer(original, head, batch, positions), _answer(changed, head, batch, positions), expected)
    if not tally.decisions:
        raise InputError("there must be a word to compare on", received="texts of white space and the like")
    return Agreement(
        head=head,
        texts=len(texts),
        decisions=tally.decisions,
        share=tally.same / tally.decisions,
        largest_error=tally.largest,
        mean_error=math.sqrt(tally.squares_of_errors / max(tally.squares, sys.float_info.min)),
        accuracy=(tally.right[0] / tally.decisions, tally.right[1] / tally.decisions) if expected is not None else None,
    )


class _Answers(NamedTuple):
    scores: np.ndarray  # [answers, C] float64
    decisions: np.ndarray  # [decisions]


class _Tally:
    """What is left of a batch: a score for each entry of the vocabulary, of every masked word, would fill the memory."""

    def __init__(self, head: Head | None) -> None:
        self.head = head
        self.decisions = 0
        self.same = 0.0
        self.largest = 0.0
        self.squares_of_errors = 0.0
        self.squares = 0.0
        self.right = [0, 0]

    def add(self, before: _Answers, after: _Answers, expected: np.ndarray | None) -> None:
        """Count a batch; ``expected`` are its classes, where they are known."""
        difference = before.scores - after.scores
        self.decisions += len(before.decisions)
        same = _cosine(before.scores, after.scores) if self.head is None else before.decisions == after.decisions
        self.same += float(same.sum())
        self.largest = float(np.abs(difference).max(initial=self.largest))
        self.squares_of_errors += float(np.square(difference).sum())
        self.squares += float(np.square(before.scores).sum())
        if expected is not None:
            for number, answers in enumerate((before, after)):
                self.right[number] += int(np.sum(answers.decisions == expected))


def _answer(engine: Engine, head: Head | None, batch: TokenBatch, positions: np.ndarray | None) -> _Answers:
    if head is None:
        scores = engine.hidden_states(batch)
    elif head == "answerability":
        spans = engine.answer_spans(batch, np.ones(len(batch.input_ids), bool))
        return _Answers(np.asarray(spans.cls_logits, np.float64)[:, None], spans.start_top_index[:, 0])
    else:
        scores = engine.logits(head, batch, positions)
    if head == "question_answering":
        spans_of = [scores[start:stop].argmax(0) for start, stop in pairwise(batch.cu_seqlens)]
        return _Answers(scores.astype(np.float64), np.concatenate(spans_of))
    return _Answers(scores.astype(np.float64), scores.argmax(-1))


def _choose_head(heads: tuple[Head, ...]) -> Head | None:
    """The head that a model is used for."""
    return next((head for head in reversed(heads) if head not in ("pooler", "sentence_order")), None)


def _read_labels(texts: Sequence[Text], head: Head | None, config: AlbertConfig) -> np.ndarray | None:
    """Numbers of the classes, if there are labels."""
    if texts[0].label is None:
        return None
    if head != "sequence_classification":
        raise InputError("labels are for a model that classifies texts", received=f"one with {head}", fix="leave the labels out")
    numbers = dict(config.label2id or {})
    known = set(numbers.values()) or set(range(config.num_labels or 1))
    found = [numbers.get(str(text.label), text.label) for text in texts]
    unknown = next((label for label in found if label not in known), None)
    if unknown is not None:
        raise InputError(
            f"a label must be one of {', '.join(map(str, sorted(numbers, key=numbers.__getitem__) or known))}",
            received=repr(unknown),
        )
    return np.array(found)


def _encode(tokenizer: AlbertTokenizer, text: Text, room: int) -> tuple[list[int], list[int]]:
    row = tokenizer(text.text, text.pair, truncation=True, max_length=room, return_attention_mask=False)
    return row["input_ids"], row["token_type_ids"]


def _mask(batch: TokenBatch, tokenizer: AlbertTokenizer) -> tuple[TokenBatch, np.ndarray, np.ndarray]:
    """The batch with every seventh token masked, where these are, and what they were."""
    special = np.isin(batch.input_ids, (tokenizer.cls_token_id, tokenizer.sep_token_id))
    positions = np.flatnonzero(~special)[::_MASK_EVERY]
    ids = batch.input_ids.copy()
    ids[positions] = tokenizer.mask_token_id
    return TokenBatch(ids, batch.token_type_ids, batch.cu_seqlens), positions, batch.input_ids[positions]


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of each row."""
    cosine: np.ndarray = (a * b).sum(-1) / np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return cosine
