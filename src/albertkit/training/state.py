"""Checkpoints of a run: whole or absent, checked when read, and enough to go on to the bit.

    output/checkpoint-00001000/
      config.json, model.safetensors     the model as Hugging Face lays it out
      spiece.model …                     its tokenizer
      optimizer.safetensors              the optimiser's moments, ``exp_avg.<parameter>`` …
      trainer.json                       step, place in the data, times, and the recipe
      manifest.json                      SHA-256 of every other file

Examples, masks and dropout are pure functions of the seed and the step, so no generator's state is kept.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from albertkit.checkpoints.storage import read_tensors, write_tensors
from albertkit.errors import AlbertError, CheckpointError
from albertkit.files import new_directory
from albertkit.models.torch import AlbertPreTrainedModel

__all__ = [
    "Checkpoint", "RunState", "TrainerState", "checkpoint_path", "find_newest", "list_checkpoints", "remove_unfinished",
    "save_checkpoint", "save_model",
]  # fmt: skip

OPTIMIZER_FILE = "optimizer.safetensors"
STATE_FILE = "trainer.json"
SCORES_FILE = "scores.json"
MANIFEST_FILE = "manifest.json"
TRAINED_FILE = "trained.safetensors"
_PREFIX = "checkpoint-"
_UNFINISHED = re.compile(r"\.(?P<name>.+?)(?P<old>\.old)?\.[0-9a-f]{8}")


@dataclass
class RunState:
    """Where any run stands."""

    total_steps: int
    """Updates of the whole run; lowered once if the clock makes a trapezoid fall early."""
    step: int = 0
    """Updates made."""
    tokens: int = 0
    """Tokens trained on, special ones included."""
    flops: int = 0
    """Floating-point operations of the model (:func:`albertkit.training.flops.count_flops`)."""
    seconds: float = 0.0
    """Wall-clock time of training, over all resumed parts."""


@dataclass
class TrainerState(RunState):
    """Where a pre-training run stands."""

    stage: int = 0
    """The stage of the schedule, from 1; 0 before the first."""
    next_example: int = 0
    """Examples of the stage's stream that have been used."""
    best_loss: float | None = None
    """Lowest masked-LM loss of the evaluations so far."""


State = TypeVar("State", bound=RunState)


@dataclass(frozen=True)
class Checkpoint(Generic[State]):
    """A checkpoint whose files are as they were written."""

    directory: Path
    """Where it is."""
    state: State
    """Where the run stood."""
    recipe: dict[str, Any]
    """The recipe of the run, as plain values."""

    def restore(self, model: AlbertPreTrainedModel, optimizer: Optimizer) -> None:
        """Put weights and moments back.

        Args:
            model: Of the same configuration.
            optimizer: Over its parameters.

        Raises:
            CheckpointError: If a file is damaged or does not fit the model.
        """
        parameters = model.named_by_contract()
        if (self.directory / TRAINED_FILE).exists():
            _put(read_tensors(self.directory / TRAINED_FILE).tensors, parameters, self.directory)
        else:
            model.load_state_dict(type(model).from_pretrained(self.directory).state_dict())
        for key, values in read_tensors(self.directory / OPTIMIZER_FILE).tensors.items():
            kind, _, name = key.partition(".")
            if name not in parameters:
                raise CheckpointError(
                    "the optimiser's state must be of the model's parameters", received=f"{name} in {self.directory}"
                )
            device = parameters[name].device
            optimizer.state[parameters[name]][kind] = torch.from_numpy(np.array(values)).to(device)


def save_checkpoint(
    output: Path,
    *,
    model: AlbertPreTrainedModel,
    optimizer: Optimizer,
    state: RunState,
    recipe: Mapping[str, Any],
    tokenizer: Path,
    keep: int,
) -> Path:
    """Write a checkpoint; only when it is whole do the oldest go.

    Args:
        output: The run's directory.
        model: Weights to keep; of a model with adapters, those that are trained.
        optimizer: Moments to keep.
        state: Where the run stands.
        recipe: Plain values, kept with it.
        tokenizer: Folder of the tokenizer's files.
        keep: Newest checkpoints to leave.

    Returns:
        Its directory.

    Raises:
        CheckpointError: If the disk is full or cannot be written; what stood there before still stands.
    """
    directory = checkpoint_path(output, state.step)
    try:
        with new_directory(directory) as temporary:
            _write_weights(temporary, model)
            _copy_files(tokenizer, temporary)
            write_tensors(temporary / OPTIMIZER_FILE, _moments(model.named_by_contract(), optimizer))
            text = json.dumps({"state": asdict(state), "recipe": recipe}, indent=2, ensure_ascii=False)
            (temporary / STATE_FILE).write_text(text + "\n", encoding="utf-8")
            digests = {file.name: _digest(file) for file in sorted(temporary.iterdir())}
            (temporary / MANIFEST_FILE).write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")
        for old in list_checkpoints(output)[:-keep]:
            shutil.rmtree(old)
    except OSError as error:
        raise _unwritable(directory, error) from None
    return directory


