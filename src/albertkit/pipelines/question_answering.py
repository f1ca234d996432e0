"""``question-answering``: the part of a passage that answers a question, in the answer form of the Hugging Face hub.

The rules are those of transformers 4.57.6 with a fast tokenizer; version 5 has no such pipeline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import numpy as np

from albertkit.checkpoints.parameters import Head
from albertkit.errors import InputError
from albertkit.pipelines.base import UNSET, Field, Options, Pipeline, Record, Rows, Unset
from albertkit.pipelines.spans import Evidence, weigh_beam, weigh_scores
from albertkit.tasks.windows import Window, cut_windows, read_passages

__all__ = ["QuestionAnsweringOptions", "QuestionAnsweringPipeline"]

_MAX_SEQ_LEN = 384


@dataclass(frozen=True, kw_only=True)
class QuestionAnsweringOptions(Options):
    """Options of ``question-answering``.

    Raises:
        InputError: If a value is impossible.
    """

    top_k: int = 1
    """Answers per question: one as it is, several as a list, best first."""
    doc_stride: int | None = None
    """Tokens that a window over a long context shares with the one before; 128, or less where windows are too short for it."""
    max_answer_len: int = 15
    """Most tokens of an answer."""
    max_seq_len: int | None = None
    """Most tokens of question and context together; 384, or what the model reads if that is less."""
    max_question_len: int = 64
    """Most tokens of a question; what is longer is cut."""
    handle_impossible_answer: bool = False
    """Let "no answer" (an empty one, 0 to 0) compete with the others by its probability."""
    null_threshold: float | None = None
    """With a number "no answer" competes no more: it is the first answer where its score, a logit, lies further than this
    above that of the best span, as in SQuAD 2.0's rule, and is left out otherwise."""
    align_to_words: bool = True
    """Widen answers to whole words."""

    def __post_init__(self) -> None:
        for name in ("top_k", "max_answer_len", "max_question_len", "max_seq_len"):
            value = getattr(self, name)
            if not (value is None and name == "max_seq_len") and (type(value) is not int or value < 1):
                raise InputError(f"{name} must be a positive whole number", received=repr(value))
        if self.doc_stride is not None:
            if type(self.doc_stride) is not int or self.doc_stride < 0:
                raise InputError("doc_stride must be a whole number of at least 0", received=repr(self.doc_stride))
            if self.doc_stride >= (self.max_seq_len or math.inf):
                received = f"{self.doc_stride} and {self.max_seq_len}"
                raise InputError("doc_stride must be smaller than max_seq_len", received=received)
        for name in ("handle_impossible_answer", "align_to_words"):
            if not isinstance(getattr(self, name), bool):
                raise InputError(f"{name} must be True or False", received=repr(getattr(self, name)))
        threshold = self.null_threshold
        if threshold is not None and (
            isinstance(threshold, bool) or not isinstance(threshold, int | float) or math.isnan(threshold)
        ):
            raise InputError("null_threshold must be a number", received=repr(threshold))


