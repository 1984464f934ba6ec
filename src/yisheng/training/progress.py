"""The progress callback: a live bar on a terminal, plain lines in a log, a live plot in a notebook."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TextIO

from yisheng.core.durations import format_remaining
from yisheng.core.events import EpochEnd, Event, StepEnd
from yisheng.core.logging import progress_stream
from yisheng.core.messages import Message, translate
from yisheng.training.state import State

if TYPE_CHECKING:
    from yisheng.training.setup import Assembly

Display = Literal["terminal", "log", "notebook"]
MAX_PLOTTED_STEPS = 2_000
"""Points of a curve of steps in a notebook; beyond this every second point is dropped."""
SECONDS_BETWEEN_EPOCH_LINES = 2.0
SECONDS_BETWEEN_STEP_LINES = 10.0
LINE_INTERVAL_FRACTION = 0.02
"""Lines of a log are at least this fraction of the time so far apart: a day of training has about 400 of them."""


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
    return show_progress(
        events,
        assembly.state,
        epochs=assembly.config.epochs,
        steps_per_epoch=len(assembly.train),
        score=assembly.score_key,
        stream=stream,
        display=detect_display(stream),
        time_limit=getattr(assembly.state.model, "seconds", None) or math.inf,
        may_stop=assembly.config.patience > 0,
    )


def show_progress(
    events: Iterator[Event],
    state: State,
    *,
    epochs: int,
    steps_per_epoch: int,
    score: str,
    stream: TextIO,
    display: Display,
    time_limit: float = math.inf,
    may_stop: bool = False,
) -> Iterator[Event]:
    """Show the progress of a training, at most a few times a second.

    Args:
        events: the events of a training.
        state: its best epoch is shown.
        epochs: total number of epochs.
        steps_per_epoch: number of steps per epoch.
        score: the validation score to show.
        stream: where a bar or lines are written.
        display: the kind of display.
        time_limit: seconds that the training takes at most, as an ensemble does, whose steps differ too much for an
            estimate: what is left of them is shown.
        may_stop: whether it may end many epochs earlier.
    """
    if display == "terminal":
        return _show_bar(events, state, epochs, steps_per_epoch, score, stream, time_limit)
    if display == "notebook":
        return _show_plot(events, epochs, steps_per_epoch, score)
    return _print_lines(events, state, epochs, steps_per_epoch, score, stream, time_limit, may_stop=may_stop)


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


def _show_bar(
    events: Iterator[Event],
    state: State,
    epochs: int,
    steps_per_epoch: int,
    score: str,
    stream: TextIO,
    time_limit: float,
) -> Iterator[Event]:
    from tqdm import tqdm

    end = f"/{tqdm.format_interval(time_limit - state.seconds)}" if math.isfinite(time_limit) else "<{remaining}"
    with tqdm(
        total=epochs * steps_per_epoch,
        initial=state.step,
        file=stream,
        bar_format=f"{{desc}} |{{bar}}| {{percentage:3.0f}}% {{elapsed}}{end}",  # the bar gets the space that is left
        dynamic_ncols=True,
        leave=False,
    ) as bar:
        bar.set_description_str(f"1/{epochs}", refresh=False)
        for event in events:
            if isinstance(event, StepEnd):
                bar.update()
            else:
                bar.set_description_str(_describe_briefly(event, epochs, score), refresh=False)
            yield event


def _describe_briefly(event: EpochEnd, epochs: int, score: str) -> str:
    """Describe an epoch in about 40 columns at most, so that a bar fits next to it on 80."""
    loss = Message("loss {loss}", loss=f"{event.loss:.3g}")
    text = f"{event.epoch}/{epochs} {translate(loss)}"
    if score in event.scores:
        name = translate(Message("valid")) if score == "loss" else score.replace("_", "-")[:12]
        text += f" {name} {event.scores[score]:.4g}"
    return text


def _print_lines(
    events: Iterator[Event],
    state: State,
    epochs: int,
    steps_per_epoch: int,
    score: str,
    stream: TextIO,
    time_limit: float,
    *,
    may_stop: bool,
) -> Iterator[Event]:
    """Print a line every few seconds at most, later less often: short epochs do not fill a log with lines."""
    start, first_step, total = time.monotonic(), state.step, epochs * steps_per_epoch
    end = start + time_limit - state.seconds
    printed_at, line, pending = start, "", False

    def describe_position(step: int) -> str:
        position = f"{step:,}/{total:,}" if total else f"{step:,}"
        steps = translate(Message("step {position}", position=position))
        elapsed = time.monotonic() - start
        is_limited = math.isfinite(end)
        estimate = elapsed * (total - step) / max(1, step - first_step)
        seconds = max(0.0, end - start - elapsed) if is_limited else estimate
        remaining = translate(format_remaining(seconds, is_limit=may_stop or is_limited))
        return f"{steps}  {remaining}" if step < total else steps

    for event in events:
        time_now, is_epoch = time.monotonic(), isinstance(event, EpochEnd)
        interval = SECONDS_BETWEEN_EPOCH_LINES if is_epoch else SECONDS_BETWEEN_STEP_LINES
        is_due = time_now - printed_at > max(interval, LINE_INTERVAL_FRACTION * (time_now - start))
        if isinstance(event, EpochEnd):
            is_due, pending = is_due or event.epoch == epochs, True
            line = f"{describe_epoch(event, state, epochs, score)}  {describe_position(event.step)}"
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


def _show_plot(events: Iterator[Event], epochs: int, steps_per_epoch: int, score: str) -> Iterator[Event]:
    """Redraw the curves in place, once a second at most; a long first epoch shows the losses of its steps.

    Drawing takes about a twentieth of the time at most, on slow machines too.
    """
    from IPython.display import SVG, display

    handle = None
    curves: dict[str, list[float]] = {}
    steps: list[tuple[float, float]] = []
    epoch, drawn_at, pause = 0, time.monotonic(), 1.0
    for event in events:
        due = time.monotonic() - drawn_at > pause
        if isinstance(event, EpochEnd):
            epoch = event.epoch
            values = {"training loss": event.loss}
            values |= {f"validation {name}": event.scores[name] for name in ("loss", score) if name in event.scores}
            for name, value in values.items():
                curves.setdefault(name, []).append(value)
        elif due:  # reading every loss would make a GPU wait
            steps.append((event.step / steps_per_epoch, float(event.loss)))
            steps = steps if len(steps) < MAX_PLOTTED_STEPS else steps[::2]
        if due or (isinstance(event, EpochEnd) and (handle is None or epoch == epochs)):
            start = time.monotonic()
            plot = SVG(_draw_curves(curves, steps, epoch, epochs))
            if handle is None:
                handle = display(plot, display_id=True)
            else:
                handle.update(plot)
            drawn_at = time.monotonic()
            pause = max(1.0, 20 * (drawn_at - start))
        yield event
    if handle is not None:
        handle.update(SVG(_draw_curves(curves, steps, epoch, epochs)))


def _draw_curves(curves: dict[str, list[float]], steps: list[tuple[float, float]], epoch: int, epochs: int) -> str:
    """Draw the losses on the left axis and the score on the right one, as SVG."""
    import io

    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 3), layout="constrained")
    loss_axes = figure.subplots()
    score_axes = loss_axes.twinx() if any(not name.endswith("loss") for name in curves) else loss_axes
    if steps:
        loss_axes.plot(*zip(*steps, strict=True), color="C0", alpha=0.35, linewidth=0.8, label="loss of a step")
    for number, (name, values) in enumerate(curves.items()):
        axes = loss_axes if name.endswith("loss") else score_axes
        start = epoch - len(values) + 1
        axes.plot(
            range(start, epoch + 1),
            values,
            ["-", "--", "-."][number % 3],
            color=f"C{number}",
            marker="o" if len(values) == 1 else None,  # a line of a single point is invisible
            label=name,
        )
        if axes is score_axes:
            axes.set_ylabel(name.removeprefix("validation "))
    loss_axes.set_ylabel("loss")
    loss_axes.set_xlim(0, epochs)
    loss_axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    loss_axes.set_xlabel("epoch")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    content = io.StringIO()
    figure.savefig(content, format="svg")
    return content.getvalue()