def save_model(
    directory: Path,
    model: AlbertPreTrainedModel,
    tokenizer: Path,
    *,
    scores: Mapping[str, Any],
    write_more: Callable[[Path], object] | None = None,
) -> None:
    """Write a model with its tokenizer as Hugging Face lays them out; the directory appears whole or not at all.

    Args:
        directory: Where to.
        model: The model.
        tokenizer: Folder of the tokenizer's files.
        scores: Its step and the evaluation's numbers, written to ``scores.json``.
        write_more: Called with the unfinished directory, to add files of its own.

    Raises:
        CheckpointError: If the disk is full or cannot be written.
    """
    try:
        with new_directory(directory) as temporary:
            model.save_pretrained(temporary)
            _copy_files(tokenizer, temporary)
            (temporary / SCORES_FILE).write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
            if write_more is not None:
                write_more(temporary)
    except OSError as error:
        raise _unwritable(directory, error) from None


def list_checkpoints(output: Path) -> list[Path]:
    """The directories of a run's checkpoints, whole or not, by rising step."""
    found = output.glob(f"{_PREFIX}*") if output.is_dir() else ()
    return sorted(
        (path for path in found if path.name.removeprefix(_PREFIX).isdecimal()), key=lambda path: int(path.name[len(_PREFIX) :])
    )


def checkpoint_path(output: Path, step: int) -> Path:
    """Where the checkpoint of a step is.

    Args:
        output: The run's directory.
        step: Updates made.
    """
    return output / f"{_PREFIX}{step:08d}"


def remove_unfinished(output: Path) -> None:
    """Remove what a run that was killed while writing has left half-written (:mod:`albertkit.files`); what it was about to
    replace and had already set aside is put back.

    Args:
        output: The run's directory.
    """
    for path in output.iterdir() if output.is_dir() else ():
        match = _UNFINISHED.fullmatch(path.name)
        if match is None:
            continue
        if match["old"] and not (output / match["name"]).exists():
            path.rename(output / match["name"])
        elif path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def find_newest(output: Path, kind: type[State]) -> Checkpoint[State] | None:
    """The newest checkpoint whose files are whole.

    Args:
        output: The run's directory.
        kind: Of the run's state.

    Returns:
        ``None`` if there is no checkpoint at all.

    Raises:
        CheckpointError: If there are some, and none of them is whole.

    Warns:
        UserWarning: For each damaged one, which is named.
    """
    directories = list_checkpoints(output)
    for directory in reversed(directories):
        try:
            return _open(directory, kind)
        except AlbertError as error:
            warnings.warn(f"{error} The one before it is tried.", stacklevel=2)
    if directories:
        raise CheckpointError(
            "a checkpoint to resume from must be whole",
            received=f"{output}, where all {len(directories)} are damaged",
            fix="remove the directory to start again",
        )
    return None


def _open(directory: Path, kind: type[State]) -> Checkpoint[State]:
    """Check every file against the manifest and read the state."""
    try:
        digests = json.loads((directory / MANIFEST_FILE).read_text(encoding="utf-8"))
        damaged = [name for name, digest in digests.items() if _digest(directory / name) != digest]
        if not damaged:
            content = json.loads((directory / STATE_FILE).read_text(encoding="utf-8"))
            return Checkpoint(directory, kind(**content["state"]), content["recipe"])
        reason = f"{', '.join(damaged)} was changed since"
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        reason = str(error)
    raise CheckpointError("a checkpoint must be as it was written", received=f"{directory} ({reason})", fix="it is left as it is")


def _moments(parameters: Mapping[str, nn.Parameter], optimizer: Optimizer) -> dict[str, np.ndarray]:
    """``<kind>.<parameter>`` → array, for every tensor of the optimiser's state."""
    return {
        f"{kind}.{name}": tensor.detach().cpu().numpy()
        for name, parameter in parameters.items()
        for kind, tensor in optimizer.state[parameter].items()
    }


def _write_weights(directory: Path, model: AlbertPreTrainedModel) -> None:
    """The model; of one that has more parameters than its contract, such as adapters, what is trained."""
    parameters = model.named_by_contract()
    if len(parameters) == len(model.contract):
        model.save_pretrained(directory)
        return
    trained = {name: tensor.detach().cpu().numpy() for name, tensor in parameters.items() if tensor.requires_grad}
    write_tensors(directory / TRAINED_FILE, trained)


@torch.no_grad()
def _put(values: Mapping[str, np.ndarray], parameters: Mapping[str, nn.Parameter], directory: Path) -> None:
    for name, array in values.items():
        if name not in parameters or parameters[name].shape != array.shape:
            raise CheckpointError("a checkpoint must hold parameters of the model", received=f"{name} in {directory}")
        parameters[name].copy_(torch.from_numpy(np.array(array)))


def _copy_files(source: Path, target: Path) -> None:
    for file in source.iterdir():
        shutil.copyfile(file, target / file.name)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unwritable(directory: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        "a checkpoint must be written whole",
        received=f"{directory} ({error.strerror or error})",
        fix="free some space, then run with --resume; the checkpoints before it are untouched",
    )
