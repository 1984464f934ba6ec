"""Figures: well-formed, self-contained, the same whatever the user's matplotlib is set to."""

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
from yisheng.reporting.evaluation_schema import Bin, Pairs
from yisheng.reporting.history import Epoch, History, Step
from yisheng.reporting.svg import VARIABLES, label

LOG = History(
    steps=tuple(Step(i, 1 / i, 0.1) for i in range(1, 200)),
    epochs=tuple(Epoch(10 * i, i, 1 / i, {"loss": 1.1 / i, "accuracy": 1 - 1 / i}) for i in range(1, 11)),
)
BINS = [
    Bin(low=0.0, high=0.5, confidence=0.4, accuracy=0.3, count=9),
    Bin(low=0.5, high=1, confidence=0.8, accuracy=0.7, count=30),
    Bin(low=0.9, high=1, count=0),
]
PAIRS = Pairs(true=[1.0, 2.0, 3.0], predicted=[1.1, 2.0, 2.5])
DRAWN: dict[str, Callable[[], str]] = {
    "loss": lambda: figures.plot_loss_by_epoch(LOG, 7),
    "score": lambda: figures.plot_score_by_epoch(LOG, "accuracy", "accuracy", 7),
    "step": lambda: figures.plot_loss_by_step(LOG),
    "rate": lambda: figures.plot_lr_by_step(LOG),
    "reliability": lambda: figures.plot_reliability(BINS),
    "pairs": lambda: figures.plot_predicted_by_true(PAIRS, "€"),
    "residuals": lambda: figures.plot_residuals(PAIRS),
}
numbers = st.floats() | st.floats(-10, 10)


@functools.cache
def drawn(name: str) -> str:
    return DRAWN[name]()


def texts(svg: str) -> list[str]:
    root = ElementTree.fromstring(svg)
    return ["".join(e.itertext()) for e in root.iter() if e.tag.endswith("}text")]


@pytest.mark.parametrize("name", DRAWN)
def test_is_xml_with_ids_of_its_own_and_nothing_from_outside(name: str) -> None:
    svg = drawn(name)
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert len(ids) == len(set(ids))
    assert all(str(i).startswith(f"{name}-") for i in ids)
    links = re.findall(r'(?:href="#|url\(#)([^")]+)', svg)
    assert set(links) <= set(ids)
    assert svg.count("http") == 1  # the name space
    assert texts(svg), "text must stay text"


@pytest.mark.parametrize("name", DRAWN)
def test_every_colour_is_the_pages(name: str) -> None:
    left = re.sub(r"var\(--\w+, #\w{6}\)", "", drawn(name))
    assert not re.findall(r"#[0-9a-f]{6}\b", left)
    assert all(f"var(--{variable}" in drawn(name) for variable in ("ink", "line"))
    assert set(VARIABLES.values()) >= set(re.findall(r"var\(--(\w+), #", drawn(name)))


def test_neither_depends_on_nor_changes_the_users_settings() -> None:
    import matplotlib

    usual = DRAWN["loss"]()
    changed = {
        "axes.facecolor": "black",
        "font.size": 30,
        "lines.linewidth": 9,
        "grid.linestyle": ":",
        "axes.titleweight": "bold",
    }
    with matplotlib.rc_context(changed):
        assert DRAWN["loss"]() == usual
        assert matplotlib.rcParams["font.size"] == 30
        assert matplotlib.rcParams["svg.fonttype"] == "path"


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys; from yisheng.reporting import figures; from yisheng.reporting.evaluation_schema import Pairs\n"
        "assert 'matplotlib' not in sys.modules\n"
        "figures.plot_residuals(Pairs(true=[1, 2], predicted=[1, 3]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_the_best_epoch_is_marked_on_its_point() -> None:
    assert any("epoch 7" in text for text in texts(drawn("loss")))
    assert not any("best" in text for text in texts(figures.plot_loss_by_epoch(LOG)))
    svg = figures.plot_score_by_epoch(LOG, "accuracy", "accuracy", 7)
    root = ElementTree.fromstring(svg)
    uses = [e for e in root.iter() if e.tag.endswith("}use")]
    places = [(e.get("x"), e.get("y")) for e in uses]
    assert any(places.count(place) == 2 for place in places)  # the ring lies on the line's own marker


def test_a_log_axis_is_taken_where_it_helps() -> None:
    wide = [f"{10.0**-k:g}" for k in range(3)]
    assert set(wide) <= set(texts(figures.plot_loss_by_step(LOG)))
    assert "0.01" not in texts(figures.plot_score_by_epoch(LOG, "accuracy", "accuracy"))


@pytest.mark.parametrize("which", range(8))
def test_any_name_is_drawn_as_text(hostile: tuple[str, ...], which: int) -> None:
    name = hostile[which]
    log = History(epochs=(Epoch(1, 1, 0.5, {name: 0.5}), Epoch(2, 2, 0.5, {name: 0.6})))
    svg = figures.plot_score_by_epoch(log, name, name)
    assert f"validation {label(name)}" in texts(svg)
    assert "<script" not in svg
    ElementTree.fromstring(figures.plot_residuals(PAIRS, name))


@settings(max_examples=6, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=6), st.integers(0, 8))
def test_any_numbers_are_drawn(values: list[float], best: int) -> None:
    log = History(
        steps=tuple(Step(i + 1, v, abs(v)) for i, v in enumerate(values)),
        epochs=tuple(Epoch(i + 1, i + 1, v, {"loss": v, "a": -v}) for i, v in enumerate(values)),
    )
    pairs = Pairs(true=values, predicted=values[::-1])
    for svg in (
        figures.plot_loss_by_epoch(log, best),
        figures.plot_score_by_epoch(log, "a", "a", best, log=True),
        figures.plot_loss_by_step(log),
        figures.plot_lr_by_step(log),
        figures.plot_predicted_by_true(pairs),
        figures.plot_residuals(pairs),
    ):
        assert "nan" not in re.sub(r">[^<]*<", "", ElementTree.tostring(ElementTree.fromstring(svg), "unicode"))


def test_empty_reliability() -> None:
    ElementTree.fromstring(figures.plot_reliability([]))


def test_running_mean_is_numpys() -> None:
    values = np.random.default_rng(0).normal(size=50)
    for reach in (1, 3, 60):
        windows = [values[max(0, i - reach) : i + reach + 1].mean() for i in range(len(values))]
        np.testing.assert_allclose(figures._running_mean(list(values), reach), windows)
    assert np.isnan(figures._running_mean([np.nan, 1.0, 3.0], 0)[0])
    assert figures._running_mean([np.nan, 1.0, 3.0], 1) == [1.0, 2.0, 2.0]
