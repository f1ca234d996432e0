"""LevelDB's table of sorted keys and values, the form of the index of a TensorFlow checkpoint (leveldb, table_format.md).

A table is a run of blocks, each followed by its kind of compression and its checksum, and a footer that says where the block
is whose values say where all the others are. Everything in it is checked against the length of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from albertkit.checkpoints.crc32c import masked_crc32c
from albertkit.wire import read_varint, varint

__all__ = ["read_table", "write_table"]

_MAGIC = 0xDB4775248B80FB57.to_bytes(8, "little")
_FOOTER_BYTES = 48
_TRAILER_BYTES = 5
_SNAPPY = 1
# A key may repeat the start of the one before it at no cost to the file; a table of names never needs as much as this.
_MOST_KEY_BYTES = 1 << 22


def read_table(data: bytes) -> dict[bytes, bytes]:
    """All entries of a table, in the order of their keys.

    Raises:
        ValueError: If it is damaged or compressed.
    """
    end_of_blocks = len(data) - _FOOTER_BYTES
    if end_of_blocks < 0 or not data.endswith(_MAGIC):
        raise ValueError("the index does not end as a LevelDB table does")
    _, _, position = _read_handle(data, end_of_blocks)  # of a block about the table itself, empty here
    offset, size, _ = _read_handle(data, position)
    blocks = memoryview(data)[:end_of_blocks]
    index = _read_block(blocks, offset, size)
    table: dict[bytes, bytes] = {}
    last, read, key_bytes = b"", 0, 0
    for _, handle in _entries(index):
        offset, size, _ = _read_handle(handle, 0)
        if offset < read:
            raise ValueError("blocks of the index overlap")
        read = offset + size
        for key, value in _entries(_read_block(blocks, offset, size)):
            key_bytes += len(key)
            if (table and key <= last) or key_bytes > _MOST_KEY_BYTES:
                raise ValueError("the names of the index are not in order or too long")
            table[key] = value
            last = key
    return table


def write_table(entries: Mapping[bytes, bytes]) -> bytes:
    """A table of one block, in which every key is written out."""
    body, last = b"", max(entries, default=b"")
    handles = []
    for content in ({key: entries[key] for key in sorted(entries)}, {}):
        block = _make_block(content)
        handles.append(varint(len(body)) + varint(len(block) - _TRAILER_BYTES))
        body += block
    index = _make_block({last: handles[0]})
    footer = handles[1] + varint(len(body)) + varint(len(index) - _TRAILER_BYTES)
    return body + index + footer.ljust(_FOOTER_BYTES - len(_MAGIC), b"\0") + _MAGIC


def _read_handle(data: bytes, position: int) -> tuple[int, int, int]:
    """A block's offset and size, and where the handle ends."""
    offset, position = read_varint(data, position, len(data))
    size, position = read_varint(data, position, len(data))
    return offset, size, position


def _read_block(blocks: memoryview, offset: int, size: int) -> bytes:
    """A block's content, its checksum found right."""
    block = blocks[offset : offset + size + _TRAILER_BYTES].tobytes()
    if len(block) < size + _TRAILER_BYTES:
        raise ValueError("a block ends past the file")
    if int.from_bytes(block[-4:], "little") != masked_crc32c(block[:-4]):
        raise ValueError("a block of the index does not have the checksum stored with it")
    if block[size]:
        raise ValueError("the index is compressed" + (", by Snappy, which is not read here" if block[size] == _SNAPPY else ""))
    return block[:size]


def _entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The keys and values of a block; its end lists the places where a key is written out, which only a search needs."""
    stop = len(block) - 4 - 4 * int.from_bytes(block[-4:], "little")
    if len(block) < 4 or stop < 0:
        raise ValueError("a block is shorter than its own list of places")
    position, key = 0, b""
    while position < stop:
        shared, position = read_varint(block, position, stop)
        own, position = read_varint(block, position, stop)
        length, position = read_varint(block, position, stop)
        if shared > len(key) or position + own + length > stop:
            raise ValueError("an entry ends past its block")
        key = key[:shared] + block[position : position + own]
        position += own
        yield key, block[position : position + length]
        position += length


def _make_block(entries: Mapping[bytes, bytes]) -> bytes:
    """A block with its trailer."""
    content, places = b"", []
    for key, value in entries.items():
        places.append(len(content))
        content += varint(0) + varint(len(key)) + varint(len(value)) + key + value
    places = places or [0]
    content += b"".join(place.to_bytes(4, "little") for place in [*places, len(places)]) + b"\0"
    return content + masked_crc32c(content).to_bytes(4, "little")
