"""The report counts what is there, in fixed memory, and its picture is drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from albertkit import optional
from albertkit.data.options import DataRecipe
from albertkit.data.prepare import prepare
from albertkit.data.report import draw_report, read_report
from albertkit.data.shards import open_shards
from albertkit.errors import DataError

TEXT = """Early life.
The old man ran home 書 from the river. It was very far. 書 and 文 again.
- a list
- of two

== Heading ==

a | b | c
The end of it all came soon.
"""


@pytest.fixture
def recipe(tmp_path: Path) -> DataRecipe:
    (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
    return DataRecipe(sources=[str(tmp_path / "a.txt")], tokenizer="albert-mini-en", output=str(tmp_path / "out"), held_out=0)


def test_the_report_agrees_with_the_shards(recipe: DataRecipe) -> None:
    manifest = prepare(recipe)
    report = read_report(recipe.output)
    (shard,) = open_shards(recipe.output, manifest.shards)
    lengths = np.diff(shard.sentence_offsets)
    histogram = report["tokens_per_sentence"]
    assert sum(histogram["number"]) == len(lengths) == report["counts"]["train"]["sentences"]
    edges = [*histogram["from"], 10**9]
    assert np.histogram(lengths, edges)[0].tolist() == histogram["number"]
    assert histogram["number"][-1] > 0
    for share, most in histogram["at_most"].items():
        assert np.mean(lengths <= most) >= float(share.rstrip("%")) / 100
    assert sum(report["tokens_per_document"]["number"]) == 3
    assert report["pieces_used"] == len(np.unique(shard.tokens))
    assert report["pieces"][0]["share"] == np.bincount(shard.tokens).max() / len(shard.tokens)
    assert report["empty_documents"] == 0
    assert report["excluded_paragraphs"] == {}


def test_unknown_characters_and_what_was_left_out_are_counted(recipe: DataRecipe) -> None:
    manifest = prepare(replace(recipe, exclude=["lists", "tables", "headers"]))
    report = read_report(recipe.output)
    assert [(one["character"], one["number"]) for one in report["unknown_characters"]] == [("書", 2), ("文", 1)]
    assert report["unknown_characters"][0]["name"].startswith("U+66F8 CJK")
    assert report["excluded_paragraphs"] == {"lists": 2, "tables": 1, "headers": 2}
    assert report["empty_documents"] == 1
    assert manifest.counts["train"].documents == 2
    assert manifest.counts["train"].sentences == 4
    assert report["counts"]["train"]["unknown_tokens"] == manifest.counts["train"].unknown_tokens == 3


@pytest.mark.parametrize("is_installed", [True, False])
def test_a_picture_is_drawn_where_matplotlib_is_installed(
    recipe: DataRecipe, monkeypatch: pytest.MonkeyPatch, is_installed: bool
) -> None:
    if is_installed:
        pytest.importorskip("matplotlib")
    else:
        monkeypatch.setattr(optional, "is_installed", lambda _: False)
    prepare(recipe)
    picture = Path(recipe.output) / "report.png"
    assert picture.is_file() == is_installed
    if is_installed:
        report = read_report(recipe.output)
        report["unknown_characters"] = []
        report["pieces"][0]["piece"] = "▁$x_{é書$"  # no font and no formula may matter
        draw_report(report, picture)
        assert picture.read_bytes()[:4] == b"\x89PNG"


def test_a_missing_or_damaged_report_is_named(tmp_path: Path) -> None:
    for content in (None, "{"):
        if content is not None:
            (tmp_path / "report.json").write_text(content)
        with pytest.raises(DataError, match=r"must hold its report.*report\.json"):
            read_report(tmp_path)
    (tmp_path / "report.json").write_text(json.dumps({"counts": {}}))
    assert read_report(tmp_path) == {"counts": {}}
