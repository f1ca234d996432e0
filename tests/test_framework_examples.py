"""The worked examples for JAX and Keras, each run as its reader would, on small data."""

from __future__ import annotations

import csv
import os
import random
import re
import subprocess
import sys
import warnings
from itertools import product
from pathlib import Path

import pytest

from albertkit import AlbertForPreTraining, AlbertForSequenceClassification, pipeline
from albertkit.data.options import DataRecipe
from albertkit.data.prepare import prepare
from albertkit.testing import save_tiny_checkpoint, tiny_config, tiny_tokenizer

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = pytest.mark.slow


def run(name: str, *options: object) -> str:
    """What an example prints, without a framework's own lines."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, EXAMPLES / name, *map(str, options)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | quiet, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(("name", "module"), [("pretrain_jax.py", "jax"), ("finetune_keras.py", "tensorflow")])
def test_help(name, module):
    pytest.importorskip(module)
    assert "--output" in run(name, "--help")


def test_pretraining_in_jax(tmp_path):
    pytest.importorskip("optax")
    animals, places = ("cat", "dog", "model"), ("paris", "france", "new york", "the capital")
    sentences = [f"The {a} sat in {p}. It was that {b} by {p}." for a, p, b in product(animals, places, animals)]
    documents = [" ".join(sentences[number % 36 : number % 36 + 5]) for number in range(60)]
    (tmp_path / "text.txt").write_text("\n\n".join(documents), encoding="utf-8")
    tiny_tokenizer().save_pretrained(tmp_path / "tokenizer")
    folders = {"tokenizer": str(tmp_path / "tokenizer"), "output": str(tmp_path / "prepared")}
    prepare(DataRecipe(sources=[str(tmp_path / "text.txt")], held_out=0, workers=1, **folders))
    config = tiny_config(num_hidden_layers=2, num_hidden_groups=1, inner_group_num=1, hidden_dropout_prob=0.1)
    (tmp_path / "tiny.json").write_text(config.to_json_string())

    sizes = ("--length", 43, "--batch-size", 16, "--steps", 120, "--warmup-steps", 10, "--learning-rate", 0.05)
    paths = ("--data", tmp_path / "prepared", "--config", tmp_path / "tiny.json", "--output", tmp_path / "run")
    printed = run("pretrain_jax.py", *paths, *sizes, "--host-devices", 2, "--log-every", 40)
    assert "on 2 devices" in printed
    losses = [float(loss) for loss in re.findall(r"loss (\S+)", printed)]
    assert len(losses) == 4
    assert losses[-1] < losses[0] - 1.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = AlbertForPreTraining.from_pretrained(tmp_path / "run")
    assert model.config.vocab_size == len(tiny_tokenizer())


@pytest.mark.parametrize("precision", [(), ("--mixed-precision",)], ids=["float32", "mixed"])
def test_finetuning_with_keras(precision, tmp_path):
    pytest.importorskip("tensorflow")
    generator = random.Random(0)
    words = {"animal": ("cat", "dog"), "place": ("paris", "france")}
    for table, rows in (("train", 96), ("test", 32)):
        with (tmp_path / f"{table}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            for _ in range(rows):
                label = generator.choice(sorted(words))
                writer.writerow([f"it was the {generator.choice(words[label])}, that sat by the model", label])
    config = tiny_config(num_hidden_layers=2, num_hidden_groups=1, inner_group_num=1)
    save_tiny_checkpoint(tmp_path / "tiny", "AlbertForPreTraining", config)

    sizes = ("--length", 16, "--batch-size", 8, "--epochs", 10, "--learning-rate", 0.004)
    paths = ("--train", tmp_path / "train.csv", "--test", tmp_path / "test.csv", "--model", tmp_path / "tiny")
    printed = run("finetune_keras.py", *paths, "--output", tmp_path / "run", *sizes, *precision)
    assert float(re.search(r"test accuracy (\S+)", printed)[1]) > 0.9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = AlbertForSequenceClassification.from_pretrained(tmp_path / "run")
    assert model.config.id2label == {0: "animal", 1: "place"}
    (answer,) = pipeline("text-classification", model=tmp_path / "run")("it was the dog, that sat by the model")
    assert answer["label"] == "animal"
