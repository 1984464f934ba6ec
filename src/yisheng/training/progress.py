"""Progress: a live bar on a terminal, plain lines in a log, a live plot in a notebook."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Literal, TextIO

from yisheng.core.types import Epoched, Event, Stepped
from yisheng.training.state import State

Place = Literal["terminal", "log", "notebook"]
MOST = 2_000
"""Points of a curve of steps in a notebook; of more every second one is dropped."""


def place(stream: TextIO) -> Place:
    """Where progress is being watched."""
    shell = sys.modules.get("IPython")
    running = shell.get_ipython() if shell is not None else None
    if running is not None and "IPKernelApp" in running.config:
        return "notebook"
    return "terminal" if stream.isatty() else "log"


def progress(
    events: Iterator[Event], state: State, *, epochs: int, per_epoch: int, score: str, stream: TextIO, where: Place
) -> Iterator[Event]:
    """Show how far the run is, at most a few times a second.

    Args:
        events: what happens.
        state: read for the best epoch so far.
        epochs: epochs in all.
        per_epoch: steps per epoch.
        score: the validation score that is shown.
        stream: where a bar or lines go.
        where: the kind of place.
    """
    if where == "terminal":
        return _bar(events, state, epochs, per_epoch, score, stream)
    if where == "notebook":
        return _plot(events, epochs, per_epoch, score)
    return _lines(events, state, epochs, score, stream)


def describe(event: Epoched, state: State, epochs: int, score: str) -> str:
    """One line about an epoch."""
    text = f"epoch {event.epoch}/{epochs}  training loss {event.loss:.4g}"
    if "loss" in event.scores:
        text += f"  validation loss {event.scores['loss']:.4g}"
    if score in event.scores and score != "loss":
        text += f"  {score.replace('_', '-')} {event.scores[score]:.4f}"
    if state.best.value is not None:
        text += f"  (best {state.best.value:.4f} in epoch {state.best.epoch})"
    return text


def _bar(
    events: Iterator[Event], state: State, epochs: int, per_epoch: int, score: str, stream: TextIO
) -> Iterator[Event]:
    from tqdm import tqdm

    done = state.step
    form = "{desc} |{bar}| {percentage:3.0f}% {elapsed}<{remaining}"  # the numbers matter more than the bar's length
    with tqdm(
        total=epochs * per_epoch, initial=done, file=stream, bar_format=form, dynamic_ncols=True, leave=False
    ) as bar:
        bar.set_description_str(f"1/{epochs}", refresh=False)
        for event in events:
            if isinstance(event, Stepped):
                bar.update()
            else:
                bar.set_description_str(_brief(event, epochs, score), refresh=False)
            yield event


def _brief(event: Epoched, epochs: int, score: str) -> str:
    """At most about 40 columns about an epoch, so that a bar fits beside it on 80."""
    text = f"{event.epoch}/{epochs} loss {event.loss:.3g}"
    if score in event.scores:
        name = "valid" if score == "loss" else score.replace("_", "-")[:12]
        text += f" {name} {event.scores[score]:.4g}"
    return text


def _lines(events: Iterator[Event], state: State, epochs: int, score: str, stream: TextIO) -> Iterator[Event]:
    """A line every few seconds at most: 100 epochs of 20 ms are not 100 lines."""
    said = time.monotonic()
    last, unsaid = "", False
    for event in events:
        if isinstance(event, Epoched):
            last, unsaid = describe(event, state, epochs, score), True
            if time.monotonic() - said > 2 or event.epoch == epochs:
                print(last, file=stream, flush=True)
                said, unsaid = time.monotonic(), False
        elif time.monotonic() - said > 30:
            print(f"epoch {event.epoch + 1}/{epochs}  step {event.step}  loss {float(event.loss):.4g}", file=stream)
            said = time.monotonic()
        yield event
    if unsaid:
        print(last, file=stream, flush=True)


def _plot(events: Iterator[Event], epochs: int, per_epoch: int, score: str) -> Iterator[Event]:
    """Curves that are redrawn in place, once a second at most; a long first epoch shows its steps meanwhile.

    Drawing takes about a twentieth of the time at most, however slow the machine is.
    """
    from IPython.display import SVG, display

    handle = None
    curves: dict[str, list[float]] = {}
    steps: list[tuple[float, float]] = []
    epoch, drawn, pause = 0, time.monotonic(), 1.0
    for event in events:
        late = time.monotonic() - drawn > pause
        if isinstance(event, Epoched):
            epoch = event.epoch
            shown = {"training loss": event.loss}
            shown |= {f"validation {name}": event.scores[name] for name in ("loss", score) if name in event.scores}
            for name, value in shown.items():
                curves.setdefault(name, []).append(value)
        elif late:  # reading a loss more often would stall a GPU
            steps.append((event.step / per_epoch, float(event.loss)))
            steps = steps if len(steps) < MOST else steps[::2]
        if late or (isinstance(event, Epoched) and (handle is None or epoch == epochs)):
            began = time.monotonic()
            image = SVG(_draw(curves, steps, epoch, epochs))
            if handle is None:
                handle = display(image, display_id=True)
            else:
                handle.update(image)
            drawn = time.monotonic()
            pause = max(1.0, 20 * (drawn - began))
        yield event
    if handle is not None:
        handle.update(SVG(_draw(curves, steps, epoch, epochs)))


def _draw(curves: dict[str, list[float]], steps: list[tuple[float, float]], epoch: int, epochs: int) -> str:
    import io

    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    other = axes.twinx() if any(not name.endswith("loss") for name in curves) else axes
    if steps:
        axes.plot(*zip(*steps, strict=True), color="C0", alpha=0.35, linewidth=0.8, label="loss of a step")
    for number, (name, values) in enumerate(curves.items()):
        target = axes if name.endswith("loss") else other
        start = epoch - len(values) + 1
        target.plot(
            range(start, epoch + 1),
            values,
            ["-", "--", "-."][number % 3],
            color=f"C{number}",
            marker="o" if len(values) == 1 else None,  # a line needs two points to be seen
            label=name,
        )
        if target is other:
            target.set_ylabel(name.removeprefix("validation "))
    axes.set_ylabel("loss")
    axes.set_xlim(0, epochs)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    figure.legend(loc="outside upper center", ncols=4, frameon=False)
    content = io.StringIO()
    figure.savefig(content, format="svg")
    return content.getvalue()
