"""What a corpus is like: amounts, lengths, what the vocabulary cannot spell, what filters left out; as JSON and as a picture."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from albertkit import optional
from albertkit.data.blocks import EncodedBlock
from albertkit.data.shards import SPLITS, Counts, Split
from albertkit.data.vocabulary import Vocabulary
from albertkit.errors import DataError

__all__ = ["PICTURE_FILE", "REPORT_FILE", "CorpusReport", "draw_report", "read_report"]

REPORT_FILE = "report.json"
"""The report's name in the prepared folder."""

PICTURE_FILE = "report.png"
"""The picture's name in the prepared folder."""

_EDGES = np.unique(np.round(2 ** (np.arange(26 * 4) / 4))).astype(np.int64)
"""Lengths at which bins begin, four to the doubling, up to 60 million: memory is fixed and any length has its bin."""

_SHARES = (0.5, 0.9, 0.99)
_MOST_FREQUENT = 20


class CorpusReport:
    """Adds up blocks; memory does not grow with the corpus.

    Args:
        vocabulary: Pieces and special ids.
        exclude: Kinds of paragraphs that are left out.
    """

    def __init__(self, vocabulary: Vocabulary, exclude: list[str]) -> None:
        self.counts: dict[Split, Counts] = dict.fromkeys(SPLITS, Counts())
        self._vocabulary = vocabulary
        self._empty_documents = 0
        self._excluded = Counter(dict.fromkeys(exclude, 0))
        self._unknown_characters: Counter[str] = Counter()
        self._sentences = np.zeros(len(_EDGES), np.int64)
        self._documents = np.zeros(len(_EDGES), np.int64)
        self._pieces = np.zeros(len(vocabulary.pieces), np.int64)

    def add(self, block: EncodedBlock) -> None:
        """Count a block.

        Args:
            block: As encoded.
        """
        starts = np.concatenate([[0], np.cumsum(block.document_lengths)])
        ends = np.concatenate([[0], np.cumsum(block.sentence_lengths)])[starts]
        tokens = np.diff(ends)
        is_unknown = np.concatenate([[0], np.cumsum(block.ids == self._vocabulary.unk_token_id)])
        unknown = np.diff(is_unknown[ends])
        columns = (block.document_lengths, tokens, unknown, block.document_bytes)
        for split in SPLITS:
            chosen = block.is_held_out == (split == "held_out")
            self.counts[split] += Counts(int(chosen.sum()), *(int(column[chosen].sum()) for column in columns))
        self._sentences += _to_bins(block.sentence_lengths)
        self._documents += _to_bins(tokens)
        self._pieces += np.bincount(block.ids, minlength=len(self._pieces))
        self._empty_documents += block.empty_documents
        self._excluded.update(block.excluded)
        self._unknown_characters.update(block.unknown_characters)

    def write(self, directory: Path) -> None:
        """Write ``report.json``, and ``report.png`` if matplotlib is installed.

        Args:
            directory: The prepared folder.
        """
        report = self.to_dict()
        (directory / REPORT_FILE).write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if optional.is_installed("matplotlib"):
            draw_report(report, directory / PICTURE_FILE)

    def to_dict(self) -> dict[str, Any]:
        """Give the report as it is written.

        Returns:
            ``counts`` of each split; ``empty_documents`` and ``excluded_paragraphs``, which were left out; histograms
            ``tokens_per_sentence`` and ``tokens_per_document``, in which ``number[i]`` have ``from[i]`` tokens or more, and
            ``at_most`` tells how many tokens a share of all does not exceed, to the width of a bin; the most frequent
            ``unknown_characters``; ``pieces_used`` at least once, and the most frequent ``pieces``.
        """
        total = max(1, int(self._pieces.sum()))
        order = np.argsort(-self._pieces, kind="stable")[:_MOST_FREQUENT].tolist()
        characters = sorted(self._unknown_characters.items(), key=lambda item: (-item[1], item[0]))[:_MOST_FREQUENT]
        return {
            "counts": {split: _describe_counts(counts) for split, counts in self.counts.items()},
            "empty_documents": self._empty_documents,
            "excluded_paragraphs": dict(self._excluded),
            "tokens_per_sentence": _describe_histogram(self._sentences),
            "tokens_per_document": _describe_histogram(self._documents),
            "unknown_characters": [
                {"character": character, "name": _name(character), "number": number} for character, number in characters
            ],
            "pieces_used": int(np.count_nonzero(self._pieces)),
            "vocab_size": len(self._pieces),
            "pieces": [{"piece": self._vocabulary.pieces[id_], "share": int(self._pieces[id_]) / total} for id_ in order],
        }


