"""TensorFlow's checkpoints without it: against TensorFlow itself in another process, and against every kind of damage."""

from __future__ import annotations

import errno
import importlib.util
import os
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from albertkit import files
from albertkit.checkpoints import google_bundle, sstable
from albertkit.checkpoints.bundle_messages import BundleEntry, serialize_entry
from albertkit.checkpoints.crc32c import crc32c, masked_crc32c
from albertkit.checkpoints.google_bundle import read_bundle, write_bundle
from albertkit.errors import CheckpointError


def assert_equal(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        assert found[name].tobytes() == array.tobytes(), name


@pytest.fixture(scope="module")
def arrays() -> dict[str, np.ndarray]:
    """A few variables of Google's, with what an optimiser keeps, and names enough for several blocks of shared beginnings."""
    generator = np.random.default_rng(0)
    shapes = {"bert/embeddings/word_embeddings": (101, 7), "cls/predictions/output_bias": (101,), "output_weights": (3, 15)}
    for group in range(5):
        for part in ("query", "key", "value"):
            shapes[f"bert/encoder/transformer/group_{group}/inner_group_0/attention_1/self/{part}/kernel"] = (15, 15)
    values = {
        name + slot: generator.normal(size=shape).astype(np.float32)
        for name, shape in shapes.items()
        for slot in ("", "/adam_m", "/adam_v")
    }
    return values | {"global_step": np.int64(125_000), "scalar": np.float32(np.nan)}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, arrays: dict[str, np.ndarray]) -> Path:
    """A folder of checkpoints that TensorFlow wrote, and of its answers to ours."""
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("needs TensorFlow")
    folder = tmp_path_factory.mktemp("bundles")
    np.savez(folder / "arrays.npz", **arrays)
    write_bundle(folder / "ours-one", arrays)
    write_bundle(folder / "ours-several", arrays, shards=4)
    command = [sys.executable, str(Path(__file__).with_name("tensorflow_writer.py")), str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("name", "shards"), [("one", 1), ("several", 3)])
def test_what_tensorflow_saves_is_read_bit_for_bit(written, arrays, name: str, shards: int):
    assert len(list(written.glob(f"{name}.data-*"))) == shards
    assert_equal(read_bundle(written / f"{name}.index").tensors, arrays)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["one", "several"])
def test_tensorflow_restores_what_we_write(written, arrays, name: str):
    assert_equal(dict(np.load(written / f"ours-{name}.npz")), arrays)


@pytest.mark.slow
def test_every_type_is_read(written):
    stored = read_bundle(written / "types.index")
    values = np.linspace(-3, 3, 11, dtype=np.float32)
    half = values.astype(np.float16).astype(np.float32)
    bits = values.view(np.uint32)
    brain = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).view(np.float32)
    expected = {
        "double": values.astype(np.float64), "half": half, "brain": brain, "int": np.arange(7, dtype=np.int32),
        "long": np.arange(2**40, 2**40 + 3), "flags": values > 0, "scalar": np.float32(2.5), "float": values,
        "empty": np.zeros((0, 3), np.float32),
    }  # fmt: skip
    assert stored.dtype == "bfloat16"
    assert_equal(stored.tensors, expected)
    assert all(array.flags.aligned for array in stored.tensors.values())


