"""A checkpoint as a ``torch.export`` program: it runs where PyTorch is, without albertkit."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from albertkit.checkpoints.exported import PROGRAM_FILE
from albertkit.checkpoints.storage import unwritable
from albertkit.export.onnx_model import read_exportable, write_companions
from albertkit.files import new_file
from albertkit.hub import Name
from albertkit.models import torch as models
from albertkit.models.torch import AlbertPreTrainedModel
from albertkit.tokenization import AlbertTokenizer

__all__ = ["export_torch"]

_MOST_ROWS = 65536
_BEAM = 5  # tokens that the answerability head chooses from, at least


class _Named(nn.Module):
    """A model whose outputs are a plain dictionary, which a program can be loaded with anywhere."""

    def __init__(self, model: AlbertPreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> dict[str, Tensor]:
        return dict(self.model(input_ids, attention_mask, token_type_ids, return_dict=True).items())


def export_torch(model: Name, directory: str | Path, *, architecture: str | None = None) -> None:
    """Write ``model.pt2``, ``config.json`` and the tokenizer's files.

    The program takes ``input_ids``, ``attention_mask`` and ``token_type_ids``, int64 ``[batch, length]`` of any size, with the
    answerability head from five tokens on, and returns a dictionary of the outputs that the class has.

    Args:
        model: A directory, an embedded model, a published name, a hub id, or a source.
        directory: Where to; made if need be, other files there stay.
        architecture: See :func:`~albertkit.export.onnx_model.read_exportable`.

    Raises:
        InputError: If there is no such class.
        CheckpointError: If the checkpoint cannot be read, or the program cannot be written.
    """
    source = read_exportable(model, architecture)
    loaded = getattr(models, source.architecture).from_pretrained(model).eval()
    has_choices = source.architecture == "AlbertForMultipleChoice"
    example = torch.ones((2, 3, 11) if has_choices else (2, 11), dtype=torch.int64)
    rows = torch.export.Dim("rows", max=_MOST_ROWS)
    shortest = _BEAM if "answerability" in source.heads else 1
    length = torch.export.Dim("length", min=shortest, max=source.config.max_position_embeddings)
    sizes = {0: rows, 1: torch.export.Dim("choices", max=_MOST_ROWS), 2: length} if has_choices else {0: rows, 1: length}
    inputs = (example, example.clone(), torch.zeros_like(example))  # one tensor twice would be traced as one input
    program = torch.export.export(_Named(loaded), inputs, dynamic_shapes=(sizes,) * 3)
    write_companions(directory, source.config, AlbertTokenizer.from_pretrained(model))
    path = Path(directory) / PROGRAM_FILE
    try:
        with new_file(path) as temporary, temporary.open("wb") as file:
            torch.export.save(program, file)
    except OSError as error:
        raise unwritable(path, error) from None
