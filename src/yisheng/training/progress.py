"""The progress callback: a live bar on a terminal, plain lines in a log, a live plot in a notebook."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TextIO

from yisheng.core.durations import format_remaining
from yisheng.core.events import EpochEnd, Event, StepEnd
from yisheng.core.logging import progress_stream
from yisheng.core.messages import Message, translate
from yisheng.training.live_curves import show_curves
from yisheng.training.state import State

if TYPE_CHECKING:
    from yisheng.training.setup import Assembly

Display = Literal["terminal", "log", "notebook"]
SECONDS_BETWEEN_EPOCH_LINES = 2.0
SECONDS_BETWEEN_STEP_LINES = 10.0
LINE_INTERVAL_FRACTION = 0.02
"""Lines of a log are at least this fraction of the time so far apart: a day of training has about 400 of them."""


@dataclass(frozen=True)
class ShownTraining:
    """The training whose progress is shown.

    Args:
        state: its best epoch is shown.
        epochs: total number of epochs.
        steps_per_epoch: number of steps per epoch.
        score: the validation score to show.
        time_limit: seconds that the training takes at most, as an ensemble does, whose steps differ too much for an
            estimate: what is left of them is shown.
        may_stop: whether it may end many epochs earlier.
    """

    state: State
    epochs: int
    steps_per_epoch: int
    score: str
    time_limit: float = math.inf
    may_stop: bool = False

    @property
    def steps(self) -> int:
        """Return the total number of steps."""
        return self.epochs * self.steps_per_epoch


def detect_display(stream: TextIO) -> Display:
    """Return the kind of display that a stream belongs to."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    if running is not None and "IPKernelApp" in running.config:
        return "notebook"
    return "terminal" if stream.isatty() else "log"


def show_assembly_progress(
    events: Iterator[Event], assembly: Assembly, stream: TextIO | None = None
) -> Iterator[Event]:
    """Show the progress of an assembly's training; see `show_progress`.

    Args:
        events: the events of the training.
        assembly: the training.
        stream: where a bar or lines are written; by default `yisheng.core.logging.progress_stream`, and nothing is
            shown if that is None.
    """
    stream = stream or progress_stream()
    if stream is None:
        return events
    shown = ShownTraining(
        assembly.state,
        epochs=assembly.config.epochs,
        steps_per_epoch=len(assembly.train),
        score=assembly.score_key,
        time_limit=getattr(assembly.state.model, "seconds", None) or math.inf,
        may_stop=assembly.config.patience > 0,
    )
    return show_progress(events, shown, stream, detect_display(stream))


def show_progress(events: Iterator[Event], shown: ShownTraining, stream: TextIO, display: Display) -> Iterator[Event]:
    """Show the progress of a training, at most a few times a second.

    Args:
        events: the events of a training.
        shown: what is known of the training in advance.
        stream: where a bar or lines are written.
        display: the kind of display.
    """
    if display == "terminal":
        return _show_bar(events, shown, stream)
    if display == "notebook":
        return show_curves(events, shown.epochs, shown.steps_per_epoch, shown.score)
    return _print_lines(events, shown, stream)


def describe_epoch(event: EpochEnd, state: State, epochs: int, score: str) -> str:
    """Describe an epoch in one line."""
    parts: list[str] = [
        Message("epoch {epoch}/{epochs}", epoch=event.epoch, epochs=epochs),
        Message("training loss {loss}", loss=f"{event.loss:.4g}"),
    ]
    if "loss" in event.scores:
        parts.append(Message("validation loss {loss}", loss=f"{event.scores['loss']:.4g}"))
    if score in event.scores and score != "loss":
        parts.append(f"{score.replace('_', '-')} {event.scores[score]:.4f}")
    if state.best.value is not None:
        parts.append(
            Message("(best {value} in epoch {epoch})", value=f"{state.best.value:.4f}", epoch=state.best.epoch)
        )
    return "  ".join(map(translate, parts))


def _show_bar(events: Iterator[Event], shown: ShownTraining, stream: TextIO) -> Iterator[Event]:
    from tqdm import tqdm

    seconds = shown.time_limit - shown.state.seconds
    end = f"/{tqdm.format_interval(seconds)}" if math.isfinite(seconds) else "<{remaining}"
    with tqdm(
        total=shown.steps,
        initial=shown.state.step,
        file=stream,
        bar_format=f"{{desc}} |{{bar}}| {{percentage:3.0f}}% {{elapsed}}{end}",  # the bar gets the space that is left
        dynamic_ncols=True,
        leave=False,
    ) as bar:
        bar.set_description_str(f"1/{shown.epochs}", refresh=False)
        for event in events:
            if isinstance(event, StepEnd):
                bar.update()
            else:
                bar.set_description_str(_describe_briefly(event, shown.epochs, shown.score), refresh=False)
            yield event


def _describe_briefly(event: EpochEnd, epochs: int, score: str) -> str:
    """Describe an epoch in about 40 columns at most, so that a bar fits next to it on 80."""
    loss = Message("loss {loss}", loss=f"{event.loss:.3g}")
    text = f"{event.epoch}/{epochs} {translate(loss)}"
    if score in event.scores:
        name = translate(Message("valid")) if score == "loss" else score.replace("_", "-")[:12]
        text += f" {name} {event.scores[score]:.4g}"
    return text


def _print_lines(events: Iterator[Event], shown: ShownTraining, stream: TextIO) -> Iterator[Event]:
    """Print a line every few seconds at most, later less often: short epochs do not fill a log with lines."""
    state, epochs, total = shown.state, shown.epochs, shown.steps
    start, first_step = time.monotonic(), state.step
    end = start + shown.time_limit - state.seconds
    printed_at, line, pending = start, "", False

    def describe_position(step: int) -> str:
        position = f"{step:,}/{total:,}" if total else f"{step:,}"
        steps = translate(Message("step {position}", position=position))
        elapsed = time.monotonic() - start
        is_limited = math.isfinite(end)
        estimate = elapsed * (total - step) / max(1, step - first_step)
        seconds = max(0.0, end - start - elapsed) if is_limited else estimate
        remaining = translate(format_remaining(seconds, is_limit=shown.may_stop or is_limited))
        return f"{steps}  {remaining}" if step < total else steps

    for event in events:
        time_now, is_epoch = time.monotonic(), isinstance(event, EpochEnd)
        interval = SECONDS_BETWEEN_EPOCH_LINES if is_epoch else SECONDS_BETWEEN_STEP_LINES
        is_due = time_now - printed_at > max(interval, LINE_INTERVAL_FRACTION * (time_now - start))
        if isinstance(event, EpochEnd):
            is_due, pending = is_due or event.epoch == epochs, True
            line = f"{describe_epoch(event, state, epochs, shown.score)}  {describe_position(event.step)}"
        elif is_due:  # reading the loss waits for the device
            epoch = Message("epoch {epoch}/{epochs}", epoch=event.epoch + 1, epochs=epochs)
            loss = Message("loss {loss}", loss=f"{float(event.loss):.4g}")
            line = f"{translate(epoch)}  {translate(loss)}  {describe_position(event.step)}"
        if is_due:
            print(line, file=stream, flush=True)
            printed_at, pending = time.monotonic(), False
        yield event
    if pending:
        print(line, file=stream, flush=True)