@pytest.mark.slow
def test_tensorflow_is_not_imported(written):
    code = (
        "import sys; from albertkit.checkpoints.google_names import read_google; "
        f"read_google({str(written / 'one.index')!r}); sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_checksum_is_crc_32c():
    assert crc32c(b"123456789") == 0xE3069283  # the check value of its definition
    assert crc32c(bytes(32)) == 0x8A9136AA  # RFC 3720 §B.4
    assert crc32c(b"") == 0
    generator = np.random.default_rng(0)
    for size in (1, 3, 4, 5, 63, 1000, 32_763, 32_764, 32_765, 70_001):
        data = generator.bytes(size)
        register = 0xFFFFFFFF
        for byte in data:
            register ^= byte
            for _ in range(8):
                register = register >> 1 ^ 0x82F63B78 * (register & 1)
        assert crc32c(np.frombuffer(data, np.uint8)) == register ^ 0xFFFFFFFF, size


@pytest.mark.parametrize("shards", [1, 3, 70])
def test_ours_goes_both_ways(tmp_path, arrays, shards: int):
    index, *data = write_bundle(tmp_path / "model.ckpt-1", arrays, shards=shards)
    assert (index.name, len(data)) == ("model.ckpt-1.index", shards)
    stored = read_bundle(index)
    assert_equal(stored.tensors, arrays)
    assert stored.dtype == "float32"
    mapped = stored.tensors["output_weights"]
    assert not mapped.flags.owndata
    assert not mapped.flags.writeable


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_types_go_both_ways(tmp_path, dtype: str):
    values = np.array([[0.5, -1.25, np.inf]], np.float32)
    index, *_ = write_bundle(tmp_path / "model.ckpt", {"a": values, "b": np.int32(3)}, dtype=dtype)
    stored = read_bundle(index)
    assert stored.dtype == dtype
    assert_equal(stored.tensors, {"a": values, "b": np.int32(3)})


def test_what_is_not_wanted_is_not_read(tmp_path, arrays):
    index, data = write_bundle(tmp_path / "model.ckpt", arrays)
    content = bytearray(data.read_bytes())
    content[-1] ^= 1  # of "scalar", the last by name
    data.write_bytes(content)
    with pytest.raises(CheckpointError, match="'scalar' does not have the checksum"):
        read_bundle(index)
    assert "scalar" not in read_bundle(index, keep=lambda name: name != "scalar").tensors


def test_blocks_and_shared_beginnings_are_read():
    """As LevelDB writes them: what a key shares with the one before it is left out, and a block ends when it is full."""
    entries = {f"bert/layer_{number:02}".encode(): bytes([number]) for number in range(9)}
    body, index = b"", b""
    for first in range(0, 9, 3):
        block, last = b"", b""
        for key in list(entries)[first : first + 3]:
            shared = len(b"bert/layer_0") if last else 0
            block += bytes([shared, len(key) - shared, 1]) + key[shared:] + entries[key]
            last = key
        sealed = seal(block)
        handle = sstable.varint(len(body)) + sstable.varint(len(sealed) - 5)
        index += bytes([0, len(last), len(handle)]) + last + handle
        body += sealed
    assert sstable.read_table(close(body, seal(index))) == entries


def seal(block: bytes) -> bytes:
    """A block with one restart point, uncompressed, and its checksum."""
    content = block + bytes(4) + (1).to_bytes(4, "little") + b"\0"
    return content + sstable.masked_crc32c(content).to_bytes(4, "little")


def close(body: bytes, index: bytes) -> bytes:
    footer = b"\0\0" + sstable.varint(len(body)) + sstable.varint(len(index) - 5)
    return body + index + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def test_a_missing_file_is_one_sentence(tmp_path, arrays):
    with pytest.raises(CheckpointError, match="No such file"):
        read_bundle(tmp_path / "none.index")
    index, _, second = write_bundle(tmp_path / "model.ckpt", arrays, shards=2)
    second.unlink()
    with pytest.raises(CheckpointError, match=r"with its data files beside it.*model\.ckpt\.data-00001-of-00002"):
        read_bundle(index)


def test_a_full_disk_leaves_nothing(tmp_path, arrays, monkeypatch):
    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_flush", full)
    with pytest.raises(CheckpointError, match="No space left"):
        write_bundle(tmp_path / "model.ckpt", arrays, shards=3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"shards": 0}, {"shards": 100_000}, {"dtype": "int8"}])
def test_impossible_options_are_refused(tmp_path, arrays, options):
    with pytest.raises(CheckpointError, match="dtype must be one of"):
        write_bundle(tmp_path / "model.ckpt", arrays, **options)


EMPTY = masked_crc32c(b"")


def make(folder: Path, entries: dict[str, bytes], data: bytes = b"", header: bytes = b"\x08\x01") -> Path:
    """A checkpoint with these messages, whatever they say."""
    table = {b"": header} | {name.encode(): message for name, message in entries.items()}
    (folder / "m.index").write_bytes(sstable.write_table(table))
    (folder / "m.data-00000-of-00001").write_bytes(data)
    return folder / "m.index"


def entry(type: int = 1, shape: tuple[int, ...] = (), shard: int = 0, offset: int = 0, size: int = 0, checksum: int = 0) -> bytes:
    return serialize_entry(BundleEntry(type, shape, shard, offset, size, checksum))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (entry(shape=(5,), size=20), "ends past its file"),
        (entry(offset=1 << 63, size=1 << 63), "ends past its file"),
        (entry(shape=(1,), size=4), "does not have the checksum"),
        (entry(shape=(5,)), r"0 values and the shape \(5,\)"),
        (entry(shape=(3,), size=8), "2 values and the shape"),
        (entry(shape=(1 << 32, (1 << 32) + 1), size=4), "1 values and the shape"),
        (entry(size=3), "must be"),
        (entry(shape=(0, (1 << 64) - 1, (1 << 64) - 1), checksum=EMPTY), "must be"),
        (entry(shape=(0,) * 65, checksum=EMPTY), "0 values and the shape"),
        (entry(type=99), "is of type 99"),
        (entry(shard=1), "lies in a file of which there is none"),
        (b"\x08\x01\x3a\x00", "saved in slices"),
        (b"\x0a\x01\x01", "bytes where a number"),
        (b"\x08\x01\x10\x01", "number where a message"),
        (b"\x08\x01\x12\x7f", "ends 127 bytes past its message"),
        (b"\x08" + b"\xff" * 11, "unfinished number"),
        (b"\x0b", "wire type 3"),
    ],
)
def test_a_hostile_entry_is_one_sentence(tmp_path, message: bytes, reason: str):
    with pytest.raises(CheckpointError, match=reason) as caught:
        read_bundle(make(tmp_path, {"a": message}, data=b"abcdefgh"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"", "0 data files"),
        (b"\x08\xff\xff\xff\xff\x0f", "data files"),
        (b"\x08\x01\x10\x01", "big-endian"),
        (b"\x08\x01\x1a\x02\x10\x02", "release of TensorFlow"),
    ],
)
def test_a_hostile_header_is_one_sentence(tmp_path, header: bytes, reason: str):
    with pytest.raises(CheckpointError, match=reason):
        read_bundle(make(tmp_path, {}, header=header))


