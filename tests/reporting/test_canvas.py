"""A chart that is drawn without matplotlib shows what matplotlib's axes show."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any
from xml.etree import ElementTree

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tests.reporting.test_report_figures import FIGURES
from yisheng.reporting import column_figures, layer_figures, svg
from yisheng.reporting.canvas import BOTTOM_EDGE, LEFT_EDGE, RIGHT_EDGE, TOP_EDGE, Canvas
from yisheng.reporting.canvas_axis import CanvasAxis, find_linear_ticks, find_log_ticks
from yisheng.reporting.evaluation_schema import ColumnEffect, EffectOnOutput
from yisheng.reporting.findings_schema import LayerCurve
from yisheng.reporting.svg import Chart

STEPS = [0, 1, 5, 10, 40, 200, 900]
LAYERS = [LayerCurve(name=str(n), values=[10.0 ** (n - k) for k in range(7)]) for n in range(3)]
EFFECT = ColumnEffect(
    column="size",
    is_number=True,
    values=[1.0, 2.0, 4.0],
    outputs=[EffectOnOutput(name="price", mean=[1.0, 3.0, 2.0], low=[0.5, 2.0, 1.0], high=[2.0, 4.0, 2.5])],
)
CHARTS = {
    **{name: make() for name, make in FIGURES.items()},
    "layers": layer_figures.plot_layers_by_step("layers", "gradient", STEPS, LAYERS, 1e-3, log=True),
    "fractions": layer_figures.plot_layers_by_step("fractions", "dead", STEPS, LAYERS[:1], 0.5, log=False),
    "dependence": column_figures.plot_dependence(EFFECT),
    "categories": column_figures.plot_dependence(EFFECT.model_copy(update={"values": ["a", "b", "c"]})),
}


def paint_both(chart: Chart) -> tuple[Canvas, Any]:
    """Paint a chart on a canvas and on axes of matplotlib."""
    canvas = Canvas(chart.name, svg.page_color, text=svg.TEXT, muted=svg.MUTED, grid=svg.GRID)
    chart.paint(canvas)
    with matplotlib.rc_context(svg.matplotlib_style(chart.name)):
        figure = Figure(figsize=(svg.WIDTH, svg.HEIGHT), dpi=72)
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.135, 0.15, 0.845, 0.73))
        chart.paint(axes)
        figure.canvas.draw()
    return canvas, axes


@pytest.mark.parametrize("name", CHARTS)
def test_limits_labels_and_positions_are_those_of_matplotlib(name: str) -> None:
    canvas, axes = paint_both(CHARTS[name])
    assert canvas.get_xlim() == pytest.approx(axes.get_xlim(), rel=1e-6)
    assert canvas.get_ylim() == pytest.approx(axes.get_ylim(), rel=1e-6)
    assert canvas.get_legend_handles_labels()[1] == axes.get_legend_handles_labels()[1]
    for x, y in canvas.lines[0].points:
        expected = axes.transData.transform((x, y))
        assert canvas.x.locate(x) == pytest.approx(expected[0], abs=0.02)
        assert svg.HEIGHT * 72 - canvas.y.locate(y) == pytest.approx(expected[1], abs=0.02)
    written = ["".join(element.itertext()) for element in ElementTree.fromstring(canvas.render()).iter()]
    for text in (axes.get_title(loc="left"), axes.get_xlabel(), *axes.get_legend_handles_labels()[1]):
        assert text in written


@pytest.mark.parametrize("name", CHARTS)
def test_ticks_and_texts_are_within_the_figure(name: str) -> None:
    canvas, _ = paint_both(CHARTS[name])
    for axis, low, high in ((canvas.x, LEFT_EDGE, RIGHT_EDGE), (canvas.y, TOP_EDGE, BOTTOM_EDGE)):
        positions = [position for position, _ in axis.locate_ticks()]
        assert 2 <= len(positions) <= 10
        assert all(low - 0.01 <= position <= high + 0.01 for position in positions)
        assert len({label for _, label in axis.locate_ticks()}) == len(positions)
    texts = [element for element in ElementTree.fromstring(canvas.render()).iter() if element.tag.endswith("text")]
    assert all(-1 <= float(element.get("x", "nan")) <= 72 * svg.WIDTH for element in texts)
    assert all(0 <= float(element.get("y", "nan")) <= 72 * svg.HEIGHT for element in texts)


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12), st.integers(1, 9))
def test_ticks_are_round_and_few(low: float, span: float, count: int) -> None:
    high = low + span
    ticks = find_linear_ticks(low, high, count)
    assert len(ticks) <= count + 1
    assert all(low - 1e-6 * span <= tick <= high + 1e-6 * span for tick in ticks)
    gaps = [second - first for first, second in itertools.pairwise(ticks)]
    if len(gaps) > 1 and span > 1e-9 * max(abs(low), abs(high)):
        assert max(gaps) == pytest.approx(min(gaps), rel=1e-3, abs=1e-9 * max(abs(low), abs(high)))


@given(st.floats(1e-12, 1e12), st.floats(1.5, 1e20))
def test_ticks_of_a_logarithmic_axis_are_within_it(low: float, factor: float) -> None:
    ticks = find_log_ticks(low, low * factor, 5)
    assert ticks == sorted(ticks)
    assert len(ticks) <= 10
    assert all(low <= tick <= low * factor for tick in ticks)


@given(st.lists(st.floats(), max_size=6), st.sampled_from(["linear", "log", "symlog"]))
def test_an_axis_has_finite_limits_for_any_numbers(values: list[float], scale: str) -> None:
    axis = CanvasAxis(0, 100)
    axis.include(value for value in values if abs(value) < 1e30)
    axis.scale = scale
    low, high = axis.limits
    assert low < high
    assert all(math.isfinite(position) for position, _ in axis.locate_ticks())


def test_hostile_text_is_escaped() -> None:
    canvas = Canvas("a", str, text="black", muted="gray", grid="silver")
    canvas.plot([1], [2], color="red", label='<script> & "')
    canvas.set_title("a < b")
    canvas.legend()
    root = ElementTree.fromstring(canvas.render())
    texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
    assert '<script> & "' in texts
    assert "a < b" in texts
    assert not re.search("<script", canvas.render())
