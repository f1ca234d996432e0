"""Exported directories: what is written, that pipelines run on it, and when nothing is written."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tracemalloc
import zipfile

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file, save_file

from albertkit import pipeline
from albertkit.checkpoints.huggingface import find_heads, save_checkpoint
from albertkit.cli.main import main
from albertkit.config import AlbertConfig
from albertkit.errors import CheckpointError, InputError
from albertkit.export import export_onnx, measure_agreement, read_texts
from albertkit.export.agreement import Text
from albertkit.inference import TokenBatch, load_engine
from albertkit.inference.numpy_engine import NumPyEngine
from albertkit.testing import random_parameters, save_tiny_checkpoint, tiny_config, tiny_tokenizer

TEXTS = ["the cat sat on the mat", "she sat", "a dog and the cat", "on the mat the dog sat and she sat"]


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    config = tiny_config(id2label={0: "no", 1: "maybe", 2: "yes"})
    return save_tiny_checkpoint(tmp_path_factory.mktemp("classifier"), "AlbertForSequenceClassification", config)


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), encoding="utf-8")
    return path


def test_an_exported_directory_runs_in_a_pipeline(classifier, tmp_path):
    assert export_onnx(classifier, tmp_path / "out") is None
    files = {path.name for path in (tmp_path / "out").iterdir()}
    assert files == {"model.onnx", "config.json", "spiece.model", "tokenizer.json", "tokenizer_config.json"}
    expected = pipeline("text-classification", classifier, engine="numpy", top_k=None)(TEXTS)
    assert find_heads(tmp_path / "out") == ("pooler", "sequence_classification")
    for arguments in ({}, {"engine": "onnx"}):
        ours = pipeline(model=tmp_path / "out", top_k=None, **arguments)
        assert (ours.engine.name, ours.task) == ("onnx", "text-classification")
        for received, answers in zip(ours(TEXTS), expected, strict=True):
            assert [one["label"] for one in received] == [one["label"] for one in answers]
            np.testing.assert_allclose([one["score"] for one in received], [one["score"] for one in answers], atol=1e-5)


def test_auto_leaves_a_checkpoint_to_the_other_engines(classifier, tmp_path):
    shutil.copytree(classifier, tmp_path / "both")
    export_onnx(classifier, tmp_path / "both", is_int8=True)
    assert load_engine(tmp_path / "both").name != "onnx"
    batch = TokenBatch.from_sequences([[5, 6, 7]], [[0, 0, 0]])
    exact, stored, fresh = (
        load_engine(tmp_path / "both", engine="onnx", dtype=dtype).hidden_states(batch) for dtype in ("float32", None, "int8")
    )
    np.testing.assert_array_equal(stored, fresh)  # the file in int8, and the weights quantised in memory
    assert 0 < np.abs(stored - exact).max() < 0.2


def test_half_precision_is_exported_as_float32(tmp_path):
    config = tiny_config()
    parameters = random_parameters(config)
    save_checkpoint(tmp_path / "half", config, parameters, dtype="float16", architecture="AlbertForPreTraining")
    tiny_tokenizer().save_pretrained(tmp_path / "half")
    export_onnx(tmp_path / "half", tmp_path / "out")
    stored = {tensor.name: tensor for tensor in onnx.load(tmp_path / "out" / "model.onnx").graph.initializer}
    name = "albert.embeddings.word_embeddings.weight"
    values = onnx.numpy_helper.to_array(stored[name])
    np.testing.assert_array_equal(values, parameters[name].astype(np.float16).astype(np.float32))
    assert values.dtype == np.float32


def test_a_class_can_be_chosen(tiny_checkpoint, tmp_path):
    export_onnx(tiny_checkpoint, tmp_path, architecture="AlbertForMaskedLM")
    names = [output.name for output in onnx.load(tmp_path / "model.onnx").graph.output]
    assert names == ["logits", "last_hidden_state"]
    assert AlbertConfig.from_pretrained(tmp_path).architectures == ("AlbertForMaskedLM",)
    with pytest.raises(CheckpointError, match="without sequence_classification"):
        export_onnx(tiny_checkpoint, tmp_path, architecture="AlbertForSequenceClassification")
    with pytest.raises(InputError, match="architecture must be one of"):
        export_onnx(tiny_checkpoint, tmp_path, architecture="BertModel")


def test_agreement_is_measured_and_a_bound_is_kept(tiny_checkpoint, classifier, texts, tmp_path, monkeypatch):
    found = export_onnx(classifier, tmp_path / "a", texts=read_texts(texts), min_agreement=1.0)
    assert (found.head, found.texts, found.decisions, found.share, found.accuracy) == ("sequence_classification", 4, 4, 1.0, None)
    assert found.largest_error < 1e-5
    int8 = export_onnx(tiny_checkpoint, tmp_path / "b", is_int8=True, texts=read_texts(texts))
    assert int8.head == "masked_lm"
    assert int8.decisions > int8.texts - 1
    assert 0 < int8.mean_error < 0.1
    assert int8.accuracy is not None

    def quantize_badly(weight):
        return np.ones(weight.shape, np.int8), np.ones(len(weight), np.float32)

    monkeypatch.setattr("albertkit.models.onnx.weights.quantize_rows", quantize_badly)
    with pytest.raises(CheckpointError, match=r"must agree on 95\.00%; received .* nothing was written"):
        export_onnx(tiny_checkpoint, tmp_path / "c", is_int8=True, texts=read_texts(texts), min_agreement=0.95)
    assert not (tmp_path / "c").exists()


def test_accuracy_on_labelled_texts(classifier, tmp_path):
    answers = pipeline("text-classification", classifier, engine="numpy")(TEXTS)
    path = tmp_path / "labelled.jsonl"
    lines = [{"text": text, "label": answer["label"]} for text, answer in zip(TEXTS, answers, strict=True)]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    found = export_onnx(classifier, tmp_path / "out", texts=read_texts(path), max_accuracy_loss=0.0)
    assert found.accuracy == (1.0, 1.0)
    path.write_text(path.read_text(encoding="utf-8").replace(answers[0]["label"], "never"), encoding="utf-8")
    with pytest.raises(InputError, match="a label must be one of no, maybe, yes; received 'never'"):
        export_onnx(classifier, tmp_path / "out", texts=read_texts(path))


@pytest.mark.parametrize("kind", ["AlbertModel", "AlbertForQuestionAnswering", "AlbertForTokenClassification",
                                  "AlbertForQuestionAnsweringWithAnswerability", "AlbertForMultipleChoice"])  # fmt: skip
def test_every_class_can_be_compared(kind, tmp_path, texts):
    source = save_tiny_checkpoint(tmp_path / "source", kind)
    found = export_onnx(source, tmp_path / "out", texts=read_texts(texts))
    assert found.share == pytest.approx(1)
    assert found.largest_error < 1e-4


@pytest.mark.parametrize(("words", "line"), [
    (["--min-agreement", "2", "--texts", "T"], "min_agreement must be a share"),
    (["--min-agreement", "0.9"], "min_agreement is measured on texts; received none"),
    (["--texts", "no-such.txt"], "texts must be in a readable UTF-8 file"),
    (["--max-accuracy-loss", "0.1", "--texts", "T"], "measured on labelled texts"),
    (["--format", "torch", "--int8"], "--int8 is for ONNX; received --format torch"),
    (["--architecture", "Albert"], "architecture must be one of"),
])  # fmt: skip
def test_wrong_use_is_one_sentence(words, line, classifier, texts, tmp_path, capsys):
    given = [str(texts) if word == "T" else word for word in words]
    assert main(["export", str(classifier), str(tmp_path / "out"), *given]) == 1
    error = capsys.readouterr().err
    assert line in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("content", "rule"), [
    ("", "there must be a text"), ('{"text": "a"}\nb', "line 2"), ('{"text": 3}', "must be strings"), ("[3]", "JSON object"),
    ('{"text": "a", "label": 0}\n{"text": "b"}', "a label, or none"), ('{"text": " "}', "must be strings"),
    ("[" * 100_000, "JSON object"),
])  # fmt: skip
def test_texts_that_cannot_be_read_are_refused(content, rule, tmp_path):
    path = tmp_path / "texts.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=rule):
        read_texts(path)


@pytest.mark.parametrize("name", ["texts.jsonl", "texts.txt"])
def test_texts_end_where_lines_do(name, tmp_path):
    texts = ["the\u2028cat", "sat\x85on", "the mat"]
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in texts] if name.endswith(".jsonl") else texts
    (tmp_path / name).write_bytes(("\ufeff" + "\r\n".join(lines)).encode())
    assert [one.text for one in read_texts(tmp_path / name)] == texts


def test_scores_of_a_large_vocabulary_are_not_kept(monkeypatch):
    monkeypatch.setattr("albertkit.export.agreement._TOKEN_BUDGET", 64)
    config = tiny_config(vocab_size=20_000, num_hidden_layers=1, num_hidden_groups=1)
    parameters = random_parameters(config, ("pooler", "masked_lm"))
    original, changed = (NumPyEngine(config, weights, ("pooler", "masked_lm")) for weights in (parameters, dict(parameters)))
    few, many = ([Text("the cat sat on the mat")] * count for count in (8, 64))
    peaks = []
    for texts in (few, many):
        tracemalloc.start()
        found = measure_agreement(original, changed, tiny_tokenizer(), texts)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert (found.texts, found.share, found.largest_error) == (len(texts), 1.0, 0.0)
    assert peaks[1] < 1.5 * peaks[0], peaks


def test_what_is_no_number_is_refused(tmp_path, texts):
    source = save_tiny_checkpoint(tmp_path / "source", "AlbertModel")
    parameters = dict(load_file(source / "model.safetensors"))
    parameters["albert.encoder.embedding_hidden_mapping_in.bias"][0] = np.nan
    save_file(parameters, source / "model.safetensors")
    with pytest.raises(CheckpointError, match="must agree on 90"):
        export_onnx(source, tmp_path / "out", texts=read_texts(texts), min_agreement=0.9)
    (tmp_path / "blank.txt").write_text("\u200b", encoding="utf-8")
    with pytest.raises(InputError, match="there must be a word to compare on"):
        export_onnx("albert-mini-en", tmp_path / "out", texts=read_texts(tmp_path / "blank.txt"))
    assert not (tmp_path / "out").exists()


def test_damaged_and_foreign_models_are_refused(classifier, tmp_path):
    export_onnx(classifier, tmp_path)
    for dtype, rule in (("bfloat16", "float32 or int8"), ("int8", "is in float32")):
        with pytest.raises(InputError, match=rule):
            load_engine(tmp_path, engine="onnx", dtype=dtype)
    with pytest.raises(InputError, match="runs on the CPU"):
        load_engine(tmp_path, engine="onnx", device="cuda")
    with pytest.raises(CheckpointError, match="needs a checkpoint with a masked_lm head"):
        load_engine(tmp_path, "masked_lm", engine="onnx")
    model = onnx.load(tmp_path / "model.onnx")
    model.producer_name = "pytorch"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(CheckpointError, match="a model by pytorch"):
        load_engine(tmp_path, engine="onnx")
    (tmp_path / "model.onnx").write_bytes(b"\x08" * 100)
    with pytest.raises(CheckpointError, match="a whole, readable ONNX model"):
        load_engine(tmp_path, engine="onnx")


def test_the_command_says_what_it_wrote(classifier, texts, tmp_path, capsys):
    assert main(["export", str(classifier), str(tmp_path / "out"), "--int8", "--texts", str(texts)]) == 0
    page = capsys.readouterr().out
    assert f"{tmp_path / 'out' / 'model.onnx'}  {(tmp_path / 'out' / 'model.onnx').stat().st_size:,} bytes" in page
    assert "the same answers" in page
    assert main(["export", str(classifier), str(tmp_path / "out"), "--texts", str(texts), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["agreement"]["share"] == 1.0


_PROGRAM = """
import sys, torch
program = torch.export.load(sys.argv[1]).module()
for ids, mask, types, expected in torch.load(sys.argv[2]):
    found = program(ids, mask, types)
    assert found.keys() == expected.keys(), (found.keys(), expected.keys())
    assert all(torch.allclose(found[name], expected[name], atol=1e-5) for name in expected)
