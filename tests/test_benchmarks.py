"""The benchmarks: their arithmetic, their list, and a whole run of the inference one on the tiny model."""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("psutil")

import benchmarks.__main__ as command
from albertkit import AlbertConfig
from albertkit.testing import save_tiny_checkpoint
from benchmarks import bars as bars_module
from benchmarks import (
    exports,
    finetuning,
    gemm,
    inference,
    inference_tables,
    machine,
    methods,
    models,
    pretraining,
    texts,
    training,
    workers,
)

ROOT = Path(__file__).parents[1]


# ------------------------------------------------------------------ the list


def test_every_script_is_listed_with_a_sentence(capsys):
    assert command.main([]) == 0
    shown = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    written = {path.stem for path in (ROOT / "benchmarks").glob("*.py") if '__name__ == "__main__"' in path.read_text()}
    assert shown.keys() == written - {"__main__"}
    assert all(len(text) > 20 for text in shown.values())


def test_a_script_without_its_data_is_left_out_with_a_reason(tmp_path):
    arguments = argparse.Namespace(results=tmp_path, data=tmp_path / "absent", prepared=None)
    assert command.plan("pretraining", arguments) == ["--results", str(tmp_path)]
    assert "corpus" in command.plan("tokenization", arguments)
    assert command.plan("cold_start", arguments) == ["--output", str(tmp_path / f"{machine.name_result('cold_start')}.md")]
    assert str(tmp_path) in command.plan("inference", arguments)
    assert command.plan("inference", arguments) == command.plan("finetuning", arguments)


@pytest.mark.parametrize(
    ("processor", "name"),
    [
        ("AMD EPYC 9B14 96-Core Processor", "epyc-9b14-96-core"),
        ("Intel(R) Xeon(R) Platinum 8480+ CPU @ 2.00GHz", "xeon-platinum-8480"),
        ("", "cpu"),
    ],
)
def test_results_are_named_by_processor_cores_and_day(monkeypatch, processor, name):
    monkeypatch.setattr(machine, "processor", lambda: processor)
    assert re.fullmatch(rf"{name}-\d+core_\d{{4}}-\d\d-\d\d_inference", machine.name_result("inference"))


def test_a_package_that_is_absent_is_not_described():
    assert "numpy 2" in machine.describe("numpy", "no-such-package")
    assert "no-such-package" not in machine.describe("numpy", "no-such-package")


# ------------------------------------------------------------------ arithmetic


def test_the_limit_takes_the_fastest_kernel_of_each_shape():
    rates = gemm.Rates([(2, 6), (2, 2)])
    rates.add([["float32 F.linear", 16, 2, 6, 100.0], ["float32 F.linear", 16, 2, 2, 50.0]])
    rates.add([["float32 oneDNN prepacked", 16, 2, 2, 200.0], ["bfloat16 F.linear", 16, 2, 6, 999.0]])
    # 2·2·6 = 24 and 2·2·2 = 8 operations a token, at 100 and 200
    assert rates.limit("float32", 16) == pytest.approx(32 / (24 / 100 + 8 / 200))
    assert rates.limit("bfloat16", 16) is None
    assert rates.limit("float32", 128) is None


def test_the_layers_of_base_cost_170_megaflops_a_token():
    rates = gemm.Rates(gemm.layer_shapes(768, 3072))
    assert inference_tables.Table([], rates, 12, {}).gigaflops_of_token == pytest.approx(0.170, rel=0.01)


def make_row(method, dtype, arrangement, seconds):
    return inference_tables.Row("one-16", method, dtype, arrangement, 16, 1e-7, seconds)


def test_tables_say_times_and_share():
    ours = make_row("albertkit torch", "float32", "packed", [0.1, 0.2, 0.1])
    peer = make_row("transformers SDPA", "float32", "padded", [0.2, 0.2, 0.4])
    rates = gemm.Rates([(2, 6)])
    rates.add([["float32 F.linear", 16, 2, 6, 24 * 320 / 1e9]])  # 320 tokens a second
    table = inference_tables.Table([ours, peer], rates, 1, {"other peer": "not\ninstalled"})
    table.memory = {"albertkit torch float32": (300.0, 1234.5)}
    lines = inference_tables.make_tables(table)
    assert "| albertkit torch | float32 | packed | 100.0 (100.0–200.0) | 160 | 2.00 (1.00–4.00) | 0.50 | 1e-07 |" in lines
    job = "| one-16, float32 (albertkit torch) | transformers SDPA: times its latency"
    assert f"{job} | ≤ 1.1 | 0.9 | 0.50 (0.25–1.00) | goal |" in lines
    assert "| albertkit torch float32 | 300 | 1,234 |" in lines
    assert lines[-1] == "- other peer: not installed"