class QuestionAnsweringPipeline(Pipeline[QuestionAnsweringOptions]):
    """Finds answers in passages, with either head: start and end scores, or Google's with answerability."""

    task = "question-answering"
    head: ClassVar[Head | None] = "question_answering"
    other_heads: ClassVar[tuple[Head, ...]] = ("answerability",)
    fields: ClassVar[Mapping[str, Field]] = {"question": Field(), "context": Field()}
    options_class = QuestionAnsweringOptions

    def __call__(
        self,
        inputs: Any = None,
        context: str | Sequence[str] | None = None,
        *,
        question: str | Sequence[str] | None = None,
        top_k: int | Unset = UNSET,
        doc_stride: int | Unset | None = UNSET,
        max_answer_len: int | Unset = UNSET,
        max_seq_len: int | Unset | None = UNSET,
        max_question_len: int | Unset = UNSET,
        handle_impossible_answer: bool | Unset = UNSET,
        null_threshold: float | Unset | None = UNSET,
        align_to_words: bool | Unset = UNSET,
    ) -> Any:
        """Answer one question or several.

        Args:
            inputs: ``{"question": …, "context": …}``, a list of these or any other iterable of them; or a question (a list of
                them), with ``context`` beside it.
            context: The passage for ``question``, or one for each; one passage may serve all questions, one question all
                passages.
            question: A question, or several.
            top_k: See :class:`QuestionAnsweringOptions`, as for the rest.
            doc_stride: The same.
            max_answer_len: The same.
            max_seq_len: The same.
            max_question_len: The same.
            handle_impossible_answer: The same.
            null_threshold: The same.
            align_to_words: The same.

        Returns:
            For one question (or a list of one, as users of the hub's pipelines expect) ``{"score", "start", "end", "answer"}``,
            ``answer`` being characters ``start`` to ``end`` of the context, or a list of them with ``top_k`` above 1; for a list
            of questions a list with one of these for each; for another iterable an iterator of them. A score is the sum over
            all spans of the same text among the best of each window (``2 * top_k + 10`` of them, ``top_k`` without
            ``align_to_words``), as in transformers; so it may exceed 1, and changes with ``top_k``.

        Raises:
            InputError: If a question or context is missing or empty, they are not equally many, or an option is impossible.
        """
        options = self.options.changed(
            top_k=top_k,
            doc_stride=doc_stride,
            max_answer_len=max_answer_len,
            max_seq_len=max_seq_len,
            max_question_len=max_question_len,
            handle_impossible_answer=handle_impossible_answer,
            null_threshold=null_threshold,
            align_to_words=align_to_words,
        )
        if question is not None or context is not None:
            inputs = _pair(inputs, question, context)
        answers = self._run(inputs, options)
        return answers[0] if isinstance(inputs, Sequence) and not isinstance(inputs, str) and len(inputs) == 1 else answers

    def _answer(self, records: list[Record], options: QuestionAnsweringOptions) -> list[Any]:
        owners, windows = self._cut(records, options)
        rows = Rows([window.input_ids for window in windows], [window.token_type_ids for window in windows])
        weigh = self._weigh_beams if "answerability" in self.engine.heads else self._weigh_scores
        found = zip(owners, windows, weigh(windows, rows, options), strict=True)
        return [
            _choose([(window, evidence) for _owner, window, evidence in group], options)
            for _owner, group in groupby(found, key=lambda item: item[0])
        ]

    def _cut(self, records: list[Record], options: QuestionAnsweringOptions) -> tuple[list[int], list[Window]]:
        """The windows of all records in order, and whose each is."""
        length = min(_MAX_SEQ_LEN, self.longest) if options.max_seq_len is None else options.max_seq_len
        if length > self.longest:
            raise InputError(f"max_seq_len must not exceed the model's max_position_embeddings={self.longest}", received=length)
        passages = read_passages(self.tokenizer, [record["context"] for record in records])
        questions = [record["question"] for record in records]
        ids = self.tokenizer(questions, add_special_tokens=False)["input_ids"]
        owners, windows = [], []
        for owner, (record, question) in enumerate(zip(records, ids, strict=True)):
            cut = question[: options.max_question_len]
            of_record = cut_windows(self.tokenizer, cut, passages[record["context"]], length, options.doc_stride)
            windows += of_record
            owners += [owner] * len(of_record)
        return owners, windows

    def _weigh_scores(self, windows: list[Window], rows: Rows, options: QuestionAnsweringOptions) -> list[Evidence]:
        # Several spans may come to the same words, whose probabilities are added; how many are looked at is transformers' choice.
        count = 2 * options.top_k + 10 if options.align_to_words else options.top_k
        return [
            weigh_scores(logits, window, options.max_answer_len, count)
            for logits, window in zip(self._token_outputs("question_answering", rows), windows, strict=True)
        ]

    def _weigh_beams(self, windows: list[Window], rows: Rows, options: QuestionAnsweringOptions) -> list[Evidence]:
        evidence: dict[int, Evidence] = {}
        for numbers, batch in self._batches(rows):
            allowed = np.zeros(len(batch.input_ids), bool)
            for number, first in zip(numbers, batch.cu_seqlens.tolist(), strict=False):
                part = windows[number].part
                allowed[first] = True
                allowed[first + part.start : first + part.stop] = True
            found = self.engine.answer_spans(batch, allowed)
            for row, number in enumerate(numbers):
                evidence[number] = weigh_beam(
                    (found.start_top_log_probs[row], found.start_top_index[row]),
                    (found.end_top_log_probs[row], found.end_top_index[row]),
                    found.cls_logits[row],
                    windows[number],
                    options.max_answer_len,
                )
        return [evidence[number] for number in range(len(windows))]


def _choose(found: list[tuple[Window, Evidence]], options: QuestionAnsweringOptions) -> Any:
    """The answers to one question from what its windows say."""
    answers: dict[str, dict[str, Any]] = {}
    for window, evidence in found:
        for (first, last), score in zip(evidence.spans.tolist(), evidence.scores.tolist(), strict=True):
            start, end = window.locate(first, last, whole_words=options.align_to_words)
            text = window.passage.text[start:end]
            answer = answers.setdefault(text.lower(), {"score": 0.0, "start": start, "end": end, "answer": text})
            answer["score"] += score
    ranked = list(answers.values())
    everything = [evidence for _window, evidence in found]
    # A passage has no answer when none of its windows has one: the window least in favour decides.
    none = {"score": min(evidence.null_score for evidence in everything), "start": 0, "end": 0, "answer": ""}
    margin = min(evidence.null_logit for evidence in everything) - max(evidence.span_logit for evidence in everything)
    if options.null_threshold is None and options.handle_impossible_answer:
        ranked.append(none)
    ranked.sort(key=lambda answer: -answer["score"])
    if not ranked or (options.null_threshold is not None and margin > options.null_threshold):
        ranked.insert(0, none)
    return ranked[0] if options.top_k == 1 else ranked[: options.top_k]


def _pair(inputs: Any, question: str | Sequence[str] | None, context: str | Sequence[str] | None) -> Any:
    """Questions with their contexts as inputs of the pipeline: one, or as many as there are in the longer list."""
    if question is None:
        question, inputs = inputs, None
    if inputs is not None or question is None or context is None:
        received = "inputs beside them" if inputs is not None else "no question" if question is None else "no context"
        raise InputError("a question and its context come together", received=received, fix="call qa(question=…, context=…)")
    for name, value in (("question", question), ("context", context)):
        if not isinstance(value, str | Sequence):
            raise InputError(f"{name} must be a string, or a list of strings", received=f"a {type(value).__name__}")
    questions = [question] if isinstance(question, str) else list(question)
    contexts = [context] if isinstance(context, str) else list(context)
    if isinstance(question, str):
        questions *= len(contexts)
    elif isinstance(context, str):
        contexts *= len(questions)
    if len(questions) != len(contexts):
        raise InputError(
            "there must be one context for all questions, or one for each",
            received=f"{len(questions)} questions and {len(contexts)} contexts",
        )
    pairs = [{"question": one, "context": other} for one, other in zip(questions, contexts, strict=True)]
    return pairs[0] if isinstance(question, str) and isinstance(context, str) else pairs