def test_overlapping_tensors_are_refused(tmp_path):
    """A small index could otherwise ask for a large file to be checked thousands of times."""
    with pytest.raises(CheckpointError, match="two tensors overlap"):
        read_bundle(make(tmp_path, {f"t{number}": entry(shape=(2,), size=8) for number in range(9)}, data=bytes(8)))


def test_a_compressed_index_is_refused(tmp_path):
    block = b"\x00\x00\x00" + bytes(4) + (1).to_bytes(4, "little") + b"\x01"
    block += sstable.masked_crc32c(block).to_bytes(4, "little")
    (tmp_path / "m.index").write_bytes(close(block, seal(b"\x00\x00\x02\x00" + bytes([len(block) - 5]))))
    with pytest.raises(CheckpointError, match="compressed, by Snappy"):
        read_bundle(tmp_path / "m.index")


@pytest.mark.parametrize(
    ("block", "reason"),
    [
        (b"\x00\x7f\x00a", "ends past its block"),
        (b"\x05\x01\x00a", "ends past its block"),
        (b"\x00\x01\x00b\x00\x01\x00a", "not in order"),
        (b"\x00\x01\x00a\x00\x01\x00a", "not in order"),
        (b"".join(sstable.varint(n * 900) + b"\x84\x07\x00" + b"b" * 900 for n in range(300)), "too long"),
    ],
)
def test_a_hostile_table_is_refused(block: bytes, reason: str):
    body = seal(block)
    handle = b"\0" + sstable.varint(len(body) - 5)
    table = close(body, seal(bytes([0, 0, len(handle)]) + handle))
    with pytest.raises(ValueError, match=reason):
        sstable.read_table(table)


def test_overlapping_blocks_are_refused():
    """Even ones without a key, which a small index could otherwise have checked thousands of times."""
    body = seal(b"")
    with pytest.raises(ValueError, match="blocks of the index overlap"):
        sstable.read_table(close(body, seal(bytes([0, 0, 2, 0, len(body) - 5]) * 2)))


class Anything(int):
    """Equal to every number: with it in place of checksums, damage reaches what lies behind them."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


def mutate(content: bytes, chance: random.Random) -> bytes:
    """One to three changes: bits, bytes, runs cut out, doubled or moved, the end cut off or extended."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        start, size = chance.randrange(len(data) + 1), chance.choice((1, 1, 2, 4, 9, 40))
        piece = bytes(data[start : start + size])
        match chance.randrange(7):
            case 0 if piece:
                data[start] ^= 1 << chance.randrange(8)
            case 1:
                data[start : start + len(piece)] = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF))]) * len(piece)
            case 2:
                data[start : start + len(piece)] = chance.randbytes(len(piece))
            case 3:
                del data[start : start + size]
            case 4:
                data[start:start] = piece
            case 5:
                del data[start:]
            case _:
                there = chance.randrange(len(data) + 1)
                data[there : there + len(piece)] = piece
    return bytes(data)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder in memory where there is one: a disk takes longer to write a file than we take to read it."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


def fuzz(folder: Path, monkeypatch: pytest.MonkeyPatch, cases: int) -> None:
    """Damage one file of a small checkpoint at a time, half the time without checksums: the right arrays or one sentence."""
    tensors = {
        "a/kernel": np.arange(6, dtype=np.float32).reshape(2, 3), "a/bias": np.ones(3, np.float32), "global_step": np.int64(7),
    }  # fmt: skip
    paths = write_bundle(folder / "m", tensors, shards=2)
    whole = {path: path.read_bytes() for path in paths}
    index = paths[0]
    most = 2 * sum(map(len, whole.values()))
    chance = random.Random(0)
    outcomes = {True: 0, False: 0}
    for case in range(cases):
        checked = bool(case % 2)
        with monkeypatch.context() as patch:
            if not checked:
                for module in (sstable, google_bundle):
                    patch.setattr(module, "masked_crc32c", lambda data: Anything())
            path = chance.choice((index, index, *paths))
            path.write_bytes(mutate(whole[path], chance))
            found, message = {}, ""
            try:
                found = read_bundle(index).tensors
            except CheckpointError as error:
                message = str(error)
            path.write_bytes(whole[path])
        if checked and not message:
            assert_equal(found, tensors)
        assert sum(array.nbytes for array in found.values()) <= most
        assert "\n" not in message
        assert len(message) < 800
        outcomes[not message] += 1
    assert min(outcomes.values()) > cases // 50  # both were tried


def test_damage_gives_the_right_arrays_or_one_sentence(memory, monkeypatch):
    fuzz(memory, monkeypatch, 1000)


@pytest.mark.slow
def test_damage_in_a_hundred_thousand_ways(memory, monkeypatch):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    fuzz(memory, monkeypatch, 100_000)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kilobytes
