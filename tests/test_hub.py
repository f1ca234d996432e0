"""Where checkpoints are found: directories, embedded models, and the hub by way of a stub on this machine."""

from __future__ import annotations

import errno
import os
import time

import pytest

from albertkit import AlbertConfig, AlbertTokenizer, hub
from albertkit.checkpoints.huggingface import load_parameters
from albertkit.errors import CheckpointError
from albertkit.hub import Source

NAME = "someone/model"
FILES = {"config.json": b'{"model_type": "albert"}', "model.safetensors": bytes(range(256)) * 40, "note.txt": b"a note"}


def test_a_directory_gives_the_files_it_has(tmp_path):
    (tmp_path / "b").write_text("")
    assert hub.locate(tmp_path, ("a", "b")) == {"b": tmp_path / "b"}
    with pytest.raises(CheckpointError, match="a checkpoint must hold a or c"):
        hub.locate(tmp_path, ("a", "c"))


def test_the_embedded_model_is_found_by_name():
    found = hub.locate(hub.DEFAULT_MODEL, ("config.json", "model.safetensors", "spiece.model"))
    assert list(found) == ["config.json", "model.safetensors", "spiece.model"]


@pytest.mark.parametrize("read", [AlbertConfig.from_pretrained, AlbertTokenizer.from_pretrained, hub.open_files])
def test_a_path_that_the_system_refuses_is_one_sentence(read):
    with pytest.raises(CheckpointError, match="must be one that the system opens"):
        read("a" * 300)


def test_a_file_that_the_system_refuses_to_look_for_is_one_sentence(tmp_path):
    with pytest.raises(CheckpointError, match="must be one that the system opens"):
        hub.locate(tmp_path, ("a" * 300,))


@pytest.mark.parametrize("name", ["no-such-model", "../somewhere", "a/b/c", ""])
def test_other_names_are_refused_with_the_embedded_ones(name: str):
    with pytest.raises(CheckpointError, match=r"directory, an embedded model.*albert-mini-en"):
        hub.locate(name, ("config.json",))


def test_names_that_the_hub_forbids_are_refused_without_asking_it(hub_stub):
    with pytest.raises(CheckpointError, match=r"some--one/model \(Cannot have"):
        hub.locate("some--one/model", ("config.json",))
    assert hub_stub.requests == []


def test_files_come_from_the_hub_once(hub_stub):
    commit = hub_stub.add(NAME, FILES)
    found = hub.locate(NAME, ("absent", "model.safetensors", "note.txt"))
    assert {name: path.read_bytes() for name, path in found.items()} == {name: FILES[name] for name in list(FILES)[1:]}
    assert found["note.txt"].parent.name == commit
    assert not any("absent" in request for request in hub_stub.requests)
    hub_stub.requests.clear()
    assert hub.locate(NAME, ("absent", "model.safetensors", "note.txt")) == found
    assert hub_stub.requests == [f"GET /api/models/{NAME}?blobs=true"]
    with pytest.raises(CheckpointError, match="must hold absent; received someone/model, which does not"):
        hub.locate(NAME, ("absent",))


def test_published_short_names_mean_their_repository(hub_stub, tiny_checkpoint):
    hub_stub.add("albert/albert-base-v2", tiny_checkpoint)
    config = AlbertConfig.from_json_file(hub.locate("albert-base-v2", ("config.json",))["config.json"])
    assert load_parameters("albert-base-v2", config).dtype == "float32"
    assert len(AlbertTokenizer.from_pretrained("albert-base-v2")) == config.vocab_size


def test_revisions_are_branches_tags_or_commits(hub_stub):
    first = hub_stub.add(NAME, {"note.txt": b"first"})
    hub_stub.add(NAME, {"note.txt": b"second"})
    hub_stub.add(NAME, {"note.txt": b"other"}, revision="a/branch")
    for revision, text in ((None, b"second"), (first, b"first"), ("a/branch", b"other")):
        assert hub.locate(Source(NAME, revision), ("note.txt",))["note.txt"].read_bytes() == text
    with pytest.raises(CheckpointError, match=r"must be a branch, tag or commit.*'v9' for someone/model"):
        hub.locate(Source(NAME, "v9"), ("note.txt",))


def test_downloads_go_where_they_are_asked_to(hub_stub, tmp_path):
    hub_stub.add(NAME, FILES)
    found = hub.locate(Source(NAME, cache_dir=tmp_path / "here"), ("note.txt",))
    assert found["note.txt"].is_relative_to(tmp_path / "here")


def test_private_gated_and_missing_repositories_are_told_apart(hub_stub):
    hub_stub.add("a/private", FILES, token="hf_mine")
    hub_stub.add("a/gated", FILES, gated=True)
    for name in ("a/private", "a/missing"):  # the hub answers alike: it does not say whether a private repository exists
        with pytest.raises(CheckpointError, match=rf"{name} \(the hub answered 401\).*hf auth login"):
            hub.locate(name, ("note.txt",))
    with pytest.raises(CheckpointError, match="a gated repository opens to those who accepted its conditions"):
        hub.locate("a/gated", ("note.txt",))
    with pytest.raises(CheckpointError, match=r"a/private \(the hub answered 401\).*valid token="):
        hub.locate(Source("a/private", token="hf_wrong"), ("note.txt",))
    found = hub.locate(Source("a/private", token="hf_mine"), ("model.safetensors",))  # from storage, which refuses tokens
    assert found["model.safetensors"].read_bytes() == FILES["model.safetensors"]


