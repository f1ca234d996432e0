"""Fill the [MASK] of a text, or of many: the most likely tokens with their probabilities."""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from typing import Any

from albertkit.cli.model_arguments import add_model_arguments, add_text_arguments, read_texts

__all__ = ["add_arguments", "run"]

_BAR = 24  # characters of a bar that stands for probability 1


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    add_text_arguments(parser)
    parser.add_argument("--top-k", type=int, default=5, metavar="K", help="answers per mask (default: %(default)s)")
    parser.add_argument("--targets", nargs="+", metavar="WORD", help="choose among these words only")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, for programs")
    parser.add_argument(
        "--output", metavar="FILE", help="write JSON lines to a file, with a progress bar; it appears when complete"
    )
    add_model_arguments(parser)


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    if arguments.text:
        # A few short texts are quickest on one thread, and many times so beside a busy process: NumPy's BLAS waits for its
        # threads actively. It reads this once, when it is loaded.
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from albertkit.pipelines import pipeline

    unmasker = pipeline(
        "fill-mask",
        arguments.model,
        engine=arguments.engine,
        device=arguments.device,
        dtype=arguments.dtype,
        revision=arguments.revision,
    )
    texts: list[str] = []  # those whose answers have not come yet
    answers = unmasker.stream(_remember(read_texts(arguments), texts), top_k=arguments.top_k, targets=arguments.targets)
    pairs = ((texts.pop(0), answer) for answer in answers)
    if arguments.output:
        return _write(arguments.output, pairs)
    for number, (text, answer) in enumerate(pairs):
        if arguments.json:
            print(json.dumps({"text": text, "answers": answer}, ensure_ascii=False), flush=True)
        else:
            print(("\n" if number else "") + _table(text, answer, unmasker.tokenizer.mask_token))
    return 0


def _remember(texts: Iterator[str], memory: list[str]) -> Iterator[str]:
    for text in texts:
        memory.append(text)
        yield text


def _table(text: str, answers: list[Any], mask: str) -> str:
    """A block for people: the text, then a row per answer: token, probability, a bar."""
    masks = answers if answers and isinstance(answers[0], list) else [answers]
    lines = [text]
    for number, rows in enumerate(masks, 1):
        if len(masks) > 1:
            lines.append(f"  {mask} {number} of {len(masks)}")
        tokens = [row["token_str"] or "▁" for row in rows]  # the piece of a bare space has no text of its own
        width = max(map(len, tokens))
        for token, row in zip(tokens, rows, strict=True):
            bar = "█" * round(row["score"] * _BAR) or "▏"
            lines.append(f"  {token:{width}}  {row['score']:6.1%}  {bar}")
    return "\n".join(lines)


def _write(path: str, pairs: Iterator[tuple[str, list[Any]]]) -> int:
    """Write answers as JSON lines; the file appears when all are there."""
    from tqdm import tqdm

    from albertkit.errors import InputError
    from albertkit.files import new_file

    try:
        with new_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for text, answer in tqdm(pairs, unit=" texts", file=sys.stderr):
                file.write(json.dumps({"text": text, "answers": answer}, ensure_ascii=False) + "\n")
    except OSError as error:
        raise InputError("--output must name a file that can be written", received=f"{path} ({error.strerror})") from None
    return 0
