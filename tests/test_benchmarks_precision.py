"""The benchmark of what a type of number costs: its texts, and a whole run on a few of them."""

from __future__ import annotations

import json
import lzma

import pytest

pytest.importorskip("torch")

from benchmarks import precision

SENTENCES = (
    "a fine film",
    "a dull film",
    "it moves and delights",
    "it is long and bad",
    "warm and wise",
    "cold , cheap and loud",
)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "glue" / "SST-2"
    folder.mkdir(parents=True)
    lines = ["sentence\tlabel", *(f"{text} \t{1 - number % 2}" for number, text in enumerate(SENTENCES))]
    for split in ("train", "dev"):
        (folder / f"{split}.tsv.xz").write_bytes(lzma.compress("\n".join(lines).encode()))
    paragraph = "The river rises in the hills and runs to the sea. " * 5
    documents = [json.dumps({"text": f"{number} {paragraph}\n\nshort"}) for number in range(40)]
    (tmp_path / "wiki-en").mkdir()
    (tmp_path / "wiki-en" / "slice.jsonl.xz").write_bytes(lzma.compress("\n".join(documents).encode()))
    return tmp_path


def test_texts_have_labels_and_paragraphs_are_long_enough_and_held_out(data, monkeypatch):
    assert [(text.text.strip(), text.label) for text in precision.read_sst2(data, "dev")][:2] == [
        ("a fine film", 1),
        ("a dull film", 0),
    ]
    monkeypatch.setattr(precision, "HELD_OUT", 0.5)
    paragraphs = precision.read_held_out(data, 100)
    assert 5 < len(paragraphs) < 35
    assert all(text.text.endswith("to the sea.") for text in paragraphs)
    assert precision.read_held_out(data, 3) == paragraphs[:3]


@pytest.mark.slow
def test_a_whole_run_says_what_each_type_costs(data, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(precision, "HELD_OUT", 1)
    output = tmp_path / "table.md"
    precision.main(f"--data {data} --paragraphs 4 --threads 1 --output {output}".split())
    assert output.read_text().strip() == capsys.readouterr().out.strip()
    classes, masked = output.read_text().split("## ")[1:]
    for table in (classes, masked):
        rows = {tuple(cells[:2]): cells[2:] for line in table.splitlines() if len(cells := line.strip("| ").split(" | ")) == 7}
        assert float(rows["numpy", "float32"][-1]) < 1e-5
        assert 1e-5 < float(rows["torch", "bfloat16"][-1]) < 0.1
        assert rows["numpy", "float32"][2].startswith("0.00% of ")
    assert "of 6 |" in classes
