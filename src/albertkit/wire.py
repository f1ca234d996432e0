"""The wire format of protocol buffers, as much of it as vocabularies and TensorFlow's checkpoints need: no protobuf package.

The format is public (protobuf.dev/programming-guides/encoding): a message is a run of fields, each a varint key
(``number << 3 | wire type``) and a value: 0 a varint, 1 eight bytes, 2 a length and that many bytes, 5 four bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["FIXED32", "FIXED64", "LENGTH", "VARINT", "blob", "fields", "fixed32", "integer", "number", "read_varint", "varint"]

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5


def fields(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int, int]]:
    """Walk the fields of the message ``data[start:end]``.

    Yields:
        ``(number, wire type, field start, value start, value end)``; a varint's value is ``integer(data, value start)``.

    Raises:
        ValueError: If a field runs past the end or has a wire type that is out of use.
    """
    position = start
    while position < end:
        key, value = read_varint(data, position, end)
        kind = key & 7
        if kind == VARINT:
            _, stop = read_varint(data, value, end)
        elif kind == LENGTH:
            length, value = read_varint(data, value, end)
            stop = value + length
        elif kind in (FIXED64, FIXED32):
            stop = value + (8 if kind == FIXED64 else 4)
        else:
            raise ValueError(f"wire type {kind} at byte {position}")
        if stop > end:
            raise ValueError(f"a field that ends {stop - end} bytes past its message, at byte {position}")
        yield key >> 3, kind, position, value, stop
        position = stop


def integer(data: bytes, position: int) -> int:
    """The varint at ``position``."""
    return read_varint(data, position, len(data))[0]


def read_varint(data: bytes, position: int, end: int) -> tuple[int, int]:
    """The varint at ``position``, and where it ends.

    Raises:
        ValueError: If it does not end before ``end``, or has more than 64 bits.
    """
    start, value, shift = position, 0, 0
    while position < end and shift < 70:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80 and value < 1 << 64:
            return value, position
        shift += 7
    raise ValueError(f"an unfinished number at byte {start}")


def varint(value: int) -> bytes:
    """``value`` as a varint; a negative one as 64-bit two's complement, as protocol buffers write an int32."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def blob(field: int, value: bytes) -> bytes:
    """The field ``field`` holding bytes, text or a message."""
    return varint(field << 3 | LENGTH) + varint(len(value)) + value


def number(field: int, value: int) -> bytes:
    """The field ``field`` holding a whole number or a truth value."""
    return varint(field << 3 | VARINT) + varint(value)


def fixed32(field: int, value: bytes) -> bytes:
    """The field ``field`` holding four bytes, as a float is stored."""
    return varint(field << 3 | FIXED32) + value
