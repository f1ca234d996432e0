"""Flax and HDF5 files that are damaged, of another kind or hostile: one sentence, and no more memory than the file has bytes."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import msgpack
import numpy as np
import pytest

from albertkit.checkpoints.flax_msgpack import read_flax, write_flax
from albertkit.checkpoints.hdf5 import read_arrays
from albertkit.checkpoints.keras_h5 import write_keras_h5
from albertkit.checkpoints.weight_files import read_weights
from albertkit.errors import AlbertError, CheckpointError
from albertkit.testing import random_parameters, tiny_config

FLAX, HDF5 = "Flax weights must be a whole, readable file", "HDF5 weights must be a whole, readable file"


def array(*content: object, code: int = 1) -> bytes:
    """A Flax file with one array of this content."""
    return msgpack.packb({"a": msgpack.ExtType(code, msgpack.packb(content))})


HOSTILE_FLAX = {
    "empty": b"",
    "a page": b"<!doctype html>" * 9,
    "a pointer of git-lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 46747112\n",
    "a list": msgpack.packb([1, 2]),
    "a number": msgpack.packb({"a": {"b": 3}}),
    "two objects": msgpack.packb({}) * 2,
    "four billion entries": b"\xdf\xff\xff\xff\xff",
    "four billion items": b"\x81\xa1a\xdd\xff\xff\xff\xff",
    "four billion bytes": b"\x81\xa1a\xc6\xff\xff\xff\xff",
    "lists in lists": b"\x91" * 100_000,
    "maps in maps": b"\x81\xa1a" * 400 + msgpack.packb({"a": 1}),
    "objects": array((1,), "object", b"\0" * 8),
    "a structure": array((1,), "V8", b"\0" * 8),
    "an unknown type": array((1,), "float4", b"\0"),
    "no type": array((1,), 3, b"\0"),
    "too few bytes": array((1 << 40,), "float32", b"\0" * 4),
    "overflow": array((1 << 62, 4), "float32", b"\0" * 4),
    "half a number": array((1,), "float32", b"\0" * 3),
    "no shape": array(7, "float32", b"\0" * 4),
    "many axes": array((1,) * 40, "float32", b"\0" * 4),
    "too short": array((1,), "float32"),
    "another extension": array((1,), "float32", b"\0" * 4, code=5),
    "an extension of nothing": msgpack.packb({"a": msgpack.ExtType(1, b"")}),
}


@pytest.mark.parametrize("content", HOSTILE_FLAX.values(), ids=HOSTILE_FLAX)
def test_a_flax_file_of_anything_else_is_refused(tmp_path, content: bytes):
    path = tmp_path / "flax_model.msgpack"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=f"{FLAX} of arrays by name; received .*flax_model.msgpack") as caught:
        read_weights(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert "\n" not in str(caught.value)


def compressed(file: h5py.File) -> None:
    file.create_dataset("a", shape=(1 << 40,), dtype="f4", chunks=(1 << 20,), compression="gzip", fillvalue=1.0)


def elsewhere(file: h5py.File) -> None:
    path = Path(file.filename).with_name("secret")
    path.write_bytes(b"\0" * 64)
    file.create_dataset("a", shape=(16,), dtype="f4", external=[(str(path), 0, 64)])


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource(Path(file.filename).with_name("secret"), "b", shape=(4,))
    file.create_virtual_dataset("a", layout)


def nested(file: h5py.File) -> None:
    group: h5py.Group = file
    for _ in range(2000):
        group = group.create_group("a")


HOSTILE_HDF5: dict[str, Callable[[h5py.File], object]] = {
    "compressed, of four terabytes": compressed,
    "in another file": elsewhere,
    "virtual": virtual,
    "four terabytes of nothing": lambda file: file.create_dataset("a", shape=(1 << 40,), dtype="f4"),
    "texts": lambda file: file.create_dataset("a", data=["one", "two"]),
    "references": lambda file: file.create_dataset("a", data=[file.ref], dtype=h5py.ref_dtype),
    "structures": lambda file: file.create_dataset("a", data=np.zeros(3, "f4,i4")),
    "complex numbers": lambda file: file.create_dataset("a", data=np.zeros(3, "c8")),
    "groups in groups": nested,
    "a type that is many": lambda file: file.create_dataset("a", data=np.zeros(3, "V2")).attrs.create("dtype", np.zeros(9)),
    "opaque bytes": lambda file: file.create_dataset("a", data=np.zeros(3, "V2")),
}


@pytest.mark.parametrize("make", HOSTILE_HDF5.values(), ids=HOSTILE_HDF5)
def test_an_hdf5_file_of_anything_but_plain_arrays_is_refused(tmp_path, make: Callable[[h5py.File], object]):
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        make(file)
    with pytest.raises(CheckpointError, match=f"{HDF5} of uncompressed arrays; received .*tf_model.h5") as caught:
        read_weights(tmp_path)
    assert "\n" not in str(caught.value)


def test_links_out_of_a_file_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.ones(3, "f4")
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        file["a"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "secret")
        file["b"] = h5py.SoftLink("/nowhere")
        file["c"] = file["/"]  # a ring
        for name in ("d", "e", "f"):
            file.create_group(name)
        for name in ("d", "e", "f"):  # rings of rings
            for number in range(100):
                file[f"{name}/{number}"] = file[random.Random(number).choice("def")]
        file["f/x"] = np.ones(3, "f4")
        file["g"] = file["f/x"]
    [name] = read_arrays(tmp_path / "tf_model.h5").tensors
    assert name.endswith("/x")


@pytest.mark.parametrize("content", [b"", b"<!doctype html>", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + b"\xff" * 4096])
def test_what_is_no_hdf5_file_is_refused(tmp_path, content: bytes):
    for filename in ("tf_model.h5", "model.weights.h5"):
        (tmp_path / filename).write_bytes(content)
        (tmp_path / "config.json").write_text(tiny_config().to_json_string())
        with pytest.raises(CheckpointError, match=HDF5):
            read_weights(tmp_path)


@pytest.mark.parametrize(
    ("write", "read", "message", "tries"), [(write_flax, read_flax, FLAX, 400), (write_keras_h5, read_arrays, HDF5, 40)]
)
def test_a_cut_or_changed_file_is_read_or_refused(tmp_path, write, read, message: str, tries: int):
    small = tiny_config(vocab_size=13, num_hidden_groups=1, inner_group_num=1)
    path = tmp_path / "weights"
    write(path, random_parameters(small))
    content, rng = path.read_bytes(), random.Random(7)
    for length in rng.sample(range(len(content)), tries // 4):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=message):
            read(path)
    refusals = []
    for _ in range(tries):
        changed = bytearray(content)
        for _ in range(rng.choice((1, 4, 16))):
            changed[rng.randrange(len(changed))] = rng.choice((0, 255, rng.randrange(256)))
        path.write_bytes(changed)
        try:
            tensors = read(path).tensors
        except AlbertError as error:
            refusals.append(str(error))
        else:
            assert sum(array.nbytes for array in tensors.values()) <= len(content)
    assert refusals
    assert all(message in refusal for refusal in refusals)
