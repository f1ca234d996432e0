"""A block of documents, from raw paragraphs to token ids: the part of preparation that worker processes do."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from albertkit.data.corpus import Corpus
from albertkit.data.filters import exclude_paragraphs
from albertkit.data.sentences import split_document
from albertkit.data.vocabulary import Vocabulary
from albertkit.tokenization.tokenizer import AlbertTokenizer

__all__ = ["Block", "BlockEncoder", "EncodedBlock", "describe_vocabulary", "hash_document", "read_blocks"]

_BLOCK_CHARACTERS = 2**20
_UNKNOWN_SENTENCES = 1000


@dataclass(frozen=True)
class Block:
    """Some documents of a corpus."""

    documents: list[list[str]]
    """Paragraphs of each."""
    bytes_read: int
    """How much of the corpus was read when the block was full."""


@dataclass(frozen=True)
class EncodedBlock:
    """The same documents as ids: D documents of S sentences of T tokens; what has no token is left out."""

    ids: npt.NDArray[np.int32]
    """Tokens of all sentences end to end, shape [T]."""
    sentence_lengths: npt.NDArray[np.int64]
    """Tokens of every sentence, shape [S]."""
    document_lengths: npt.NDArray[np.int64]
    """Sentences of every document, shape [D]."""
    document_bytes: npt.NDArray[np.int64]
    """UTF-8 bytes of its sentences, shape [D]."""
    is_held_out: npt.NDArray[np.bool_]
    """Whether a document is kept from training, shape [D]."""
    empty_documents: int
    """Documents of which nothing was left."""
    excluded: Counter[str]
    """Kind → paragraphs left out."""
    unknown_characters: Counter[str]
    """Character → how often the vocabulary could not spell it, in the first thousand sentences that have such."""
    bytes_read: int
    """As in the block."""


def read_blocks(corpus: Corpus) -> Iterator[Block]:
    """Read documents, about a million characters at a time, or one that is longer.

    Args:
        corpus: Where from; where a block ends depends on nothing else.
    """
    documents: list[list[str]] = []
    size = 0
    for paragraphs in corpus:
        documents.append(paragraphs)
        size += sum(map(len, paragraphs))
        if size >= _BLOCK_CHARACTERS:
            yield Block(documents, corpus.bytes_read)
            documents, size = [], 0
    if documents:
        yield Block(documents, corpus.bytes_read)


def hash_document(paragraphs: Sequence[str]) -> int:
    """Map a document's text to an even spread of numbers below 2**64.

    Args:
        paragraphs: As they were read, before any is left out.
    """
    digest = hashlib.blake2b(digest_size=8)
    for paragraph in paragraphs:
        digest.update(paragraph.encode())
        digest.update(b"\n")
    return int.from_bytes(digest.digest(), "big")


def describe_vocabulary(tokenizer: AlbertTokenizer) -> Vocabulary:
    """Collect what example making needs to know of a tokenizer.

    Args:
        tokenizer: Any.
    """
    return Vocabulary(
        pieces=list(tokenizer.convert_ids_to_tokens(range(len(tokenizer)))),
        cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id,
        mask_token_id=tokenizer.mask_token_id,
        pad_token_id=tokenizer.pad_token_id,
        unk_token_id=tokenizer.unk_token_id,
        special_ids=sorted(tokenizer.all_special_ids),
    )


class BlockEncoder:
    """Filters, divides into sentences and tokenises blocks.

    Args:
        tokenizer: Directory or name.
        exclude: Kinds of paragraphs to leave out.
        held_out_bound: Documents whose hash is below it are held out.
    """

    def __init__(self, tokenizer: str, exclude: Sequence[str], held_out_bound: int) -> None:
        self._tokenizer = AlbertTokenizer.from_pretrained(tokenizer)
        self._control_ids = describe_vocabulary(self._tokenizer).control_ids
        self._exclude = exclude
        self._held_out_bound = held_out_bound

    def __call__(self, block: Block) -> EncodedBlock:
        """Encode a block.

        Args:
            block: As read.
        """
        excluded: Counter[str] = Counter()
        documents = []
        for paragraphs in block.documents:
            kept, counts = exclude_paragraphs(paragraphs, self._exclude)
            excluded += counts
            documents.append(split_document(kept))
        ids, sentence_lengths, unknown_characters = self._encode(list(chain.from_iterable(documents)))
        owners = np.repeat(np.arange(len(documents)), [len(sentences) for sentences in documents])
        document_lengths = np.bincount(owners[sentence_lengths > 0], minlength=len(documents))
        is_kept = document_lengths > 0
        return EncodedBlock(
            ids=ids,
            sentence_lengths=sentence_lengths[sentence_lengths > 0],
            document_lengths=document_lengths[is_kept],
            document_bytes=np.array([_count_bytes(sentences) for sentences in documents], np.int64)[is_kept],
            is_held_out=np.array([hash_document(one) < self._held_out_bound for one in block.documents], np.bool_)[is_kept],
            empty_documents=int(np.count_nonzero(~is_kept)),
            excluded=excluded,
            unknown_characters=unknown_characters,
            bytes_read=block.bytes_read,
        )

    def _encode(self, sentences: list[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], Counter[str]]:
        """Tokenise sentences: ids end to end, the length of each, and the characters that are unknown."""
        encoded = self._tokenizer(
            sentences, add_special_tokens=False, return_attention_mask=False, return_token_type_ids=False
        )["input_ids"] if sentences else []  # fmt: skip
        lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
        ids = np.fromiter(chain.from_iterable(encoded), np.int32, int(lengths.sum()))
        owners = np.repeat(np.arange(len(lengths)), lengths)
        rows = np.unique(owners[ids == self._tokenizer.unk_token_id])[:_UNKNOWN_SENTENCES]
        unknown = self._find_unknown([sentences[row] for row in rows.tolist()])
        # A text that spells out "[MASK]" or "[SEP]" must not steer the model; such tokens are left out.
        is_control = np.isin(ids, self._control_ids)
        return ids[~is_control], np.bincount(owners[~is_control], minlength=len(lengths)), unknown

    def _find_unknown(self, sentences: list[str]) -> Counter[str]:
        if not sentences:
            return Counter()
        encoded = self._tokenizer(sentences, add_special_tokens=False, return_offsets_mapping=True)
        return Counter(
            character
            for sentence, ids, offsets in zip(sentences, encoded["input_ids"], encoded["offset_mapping"], strict=True)
            for id_, (begin, end) in zip(ids, offsets, strict=True)
            if id_ == self._tokenizer.unk_token_id
            for character in sentence[begin:end]
            if not character.isspace()
        )


def _count_bytes(sentences: list[str]) -> int:
    return sum(len(sentence.encode()) for sentence in sentences)