def test_the_bars_of_ragged_texts():
    rows = [make_row("albertkit torch", "float32", "packed", [0.1]), make_row("transformers SDPA", "float32", "padded", [0.24])]
    rows += [make_row("fast peer", "float32", "sorted", [0.105]), make_row("slow peer", "float32", "sorted", [0.2])]
    for row in rows:
        row.workload = "sst2"
    rates = gemm.Rates([(2, 6)])
    rates.add([["float32 F.linear", 16, 2, 6, 24 * 200 / 1e9]])  # 200 tokens a second, of which ours runs 160
    lines = inference_tables.make_tables(inference_tables.Table(rows, rates, 1, {}))
    job = "| sst2, float32 (albertkit torch) |"
    assert f"{job} transformers SDPA float32, padded: times its speed | ≥ 2.5 | 2.9 | 2.40 | no |" in lines
    assert f"{job} fast peer, sorted: times its speed | ≥ 1 | 1.1 | 1.05 | bar |" in lines
    assert f"{job} the limit: share of it | ≥ 0.9 | 0.96 | 0.80 | no |" in lines


def test_training_compares_speed_by_items_and_memory_by_peak():
    ours, theirs = training.Row("tiny", "float32", "albertkit"), training.Row("tiny", "float32", "transformers")
    for row, seconds, items, above in ((ours, 1.0, 30, 50.0), (theirs, 2.0, 20, 100.0)):
        row.add({"seconds": seconds, "items": items, "base": 300.0, "above": above, "noise": 0.5})
    bars = (bars_module.Bar(2.0, 3.0), bars_module.Bar(0.55, at_most=True))
    lines = training.make_tables([training.Pair(ours, theirs)], "tokens", {"tiny": bars})
    assert "| tiny | float32 | albertkit | 1.000 (1.000–1.000) (1 noisy) | 30.0 | 3.00 (3.00–3.00) | 300 | 50 | 0.50 |" in lines
    assert "| tiny, float32 | transformers: times its speed | ≥ 2 | 3 | 3.00 | goal |" in lines
    assert "| tiny, float32 | transformers: share of its memory | ≤ 0.55 | — | 0.50 | bar |" in lines


def test_answers_too_far_from_ours_are_wrong():
    ours = np.array([1.0, -2.0, 4.0])
    assert inference.differences(ours + 3e-4, ours, "float32") == (pytest.approx(3e-4 / 4), False)
    assert inference.differences(ours + 5e-4, ours, "float32")[1]
    assert not inference.differences(ours * 1.01, ours, "bfloat16")[1]
    assert inference.differences(ours * 1.1, ours, "bfloat16")[1]
    assert inference.differences(ours * np.nan, ours, "int8")[1]


# ------------------------------------------------------------------ texts and batches


@pytest.mark.parametrize("by_length", [False, True])
def test_padded_batches_answer_in_the_given_order(by_length):
    shapes = []

    def forward(ids, mask, types):
        shapes.append(ids.shape)
        np.testing.assert_array_equal(mask, ids > 0)
        return np.stack([ids, types], axis=-1)

    rows = [([number] * size, [1] * size) for number, size in enumerate((5, 2, 4, 1, 3), start=1)]
    answers = methods.run_padded(forward, rows, by_length, 2)
    assert [answer[:, 0].tolist() for answer in answers] == [ids for ids, _ in rows]
    assert all((answer[:, 1] == 1).all() for answer in answers)
    assert shapes == ([(2, 2), (2, 4), (1, 5)] if by_length else [(2, 5), (2, 4), (1, 3)])


def test_random_ids_have_the_lengths_of_the_real_texts(shared_data):
    config = AlbertConfig()
    names = ["sst2", "sst2-train", "squad"]
    real = texts.make_workloads(names, config, shared_data, None)
    drawn = texts.make_workloads(names, config, None, None)
    for name in names:
        assert [len(ids) for ids, _ in drawn[name]] == [len(ids) for ids, _ in real[name]]
    assert max(len(ids) for ids, _ in real["squad"]) <= texts.LONGEST


