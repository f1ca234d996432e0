"""Where checkpoints are found, without any network."""

from __future__ import annotations

import pytest

from albertkit import hub
from albertkit.errors import CheckpointError


def test_a_directory_gives_the_files_it_has(tmp_path):
    (tmp_path / "b").write_text("")
    assert hub.locate(tmp_path, ("a", "b")) == {"b": tmp_path / "b"}
    with pytest.raises(CheckpointError, match="a checkpoint must hold a or c"):
        hub.locate(tmp_path, ("a", "c"))


def test_the_embedded_model_is_found_by_name():
    found = hub.locate(hub.DEFAULT_MODEL, ("config.json", "model.safetensors", "spiece.model"))
    assert list(found) == ["config.json", "model.safetensors", "spiece.model"]


@pytest.mark.parametrize("name", ["no-such-model", "../somewhere", "a/b/c", ""])
def test_other_names_are_refused_with_the_embedded_ones(name: str):
    with pytest.raises(CheckpointError, match=r"directory, an embedded model.*albert-mini-en"):
        hub.locate(name, ("config.json",))


def test_hub_files_come_through_the_hub_library(monkeypatch, tmp_path):
    import huggingface_hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    asked = []

    def download(repository: str, filename: str, revision: str | None) -> str:
        asked.append((repository, filename, revision))
        if filename == "absent":
            raise EntryNotFoundError("404")
        return str(tmp_path / filename)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert hub.locate("albert-base-v2", ("absent", "here"), revision="abc") == {"here": tmp_path / "here"}
    assert asked == [("albert/albert-base-v2", "absent", "abc"), ("albert/albert-base-v2", "here", "abc")]

    def offline(repository: str, filename: str, revision: str | None) -> str:
        raise LocalEntryNotFoundError("offline")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", offline)
    with pytest.raises(CheckpointError, match=r"someone/model .*could not be reached"):
        hub.locate("someone/model", ("config.json",))


@pytest.mark.hub
def test_the_published_base_model_fills_the_mask_of_its_card():
    from albertkit import pipeline

    best = pipeline("fill-mask", model="albert-base-v1")("Hello I'm a [MASK] model.")
    assert {row["token"] for row in best} >= {12807, 23089}  # ▁modeling and ▁modelling, as the model card shows
