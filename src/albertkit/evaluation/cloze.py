"""The cloze test: 200 English sentences with a gap, and where among all pieces a model puts the word that belongs there.

The sentences are in ``cloze_en.tsv``: a text with one ``[MASK]``, one to four answers (single pieces of the embedded model's
vocabulary), and the kind of knowledge it takes. They were written for this test, so that no training corpus has them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from albertkit.inference import Engine, TokenBatch, plan_batches
from albertkit.tokenization import AlbertTokenizer

__all__ = ["KINDS", "ClozeScore", "ClozeScores", "ClozeSentence", "read_cloze", "score_cloze"]

KINDS = {
    "function": "function words",
    "collocation": "collocations and idioms",
    "sense": "common sense",
    "fact": "facts of the world",
    "relation": "opposites, numbers, family",
}
"""Kind → what it is called in tables."""

_FILE = Path(__file__).with_name("cloze_en.tsv")
_TOKEN_BUDGET = 2048


@dataclass(frozen=True)
class ClozeSentence:
    """A sentence of the test."""

    text: str
    """With one ``[MASK]``."""
    answers: tuple[str, ...]
    """Words that are right, in lower case."""
    kind: str
    """One of :data:`KINDS`."""


@dataclass(frozen=True)
class ClozeScore:
    """Means over some sentences; 0 where there are none."""

    top_1: float
    """Share whose likeliest piece is an answer."""
    top_5: float
    """Share with an answer among the five likeliest pieces."""
    mean_reciprocal_rank: float
    """Mean of 1 / the rank of the likeliest answer."""
    sentences: int
    """Number of sentences."""

    @classmethod
    def of(cls, ranks: Iterable[int]) -> ClozeScore:
        """Score ranks.

        Args:
            ranks: Of the likeliest answer of each sentence, from 1.
        """
        values = np.array(list(ranks), dtype=np.float64)
        if not len(values):
            return cls(0.0, 0.0, 0.0, 0)
        return cls(float((values <= 1).mean()), float((values <= 5).mean()), float((1 / values).mean()), len(values))


@dataclass(frozen=True)
class ClozeScores:
    """How a model did."""

    overall: ClozeScore
    """On all sentences."""
    by_kind: dict[str, ClozeScore]
    """On those of each of :data:`KINDS`."""
    not_scorable: int
    """Sentences left out, because every answer is of several pieces here, or the sentence is longer than the model."""
    digest: str
    """SHA-256 of the file of sentences: scores compare only where it is equal."""

    def rows(self) -> list[tuple[str, ClozeScore]]:
        """Names and scores for a table, that of all sentences last."""
        return [(name, self.by_kind[kind]) for kind, name in KINDS.items()] + [("all", self.overall)]

    def to_dict(self) -> dict[str, Any]:
        """Name → value."""
        return asdict(self)


def read_cloze() -> list[ClozeSentence]:
    """Read the sentences."""
    rows = (line.split("\t") for line in _FILE.read_text(encoding="utf-8").splitlines())
    return [ClozeSentence(text, tuple(answers.split("|")), kind) for text, answers, kind in rows]


def score_cloze(engine: Engine, tokenizer: AlbertTokenizer) -> ClozeScores:
    """Have a model fill the gaps; each sentence is read as ``fill-mask`` reads it.

    Args:
        engine: Runs the model.
        tokenizer: The model's own.

    Raises:
        CheckpointError: If the model has no masked-LM head.
    """
    sentences = read_cloze()
    encoded = tokenizer([sentence.text.replace("[MASK]", str(tokenizer.mask_token)) for sentence in sentences])
    answers = [_single_pieces(sentence.answers, tokenizer) for sentence in sentences]
    longest = engine.config.max_position_embeddings
    lengths = [len(ids) for ids in encoded["input_ids"]]
    scorable = [number for number, ids in enumerate(answers) if ids and lengths[number] <= longest]
    ranks: dict[str, list[int]] = {kind: [] for kind in KINDS}
    for places in plan_batches([lengths[number] for number in scorable], _TOKEN_BUDGET):
        numbers = [scorable[place] for place in places]
        batch = TokenBatch.from_sequences(*([encoded[name][i] for i in numbers] for name in ("input_ids", "token_type_ids")))
        logits = engine.logits("masked_lm", batch, np.flatnonzero(batch.input_ids == tokenizer.mask_token_id))
        for number, row in zip(numbers, logits[:, : len(tokenizer)], strict=True):
            ranks[sentences[number].kind].append(_rank(row, answers[number]))
    return ClozeScores(
        overall=ClozeScore.of(rank for kind in KINDS for rank in ranks[kind]),
        by_kind={kind: ClozeScore.of(ranks[kind]) for kind in KINDS},
        not_scorable=len(sentences) - len(scorable),
        digest=hashlib.sha256(_FILE.read_bytes()).hexdigest(),
    )


def _single_pieces(words: Sequence[str], tokenizer: AlbertTokenizer) -> list[int]:
    """Ids of those words that are one piece of the vocabulary."""
    encoded = tokenizer(list(words), add_special_tokens=False)["input_ids"]
    return [ids[0] for ids in encoded if len(ids) == 1 and ids[0] != tokenizer.unk_token_id]


def _rank(logits: npt.NDArray[np.floating[Any]], answers: list[int]) -> int:
    """Place of the likeliest answer, from 1; of equal entries an answer comes last, as it does if there is no number."""
    return min(int(np.count_nonzero(~(logits < logits[answer]))) for answer in answers)
