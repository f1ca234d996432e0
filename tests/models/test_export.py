"""Every class exports, and models compile, in a process of their own since shape checks are Python that a tracer would meet."""

from __future__ import annotations

import subprocess
import sys

import pytest

_BEGINNING = """
import torch
from albertkit.models import torch as models
from albertkit.testing import tiny_config

def batch(rows, length, choices):
    ids = torch.randint(1, 101, (rows, length))
    mask = torch.arange(length) < torch.arange(length, length - rows, -1)[:, None]
    return (ids[:, None].expand(-1, 3, -1), mask[:, None].expand(-1, 3, -1)) if choices else (ids, mask)

def check(model, run, choices=False):
    for shape in ((2, 9), (4, 17)):
        ids, mask = batch(*shape, choices)
        expected, received = model(ids, mask), run(ids, mask)
        assert received.keys() == expected.keys()
        for name, value in expected.items():
            assert torch.allclose(received[name].float(), value.float(), atol=1e-5), (shape, name)
"""

_EXPORT = """
for name in models.__all__:
    if name == "AlbertPreTrainedModel":
        continue
    model, choices = getattr(models, name)(tiny_config()).eval(), name == "AlbertForMultipleChoice"
    rows, length = torch.export.Dim("rows", max=64), torch.export.Dim("length", min=6, max=43)
    sizes = {0: rows, 2: length} if choices else {0: rows, 1: length}
    dynamic = {"input_ids": sizes, "attention_mask": sizes}
    program = torch.export.export(model, (), dict(zip(dynamic, batch(3, 11, choices))), dynamic_shapes=dynamic)
    check(model, lambda ids, mask: program.module()(input_ids=ids, attention_mask=mask), choices)
"""

_COMPILE = """
for kind in (models.AlbertForPreTraining, models.AlbertForQuestionAnsweringWithAnswerability):
    model = kind(tiny_config()).eval()
    check(model, torch.compile(model, fullgraph=True, backend="aot_eager", dynamic=True))
model = models.AlbertForSequenceClassification(tiny_config())
model.gradient_checkpointing_enable()
compiled = torch.compile(model, backend="aot_eager")
ids, mask = batch(3, 11, False)
for run in (model, compiled):
    run(ids, mask, labels=torch.tensor([0, 1, 0])).loss.backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    first = gradients if run is model else first
assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(first, gradients))
"""

_COMPILE_GROUPS = """
from itertools import pairwise
from torch import Tensor
from albertkit.models.torch import attention, packing

@torch.library.custom_op("test::varlen", mutates_args=())
def varlen(query: Tensor, key: Tensor, value: Tensor, ends: Tensor, _: Tensor, longest: int, __: int) -> Tensor:
    blocks = [[tensor[first:last].transpose(0, 1) for tensor in (query, key, value)] for first, last in pairwise(ends.tolist())]
    return torch.cat([torch.nn.functional.scaled_dot_product_attention(*block).transpose(0, 1) for block in blocks])

varlen.register_fake(lambda query, *_: torch.empty_like(query))
attention._suits_flash = lambda query: True
model, graphs = models.AlbertModel(tiny_config()).eval(), []
batches = []
for lengths in ([13, 5, 19, 5, 1, 7], [3, 8], [17, 17, 2, 6]):
    ids, ends = torch.randint(1, 101, (sum(lengths),)), torch.tensor([0, *lengths]).cumsum(0)
    batches.append((dict(input_ids=ids, cu_seqlens=ends), model(ids, cu_seqlens=ends).last_hidden_state))
packing._find_varlen = lambda device: varlen
count = lambda module, inputs: graphs.append(module) or module.forward
for group in model.encoder.albert_layer_groups:
    group.compile(dynamic=True, backend=count)
for batch, expected in batches:
    assert torch.allclose(model(**batch).last_hidden_state, expected, atol=1e-5)
assert len(graphs) == 1
"""


@pytest.mark.slow
@pytest.mark.parametrize("program", [_EXPORT, _COMPILE, _COMPILE_GROUPS], ids=["export", "compile", "compile groups"])
def test_any_batch_and_length(program):
    done = subprocess.run([sys.executable, "-c", _BEGINNING + program], check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
