"""Write a training to an experiment tracker while it runs: settings, curves, final scores."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.events import Event
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.loggers.background import BackgroundCalls
from yisheng.loggers.points import pass_points
from yisheng.loggers.trackers.adapter import Tracker, Values
from yisheng.loggers.trackers.load_adapter import load_adapter
from yisheng.reporting.config_diff import IGNORED_KEYS, flatten
from yisheng.reporting.history import Epoch, Step, read_history
from yisheng.reporting.run_facts import read_run_facts
from yisheng.training.setup import Assembly

MAX_FINISH_SECONDS: Final = 60.0
"""How long the end of a run waits for what has not been sent."""


@contextlib.contextmanager
def track_run(folder: Path, assembly: Assembly) -> Iterator[RunTracking | None]:
    """Write a run to the tracker that its config names, from the block's begin to its end.

    A resumed run continues its curves. If the tracker cannot be reached, one note is logged and the run continues. At
    the end of the block the scores of ``scores.json`` are sent; if the block raises, the run is marked as broken off.

    Args:
        folder: the run folder; ``tracker.json`` in it names the run in the tracker.
        assembly: the training setup.

    Yields:
        What follows the events, or None if the config names no tracker.

    Raises:
        MissingPartError: the tracker's package is not installed.
    """
    if assembly.config.tracker is None:
        yield None
        return
    load_adapter(assembly.config.tracker)
    tracking = RunTracking(folder, assembly)
    try:
        yield tracking
    except BaseException:
        tracking.close(succeeded=False)
        raise
    tracking.close(succeeded=True)


class RunTracking:
    """Send the points of a training to a tracker every two seconds, in a thread: the training waits for no network.

    Args:
        folder: the run folder.
        assembly: the training setup; its config names the tracker.
    """

    def __init__(self, folder: Path, assembly: Assembly) -> None:
        assert assembly.config.tracker is not None  # checked by the caller
        self._folder, self._assembly, self._name = folder, assembly, assembly.config.tracker
        self._note = _read_note(folder, self._name) if assembly.state.step else _Note(self._name)
        values = flatten(assembly.config.to_dict())
        self._settings = {key: value for key, value in values.items() if key not in IGNORED_KEYS}
        self._tracker: Tracker | None = None
        self._lock, self._points = threading.Lock(), list[Step | Epoch]()
        self._scores: Values = {}
        self._has_failed = False
        self._calls = BackgroundCalls(self._send, self._name)
        self._calls.start()
        past = read_history(folder)
        points: list[Step | Epoch] = [*past.steps, *past.epochs]
        for point in sorted(points, key=lambda point: point.step):
            if point.step <= assembly.state.step:
                self._add(point)

    def follow(self, events: Iterator[Event]) -> Iterator[Event]:
        """Yield the same events, and send the points of their curves."""
        yield from pass_points(events, self._assembly.config.log_every, self._add)

    def close(self, *, succeeded: bool) -> None:
        """Send what is left, and the final scores if the training came to its end."""
        if succeeded:
            scores = read_run_facts(self._folder).scores
            self._scores = {
                f"{part}/{name}": score.value
                for part, named in scores.items()
                if part != "validation"  # they are points of the curves
                for name, score in named.items()
            }
        if not self._calls.stop(MAX_FINISH_SECONDS):
            logger.info(Message("{name} does not respond; the end of the run was not sent", name=self._name))
        elif self._tracker is not None:
            with self._note_failure():
                self._tracker.finish(succeeded=succeeded)

    def _add(self, point: Step | Epoch) -> None:
        """Keep a point until it is sent, if it was not sent before the run was resumed."""
        if point.step > (self._note.step if isinstance(point, Step) else self._note.epoch_step):
            with self._lock:
                self._points.append(point)

    def _send(self) -> None:
        """Send the points that came since the last time, and the final scores; the first time, open the tracker."""
        if self._tracker is None and not self._has_failed:
            with self._note_failure():
                self._tracker = load_adapter(self._name)(_name_run(self._folder), self._note.id, self._settings)
        with self._lock:
            points, self._points = self._points, []
        if self._tracker is None or self._has_failed or not (points or self._scores):
            return
        values = [(point.step, _name_values(point)) for point in points]
        if self._scores:
            values.append((self._assembly.state.step, self._scores))
        with self._note_failure():
            self._tracker.log([(step, {k: v for k, v in named.items() if math.isfinite(v)}) for step, named in values])
            self._note = _Note(
                self._name,
                self._tracker.id,
                max([self._note.step, *(point.step for point in points if isinstance(point, Step))]),
                max([self._note.epoch_step, *(point.step for point in points if isinstance(point, Epoch))]),
            )
            files.write_json(self._folder / RunFolder.TRACKER, asdict(self._note))

    @contextlib.contextmanager
    def _note_failure(self) -> Iterator[None]:
        """Log the first failure of the tracker; the training goes on."""
        try:
            yield
        except Exception as error:  # whatever the package raises
            if not self._has_failed:
                reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
                logger.info(
                    Message("{name} cannot be reached ({reason}); training continues", name=self._name, reason=reason)
                )
            self._has_failed = True


def _name_run(folder: Path) -> str:
    """Return the name of a run in the tracker: of a fold, and of the library's run, with the folder around it."""
    path = folder.resolve()
    return path.name if path.name[:4].isdigit() else f"{path.parent.name}/{path.name}"


def _name_values(point: Step | Epoch) -> Values:
    """Return the values of a point by the names of their curves."""
    if isinstance(point, Step):
        return {"loss/batch": point.loss, "lr": point.lr}
    scores = {
        "loss/validation" if name == "loss" else f"validation/{name}": score for name, score in point.scores.items()
    }
    return {"epoch": point.epoch, "loss/training": point.loss, **scores}


@dataclass(frozen=True)
class _Note:
    """Where a run is found in its tracker, and the last update and the last epoch's update that were sent."""

    tracker: str
    id: str | None = None
    step: int = 0
    epoch_step: int = 0


def _read_note(folder: Path, name: str) -> _Note:
    """Return the note of a run about its tracker; an empty one if it is in no tracker or in another one.

    Raises:
        DataError: the note is damaged.
    """
    path = folder / RunFolder.TRACKER
    try:
        note = TypeAdapter(_Note).validate_json(path.read_bytes())
    except FileNotFoundError:
        return _Note(name)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            Message("{path} cannot be read: {error}", path=path, error=reason),
            Message("remove it: the run is then a new one in {name}", name=name),
        ) from error
    return note if note.tracker == name else _Note(name)
