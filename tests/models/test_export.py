"""The padded layout exports and compiles, in a process of its own since shape checks are Python that a tracer would meet."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import torch
from albertkit.models.torch import AlbertForMaskedLM
from albertkit.testing import tiny_config

model = AlbertForMaskedLM(tiny_config()).eval()

def batch(rows, length):
    ids = torch.randint(1, 101, (rows, length))
    return ids, torch.arange(length) < torch.arange(length, length - rows, -1)[:, None]

def check(run):
    for shape in ((2, 9), (4, 17)):
        ids, mask = batch(*shape)
        expected = model(ids, mask).logits
        assert torch.allclose(run(ids, mask).logits, expected, atol=1e-5), shape

rows, length = torch.export.Dim("rows", max=64), torch.export.Dim("length", max=43)
dynamic = {"input_ids": {0: rows, 1: length}, "attention_mask": {0: rows, 1: length}}
arguments = dict(zip(dynamic, batch(3, 11)))
program = torch.export.export(model, (), arguments, dynamic_shapes=dynamic)
check(lambda ids, mask: program.module()(input_ids=ids, attention_mask=mask))
check(torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=True))
"""


@pytest.mark.slow
def test_export_and_compile_with_any_batch_and_length():
    done = subprocess.run([sys.executable, "-c", _PROGRAM], check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
