"""Weights & Biases, and Trackio, whose functions are the same ones."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

from yisheng.loggers.trackers.adapter import PROJECT, OpenTracker, Values


class WandbTracker:
    """A training as a run of a package with the functions of ``wandb``.

    Args:
        run: the opened run, with ``log(values, step=...)`` and ``finish``.
        id: by which it is opened again.
        can_fail: whether ``finish`` takes an exit code.
    """

    def __init__(self, run: Any, id: str, *, can_fail: bool) -> None:
        self._run, self.id, self._can_fail = run, id, can_fail

    def log(self, points: Sequence[tuple[int, Values]]) -> None:
        """Add points of curves."""
        for step, values in points:
            self._run.log(dict(values), step=step)

    def finish(self, *, succeeded: bool) -> None:
        """End the run, and send what is still here."""
        if self._can_fail:
            self._run.finish(exit_code=int(not succeeded))
        else:
            self._run.finish()


def open_wandb(package: Any) -> OpenTracker:
    """Return what opens a training in Weights & Biases.

    The terminal is not recorded, and a run of the program's own stays as it is.

    Args:
        package: the module ``wandb``.
    """

    def open_tracker(name: str, id: str | None, settings: Mapping[str, Any]) -> WandbTracker:
        id = id or uuid4().hex
        run = package.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=name,
            id=id,
            resume="allow",
            config=dict(settings),
            reinit="create_new",
            settings=package.Settings(console="off"),
        )
        return WandbTracker(run, id, can_fail=True)

    return open_tracker


def open_trackio(package: Any) -> OpenTracker:
    """Return what opens a training in Trackio, which finds a run by its name.

    Args:
        package: the module ``trackio``.
    """

    def open_tracker(name: str, id: str | None, settings: Mapping[str, Any]) -> WandbTracker:
        id = id or f"{name}-{uuid4().hex[:8]}"
        project = os.environ.get("TRACKIO_PROJECT", PROJECT)
        run = package.init(project=project, name=id, resume="allow", config=dict(settings), embed=False)
        return WandbTracker(run, id, can_fail=False)

    return open_tracker