# ------------------------------------------------------------------ workers


def test_a_worker_that_breaks_says_why(tmp_path):
    worker = workers.Worker(
        "benchmarks.inference", ["--worker", "no such method", "model", "work", "1", "1"], 1, tmp_path / "log"
    )
    assert "StopIteration" in worker.absent()


def test_a_noisy_sample_is_taken_again(monkeypatch):
    monkeypatch.setattr(workers.time, "sleep", lambda _: None)
    worker = object.__new__(workers.Worker)
    noises = iter([0.5, 0.1, 0.01, 0.9])
    monkeypatch.setattr(worker, "ask", lambda **_: {"noise": next(noises)}, raising=False)
    assert worker.ask_quietly() == {"noise": 0.01}
    assert next(noises) == 0.9


MEMORY = """
from benchmarks.workers import Memory

block = bytearray(64 << 20)  # a peak of before
del block
memory = Memory()
assert memory.above < 8
block = bytearray(32 << 20)
assert 24 < memory.above < 48
"""


def test_memory_is_what_lies_above_the_start():
    """In a process of its own, which has no memory left from before to fill."""
    subprocess.run([sys.executable, "-c", MEMORY], cwd=ROOT, check=True)


@pytest.mark.slow
def test_a_whole_run_on_the_tiny_model(tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(workers, "RETRIES", 1)
    model = save_tiny_checkpoint(tmp_path / "model")
    inference.main(
        f"--model {model} --data {tmp_path / 'absent'} --methods numpy torch --workloads one-16 sst2 --rounds 1 --seconds 0.01"
        f" --results {tmp_path}".split()
    )
    printed = capsys.readouterr().out
    (kept,), (samples,) = tmp_path.glob("*_inference.md"), tmp_path.glob("*_inference.csv")
    assert kept.read_text().strip() == printed.strip()
    for row in ("| albertkit numpy | float32 | packed |", "| albertkit torch | bfloat16 | packed |", "| float32 F.linear | 16 |"):
        assert row in printed
    with samples.open() as file:
        rows = list(csv.DictReader(file))
    assert {row["workload"] for row in rows} == {"one-16", "sst2"}
    assert all(float(row["seconds"]) > 0 for row in rows)
    assert all(float(row["difference"]) < 1e-5 for row in rows if row["dtype"] == "float32")


@pytest.mark.slow
def test_the_optimised_and_quantised_graphs_of_the_peer(tmp_path):
    onnx = pytest.importorskip("onnx")
    for package in ("transformers", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    model = models.make_model(tmp_path / "model", "AlbertForPreTraining", "tiny")
    worker = inference.start_worker(inference.EXPORT + "ONNX Runtime, optimised int8", exports.Job(model, tmp_path, 1))
    assert worker.absent() is None
    worker.close()
    layers, linears = 2, 6
    kinds = [node.op_type for node in onnx.load(tmp_path / exports.QUANTISED).graph.node]
    assert kinds.count("MatMulInteger") == layers * linears + 1  # and that which widens the embeddings
    assert kinds.count("FastGelu") == layers
    assert {exports.PLAIN, exports.OPTIMISED, exports.QUANTISED} <= {file.name for file in tmp_path.iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("script", [pretraining, finetuning], ids=lambda script: script.__name__)
def test_training_beside_transformers(tmp_path, capsys, monkeypatch, script):
    pytest.importorskip("transformers")
    pytest.importorskip("accelerate")
    monkeypatch.setattr(workers, "RETRIES", 1)
    quick = f"--size tiny --dtypes float32 --rounds 2 --warmups 1 --threads 1 --results {tmp_path}"
    case = {pretraining: "--shapes 2x16", finetuning: f"--tasks sst2-train --data {tmp_path / 'absent'}"}[script]
    script.main([*quick.split(), *case.split()])
    printed = capsys.readouterr().out
    (kept,), (samples,) = tmp_path.glob("*.md"), tmp_path.glob("*.csv")
    assert kept.read_text().strip() == printed.strip()
    with samples.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["method"] for row in rows] == 2 * ["albertkit"] + 2 * ["transformers"]
    assert all(float(row["seconds"]) > 0 and float(row["above_mib"]) > 0 for row in rows)
