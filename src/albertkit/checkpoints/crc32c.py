"""CRC-32C (Castagnoli; RFC 3720 §B.4) in NumPy, quick enough to check every byte of a checkpoint.

A checksum is linear over bits, so a text may be cut into lanes that are worked on side by side: word *i* of every row goes to
lane *i*, each lane is carried over one row by two table look-ups, and in the end the lanes are folded in halves into one.
"""

from __future__ import annotations

from functools import cache

import numpy as np

__all__ = ["masked_crc32c"]

_POLYNOMIAL = np.uint32(0x82F63B78)  # bits reversed
_MOST_LEVEL = 13  # 8,192 lanes: a row, its state and the tables stay in the processor's cache
# Four bytes that bring a checksum begun at zero to where CRC-32C begins, all ones; zeros before them change nothing.
_START = np.array([0x54, 0x64, 0x1F, 0x64], np.uint8)


def masked_crc32c(data: bytes | np.ndarray) -> int:
    """The checksum of bytes as LevelDB and TensorFlow store it: rotated, and a constant added (leveldb, log_format.md)."""
    checksum = crc32c(data)
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes | np.ndarray) -> int:
    """The CRC-32C of ``data``, bytes or a uint8 array [bytes]."""
    content = np.frombuffer(data, np.uint8) if isinstance(data, bytes) else data
    level = min(_MOST_LEVEL, ((content.size + 7) // 4 - 1).bit_length())
    row = 4 << level
    head = content.size % row
    front = np.zeros(row if head + 4 <= row else 2 * row, np.uint8)
    front[front.size - head :] = content[:head]
    front[front.size - head - 4 : front.size - head] = _START
    state = np.zeros(1 << level, "<u4")
    for part in (front, content[head:]):
        for words in part.view("<u4").reshape(-1, 1 << level):
            state = _skip_zeros(state, level) ^ words
    for smaller in reversed(range(level)):
        state = _skip_zeros(state[: 1 << smaller], smaller) ^ state[1 << smaller :]
    return int(_skip_zeros(state, 0)[0]) ^ 0xFFFFFFFF


def _skip_zeros(states: np.ndarray, level: int) -> np.ndarray:
    """Checksums carried over 2**level words of zeros."""
    low, high = _tables(level)
    halves = states.view("<u2")
    return np.asarray(low[halves[0::2]] ^ high[halves[1::2]])


@cache
def _tables(level: int) -> tuple[np.ndarray, np.ndarray]:
    """What becomes of the low and of the high half of a checksum over 2**level words of zeros."""
    images = np.uint32(1) << np.arange(32, dtype="<u4")  # of each bit
    if level:
        images = _skip_zeros(_skip_zeros(images, level - 1), level - 1)
    else:
        for _ in range(32):
            images = np.where(images & 1, images >> 1 ^ _POLYNOMIAL, images >> 1).astype("<u4")
    return _span(images[:16]), _span(images[16:])


def _span(images: np.ndarray) -> np.ndarray:
    """The exclusive or of every choice of 16 images, by the choice's number."""
    table = np.zeros(1, "<u4")
    for image in images:
        table = np.concatenate([table, table ^ image])
    return table
