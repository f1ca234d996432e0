"""Find the answer to a question in a text, or in many."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction, Namespace
from typing import Any

from albertkit.cli.display import mark, table
from albertkit.cli.task_command import Record, TaskCommand, add_task_arguments, run_task

__all__ = ["COMMAND", "add_arguments", "run"]

_AROUND = 100  # characters of the text shown on each side of an answer
_NO_ANSWER = "(no answer)"


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("--question", metavar="QUESTION", help="what to find in each text")
    parser.add_argument("--top-k", type=int, default=1, metavar="K", help="answers per question (default: %(default)s)")
    parser.add_argument(
        "--handle-impossible-answer", action="store_true", help="let it be an answer that the text holds none (SQuAD 2.0)"
    )
    parser.add_argument(
        "--null-threshold", type=float, metavar="SCORE", help="how much better no answer must be than the best to be given"
    )
    parser.add_argument(
        "--max-answer-len", type=int, default=15, metavar="N", help="most tokens of an answer (default: %(default)s)"
    )
    parser.add_argument(
        "--max-question-len", type=int, default=64, metavar="N", help="tokens a question is cut to (default: %(default)s)"
    )
    parser.add_argument("--max-seq-len", type=int, metavar="N", help="tokens of a window (default: 384, or what the model reads)")
    parser.add_argument(
        "--doc-stride", type=int, metavar="N", help="tokens that windows of a long text share (default: 128, or less)"
    )
    parser.add_argument(
        "--align-to-words", action=BooleanOptionalAction, default=True, help="answers are whole words (default: they are)"
    )
    add_task_arguments(parser, COMMAND, "the texts with the answer")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    return run_task(COMMAND, arguments)


def _rows(answer: Any) -> list[dict[str, Any]]:
    """The answers; one alone is an object."""
    return answer if isinstance(answer, list) else [answer]


def _show(record: Record, answer: Any) -> str:
    """The question, the answers, and the best one where it stands."""
    rows = _rows(answer)
    lines = [record["question"], *table([(row["answer"] or _NO_ANSWER, row["score"]) for row in rows])]
    start, end = rows[0]["start"], rows[0]["end"]
    if start < end:
        context = record["context"]
        first, last = max(0, start - _AROUND), min(len(context), end + _AROUND)
        marked = mark(context[first:last], [(start - first, end - first, "")])
        lines.append("  " + "…" * (first > 0) + " ".join(marked.split()) + "…" * (last < len(context)))
    return "\n".join(lines)


def _cells(answer: Any) -> list[Any]:
    return [[row[name] for row in _rows(answer)] for name in ("answer", "score", "start", "end")]


COMMAND = TaskCommand(
    task="question-answering",
    inputs="question and context",
    options=(
        "top_k",
        "handle_impossible_answer",
        "null_threshold",
        "max_answer_len",
        "max_question_len",
        "max_seq_len",
        "doc_stride",
        "align_to_words",
    ),
    show=_show,
    columns=("answer", "score", "start", "end"),
    cells=_cells,
    line=lambda record, answer: str(_rows(answer)[0]["answer"]),
    text_field="context",
    given=("question",),
)
"""The task, as :mod:`albertkit.cli.task_command` runs it."""
