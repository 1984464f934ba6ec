"""Figures of a run's report, as SVG text.

Color is never the only distinction: lines also differ in dash and marker, and the axis or a legend names them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from yisheng.core.messages import Message, translate
from yisheng.reporting.evaluation_schema import Bin, TargetPairs
from yisheng.reporting.formatting import format_tick
from yisheng.reporting.history import History
from yisheng.reporting.lr_find_facts import LearningRateTest
from yisheng.reporting.svg import (
    BACKGROUND,
    FIRST_COLOR,
    GRID,
    MUTED,
    SECOND_COLOR,
    TEXT,
    Chart,
    clean_label,
    explain_empty,
    label_counts,
    set_log_axis,
    set_ticks,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MIN_LOG_DECADES = 1.5
"""Positive values that span more powers of ten than this are drawn on a log axis."""
MAX_DRAWABLE = 1e30
"""Larger values come from runs that diverged; drawn, they would flatten all other values."""
TRAINING_LOSS, BATCH, PERFECT = Message("training loss"), Message("batch"), Message("perfect")
PREDICTED, TRUE = Message("predicted"), Message("true")
X_LABELS = {"step": Message("step"), "epoch": Message("epoch")}
Points = Sequence[tuple[int, float]]
MAX_MARKERS = 40
"""Lines with at most this number of points have a marker at each point."""


def plot_loss_by_epoch(history: History, best: int | None = None) -> Chart:
    """Draw training and validation loss by epoch, with a mark at the epoch whose weights are used."""

    def paint(axes: Axes) -> None:
        epochs = history.epochs
        training = [(e.epoch, _drawable(e.loss)) for e in epochs]
        validation = [(e.epoch, _drawable(e.scores["loss"])) for e in epochs if "loss" in e.scores]
        _plot_line(axes, training, Message("training"), color=SECOND_COLOR, dashed=True)
        _plot_line(axes, validation, Message("validation"), color=FIRST_COLOR)
        _mark_best_epoch(axes, validation or training, best)
        _label_axes(axes, Message("loss"), Message("epoch"), [y for _, y in training + validation])

    return Chart("loss", paint, on_canvas=True)


def plot_score_by_epoch(
    history: History, score: str, name: str, best: int | None = None, *, log: bool = False
) -> Chart:
    """Draw a validation score by epoch.

    Args:
        history: the recorded steps and epochs.
        score: key of the score in the history.
        name: name of the score in the figure.
        best: the epoch whose weights are used.
        log: whether a log axis is allowed (useful for errors, not for fractions).
    """

    def paint(axes: Axes) -> None:
        points = [(e.epoch, _drawable(e.scores[score])) for e in history.epochs if score in e.scores]
        _plot_line(axes, points, "", color=FIRST_COLOR)
        _mark_best_epoch(axes, points, best)
        title = Message("validation {score}", score=clean_label(translate(name)))
        _label_axes(axes, title, Message("epoch"), [y for _, y in points] if log else ())

    return Chart("score", paint, on_canvas=True)


def plot_loss_by_step(history: History) -> Chart:
    """Draw the loss of single batches by step, with a running mean over a fortieth of them (at least five)."""

    def paint(axes: Axes) -> None:
        points = [(s.step, _drawable(s.loss)) for s in history.steps]
        axes.plot(*zip(*points, strict=True), color=MUTED, alpha=0.6, linewidth=0.8, label=translate(BATCH))
        smooth = _running_mean([y for _, y in points], max(2, len(points) // 80))
        axes.plot([x for x, _ in points], smooth, color=FIRST_COLOR, label=translate(Message("running mean")))
        _label_axes(axes, TRAINING_LOSS, Message("step"), [y for _, y in points])

    return Chart("step", paint, on_canvas=True)


def plot_lr_by_step(history: History) -> Chart:
    """Draw the learning rate by step."""

    def paint(axes: Axes) -> None:
        rates = [_drawable(s.lr) for s in history.steps]
        axes.plot([s.step for s in history.steps], rates, color=FIRST_COLOR)
        axes.set_ylim(0, 1.08 * max([r for r in rates if r > 0], default=1.0))
        _label_axes(axes, Message("learning rate"), Message("step"), ())

    return Chart("rate", paint, on_canvas=True)


def plot_range_test(test: LearningRateTest) -> Chart:
    """Draw the loss by learning rate of a range test, with a mark at the suggested rate.

    The axis of the loss ends a little above the largest loss before the descent, so that divergence is cut off.
    """

    def paint(axes: Axes) -> None:
        first = test.curves[0]
        axes.plot(
            first.lr,
            [_drawable(y) for y in first.loss],
            color=MUTED,
            alpha=0.5,
            linewidth=0.7,
            label=translate(BATCH),
        )
        for number, curve in enumerate(test.curves):
            label = translate(Message("smoothed")) if number == 0 else None
            axes.plot(curve.lr, [_drawable(y) for y in curve.smooth], color=FIRST_COLOR, linewidth=1.4, label=label)
        if test.suggestion is not None:
            label = translate(Message("suggested"))
            axes.axvline(test.suggestion, color=SECOND_COLOR, linewidth=1.4, linestyle=(0, (4, 2)), label=label)
        values = [y for curve in test.curves for y in curve.smooth if math.isfinite(y)]
        starts = [curve.smooth[0] for curve in test.curves if curve.smooth]
        if values:
            low, high = min(values), max(starts)
            margin = 0.1 * ((high - low) or abs(high) or 1.0)
            axes.set_ylim(low - margin, high + 3 * margin)
        _label_axes(axes, TRAINING_LOSS, Message("learning rate"), ())
        set_log_axis(axes, "x")

    return Chart("range-test", paint, on_canvas=True)


def plot_two_losses(scratch_losses: Points, library_losses: Points, x_label: str) -> Chart:
    """Draw the training losses of a from-scratch run and of the library's run in one figure.

    Args:
        scratch_losses: losses of the from-scratch run, by step or epoch.
        library_losses: losses of the library's run.
        x_label: ``step`` or ``epoch``.
    """

    def paint(axes: Axes) -> None:
        curves = [[(x, _drawable(y)) for x, y in points] for points in (scratch_losses, library_losses)]
        first, second = translate(Message("from scratch")), translate(Message("library"))
        axes.plot(*zip(*curves[0], strict=True), color=FIRST_COLOR, alpha=0.45, linewidth=3.5, label=first)
        axes.plot(*zip(*curves[1], strict=True), color=SECOND_COLOR, linewidth=1.1, linestyle=(0, (4, 2)), label=second)
        _label_axes(axes, TRAINING_LOSS, X_LABELS[x_label], [y for points in curves for _, y in points])

    return Chart("scratch-losses", paint, on_canvas=True)


def plot_loss_difference(points: Points, x_label: str) -> Chart:
    """Draw the difference of two losses in units of a power of ten."""

    def paint(axes: Axes) -> None:
        differences = [_drawable(abs(y)) for _, y in points]
        unit = 10.0 ** math.floor(math.log10(max((y for y in differences if y > 0), default=1.0)))
        scaled = [y / unit for y in differences]  # so that the tick labels stay short
        marker = "o" if len(points) <= MAX_MARKERS else ""
        axes.plot([x for x, _ in points], scaled, color=FIRST_COLOR, marker=marker, markersize=3, linewidth=1)
        title = Message("difference of the losses (in {unit})", unit=format_tick(unit))
        _label_axes(axes, title, X_LABELS[x_label], scaled)

    return Chart("loss-difference", paint, on_canvas=True)


def plot_reliability(bins: Sequence[Bin]) -> Chart:
    """Draw a reliability diagram: accuracy by confidence, and the fraction of rows in each bin.

    Guo et al., "On calibration of modern neural networks" (2017), figure 1.
    """

    def paint(axes: Axes) -> None:
        filled = [b for b in bins if b.count and b.confidence is not None and b.accuracy is not None]
        max_count = max((b.count for b in filled), default=1)
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label=translate(PERFECT))
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
        label = translate(Message("this model"))
        axes.plot(xs, ys, "o-", color=FIRST_COLOR, markersize=2, linewidth=1.2, label=label, zorder=4)
        for b, x, y in zip(filled, xs, ys, strict=True):  # a dot's area is proportional to its rows
            axes.plot([x], [y], "o", color=FIRST_COLOR, markersize=2 + 7 * math.sqrt(b.count / max_count), zorder=4)
        axes.bar(0, 0, color=GRID, label=translate(Message("rows")))
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(0, 1.03)
        _label_axes(axes, Message("accuracy"), Message("predicted probability"), ())

    return Chart("reliability", paint, on_canvas=True)


def plot_predicted_by_true(pairs: TargetPairs, unit: str = "", name: str = "") -> Chart:
    """Draw predicted against true values, with the diagonal of a perfect model.

    Args:
        pairs: the values of one target.
        unit: of the target.
        name: of the target if there are several.
    """

    def paint(axes: Axes) -> None:
        points = _finite_pairs(pairs)
        values = [v for pair in points for v in pair]
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        axes.plot([low, high], [low, high], color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label=translate(PERFECT))
        _plot_dots(axes, points)
        _label_axes(axes, _label(PREDICTED, name, unit), _label(TRUE, name, unit), values if low > 0 else ())
        if axes.get_yscale() == "log":
            set_log_axis(axes, "x")

    return Chart("pairs", paint, on_canvas=True)


def plot_residuals(pairs: TargetPairs, unit: str = "", name: str = "") -> Chart:
    """Draw predicted minus true value by predicted value; a pattern is a dependence that the model has not learned.

    Args:
        pairs: the values of one target.
        unit: of the target.
        name: of the target if there are several.
    """

    def paint(axes: Axes) -> None:
        axes.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        _plot_dots(axes, [(predicted, predicted - true) for true, predicted in _finite_pairs(pairs)])
        _label_axes(axes, _label(Message("predicted − true"), name, unit), _label(PREDICTED, name, unit), ())

    return Chart("residuals", paint, on_canvas=True)


def spans_decades(values: Iterable[float]) -> bool:
    """Return whether the values are positive and span more than `MIN_LOG_DECADES` powers of ten.

    >>> spans_decades([0.01, 0.4]), spans_decades([0.1, 0.4]), spans_decades([0.0, 9.0])
    (True, False, False)
    """
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and min(finite) > 0 and math.log10(max(finite)) - math.log10(min(finite)) > MIN_LOG_DECADES


def _plot_line(
    axes: Axes, points: Sequence[tuple[float, float]], name: str, *, color: str, dashed: bool = False
) -> None:
    if not points:
        return
    marker = ("s" if dashed else "o") if len(points) <= MAX_MARKERS else ""
    style = (0, (4, 1.5)) if dashed else "-"
    xs, ys = zip(*points, strict=True)
    axes.plot(xs, ys, color=color, linestyle=style, marker=marker, markersize=3.5, label=translate(name) or "_")


def _mark_best_epoch(axes: Axes, points: Sequence[tuple[float, float]], best: int | None) -> None:
    if best is None or not points:
        return
    axes.axvline(best, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
    values = [y for x, y in points if x == best]
    label = translate(Message("best: epoch {epoch}", epoch=f"{best:,}"))
    (ring,) = axes.plot([best], values[:1] or [math.nan], "o", color=BACKGROUND, label=label, zorder=5)
    ring.set(markeredgecolor=TEXT, markeredgewidth=1.6, markersize=8)


def _plot_dots(axes: Axes, points: Sequence[tuple[float, float]]) -> None:
    xs, ys = zip(*points, strict=True) if points else ((), ())
    size = 4.5 if len(points) <= 300 else 3
    axes.plot(xs, ys, "o", color=FIRST_COLOR, alpha=0.55, markersize=size, markeredgewidth=0)


def _label_axes(axes: Axes, title: str, x_label: str, values: Iterable[float]) -> None:
    """Add labels, ticks and legend. The label of the y axis is horizontal and above it, which is easier to read."""
    axes.set_title(translate(title), loc="left", x=-0.1)
    axes.set_xlabel(translate(x_label))
    if x_label in ("epoch", "step"):
        label_counts(axes)
    else:
        set_ticks(axes, "x", 6)
    set_ticks(axes, "y", 5)
    if spans_decades(values):
        set_log_axis(axes, "y")
    if axes.get_legend_handles_labels()[1]:
        position = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.985), "ncols": 3}
        axes.legend(**position, handlelength=1.7, columnspacing=1.1, handletextpad=0.5, borderaxespad=0)
    explain_empty(axes)


def _label(text: str, target: str, unit: str) -> str:
    """Return the label of an axis, with the name of one of several targets and the unit."""
    if target.strip():
        text = Message("{quantity} {target}", quantity=text, target=clean_label(target, 20))
    return Message("{quantity} ({unit})", quantity=text, unit=clean_label(unit, 20)) if unit.strip() else text


def _finite_pairs(pairs: TargetPairs) -> list[tuple[float, float]]:
    pairs_of_values = zip(map(_drawable, pairs.true), map(_drawable, pairs.predicted), strict=True)
    return [(true, predicted) for true, predicted in pairs_of_values if math.isfinite(true + predicted)]


def _running_mean(values: Sequence[float], reach: int) -> list[float]:
    """Return the mean of each value and ``reach`` neighbors on both sides; NaN if all of them are NaN.

    A centered window does not lag behind the values, as a window of past values would.
    """
    windows = ([v for v in values[max(0, i - reach) : i + reach + 1] if not math.isnan(v)] for i in range(len(values)))
    return [sum(window) / len(window) if window else math.nan for window in windows]


def _drawable(value: float) -> float:
    """Return the value, NaN (a gap in the line) if no axis can show it, or zero if it is too small to be drawn."""
    if not abs(value) < MAX_DRAWABLE:
        return math.nan
    return value if abs(value) > 1 / MAX_DRAWABLE else 0.0
