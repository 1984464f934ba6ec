"""The live plot of a training in a notebook: the curves so far, redrawn in place."""

from __future__ import annotations

import time
from collections.abc import Iterator

from yisheng.core.events import EpochEnd, Event

MAX_PLOTTED_STEPS = 2_000
"""Points of a curve of steps in a notebook; beyond this every second point is dropped."""


def show_curves(events: Iterator[Event], epochs: int, steps_per_epoch: int, score: str) -> Iterator[Event]:
    """Redraw the curves in place, once a second at most; a long first epoch shows the losses of its steps.

    Drawing takes about a twentieth of the time at most, on slow machines too.

    Args:
        events: the events of a training.
        epochs: total number of epochs.
        steps_per_epoch: number of steps per epoch.
        score: the validation score to show.
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