assert "albertkit" not in sys.modules
"""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "short"), [
    ("AlbertForPreTraining", 1), ("AlbertForMultipleChoice", 3), ("AlbertForQuestionAnsweringWithAnswerability", 5),
])  # fmt: skip
def test_a_torch_program_runs_without_this_package(kind, short, tmp_path):
    import torch

    from albertkit.models import torch as models

    source = save_tiny_checkpoint(tmp_path / "source", kind)
    words = ["export", str(source), str(tmp_path), "--format", "torch"]
    script = f"from albertkit.cli.main import main; raise SystemExit(main({words!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)  # without shape checks
    assert done.returncode == 0, done.stderr
    model = getattr(models, kind).from_pretrained(source).eval()
    cases = []
    for rows, length in ((5, 17), (1, short)):
        shape = (rows, 4, length) if kind == "AlbertForMultipleChoice" else (rows, length)
        ids, mask = torch.randint(1, 101, shape), (torch.arange(length) < 13).expand(shape).long()
        with torch.no_grad():
            cases.append((ids, mask, ids % 2, dict(model(ids, mask, ids % 2).items())))
    torch.save(cases, tmp_path / "case.pt")
    words = [sys.executable, "-c", _PROGRAM, str(tmp_path / "model.pt2"), str(tmp_path / "case.pt")]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(tmp_path / "model.pt2") as file:
        weights = sum(entry.file_size for entry in file.infolist() if "/weight_" in entry.filename)
    assert 0 < weights <= (source / "model.safetensors").stat().st_size
