"""Engines agree with each other, and auto picks by what is loaded and how much there is to do."""

from __future__ import annotations

import copy
import importlib
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from albertkit import optional
from albertkit.checkpoints.huggingface import save_checkpoint
from albertkit.checkpoints.parameters import HEADS_OF_CLASS
from albertkit.errors import CheckpointError, InputError
from albertkit.inference import TokenBatch, load_engine, plan_batches
from albertkit.inference.engine import SWITCH_WORK, AutoEngine, Choice, choose_engine, find_installed, work_of_token
from albertkit.inference.quantization import has_int8
from albertkit.inference.torch_engine import TorchEngine
from albertkit.models.torch import AlbertForPreTraining
from albertkit.testing import random_parameters, tiny_config


@pytest.fixture
def checkpoint(tmp_path):
    save_checkpoint(tmp_path, tiny_config(), random_parameters(tiny_config()))
    return tmp_path


@pytest.fixture
def batch() -> TokenBatch:
    generator = np.random.default_rng(0)
    sequences = [generator.integers(5, 101, length).tolist() for length in (3, 11, 7, 3, 43)]
    types = [[int(i > len(ids) // 2) for i in range(len(ids))] for ids in sequences]
    return TokenBatch.from_sequences(sequences, types)


def assert_equal(received: np.ndarray, expected: np.ndarray) -> None:
    assert received.dtype == expected.dtype == np.float32
    np.testing.assert_allclose(received, expected, atol=1e-5 * (1 + np.abs(expected).max()), rtol=0)


needs_int8 = pytest.mark.skipif(not has_int8(torch.float32), reason="this processor or PyTorch has no int8 products")
COMPILED = [pytest.param("jax", marks=pytest.mark.slow), pytest.param("tensorflow", marks=pytest.mark.slow)]


@pytest.mark.parametrize("name", ["torch", *COMPILED])
@pytest.mark.parametrize("kind", HEADS_OF_CLASS)
def test_engines_agree_with_numpy_on_every_head(kind, name, tmp_path, batch):
    pytest.importorskip(name)
    config, heads = tiny_config(num_labels=4), HEADS_OF_CLASS[kind]
    save_checkpoint(tmp_path, config, random_parameters(config, heads), architecture=kind)
    ours = load_engine(tmp_path, engine="numpy")
    if name == "torch" or kind == "AlbertModel":  # to compile the encoder alone for every kind would take long
        assert_equal(load_engine(tmp_path, engine=name).hidden_states(batch), ours.hidden_states(batch))
    for head in heads:
        assert head in ours.heads
        if head == "answerability" and name != "torch":
            with pytest.raises(InputError, match=f"the {name} engine has no answerability head"):
                load_engine(tmp_path, head, engine=name)
            continue
        theirs = load_engine(tmp_path, head, engine=name)
        assert theirs.name == name
        assert head in theirs.heads
        if head == "answerability":
            allowed = np.arange(len(batch.input_ids)) % 3 != 0
            received, expected = theirs.answer_spans(batch, allowed), ours.answer_spans(batch, allowed)
            assert_equal(received.cls_logits, expected.cls_logits)
            starts = expected.start_top_log_probs > -1e29  # of short sequences the beam has places that are none
            ends = (expected.end_top_log_probs > -1e29) & starts[..., None]
            assert not starts.all()
            for name, real in (("start", starts), ("end", ends)):
                index, log_probs = f"{name}_top_index", f"{name}_top_log_probs"
                np.testing.assert_array_equal(received[index][real], expected[index][real])
                assert_equal(received[log_probs][real], expected[log_probs][real])
            continue
        shape = {
            "pooler": (5, 15), "masked_lm": (67, 101), "sentence_order": (5, 2), "sequence_classification": (5, 4),
            "multiple_choice": (5, 1), "token_classification": (67, 4), "question_answering": (67, 2),
        }[head]  # fmt: skip
        if head != "pooler":
            scores = ours.logits(head, batch)
            assert scores.shape == shape
            assert_equal(theirs.logits(head, batch), scores)
            chosen = np.array([1, 0, 4])
            assert_equal(theirs.logits(head, batch, chosen), scores[chosen])
            assert_equal(ours.logits(head, batch, chosen), scores[chosen])


def test_a_sequence_gives_the_same_alone_and_in_company(checkpoint, batch):
    for name in ("numpy", "torch"):
        engine = load_engine(checkpoint, engine=name)
        together = engine.hidden_states(batch)
        start, end = batch.cu_seqlens[1:3]
        alone = TokenBatch.from_sequences([batch.input_ids[start:end].tolist()], [batch.token_type_ids[start:end].tolist()])
        np.testing.assert_allclose(engine.hidden_states(alone), together[start:end], atol=1e-5 * (1 + np.abs(together).max()))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_types_are_near_and_come_back_as_float32(checkpoint, batch, dtype: str):
    exact = load_engine(checkpoint, engine="torch").hidden_states(batch)
    narrow = load_engine(checkpoint, dtype=dtype).hidden_states(batch)
    assert narrow.dtype == np.float32
    assert 0 < np.abs(narrow - exact).max() < 0.15


def test_a_model_object_runs_as_it_is(checkpoint, batch):
    model = AlbertForPreTraining.from_pretrained(checkpoint)
    np.testing.assert_array_equal(
        load_engine(model).hidden_states(batch), load_engine(checkpoint, engine="torch").hidden_states(batch)
    )


@pytest.mark.parametrize("name", COMPILED)
def test_a_compiled_engine_runs_a_model_object_in_its_type(name, checkpoint, batch):
    pytest.importorskip(name)
    package = importlib.import_module(f"albertkit.models.{name}")
    exact = load_engine(checkpoint, engine="numpy").hidden_states(batch)
    narrow = load_engine(package.AlbertForPreTraining.from_pretrained(checkpoint, dtype="bfloat16"), "masked_lm", device="cpu")
    assert narrow.name == name
    assert narrow.hidden_states(batch).dtype == narrow.logits("masked_lm", batch, np.array([3])).dtype == np.float32
    assert 0 < np.abs(narrow.hidden_states(batch) - exact).max() < 0.15
    for arguments, rule in (
        ({"engine": "torch"}, f"runs on the {name} engine"),
        ({"dtype": "float16"}, "computes in its own type"),
    ):
        with pytest.raises(InputError, match=rule):
            load_engine(narrow.model, **arguments)
    with pytest.raises(InputError, match="no answerability head"):
        narrow.answer_spans(batch, np.ones(len(batch.input_ids), bool))
    for arguments, rule in (
        ({"device": "nowhere:1"}, "device must be one"),
        ({"device": "cpu:-1"}, "device must be one"),
        ({"dtype": "int8"}, "has no int8"),
    ):
        with pytest.raises(InputError, match=rule):
            load_engine(checkpoint, engine=name, **arguments)


@pytest.mark.parametrize(
    ("work", "device", "dtype", "situation", "engine"),
    [
        (0, None, None, {}, "numpy"),
        (SWITCH_WORK, "cpu", "float32", {}, "numpy"),
        (SWITCH_WORK + 1, None, None, {}, "torch"),
        (0, None, None, {"loaded": ("torch", "jax")}, "torch"),
        (0, "cuda:0", None, {}, "torch"),
        (0, None, "bfloat16", {"installed": ()}, "torch"),  # which says what to install
        (0, None, "bfloat16", {"loaded": ("jax",)}, "torch"),
        (0, None, "bfloat16", {"loaded": ("jax",), "installed": ("jax",)}, "jax"),
        (0, "cuda", None, {"loaded": ("tensorflow",), "installed": ("tensorflow", "onnx")}, "tensorflow"),
        (0, None, "int8", {"loaded": ("jax",), "installed": ("jax",)}, "torch"),
        (SWITCH_WORK + 1, None, None, {"loaded": ("jax",), "installed": ("jax",)}, "numpy"),
        (0, "cuda", None, {"installed": ("jax", "tensorflow")}, "torch"),
        (0, None, "int8", {}, "torch"),
        (0, None, "int8", {"installed": ("onnx",)}, "onnx"),
        (0, "cuda", "int8", {"installed": ("onnx",)}, "torch"),
        (SWITCH_WORK + 1, None, None, {"installed": ("onnx",)}, "numpy"),
        (0, None, None, {"is_only_exported": True, "loaded": ("torch",)}, "onnx"),
    ],
)
def test_the_rule_of_auto(work, device, dtype, situation, engine):
    chosen = choose_engine(work, device, dtype, **{"installed": ("torch", "onnx"), "loaded": ()} | situation)
    assert chosen.engine == engine
    assert chosen.reason


def test_work_counts_every_application_of_a_layer():
    assert work_of_token(tiny_config(num_hidden_layers=6, inner_group_num=2, intermediate_size=29)) == 6 * 2 * 29


def test_what_is_installed_is_found_without_importing_it(monkeypatch):
    monkeypatch.setattr(optional, "is_installed", lambda name: name != "onnxruntime")
    assert find_installed() == {"torch", "jax", "tensorflow"}


@pytest.mark.slow
def test_auto_goes_over_to_torch_when_the_work_is_large(checkpoint):
    script = (
        "import sys; from albertkit.inference import engine, load_engine, TokenBatch\n"
        f"engine.SWITCH_WORK = 100 * {work_of_token(tiny_config())}\n"
        f"engine = load_engine({str(checkpoint)!r})\n"
        "small = TokenBatch.from_sequences([[5, 6]], [[0, 0]])\n"
        "a = engine.hidden_states(small); assert engine.name == 'numpy' and 'torch' not in sys.modules\n"
        "engine.hidden_states(TokenBatch.from_sequences([[5] * 40] * 2, [[0] * 40] * 2)); assert engine.name == 'numpy'\n"
        "engine.hidden_states(TokenBatch.from_sequences([[5] * 20], [[0] * 20])); assert engine.name == 'torch'\n"
        "b = engine.hidden_states(small)\n"
        "assert abs(a - b).max() < 1e-5 * (1 + abs(a).max())\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_auto_takes_torch_where_it_is_loaded(checkpoint):
    assert "torch" in sys.modules
    assert load_engine(checkpoint).name == "torch"
    assert not isinstance(load_engine(checkpoint), AutoEngine)


def test_threads_may_go_over_to_torch_together(checkpoint, batch, monkeypatch):
    loaded = load_engine(checkpoint, engine="torch")
    engine = AutoEngine(load_engine(checkpoint, engine="numpy"), lambda: loaded)

    def choose(work, *, installed, loaded):
        engine._load_second = None  # another thread has just done it
        return Choice("torch", "")

    monkeypatch.setattr("albertkit.inference.engine.choose_engine", choose)
    assert_equal(engine.hidden_states(batch), loaded.hidden_states(batch))


@pytest.mark.parametrize(
    ("engine", "dtype"), [("numpy", None), ("torch", None), pytest.param("torch", "int8", marks=needs_int8), ("auto", None)]
)
def test_an_engine_in_use_can_be_copied_and_pickled(engine, dtype, checkpoint, batch, monkeypatch):
    monkeypatch.setattr("albertkit.inference.engine.find_loaded", frozenset)
    used = load_engine(checkpoint, engine=engine, dtype=dtype)
    assert used.name == ("numpy" if engine == "auto" else engine)
    expected = used.hidden_states(batch)
    for one in (copy.deepcopy(used), pickle.loads(pickle.dumps(used))):
        assert_equal(one.hidden_states(batch), expected)


@pytest.mark.parametrize("engine", ["numpy", "torch", *COMPILED])
def test_a_missing_head_is_named(tmp_path, batch, engine: str):
    pytest.importorskip(engine)
    save_checkpoint(tmp_path, tiny_config(), random_parameters(tiny_config(), ("pooler",)))
    loaded = load_engine(tmp_path, engine=engine)
    loaded.hidden_states(batch)
    with pytest.raises(CheckpointError, match="masked_lm head; received one with pooler"):
        load_engine(tmp_path, "masked_lm", engine=engine)
    with pytest.raises(CheckpointError, match="masked_lm head"):
        loaded.logits("masked_lm", batch, np.array([0]))
    with pytest.raises(CheckpointError, match="sentence_order head"):
        loaded.logits("sentence_order", batch)
    with pytest.raises(CheckpointError, match="question_answering head"):
        load_engine(tmp_path, "question_answering", engine=engine)
    with pytest.raises(InputError, match="call answer_spans"):
        loaded.logits("answerability", batch)


def test_what_cannot_run_is_refused(checkpoint):
    for arguments, rule in (
        ({"engine": "onyx"}, "engine must be one of"),
        ({"engine": "numpy", "dtype": "bfloat16"}, "float32 on the CPU"),
        ({"engine": "torch", "device": "cuda:9"}, "device must be one"),
        ({"engine": "torch", "device": "nowhere"}, "device must be one"),
        ({"engine": "torch", "dtype": "int4"}, "dtype must be"),
    ):
        with pytest.raises(InputError, match=rule):
            load_engine(checkpoint, **arguments)
    with pytest.raises(InputError, match="a name, a directory or a model of albertkit"):
        load_engine(3)
    with pytest.raises(InputError, match="a model of albertkit; received a Linear"):
        load_engine(torch.nn.Linear(1, 1))
    with pytest.raises(InputError, match="albertkit's own models"):
        TorchEngine(torch.nn.Linear(1, 1))
    with pytest.raises(InputError, match="runs on the torch engine"):
        load_engine(AlbertForPreTraining(tiny_config()), engine="numpy")


def test_batches_keep_the_budget_and_every_sequence():
    lengths = np.random.default_rng(1).integers(1, 60, 200).tolist()
    lengths = [*lengths, 500]
    batches = plan_batches(lengths, 128)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert sum(lengths[i] for i in batch) <= 128 or len(batch) == 1
        assert [lengths[i] for i in batch] == sorted(lengths[i] for i in batch)
    assert len(batches) <= sum(lengths) / 128 * 1.6
