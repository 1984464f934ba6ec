"""The report's figures, each as SVG text.

No figure holds what only colour can tell: lines differ in dash and marker, and the axis or a legend names them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from yisheng.reporting.evaluation_schema import Bin, Pairs
from yisheng.reporting.formatting import format_tick
from yisheng.reporting.history import History
from yisheng.reporting.svg import BACKGROUND, FIRST_COLOR, GRID, MUTED, SECOND_COLOR, TEXT, draw, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MIN_LOG_DECADES = 1.5
"""Values that span more than this many powers of ten are drawn on a log axis."""
MAX_DRAWABLE = 1e30
"""Numbers beyond this are those of a run that diverged, and would press all others flat."""
Points = Sequence[tuple[int, float]]
MAX_MARKERS = 40
"""Up to so many epochs each has a marker of its own."""


def plot_loss_by_epoch(history: History, best: int | None = None) -> str:
    """Draw training and validation loss by epoch, with a mark at the epoch whose weights are kept."""

    def paint(axes: Axes) -> None:
        epochs = history.epochs
        training = [(e.epoch, _drawable(e.loss)) for e in epochs]
        validation = [(e.epoch, _drawable(e.scores["loss"])) for e in epochs if "loss" in e.scores]
        _line(axes, training, "training", colour=SECOND_COLOR, dashed=True)
        _line(axes, validation, "validation", colour=FIRST_COLOR)
        _mark(axes, validation or training, best)
        _finish(axes, "loss", "epoch", [y for _, y in training + validation])

    return draw("loss", paint)


def plot_score_by_epoch(history: History, score: str, name: str, best: int | None = None, *, log: bool = False) -> str:
    """Draw a validation score by epoch.

    Args:
        history: the log.
        score: its key in the log.
        name: what to call it.
        best: epoch of the weights that are kept.
        log: whether a log axis may be used (an error may have one, a share may not).
    """

    def paint(axes: Axes) -> None:
        points = [(e.epoch, _drawable(e.scores[score])) for e in history.epochs if score in e.scores]
        _line(axes, points, "", colour=FIRST_COLOR)
        _mark(axes, points, best)
        _finish(axes, f"validation {label(name)}", "epoch", [y for _, y in points] if log else ())

    return draw("score", paint)


def plot_loss_by_step(history: History) -> str:
    """Draw the loss of single batches by step, with a running mean over a fortieth of them (five at least)."""

    def paint(axes: Axes) -> None:
        points = [(s.step, _drawable(s.loss)) for s in history.steps]
        axes.plot(*zip(*points, strict=True), color=MUTED, alpha=0.6, linewidth=0.8, label="batch")
        smooth = _running_mean([y for _, y in points], max(2, len(points) // 80))
        axes.plot([x for x, _ in points], smooth, color=FIRST_COLOR, label="running mean")
        _finish(axes, "training loss", "step", [y for _, y in points])

    return draw("step", paint)


def plot_lr_by_step(history: History) -> str:
    """Draw the learning rate by step."""

    def paint(axes: Axes) -> None:
        rates = [_drawable(s.lr) for s in history.steps]
        axes.plot([s.step for s in history.steps], rates, color=FIRST_COLOR)
        axes.set_ylim(0, 1.08 * max([r for r in rates if r > 0], default=1.0))
        _finish(axes, "learning rate", "step", ())

    return draw("rate", paint)


def plot_two_losses(first: Points, second: Points, x_label: str) -> str:
    """Draw the training losses of the from-scratch run and of the library's in one figure.

    Args:
        ours: of the run by hand, by step or epoch.
        theirs: of the library's.
        along: ``step`` or ``epoch``.
    """

    def paint(axes: Axes) -> None:
        curves = [[(x, _drawable(y)) for x, y in points] for points in (first, second)]
        axes.plot(*zip(*curves[0], strict=True), color=FIRST_COLOR, alpha=0.45, linewidth=3.5, label="by hand")
        axes.plot(
            *zip(*curves[1], strict=True), color=SECOND_COLOR, linewidth=1.1, linestyle=(0, (4, 2)), label="library"
        )
        _finish(axes, "training loss", x_label, [y for points in curves for _, y in points])

    return draw("twin", paint)


def plot_loss_difference(points: Points, x_label: str) -> str:
    """Draw the difference of two losses in units of a power of ten."""

    def paint(axes: Axes) -> None:
        differences = [_drawable(abs(y)) for _, y in points]
        unit = 10.0 ** math.floor(math.log10(max((y for y in differences if y > 0), default=1.0)))
        scaled = [y / unit for y in differences]  # the numbers beside the axis stay short
        marker = "o" if len(points) <= MAX_MARKERS else ""
        axes.plot([x for x, _ in points], scaled, color=FIRST_COLOR, marker=marker, markersize=3, linewidth=1)
        _finish(axes, f"difference of the losses (in {format_tick(unit)})", x_label, scaled)

    return draw("apart", paint)


def plot_reliability(bins: Sequence[Bin]) -> str:
    """Draw a reliability diagram: accuracy by confidence, and the fraction of rows in each bin.

    Guo et al., "On calibration of modern neural networks" (2017), figure 1.
    """

    def paint(axes: Axes) -> None:
        filled = [b for b in bins if b.count and b.confidence is not None and b.accuracy is not None]
        max_count = max((b.count for b in filled), default=1)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="perfect")
        for b in filled:
            axes.bar(
                b.low,
                0.16 * b.count / max_count,
                b.high - b.low,
                align="edge",
                color=GRID,
                edgecolor=BACKGROUND,
                zorder=1.5,
            )
        xs, ys = [b.confidence or 0 for b in filled], [b.accuracy or 0 for b in filled]
        axes.plot(xs, ys, "o-", color=FIRST_COLOR, markersize=2, linewidth=1.2, label="this model", zorder=4)
        for b, x, y in zip(filled, xs, ys, strict=True):  # a dot's area is its rows: few prove little
            axes.plot([x], [y], "o", color=FIRST_COLOR, markersize=2 + 7 * math.sqrt(b.count / max_count), zorder=4)
        axes.bar(0, 0, color=GRID, label="rows")
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(0, 1.03)
        _finish(axes, "share that is right", "probability that the model gives", ())

    return draw("reliability", paint)


def plot_predicted_by_true(pairs: Pairs, unit: str = "") -> str:
    """Draw predicted against true values, with the diagonal of a perfect model."""

    def paint(axes: Axes) -> None:
        points = _finite(pairs)
        values = [v for pair in points for v in pair]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        axes.plot([low, high], [low, high], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="perfect")
        _dots(axes, points)
        _finish(axes, _with_unit("predicted", unit), _with_unit("true", unit), values if low > 0 else ())
        if axes.get_yscale() == "log":
            _log_axis(axes, "x")

    return draw("pairs", paint)


def plot_residuals(pairs: Pairs, unit: str = "") -> str:
    """Draw predicted minus true value by predicted value; a pattern shows what the model has not learned."""

    def paint(axes: Axes) -> None:
        axes.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        _dots(axes, [(predicted, predicted - true) for true, predicted in _finite(pairs)])
        _finish(axes, _with_unit("predicted − true", unit), _with_unit("predicted", unit), ())

    return draw("residuals", paint)


def spans_decades(values: Iterable[float]) -> bool:
    """Return whether the values are positive and span more than `MIN_LOG_DECADES` powers of ten.

    >>> spans_decades([0.01, 0.4]), spans_decades([0.1, 0.4]), spans_decades([0.0, 9.0])
    (True, False, False)
    """
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and min(finite) > 0 and math.log10(max(finite)) - math.log10(min(finite)) > MIN_LOG_DECADES


def _line(axes: Axes, points: Sequence[tuple[float, float]], name: str, *, colour: str, dashed: bool = False) -> None:
    if not points:
        return
    marker = ("s" if dashed else "o") if len(points) <= MAX_MARKERS else ""
    style = (0, (4, 1.5)) if dashed else "-"
    xs, ys = zip(*points, strict=True)
    axes.plot(xs, ys, color=colour, linestyle=style, marker=marker, markersize=3.5, label=name or "_")


def _mark(axes: Axes, points: Sequence[tuple[float, float]], best: int | None) -> None:
    if best is None or not points:
        return
    axes.axvline(best, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    values = [y for x, y in points if x == best]
    (ring,) = axes.plot(
        [best], values[:1] or [math.nan], "o", color=BACKGROUND, label=f"best: epoch {best:,}", zorder=5
    )
    ring.set(markeredgecolor=TEXT, markeredgewidth=1.6, markersize=8)


def _dots(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    xs, ys = zip(*points, strict=True) if points else ((), ())
    size = 4.5 if len(points) <= 300 else 3
    axes.plot(xs, ys, "o", color=FIRST_COLOR, alpha=0.55, markersize=size, markeredgewidth=0)


def _finish(axes: Axes, up: str, along: str, values: Iterable[float]) -> None:
    """Add names, ticks and legend. The name of the y axis is written horizontally above it, where it is easy to
    read."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.set_title(up, loc="left", x=-0.1)
    axes.set_xlabel(along)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=along in ("epoch", "step")))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
    if spans_decades(values):
        _log_axis(axes, "y")
    if axes.get_legend_handles_labels()[1]:
        place = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.985), "ncols": 3}
        axes.legend(**place, handlelength=1.7, columnspacing=1.1, handletextpad=0.5, borderaxespad=0)


