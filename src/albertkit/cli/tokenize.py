"""Show how texts are cut into pieces: id, piece, where it stands in the text, and the text there."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from typing import TYPE_CHECKING, Any

from albertkit.cli.records import add_text_arguments, read_texts
from albertkit.hub import DEFAULT_MODEL

if TYPE_CHECKING:
    from albertkit.tokenization import BatchEncoding

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Describe the command's words."""
    add_text_arguments(parser)
    parser.add_argument("--pair", metavar="TEXT", help="encode each text as a pair with this second one")
    parser.add_argument(
        "--no-special-tokens", dest="special", action="store_false", default=True, help="leave out [CLS] and [SEP]"
    )
    parser.add_argument("--ids-only", action="store_true", help="print only the ids, a line per text")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line, for programs")
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="NAME", help="directory, embedded model or hub id (default: %(default)s)"
    )
    parser.add_argument("--revision", metavar="REVISION", help="branch, tag or commit of a hub repository")


def run(arguments: Namespace) -> int:
    """Run the command and return its exit status."""
    from albertkit.tokenization import AlbertTokenizer

    tokenizer = AlbertTokenizer.from_pretrained(arguments.model, revision=arguments.revision)
    for number, text in enumerate(read_texts(arguments)):
        if arguments.ids_only and not arguments.json:
            ids = tokenizer.encode(text, arguments.pair, add_special_tokens=arguments.special)
            print(*ids, flush=True)
            continue
        encoding = tokenizer(text, arguments.pair, add_special_tokens=arguments.special)
        if arguments.json:
            print(json.dumps(_record(text, arguments.pair, encoding, arguments.ids_only), ensure_ascii=False), flush=True)
        else:
            print(("\n" if number else "") + _table(text, arguments.pair, encoding))
    return 0


def _record(text: str, pair: str | None, encoding: BatchEncoding, ids_only: bool) -> dict[str, Any]:
    """What ``--json`` prints of one text."""
    texts = {"text": text} | ({} if pair is None else {"pair": pair})
    if ids_only:
        return texts | {"ids": encoding["input_ids"]}
    row = encoding[0]
    return texts | {
        "ids": row.ids,
        "tokens": row.tokens,
        "offsets": row.offsets,
        "word_ids": row.word_ids,
        "sequence_ids": row.sequence_ids,
    }


def _table(text: str, pair: str | None, encoding: BatchEncoding) -> str:
    """A block for people: the texts, then aligned rows."""
    row = encoding[0]
    cells = [("id", "piece", "from", "to", "text")]
    for index, token, (start, stop), sequence in zip(row.ids, row.tokens, row.offsets, row.sequence_ids, strict=True):
        source = (text, pair or "")[sequence or 0]
        where = ("", "", "") if sequence is None else (str(start), str(stop), repr(source[start:stop])[1:-1])
        cells.append((str(index), token, *where))
    widths = [max(len(line[column]) for line in cells) for column in range(4)]
    lines = [text] + ([] if pair is None else [pair])
    for number, piece, start_cell, stop_cell, cut in cells:
        line = f"  {number:>{widths[0]}}  {piece:{widths[1]}}  {start_cell:>{widths[2]}}  {stop_cell:>{widths[3]}}  {cut}"
        lines.append(line.rstrip())
    return "\n".join(lines)
