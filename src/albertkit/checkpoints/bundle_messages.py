"""The two messages in the index of a TensorFlow checkpoint (tensorflow/core/protobuf/tensor_bundle.proto).

A number that is nought is left out of a message.
"""

from __future__ import annotations

from dataclasses import dataclass

from albertkit import wire

__all__ = ["BundleEntry", "parse_entry", "parse_header", "serialize_entry", "serialize_header"]

# Field numbers.
_SHARDS, _BIG_ENDIAN, _VERSION, _PRODUCER, _LEAST_CONSUMER = 1, 2, 3, 1, 2
_TYPE, _SHAPE, _SHARD, _OFFSET, _SIZE, _CRC32C, _SLICES = 1, 2, 3, 4, 5, 6, 7
_DIM, _DIM_SIZE = 2, 1
_RELEASE = 1  # of the format; there has been no other

_Message = dict[int, list[int | bytes]]


@dataclass(frozen=True)
class BundleEntry:
    """Where a tensor lies, and what it is.

    Attributes:
        type: TensorFlow's number for it (types.proto).
        shape: Of the tensor.
        shard: Number of the data file.
        offset: Of the tensor's first byte in that file.
        size: In bytes.
        crc32c: The masked checksum of those bytes.
    """

    type: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc32c: int


def parse_header(data: bytes) -> int:
    """The number of data files.

    Raises:
        ValueError: If the header is damaged, or the checkpoint is of another byte order or a later release of the format.
    """
    header = _parse(data)
    if _integer(header, _BIG_ENDIAN):
        raise ValueError("it was written on a big-endian machine")
    if _integer(_parse(_bytes(header, _VERSION)), _LEAST_CONSUMER) > _RELEASE:
        raise ValueError("it was written by a release of TensorFlow that is not known here")
    return _integer(header, _SHARDS)


def serialize_header(shards: int) -> bytes:
    """The header of a checkpoint with ``shards`` data files."""
    return _number(_SHARDS, shards) + wire.blob(_VERSION, _number(_PRODUCER, _RELEASE))


def parse_entry(data: bytes) -> BundleEntry:
    """One variable's entry.

    Raises:
        ValueError: If it is damaged, or the variable is saved in slices.
    """
    message = _parse(data)
    if _SLICES in message:
        raise ValueError("a variable is saved in slices")
    dims = [_parse(_as_bytes(dim)) for dim in _parse(_bytes(message, _SHAPE)).get(_DIM, [])]
    numbers = (_integer(message, number) for number in (_SHARD, _OFFSET, _SIZE, _CRC32C))
    return BundleEntry(_integer(message, _TYPE), tuple(_integer(dim, _DIM_SIZE) for dim in dims), *numbers)


def serialize_entry(entry: BundleEntry) -> bytes:
    """The message that :func:`parse_entry` reads."""
    shape = b"".join(wire.blob(_DIM, _number(_DIM_SIZE, size)) for size in entry.shape)
    return (
        _number(_TYPE, entry.type)
        + wire.blob(_SHAPE, shape)
        + _number(_SHARD, entry.shard)
        + _number(_OFFSET, entry.offset)
        + _number(_SIZE, entry.size)
        + wire.fixed32(_CRC32C, entry.crc32c.to_bytes(4, "little"))
    )


def _parse(data: bytes) -> _Message:
    """Field number → its values, whole numbers and bytes."""
    message: _Message = {}
    for number, kind, _begin, start, stop in wire.fields(data, 0, len(data)):
        value: int | bytes = data[start:stop]
        if kind == wire.VARINT:
            value = wire.integer(data, start)
        elif kind != wire.LENGTH:
            value = int.from_bytes(data[start:stop], "little")
        message.setdefault(number, []).append(value)
    return message


def _integer(message: _Message, number: int) -> int:
    value = message.get(number, [0])[-1]
    if isinstance(value, bytes):
        raise ValueError("the index has bytes where a number must be")
    return value


def _bytes(message: _Message, number: int) -> bytes:
    return _as_bytes(message.get(number, [b""])[-1])


def _as_bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("the index has a number where a message must be")
    return value


def _number(field: int, value: int) -> bytes:
    return wire.number(field, value) if value else b""
