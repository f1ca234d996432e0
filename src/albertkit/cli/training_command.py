"""What the commands that train have in common: of several processes one speaks, and a signal makes the exit status."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from albertkit.training.state import RunState

__all__ = ["TrainingOutcome", "run_training"]

_PATIENCE = 60.0  # seconds in which the process that speaks has surely spoken, however busy the host


class TrainingOutcome(Protocol):
    """How a run ended, as :class:`albertkit.training.pretraining.Outcome` says it."""

    @property
    def directory(self) -> Path:
        """The final model, or the newest checkpoint of a run that was stopped."""

    @property
    def state(self) -> RunState:
        """Where the run stands."""

    @property
    def stopped_by(self) -> signal.Signals | None:
        """The signal that stopped it, if one did."""

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that speaks."""


Recipe = TypeVar("Recipe")
Outcome = TypeVar("Outcome", bound=TrainingOutcome)


def run_training(read: Callable[[], Recipe], train: Callable[[Recipe], Outcome], describe: Callable[[Outcome], str]) -> int:
    """Read, train, and tell in one line how the run ended.

    Args:
        read: Makes the recipe; it imports no framework, so that a mistake is told at once.
        train: Trains as it says.
        describe: The line on a run that went to its end.

    Returns:
        Exit status: of a run that a signal stopped 128 and the signal's number; 1 where another process says what is wrong.

    Raises:
        AlbertError: See ``read`` and ``train``.
    """
    from albertkit.errors import AlbertError

    try:
        recipe = read()
    except AlbertError:
        if os.environ.get("LOCAL_RANK", "0") == "0":
            raise
        return _leave_the_word()  # the first process of this host says it
    from albertkit.training.distributed import PeerError

    try:
        outcome = train(recipe)
    except PeerError:
        return _leave_the_word()
    if outcome.is_main and outcome.stopped_by is None:
        print(describe(outcome))
    elif outcome.is_main and outcome.stopped_by is not None:
        print(
            f"albertkit: stopped by {outcome.stopped_by.name} after step {outcome.state.step:,}; saved in {outcome.directory}."
            " To go on, run the same command with --resume.",
            file=sys.stderr,
        )
    return 0 if outcome.stopped_by is None else 128 + outcome.stopped_by


def _leave_the_word() -> int:
    """The exit status of a process that leaves it to another to say what is wrong.

    ``torchrun`` ends all processes as soon as one has ended, so under it this one waits to be ended: the other may be slower.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        time.sleep(_PATIENCE)
    return 1
