"""Learn a SentencePiece vocabulary from texts with ALBERT's settings, in any language."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from jsonargparse import ArgumentParser

from albertkit.errors import InputError


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "files",
        nargs="+",
        type=Path,
        metavar="TEXT_FILES",
        help="text, a paragraph a line, or .jsonl (field text); also .gz, .xz …",
    )
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="directory to write the tokenizer to")
    parser.add_argument("--vocab-size", type=int, default=30000, metavar="N", help="pieces to learn (default: 30000)")
    parser.add_argument(
        "--character-coverage", type=float, default=0.99995, metavar="SHARE",
        help="share of the text's characters that get a piece, 0.98 to 1 (default: 0.99995)",
    )  # fmt: skip
    parser.add_argument(
        "--max-sentences", type=int, default=10_000_000, metavar="N", help="learn from a sample of N lines (default: 10000000)"
    )
    parser.add_argument("--keep-accents", action="store_true", help="keep accents, which ALBERT drops")
    parser.add_argument("--no-lower-case", action="store_true", help="keep upper case, which ALBERT lowers")


def run(arguments: Namespace) -> int:
    """Read the files, learn, and write the tokenizer's files; nothing is written when something fails."""
    from albertkit.data.corpus import read_texts
    from albertkit.tokenization.tokenizer import AlbertTokenizer
    from albertkit.tokenization.training import train_vocabulary

    if arguments.output.exists() and not arguments.output.is_dir():
        raise InputError("--output must be a directory, new or old", received=f"{arguments.output}, a file")
    lower_case = not arguments.no_lower_case
    vocabulary = train_vocabulary(
        read_texts(arguments.files),
        vocab_size=arguments.vocab_size,
        character_coverage=arguments.character_coverage,
        input_sentence_size=arguments.max_sentences,
        do_lower_case=lower_case,
        keep_accents=arguments.keep_accents,
        progress=True,
    )
    tokenizer = AlbertTokenizer(vocabulary=vocabulary, do_lower_case=lower_case, keep_accents=arguments.keep_accents)
    tokenizer.save_pretrained(arguments.output)
    print(f"saved {len(vocabulary.pieces):,} pieces in {arguments.output}")
    return 0