def read_report(directory: str | Path) -> dict[str, Any]:
    """Read the report of a prepared folder.

    Args:
        directory: The folder that ``albertkit prepare`` wrote.

    Returns:
        See :meth:`CorpusReport.to_dict`.

    Raises:
        DataError: If it is missing or damaged.
    """
    path = Path(directory) / REPORT_FILE
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError("a prepared folder must hold its report", received=f"{path} ({error})") from None
    return report


def draw_report(report: dict[str, Any], picture: Path) -> None:
    """Draw lengths, unknown characters and frequent pieces.

    Args:
        report: See :meth:`CorpusReport.to_dict`.
        picture: The PNG file to write.

    Raises:
        MissingExtraError: If matplotlib is not installed.
    """
    figure = optional.require("matplotlib.figure", "A picture of the corpus").Figure(figsize=(11, 7.5), layout="constrained")
    counts = [report["counts"][split] for split in SPLITS]
    documents, sentences, tokens = (sum(one[name] for one in counts) for name in ("documents", "sentences", "tokens"))
    unknown = sum(one["unknown_tokens"] for one in counts) / max(1, tokens)
    figure.suptitle(f"{documents:,} documents · {sentences:,} sentences · {tokens:,} tokens · {unknown:.3%} of them unknown")
    (first, second), (third, fourth) = figure.subplots(2, 2)
    _draw_histogram(first, report["tokens_per_sentence"], "sentence")
    _draw_histogram(second, report["tokens_per_document"], "document")
    used = f"{report['pieces_used']:,} of {report['vocab_size']:,} pieces used; the most frequent"
    _draw_bars(third, used, "% of tokens", [(_spell(one["piece"]), 100 * one["share"]) for one in report["pieces"]])
    characters = [(one["name"], one["number"]) for one in report["unknown_characters"]]
    _draw_bars(fourth, "characters that the vocabulary lacks", "number", characters)
    figure.savefig(picture, dpi=110)


def _draw_histogram(axes: Any, histogram: dict[str, Any], unit: str) -> None:
    edges = [*histogram["from"], 2 * histogram["from"][-1]]
    axes.stairs(histogram["number"], edges, fill=True, color="#4477aa")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.tick_params(labelsize=7)
    axes.set(title=f"tokens per {unit}", xlabel="tokens", ylabel=f"{unit}s")
    for share, length in histogram["at_most"].items():
        axes.axvline(length, color="#aa3377", linewidth=1)
        axes.annotate(f"{share} ≤ {length:,} ", (length, 1), (-1, 0), ("data", "axes fraction"), "offset points", fontsize=7,
                      rotation=90, va="top", ha="right")  # fmt: skip


def _draw_bars(axes: Any, title: str, unit: str, bars: list[tuple[str, float]]) -> None:
    places = range(len(bars))
    axes.barh(places, [height for _, height in bars], color="#4477aa")
    axes.set_yticks(places, [name for name, _ in bars])
    axes.tick_params(labelsize=7)
    axes.invert_yaxis()
    axes.set(title=title if bars else f"{title}: none", xlabel=unit)


def _to_bins(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    return np.bincount(np.searchsorted(_EDGES, lengths, side="right") - 1, minlength=len(_EDGES))


def _describe_counts(counts: Counts) -> dict[str, float]:
    names = ("tokens_per_sentence", "tokens_per_document", "unknown_rate")
    return asdict(counts) | {name: getattr(counts, name) for name in names}


def _describe_histogram(numbers: npt.NDArray[np.int64]) -> dict[str, Any]:
    """Cut off the empty bins at the end, and find the ends of bins up to which shares of all lie."""
    used = int(np.flatnonzero(numbers).max(initial=0)) + 1
    reached = np.cumsum(numbers)
    ends = np.append(_EDGES[1:], 2 * _EDGES[-1]) - 1
    at_most = {f"{share:.0%}": int(ends[np.searchsorted(reached, share * reached[-1])]) for share in _SHARES}
    return {"at_most": at_most, "from": _EDGES[:used].tolist(), "number": numbers[:used].tolist()}


def _name(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()


def _spell(piece: str) -> str:
    """Write a piece in what every font has."""
    return piece.replace("▁", "_").encode("ascii", "backslashreplace").decode("ascii").replace("$", r"\$")
