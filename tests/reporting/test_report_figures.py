"""Figures: well formed, self-contained, and independent of the user's matplotlib settings."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from collections.abc import Callable
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.reporting import figures
from yisheng.reporting.evaluation_schema import Bin, Pairs, TargetPairs
from yisheng.reporting.history import Epoch, History, Step
from yisheng.reporting.svg import VARIABLES, Chart, clean_label

HISTORY = History(
    steps=tuple(Step(i, 1 / i, 0.1) for i in range(1, 200)),
    epochs=tuple(Epoch(10 * i, i, 1 / i, {"loss": 1.1 / i, "accuracy": 1 - 1 / i}) for i in range(1, 11)),
)
BINS = [
    Bin(low=0.0, high=0.5, confidence=0.4, accuracy=0.3, count=9),
    Bin(low=0.5, high=1, confidence=0.8, accuracy=0.7, count=30),
    Bin(low=0.9, high=1, count=0),
]
PAIRS = TargetPairs([1.0, 2.0, 3.0], [1.1, 2.0, 2.5])
FIGURES: dict[str, Callable[[], Chart]] = {
    "loss": lambda: figures.plot_loss_by_epoch(HISTORY, 7),
    "score": lambda: figures.plot_score_by_epoch(HISTORY, "accuracy", "accuracy", 7),
    "step": lambda: figures.plot_loss_by_step(HISTORY),
    "rate": lambda: figures.plot_lr_by_step(HISTORY),
    "reliability": lambda: figures.plot_reliability(BINS),
    "pairs": lambda: figures.plot_predicted_by_true(PAIRS, "€"),
    "residuals": lambda: figures.plot_residuals(PAIRS),
}
pytestmark = pytest.mark.usefixtures("draw_figures")
numbers = st.floats() | st.floats(-10, 10)


@functools.cache
def draw(name: str) -> str:
    return str(FIGURES[name]())


def texts(chart: str | Chart) -> list[str]:
    root = ElementTree.fromstring(str(chart))
    return ["".join(e.itertext()) for e in root.iter() if e.tag.endswith("}text")]


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_xml_with_unique_ids_and_internal_links(name: str) -> None:
    svg = draw(name)
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert all(str(i).startswith(f"{name}-") for i in ids)
    links = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
    assert set(links) <= set(ids)
    assert svg.count("http") == 1  # the namespace
    assert texts(svg), "text is converted to paths"


@pytest.mark.parametrize("name", FIGURES)
def test_figures_use_the_colors_of_the_page(name: str) -> None:
    without_variables = re.sub(r"var\(--\w+, #\w{6}\)", "", draw(name))
    assert not re.findall(r"#[0-9a-f]{6}\b", without_variables)
    assert all(f"var(--{variable}" in draw(name) for variable in ("text", "line"))
    assert set(VARIABLES.values()) >= set(re.findall(r"var\(--(\w+), #", draw(name)))


def test_figures_neither_use_nor_change_the_users_settings() -> None:
    import matplotlib

    expected = draw("loss")
    user_settings = {
        "axes.facecolor": "black",
        "font.size": 30,
        "lines.linewidth": 9,
        "grid.linestyle": ":",
        "axes.titleweight": "bold",
    }
    with matplotlib.rc_context(user_settings):
        assert draw("loss") == expected
        assert matplotlib.rcParams["font.size"] == 30
        assert matplotlib.rcParams["svg.fonttype"] == "path"


def test_figures_do_not_import_pyplot() -> None:
    code = (
        "import sys; from yisheng.reporting import figures\n"
        "from yisheng.reporting.evaluation_schema import TargetPairs\n"
        "assert 'matplotlib' not in sys.modules\n"
        "str(figures.plot_residuals(TargetPairs([1, 2], [1, 3])))\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_best_epoch_is_marked_on_its_point() -> None:
    assert any("epoch 7" in text for text in texts(draw("loss")))
    assert not any("best" in text for text in texts(figures.plot_loss_by_epoch(HISTORY)))
    svg = str(figures.plot_score_by_epoch(HISTORY, "accuracy", "accuracy", 7))
    root = ElementTree.fromstring(svg)
    uses = [e for e in root.iter() if e.tag.endswith("}use")]
    positions = [(e.get("x"), e.get("y")) for e in uses]
    assert any(positions.count(position) == 2 for position in positions)  # the ring is on a marker of the line


def test_log_axis_is_used_for_losses_that_span_decades() -> None:
    ticks = [f"{10.0**-k:g}" for k in range(3)]
    assert set(ticks) <= set(texts(figures.plot_loss_by_step(HISTORY)))
    assert "0.01" not in texts(figures.plot_score_by_epoch(HISTORY, "accuracy", "accuracy"))


@pytest.mark.parametrize("i", range(8))
def test_any_name_is_drawn_as_text(hostile: tuple[str, ...], i: int) -> None:
    name = hostile[i]
    history = History(epochs=(Epoch(1, 1, 0.5, {name: 0.5}), Epoch(2, 2, 0.5, {name: 0.6})))
    svg = str(figures.plot_score_by_epoch(history, name, name))
    assert f"validation {clean_label(name)}" in texts(svg)
    assert "<script" not in svg
    ElementTree.fromstring(str(figures.plot_residuals(PAIRS, name)))


@settings(max_examples=6, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=6), st.integers(0, 8))
def test_any_numbers_are_drawn(values: list[float], best: int) -> None:
    history = History(
        steps=tuple(Step(i + 1, v, abs(v)) for i, v in enumerate(values)),
        epochs=tuple(Epoch(i + 1, i + 1, v, {"loss": v, "a": -v}) for i, v in enumerate(values)),
    )
    pairs = TargetPairs(values, values[::-1])
    for chart in (
        figures.plot_loss_by_epoch(history, best),
        figures.plot_score_by_epoch(history, "a", "a", best, log=True),
        figures.plot_loss_by_step(history),
        figures.plot_lr_by_step(history),
        figures.plot_predicted_by_true(pairs),
        figures.plot_residuals(pairs),
    ):
        assert "nan" not in re.sub(r">[^<]*<", "", ElementTree.tostring(ElementTree.fromstring(str(chart)), "unicode"))


def test_reliability_without_bins() -> None:
    ElementTree.fromstring(str(figures.plot_reliability([])))


def test_running_mean_equals_numpy() -> None:
    values = np.random.default_rng(0).normal(size=50)
    for reach in (1, 3, 60):
        windows = [values[max(0, i - reach) : i + reach + 1].mean() for i in range(len(values))]
        np.testing.assert_allclose(figures._running_mean(list(values), reach), windows)
    assert np.isnan(figures._running_mean([np.nan, 1.0, 3.0], 0)[0])
    assert figures._running_mean([np.nan, 1.0, 3.0], 1) == [1.0, 2.0, 2.0]


def test_the_figures_of_one_of_several_targets_name_it() -> None:
    labels = texts(figures.plot_predicted_by_true(PAIRS, "mm", "height"))
    assert {"predicted height (mm)", "true height (mm)"} <= set(labels)
    assert "predicted − true height" in texts(figures.plot_residuals(PAIRS, name="height"))


def test_pairs_are_split_by_target() -> None:
    pairs = Pairs(true=[[1, 2], [3, 4]], predicted=[[1.5, 2], [3, 5]])
    assert pairs.by_target == [TargetPairs([1, 3], [1.5, 3]), TargetPairs([2, 4], [2, 5])]
    assert Pairs(true=[1, 3], predicted=[2, 4]).by_target == [TargetPairs([1, 3], [2, 4])]
    with pytest.raises(ValueError, match="the same number of targets"):
        Pairs(true=[[1, 2], [3]], predicted=[[1, 2], [3, 4]])
