"""Checkpoints from format to format: the same arrays, classes, tokenizers and tasks, and nothing written where it fails."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import safetensors.torch
import torch

from albertkit import AlbertConfig, AlbertTokenizer
from albertkit.checkpoints import weight_files
from albertkit.checkpoints.describe import describe_checkpoint
from albertkit.checkpoints.google_bundle import write_bundle
from albertkit.checkpoints.google_names import GOOGLE, write_google
from albertkit.checkpoints.huggingface import load_parameters, save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.cli.main import main
from albertkit.errors import AlbertError, CheckpointError, ConfigError, InputError
from albertkit.export import FORMATS, conversion, convert_checkpoint
from albertkit.tasks.registry import open_task, read_task, write_task
from albertkit.testing import random_parameters, save_tiny_checkpoint, tiny_config, tiny_tokenizer

GELU = tiny_config(hidden_act="gelu_new")  # which Google's code knows
LINE = "the cat sat on the mat, in 1992, they said."


def read_directory(directory):
    config = AlbertConfig.from_pretrained(directory)
    return load_parameters(directory, config).parameters


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name], err_msg=name)


@pytest.mark.parametrize("architecture", HEADS_OF_CLASS)
def test_a_chain_of_all_formats_gives_the_same_arrays(architecture, tmp_path):
    labels = {"num_labels": None, "id2label": {0: "no", 1: "maybe", 2: "yes"}}
    start = save_tiny_checkpoint(tmp_path / "start", architecture, GELU.replace(**labels))
    chain = [start] + [tmp_path / str(number) for number in range(5)]
    for source, target, kind in zip(chain, chain[1:], ("flax", "tensorflow", "safetensors", "flax", "safetensors"), strict=False):
        found = convert_checkpoint(source, target, [kind])
        assert FORMATS[kind] in found.files
        assert found.largest_difference < 1e-6
        assert AlbertConfig.from_pretrained(target) == AlbertConfig.from_pretrained(start)
    assert_same(read_directory(chain[-1]), read_directory(start))
    convert_checkpoint(chain[-1], tmp_path / "google", ["google"])
    convert_checkpoint(tmp_path / "google", tmp_path / "back", architecture=architecture)
    again = AlbertConfig.from_pretrained(tmp_path / "back")
    assert (again.architectures, again.hidden_act) == ((architecture,), "gelu_new")
    assert (again.inner_group_num, again.num_hidden_groups) == (2, 2)
    assert_same(read_directory(tmp_path / "back"), read_directory(start))


def test_a_classifier_of_unknown_purpose_is_taken_as_it_looks(tmp_path):
    start = save_tiny_checkpoint(tmp_path / "start", "AlbertForSequenceClassification", GELU.replace(num_labels=3))
    convert_checkpoint(start, tmp_path / "google", ["google"])
    convert_checkpoint(tmp_path / "google", tmp_path / "back")
    again = AlbertConfig.from_pretrained(tmp_path / "back")
    assert (again.architectures, again.num_labels) == (("AlbertForSequenceClassification",), 3)
    for wrong in ("AlbertForMaskedLM", "AlbertFor"):
        with pytest.raises(InputError, match="a class whose heads are there"):
            convert_checkpoint(tmp_path / "google", tmp_path / "not", architecture=wrong)


def test_names_of_labels_stay_where_the_configuration_names_no_class(tmp_path):
    config = GELU.replace(id2label={0: "bad", 1: "good"})
    save_checkpoint(tmp_path / "start", config, random_parameters(config, ("pooler", "sequence_classification")))
    convert_checkpoint(tmp_path / "start", tmp_path / "out")
    again = AlbertConfig.from_pretrained(tmp_path / "out")
    assert (again.architectures, again.id2label) == (("AlbertForSequenceClassification",), config.id2label)


def test_several_formats_lie_side_by_side_with_tokenizer_and_task(tmp_path):
    start = save_tiny_checkpoint(tmp_path / "start", "AlbertForSequenceClassification", GELU)
    write_task(open_task("sst-2"), start)
    found = convert_checkpoint(start, tmp_path / "all", list(FORMATS))
    assert {*FORMATS.values()} - {"model.ckpt-best"} <= set(found.files)
    assert read_task(tmp_path / "all") == open_task("sst-2")
    assert (found.tokens, found.left_out) == (len(AlbertTokenizer.from_pretrained(start)), ())
    google = convert_checkpoint(start, tmp_path / "google", ["google"])
    assert {"albert_config.json", "30k-clean.model", "model.ckpt-best.index"} < set(google.files)
    for directory in ("all", "google"):
        tokenizer = AlbertTokenizer.from_pretrained(tmp_path / directory)
        assert tokenizer(LINE)["input_ids"] == AlbertTokenizer.from_pretrained(start)(LINE)["input_ids"]


def test_one_of_several_checkpoints_is_named_and_read_once(tmp_path, monkeypatch):
    home = tmp_path / "größe 1"
    save_tiny_checkpoint(home, config=GELU)
    (home / "model.safetensors").unlink()
    each = {steps: random_parameters(AlbertConfig.from_pretrained(home), seed=steps) for steps in (10, 200)}
    for steps, parameters in each.items():
        write_google(home / f"model.ckpt-{steps}", parameters)
    reads, read = [], weight_files.read_google
    monkeypatch.setattr(
        weight_files, "_GOOGLE", replace(weight_files._GOOGLE, read=lambda path: reads.append(path.name) or read(path))
    )
    monkeypatch.setitem(weight_files._FORMAT_OF_ENDING, ".index", weight_files._GOOGLE)
    found = convert_checkpoint(home / "model.ckpt-10", tmp_path / "out")
    assert reads == ["model.ckpt-10.index"]
    assert (found.source.weights, found.tokens) == (("model.ckpt-10.data-00000-of-00001",), len(tiny_tokenizer()))
    assert_same(read_directory(tmp_path / "out"), each[10])


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_number_type_stays_where_it_loses_nothing(dtype, tmp_path):
    parameters = random_parameters(GELU)
    save_checkpoint(tmp_path / "start", GELU, parameters, dtype=dtype)
    found = convert_checkpoint(tmp_path / "start", tmp_path / "narrow")
    assert found.tokens is None
    assert describe_checkpoint(tmp_path / "narrow").dtype == dtype
    convert_checkpoint(tmp_path / "start", tmp_path / "wide", ["tensorflow"])
    assert_same(read_directory(tmp_path / "wide"), read_directory(tmp_path / "narrow"))


def test_numbers_that_are_none_come_through(tmp_path):
    parameters = random_parameters(GELU)
    for name, value in (("predictions.bias", np.nan), ("albert.pooler.bias", np.inf), ("albert.embeddings.LayerNorm.bias", -0.0)):
        parameters[name] = np.full_like(parameters[name], value)
    save_checkpoint(tmp_path / "start", GELU, parameters)
    for kind in FORMATS:
        found = convert_checkpoint(tmp_path / "start", tmp_path / kind, [kind])
        assert found.largest_difference == 0
        copy = read_directory(tmp_path / kind)
        assert all(copy[name].tobytes() == array.tobytes() for name, array in parameters.items())


def test_a_type_too_narrow_for_some_arrays_is_not_kept(tmp_path):
    tensors = {name: torch.tensor(array) for name, array in random_parameters(GELU).items()}
    tensors["albert.embeddings.word_embeddings.weight"] *= 1e9  # beyond float16
    tensors["albert.pooler.bias"] = tensors["albert.pooler.bias"].half()
    save_checkpoint(tmp_path / "start", GELU, random_parameters(GELU))
    safetensors.torch.save_file(tensors, tmp_path / "start" / "model.safetensors")
    assert describe_checkpoint(tmp_path / "start").dtype == "float16"
    convert_checkpoint(tmp_path / "start", tmp_path / "out")
    assert describe_checkpoint(tmp_path / "out").dtype == "float32"
    assert_same(read_directory(tmp_path / "out"), read_directory(tmp_path / "start"))


def test_what_does_not_fit_is_refused_and_nothing_is_written(tmp_path, monkeypatch):
    start = save_tiny_checkpoint(tmp_path / "start", config=tiny_config(hidden_act="gelu"))
    relative = save_tiny_checkpoint(tmp_path / "relative", config=tiny_config(position_embedding_type="relative_key"))
    target = tmp_path / "target"
    refused = [
        (ConfigError, "Google's configuration knows the activations", start, target, ["google"]),
        (CheckpointError, "must have a name in the format", relative, target, ["google"]),
        (InputError, r"a format must be one of .*; received 'flex'; did you mean flax\?", start, target, ["flex"]),
        (InputError, "the destination must be new or empty", start, relative, ["flax"]),
        (InputError, "the destination must be a directory", start, start / "config.json", ["flax"]),
        (CheckpointError, "a checkpoint must hold", tmp_path, target, ["flax"]),
        (CheckpointError, "must be written whole.*name too long", start, tmp_path / ("a" * 300), ["flax"]),
    ]
    for kind, message, source, directory, formats in refused:
        with pytest.raises(kind, match=message):
            convert_checkpoint(source, directory, formats)
    with (
        monkeypatch.context() as patch,
        pytest.raises(CheckpointError, match=r"same numbers; received another predictions\.bias"),
    ):
        write = conversion.write_flax
        patch.setattr(
            conversion, "write_flax", lambda path, old: write(path, old | {"predictions.bias": old["predictions.bias"] + 1})
        )
        convert_checkpoint(start, target, ["flax"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["relative", "start"]
    assert issubclass(InputError, AlbertError)


def test_the_command_says_what_it_found_and_did(tmp_path, capsys):
    start = save_tiny_checkpoint(tmp_path / "start", config=GELU)
    assert main(["convert", str(start), str(tmp_path / "google"), "--to", "google"]) == 0
    assert main(["convert", str(tmp_path / "google"), str(tmp_path / "out")]) == 0
    page = capsys.readouterr().out.split("\nsource")[1]
    assert "google, Google TensorFlow 1 checkpoint, float32: model.ckpt-best.data-00000-of-00001\n" in page
    assert "pooler, masked_lm, sentence_order" in page
    assert "every array is the same" in page
    slots = {
        f"{name}/{kept}": array for name, array in GOOGLE.from_contract(read_directory(start)).items() for kept in ("a", "b")
    }
    write_bundle(tmp_path / "google" / "model.ckpt-best", GOOGLE.from_contract(read_directory(start)) | slots)
    assert main(["convert", str(tmp_path / "google"), str(tmp_path / "left")]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("left out")]
    assert line.count(", ") == 4
    assert line.endswith(f" and {len(slots) - 5} more")
    assert main(["convert", str(start), str(tmp_path / "json"), "--to", "flax", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["source"]["format"] == "Hugging Face, safetensors"
    assert "flax_model.msgpack" in report["files"]
    assert main(["convert", str(start), str(start)]) == 1
    assert "must be new or empty" in capsys.readouterr().err