def test_a_broken_transfer_goes_on_where_it_broke(hub_stub):
    hub_stub.add(NAME, FILES)
    hub_stub.cut("model.safetensors", 1000)
    assert hub.locate(NAME, ("model.safetensors",))["model.safetensors"].read_bytes() == FILES["model.safetensors"]
    assert sum("GET /storage" in request for request in hub_stub.requests) == 2


@pytest.mark.slow
def test_a_transfer_that_keeps_breaking_is_one_sentence(hub_stub, tmp_path):
    hub_stub.add(NAME, FILES)
    hub_stub.cut("model.safetensors", *[0] * 6)
    with pytest.raises(
        CheckpointError, match=r"must arrive whole; received model.safetensors of someone/model \(.+\); try again"
    ):
        hub.locate(Source(NAME, cache_dir=tmp_path), ("model.safetensors",))
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size > 500]


@pytest.mark.parametrize("filename", ["model.safetensors", "note.txt"])
def test_a_wrong_checksum_is_seen_and_not_kept(hub_stub, filename: str):
    hub_stub.add(NAME, FILES)
    hub_stub.corrupt(filename)
    with pytest.raises(CheckpointError, match=rf"checksum that the hub states; received other content for {filename}"):
        hub.locate(NAME, (filename,))
    hub_stub.corrupted.clear()
    assert hub.locate(NAME, (filename,))[filename].read_bytes() == FILES[filename]


def test_without_a_network_the_cache_answers_and_else_one_sentence_comes_soon(hub_stub, capfd):
    hub_stub.add(NAME, FILES)
    hub_stub.add(NAME, FILES, revision="v1")
    found = hub.locate(Source(NAME, "v1"), ("note.txt",))
    hub_stub.stop()
    assert hub.locate(Source(NAME, "v1"), ("absent", "note.txt")) == found
    start = time.monotonic()
    for source, filename in ((Source(NAME, "v1"), "config.json"), (Source(NAME), "note.txt"), (Source("some/other"), "note.txt")):
        with pytest.raises(CheckpointError, match=rf"{source} \(.*refused.*local directory to work without a network"):
            hub.locate(source, (filename,))
    assert time.monotonic() - start < 20  # the hub's library alone would try for 40 seconds
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_hub_that_is_down_is_no_network(hub_stub, status: int, capfd):
    hub_stub.add(NAME, FILES)
    found = hub.locate(NAME, ("note.txt",))
    hub_stub.status = status
    assert hub.locate(NAME, ("note.txt",)) == found
    with pytest.raises(CheckpointError, match=rf"someone/model \(.*{status}"):
        hub.locate(NAME, ("config.json",))
    assert capfd.readouterr().err == ""


def test_a_hub_that_does_not_answer_is_given_up(hub_stub, monkeypatch):
    import socket

    silent = socket.create_server(("127.0.0.1", 0))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
    monkeypatch.setenv("HF_HUB_ETAG_TIMEOUT", "0.2")
    with pytest.raises(CheckpointError, match=r"someone/model \(timed out\)"):
        hub.locate(NAME, ("note.txt",))
    silent.close()


def test_something_else_than_the_hub_is_no_hub(hub_stub, monkeypatch):
    hub_stub.add(NAME, FILES)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"{hub_stub.url}/{NAME}/resolve/main/note.txt?")
    with pytest.raises(CheckpointError, match="can be downloaded or is in the local cache"):
        hub.locate(NAME, ("note.txt",))


@pytest.mark.parametrize("way", ["local_files_only", "HF_HUB_OFFLINE"])
def test_offline_means_the_cache_alone(hub_stub, monkeypatch, way: str):
    hub_stub.add(NAME, FILES)
    found = hub.locate(NAME, ("note.txt",))
    hub_stub.requests.clear()
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", way == "HF_HUB_OFFLINE")
    source = Source(NAME, local_files_only=way == "local_files_only")
    assert hub.locate(source, ("note.txt",)) == found
    with pytest.raises(CheckpointError, match=rf"someone/model \({way}.* the cache has no copy"):
        hub.locate(source, ("config.json",))
    assert hub_stub.requests == []


def test_a_full_disk_is_one_sentence(hub_stub, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    hub_stub.add(NAME, FILES)
    monkeypatch.setattr("huggingface_hub.file_download._chmod_and_move", full)
    with pytest.raises(CheckpointError, match=r"needs room on the disk.*cache_dir \(HF_HOME\)"):
        hub.locate(NAME, ("note.txt",))


CARD = {12807: 0.05816, 23089: 0.03749, 1061: 0.03373, 8014: 0.01731, 29104: 0.01441}
"""Token → score for "Hello I'm a [MASK] model." on the cards of the published base models: ▁modeling, ▁modelling, ▁model …"""


@pytest.mark.hub
def test_the_published_base_model_fills_the_mask_of_its_card():
    from albertkit import pipeline

    best = pipeline("fill-mask", model="albert-base-v1")("Hello I'm a [MASK] model.")
    assert {row["token"]: row["score"] for row in best} == pytest.approx(CARD, abs=1e-4)


@pytest.mark.hub
def test_the_published_files_come_by_revision(tmp_path):
    source = Source("albert-base-v2", "main", cache_dir=tmp_path)
    first = hub.locate(source, ("config.json",))["config.json"]
    pinned = hub.locate(Source("albert-base-v2", first.parent.name, cache_dir=tmp_path), ("config.json",))
    assert pinned["config.json"] == first
    with pytest.raises(CheckpointError, match="must be a branch, tag or commit"):
        hub.locate(Source("albert-base-v2", "no-such-revision", cache_dir=tmp_path), ("config.json",))
