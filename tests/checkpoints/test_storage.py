"""safetensors files of every type, against the safetensors library itself."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from albertkit import files
from albertkit.checkpoints.storage import FLOAT_TYPES, read_tensors, write_tensors
from albertkit.errors import CheckpointError


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, 3.3895e38, 1.00390625, 1.01171875], np.float32)
    return {
        "matrix": generator.normal(size=(5, 7)).astype(np.float32),
        "transposed": generator.normal(size=(3, 4)).astype(np.float32).T,
        "special": special,
        "scalar": np.float32(2.5),
        "empty": np.zeros((0, 3), np.float32),
        "steps": np.array([1, 2], np.int64),
        "flags": np.array([True, False]),
        "half": np.array([1.5], np.float16),
    }


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
def test_the_library_reads_what_we_write_and_we_read_the_same(tmp_path, tensors, dtype: str):
    path = tmp_path / "model.safetensors"
    with np.errstate(over="ignore"):
        write_tensors(path, tensors, dtype=dtype, metadata={"format": "pt"})
    peer, ours = safetensors.torch.load_file(path), read_tensors(path)
    assert ours.metadata == {"format": "pt"}
    assert ours.dtype == dtype
    for name, array in tensors.items():
        expected = torch.tensor(np.ascontiguousarray(array).reshape(np.shape(array)))
        if expected.is_floating_point():
            expected = expected.to(getattr(torch, dtype))
        assert peer[name].dtype == expected.dtype
        torch.testing.assert_close(peer[name], expected, rtol=0, atol=0, equal_nan=True)
        np.testing.assert_array_equal(ours.tensors[name], peer[name].float() if expected.is_floating_point() else peer[name])


def test_we_read_what_the_library_writes(tmp_path):
    path = tmp_path / "model.safetensors"
    values = {"a": torch.randn(3, 5).bfloat16(), "b": torch.randn(2), "c": torch.arange(4, dtype=torch.uint8)}
    safetensors.torch.save_file(values, path)
    stored = read_tensors(path)
    assert stored.dtype == "bfloat16"
    for name, value in values.items():
        np.testing.assert_array_equal(stored.tensors[name], value.float().numpy())


def test_float32_is_mapped_not_copied(tmp_path):
    path = tmp_path / "model.safetensors"
    write_tensors(path, {"a": np.ones(4, np.float32)})
    array = read_tensors(path).tensors["a"]
    assert not array.flags.owndata
    assert not array.flags.writeable


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_any_bytes_give_one_sentence(tmp_path_factory, data: bytes):
    path = tmp_path_factory.mktemp("bytes") / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="whole, readable safetensors file"):
        read_tensors(path)


@pytest.mark.parametrize("keep", [0, 4, 40, -1])
def test_a_cut_off_file_is_refused(tmp_path, tensors, keep: int):
    path = tmp_path / "model.safetensors"
    write_tensors(path, tensors)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match="whole, readable safetensors file"):
        read_tensors(path)


def test_a_missing_file_and_a_full_disk_are_one_sentence(tmp_path, monkeypatch, tensors):
    with pytest.raises(CheckpointError, match="No such file"):
        read_tensors(tmp_path / "none.safetensors")
    path = tmp_path / "model.safetensors"
    write_tensors(path, {"a": np.ones(2, np.float32)})

    def full(_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files, "_flush", full)
    with pytest.raises(CheckpointError, match="No space left"):
        write_tensors(path, tensors)
    assert [item.name for item in tmp_path.iterdir()] == ["model.safetensors"]
    assert list(read_tensors(path).tensors) == ["a"]
