"""Extractive question answering: SQuAD 1.1 and 2.0, and tables of the same kind, with either head."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import DataError, InputError
from albertkit.tasks.answers import Spans, rank_spans, search_beam, search_spans
from albertkit.tasks.base import Features, Outputs, Prediction, Scores, Task
from albertkit.tasks.features import lay_out
from albertkit.tasks.squad import QuestionExample, read_questions
from albertkit.tasks.squad_scores import compare_answers, find_best_threshold
from albertkit.tasks.windows import Passage, Window, cut_windows, find_best_context, read_passages
from albertkit.tokenization import AlbertTokenizer

__all__ = ["QuestionAnsweringTask"]

_SPANS_OF_A_TEXT = 3
"""Spans kept of each window for an answer of the n-best list: a lone ``▁`` and case make several spans of one text."""


@dataclass(frozen=True, kw_only=True)
class QuestionAnsweringTask(Task[QuestionExample]):
    """Finds the answer to a question in a passage, or that there is none.

    Rows are ``[CLS] question [SEP] window of the passage [SEP]``, a unit each. A window that does not hold the whole answer
    learns position 0, ``[CLS]``.

    Raises:
        InputError: If a field has an impossible value.
    """

    max_seq_length: int = 384
    doc_stride: int | None = None
    """Tokens that a window shares with the one before (not Google's step from one window to the next); ``None``: 128, or less
    where windows are too short for it."""
    max_query_length: int = 64
    """Most tokens of a question; what is longer is cut, as is what takes more than half of a row."""
    max_answer_length: int = 30
    """Most tokens of an answer given."""
    n_best: int = 20
    """Most answers of the list of the best."""
    with_answerability: bool = False
    """Whether the model has Google's head of three parts in place of two logits a token."""
    may_be_impossible: bool | None = None
    """Whether a passage may hold no answer, as in SQuAD 2.0; ``None``: if one of the (training) examples says so."""
    null_threshold: float = 0.0
    """No answer is given where the null odds are greater."""

    def __post_init__(self) -> None:
        for name, least in (("max_seq_length", 8), ("max_query_length", 1), ("max_answer_length", 1), ("n_best", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name} must be at least {least}", received=getattr(self, name))
        room = self.max_seq_length - 3 - self._longest_query
        if self.doc_stride is not None and not 0 <= self.doc_stride < room:
            raise InputError(
                "doc_stride must be at least 0, and smaller than what a window shows of the passage",
                received=f"{self.doc_stride}, where max_seq_length={self.max_seq_length} leaves {room} tokens",
                fix="leave doc_stride out, or raise max_seq_length",
            )

    @property
    def head(self) -> Head:
        """See :class:`Task`."""
        return "answerability" if self.with_answerability else "question_answering"

    @property
    def architecture(self) -> str:
        """See :class:`Task`."""
        return "AlbertForQuestionAnswering" + ("WithAnswerability" if self.with_answerability else "")

    @property
    def metrics(self) -> tuple[str, ...]:
        """See :class:`Task`."""
        parts = ("HasAns_exact", "HasAns_f1", "NoAns_exact", "NoAns_f1") if self.may_be_impossible else ()
        best = ("best_exact", "best_exact_thresh", "best_f1", "best_f1_thresh") if self.may_be_impossible else ()
        return "f1", "exact_match", *parts, *best

    @property
    def problem_type(self) -> str | None:
        """None: the configuration has no word for it."""
        return None

    def read(self, source: str | Path) -> list[QuestionExample]:
        """See :func:`~albertkit.tasks.squad.read_questions`."""
        return read_questions(source, self.columns)

    def with_labels_of(self, examples: Sequence[QuestionExample]) -> QuestionAnsweringTask:
        """The task that knows whether passages may hold no answer.

        Raises:
            DataError: If it holds that every passage answers (SQuAD 1.1), and one does not.
        """
        impossible = next((example for example in examples if example.is_impossible), None)
        if self.may_be_impossible is False and impossible is not None:
            rule = f"to learn {self.name}, every question must have an answer"
            raise DataError(rule, received=f"none in {impossible.place}", fix="take squad-v2, which may say that there is none")
        return replace(self, may_be_impossible=self._may_be_impossible(examples))

    # ------------------------------------------------------------ features

    def featurize(self, examples: Sequence[QuestionExample], tokenizer: AlbertTokenizer) -> Features:
        """See :class:`Task`.

        ``targets``: ``start_positions`` and ``end_positions`` ``[U]``, places in the row, and for the head of three parts
        ``is_impossible`` ``[U]``. ``places``: ``allowed`` ``[T]``, where an answer may start and end (``[CLS]`` and the passage;
        Google's ``p_mask`` is its opposite); ``best_context`` ``[T]``, where the window shows more around a token than others
        do; ``offsets`` ``[T, 2]``, characters of the passage. ``counts``: ``questions truncated``; ``answers cut off``, whole in
        no window; ``answers between tokens``, whose first or last character is inside a token.

        Raises:
            DataError: If a context holds nothing that the tokenizer knows how to read.
        """
        passages = _read_passages(examples, tokenizer)
        questions = tokenizer([example.question for example in examples], add_special_tokens=False)["input_ids"]
        windows: list[Window] = []
        owners: list[int] = []
        targets: list[tuple[int, int]] = []
        best_context: list[np.ndarray] = []
        counts = {"questions truncated": 0, "answers cut off": 0, "answers between tokens": 0}
        lone = tokenizer.get_vocab().get("▁", -1)
        for number, (example, question) in enumerate(zip(examples, questions, strict=True)):
            passage, cut = passages[example.context], question[: self._longest_query]
            of_example = cut_windows(tokenizer, cut, passage, self.max_seq_length, self.doc_stride)
            windows += of_example
            owners += [number] * len(of_example)
            best_context += find_best_context(of_example)
            counts["questions truncated"] += len(cut) < len(question)
            if example.answers:
                span, is_exact = _find_tokens(example, passage, lone)
                found = [_find_in_window(span, window) for window in of_example]
                targets += found
                counts["answers cut off"] += not any(start for start, _end in found)
                counts["answers between tokens"] += not is_exact
            elif example.is_impossible:
                targets += [(0, 0)] * len(of_example)
        return lay_out(
            [window.input_ids for window in windows],
            [window.token_type_ids for window in windows],
            owners=owners,
            targets=self._lay_out_targets(np.array(targets, np.int64)),
            places=_lay_out_places(windows, best_context),
            counts=counts,
        )

    @property
    def _longest_query(self) -> int:
        return min(self.max_query_length, self.max_seq_length // 2)

    def _lay_out_targets(self, spans: np.ndarray) -> dict[str, np.ndarray]:
        if not len(spans):
            return {}
        targets = {"start_positions": spans[:, 0], "end_positions": spans[:, 1]}
        if self.with_answerability:
            targets["is_impossible"] = (spans[:, 0] == 0).astype(np.float32)
        return targets

    # ------------------------------------------------------------- answers

    def decode(self, examples: Sequence[QuestionExample], features: Features, outputs: Outputs) -> list[Prediction]:
        """See :class:`Task`.

        A prediction has ``id``; ``answer``, empty for none, its characters ``start`` to ``end``, and its probability ``score``;
        ``null_odds``, greater where no answer is likelier, taken from the window that says so least (two logits: those of
        ``[CLS]`` less those of the best answer; three parts: the logit of the class); and ``n_best``, the likeliest answers.
        """
        bounds = np.searchsorted(features.owners, np.arange(len(examples) + 1)).tolist()
        may_be_impossible = self._may_be_impossible(examples)
        predictions = []
        for number, example in enumerate(examples):
            rows = range(*bounds[number : number + 2])
            spans, null = zip(*(self._search(row, features, outputs) for row in rows), strict=True)
            answer = self._choose(example.context, Spans.join(spans), min(null, key=np.sum), may_be_impossible)
            predictions.append({"id": example.id} | answer)
        return predictions

    def _search(self, row: int, features: Features, outputs: Outputs) -> tuple[Spans, np.ndarray]:
        """The best spans of a window, by characters, and the scores of no answer, ``[2]``."""
        first, stop = features.boundaries[row : row + 2].tolist()
        begin = 1 + int(features.places["allowed"][first + 1 : stop].argmax())
        part = slice(first + begin, stop - 1)
        may_start = features.places["best_context"][part]
        if self.with_answerability:
            starts, ends = ((outputs[f"{end}_top_log_probs"][row], outputs[f"{end}_top_index"][row]) for end in ("start", "end"))
            found = search_beam(starts, ends, may_start, begin, self.max_answer_length)
            null = np.array([float(outputs["cls_logits"][row]), 0.0])
        else:
            logits = outputs["logits"]
            found = search_spans(logits[part], may_start, self.max_answer_length, self.n_best * _SPANS_OF_A_TEXT)
            null = logits[first].astype(np.float64)
        offsets = features.places["offsets"][part]
        return Spans(offsets[found.first, 0], offsets[found.last, 1], found.scores), null

    def _choose(self, context: str, spans: Spans, null: np.ndarray, may_be_impossible: bool) -> dict[str, Any]:
        """A prediction from the spans of all windows."""
        names = ("start_log_prob", "end_log_prob") if self.with_answerability else ("start_logit", "end_logit")
        competes = null if may_be_impossible and not self.with_answerability else None
        n_best, (start, end), best = rank_spans(context, spans, self.n_best, competes, names)
        null_odds = float(null.sum()) if self.with_answerability else float(null.sum()) - best
        if may_be_impossible and null_odds > self.null_threshold:
            start = end = 0
        answer = context[start:end]
        scores = [entry["probability"] for entry in n_best if entry["text"] == answer]
        return {
            "answer": answer,
            "start": start,
            "end": end,
            "score": scores[0] if scores else 1 / (1 + float(np.exp(-null_odds))),
            "null_odds": null_odds,
            "n_best": n_best,
        }

    def _may_be_impossible(self, examples: Sequence[QuestionExample]) -> bool:
        if self.may_be_impossible is not None:
            return self.may_be_impossible
        return any(example.is_impossible for example in examples)

    # -------------------------------------------------------------- scores

    def score(self, examples: Sequence[QuestionExample], predictions: Sequence[Prediction]) -> Scores:
        """See :class:`Task`. From 0 to 100, by the rules of SQuAD 2.0 where a question has no answer, else by those of 1.1. The
        best threshold is sought with the answers given without any, as Google does.
        """
        if not all(example.answers or example.is_impossible for example in examples):
            raise DataError("examples must have right answers to be scored", received=f"none in {examples[0].place}")
        has_answer = np.array([not example.is_impossible for example in examples])
        right = [[answer.text for answer in example.answers] for example in examples]
        spans = [next((entry["text"] for entry in prediction["n_best"] if entry["text"]), "") for prediction in predictions]
        found = compare_answers(right, spans, may_be_impossible=not has_answer.all())
        odds = np.array([prediction["null_odds"] for prediction in predictions])
        is_refused = (odds > self.null_threshold) & np.array([not prediction["answer"] for prediction in predictions])
        # Refused, a question scores by whether it has an answer, even one of articles alone, which nothing would match.
        exact, f1 = (100.0 * np.where(is_refused, ~has_answer, scores) for scores in found)
        values = {"f1": float(f1.mean()), "exact_match": float(exact.mean())}
        if has_answer.all():
            return Scores(values, "f1", len(examples))
        for name, chosen in (("HasAns", has_answer), ("NoAns", ~has_answer)):
            if chosen.any():
                values |= {f"{name}_exact": float(exact[chosen].mean()), f"{name}_f1": float(f1[chosen].mean())}
        for name, scores in zip(("exact", "f1"), found, strict=True):
            best = find_best_threshold(scores, np.array([bool(span) for span in spans]), has_answer, odds)
            values |= {f"best_{name}": best[0], f"best_{name}_thresh": best[1]}
        details = {"null_threshold": self.null_threshold, "best_threshold": values["best_f1_thresh"]}
        return Scores(values, "f1", len(examples), 100 * float(np.mean(~has_answer)), details)

    def errors(self, examples: Sequence[QuestionExample], predictions: Sequence[Prediction]) -> Iterator[dict[str, Any]]:
        """The answers that are not exactly right, the surest first."""
        right = [[answer.text for answer in example.answers] for example in examples]
        given = [prediction["answer"] for prediction in predictions]
        exact, f1 = compare_answers(right, given, may_be_impossible=self._may_be_impossible(examples))
        for number in sorted(np.flatnonzero(exact == 0).tolist(), key=lambda number: -predictions[number]["score"]):
            example, prediction = examples[number], predictions[number]
            texts = {"question": example.question, "context": example.context, "right": right[number]}
            kept = {name: value for name, value in prediction.items() if name != "n_best"}
            yield {"place": example.place, **texts, **kept, "f1": 100 * float(f1[number])}


def _read_passages(examples: Sequence[QuestionExample], tokenizer: AlbertTokenizer) -> dict[str, Passage]:
    """The passages of all examples, each read once."""
    try:
        return read_passages(tokenizer, [example.context for example in examples])
    except InputError:
        for example in examples:
            if not tokenizer(example.context, add_special_tokens=False)["input_ids"]:
                received = f"{example.context!r:.60} in {example.place}"
                raise DataError("a context must hold something to read", received=received) from None
        raise


def _find_tokens(example: QuestionExample, passage: Passage, lone: int) -> tuple[tuple[int, int], bool]:
    """First and last token of the first right answer, and whether they are exactly its text."""
    answer = example.answers[0]
    text = answer.text.strip()
    begin = answer.start + answer.text.index(text)
    first = min(int(np.searchsorted(passage.offsets[:, 1], begin, side="right")), len(passage.ids) - 1)
    # A lone ▁ has the place of the character after it, which is the answer's own.
    first += passage.ids[first] == lone and first + 1 < len(passage.ids)
    last = max(int(np.searchsorted(passage.offsets[:, 0], begin + len(text), side="left")) - 1, first)
    return (first, last), passage.text[passage.offsets[first, 0] : passage.offsets[last, 1]] == text


def _find_in_window(span: tuple[int, int], window: Window) -> tuple[int, int]:
    """Places in the row of a span of the passage; 0 and 0, ``[CLS]``, where the window does not hold all of it."""
    shift = window.start - window.first
    first, last = span[0] + shift, span[1] + shift
    return (first, last) if window.start <= first and last < window.part.stop else (0, 0)


def _lay_out_places(windows: Sequence[Window], best_context: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """``allowed``, ``best_context`` and ``offsets`` of :meth:`QuestionAnsweringTask.featurize`."""
    bounds = np.cumsum([0, *(len(window.input_ids) for window in windows)])
    allowed, best = np.zeros(bounds[-1], bool), np.zeros(bounds[-1], bool)
    offsets = np.zeros((bounds[-1], 2), np.int32)
    allowed[bounds[:-1]] = True
    for begin, window, is_best in zip(bounds.tolist(), windows, best_context, strict=False):
        part = slice(begin + window.start, begin + window.part.stop)
        allowed[part], best[part] = True, is_best
        offsets[part] = window.passage.offsets[window.first : window.first + len(is_best)]
    return {"allowed": allowed, "best_context": best, "offsets": offsets}