def _log_axis(axes: Axes, direction: str) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    (axes.set_yscale if direction == "y" else axes.set_xscale)("log")
    axis = axes.yaxis if direction == "y" else axes.xaxis
    low, high = axes.get_ylim() if direction == "y" else axes.get_xlim()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if math.log10(high / low) < 2.5 else (1,), numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
    axis.set_minor_formatter(NullFormatter())
    axis.set_tick_params(which="minor", length=0)


def _with_unit(name: str, unit: str) -> str:
    return f"{name} ({label(unit, 20)})" if unit.strip() else name


def _finite(pairs: Pairs) -> list[tuple[float, float]]:
    pairs_of_values = zip(map(_drawable, pairs.true), map(_drawable, pairs.predicted), strict=True)
    return [(true, predicted) for true, predicted in pairs_of_values if math.isfinite(true + predicted)]


def _running_mean(values: Sequence[float], reach: int) -> list[float]:
    """Return the mean of each value and ``reach`` neighbors on both sides, so that it does not lag; NaN if all are
    NaN."""
    windows = ([v for v in values[max(0, i - reach) : i + reach + 1] if not math.isnan(v)] for i in range(len(values)))
    return [sum(window) / len(window) if window else math.nan for window in windows]


def _drawable(value: float) -> float:
    """Return the value, NaN (a gap in the line) if no axis can show it, or zero if it is too small to be drawn."""
    if not abs(value) < MAX_DRAWABLE:
        return math.nan
    return value if abs(value) > 1 / MAX_DRAWABLE else 0.0
