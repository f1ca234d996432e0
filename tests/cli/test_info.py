"""``albertkit info`` on the checkpoints of other tools: format, checksum, vocabulary and heads."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from albertkit.checkpoints.flax_msgpack import write_flax
from albertkit.checkpoints.google_names import write_google
from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.checkpoints.keras_h5 import write_keras_h5
from albertkit.cli.main import main
from albertkit.testing import random_parameters, tiny_config, tiny_tokenizer

PRESET = Path(__file__).parents[1] / "golden" / "formats_keras_hub.zip"


def rows(page: str) -> dict[str, str]:
    """The rows at the head of the page."""
    return dict(line.split(maxsplit=1) for line in page.partition("\n\n")[0].splitlines())


@pytest.mark.parametrize(
    ("write", "filename", "format"),
    [
        (write_flax, "flax_model.msgpack", "Hugging Face, Flax msgpack"),
        (write_keras_h5, "tf_model.h5", "Hugging Face, TensorFlow HDF5"),
        (write_google, "model.ckpt-best", "Google TensorFlow 1 checkpoint"),
    ],
)
def test_the_page_states_format_checksum_vocabulary_and_heads(capsys, tmp_path, write, filename: str, format: str):
    config = tiny_config(vocab_size=len(tiny_tokenizer()))
    write(tmp_path / filename, random_parameters(config, ("pooler", "masked_lm")))
    (tmp_path / "albert_config.json").write_text(json.dumps(config.to_google_dict()))
    data = tmp_path / (f"{filename}.data-00000-of-00001" if filename.startswith("model.ckpt") else filename)
    assert main(["info", str(tmp_path)]) == 0
    found = rows(capsys.readouterr().out)
    assert found["format"] == f"{format}, float32, {data.stat().st_size:,} bytes"
    assert found["sha256"] == f"{hashlib.sha256(data.read_bytes()).hexdigest()} {data.name}"
    assert (found["vocabulary"], found["checkpoint"]) == ("none", str(tmp_path))
    (tmp_path / "30k-clean.model").write_bytes(tiny_tokenizer().file.to_bytes())
    assert main(["info", str(tmp_path / filename)]) == 0
    page = capsys.readouterr().out
    assert rows(page)["vocabulary"] == f"{len(tiny_tokenizer()):,} tokens, lower-cased"
    assert [line.split()[0] for line in page.partition("\nheads\n")[2].partition("\n\n")[0].splitlines()] == [
        "pooler",
        "masked_lm",
    ]


def test_a_keras_hub_preset(capsys, tmp_path):
    with zipfile.ZipFile(PRESET) as archive:
        archive.extractall(tmp_path)
    preset = tmp_path / "theirs" / "bfloat16"
    assert main(["info", str(preset), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["format"], report["dtype"], report["heads"], report["tokens"]) == (
        "KerasHub preset",
        "bfloat16",
        ["pooler"],
        None,
    )
    (preset / "assets" / "tokenizer").mkdir(parents=True)
    (preset / "assets" / "tokenizer" / "vocabulary.spm").write_bytes(tiny_tokenizer().file.to_bytes())
    # KerasHub's own description of its tokenizer has the name of Hugging Face's vocabulary
    (preset / "tokenizer.json").write_text('{"class_name": "AlbertTokenizer", "config": {"proto": null}}')
    assert main(["info", str(preset), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens"] == len(tiny_tokenizer())


def test_a_wordpiece_vocabulary_is_called_that(capsys, tmp_path):
    config = tiny_config(vocab_size=7)
    save_checkpoint(tmp_path, config, random_parameters(config))
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n今\n天\n", encoding="utf-8")
    assert main(["info", str(tmp_path)]) == 0
    assert rows(capsys.readouterr().out)["vocabulary"] == "7 tokens, WordPiece, lower-cased"
