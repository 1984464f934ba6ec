"""The report of a search: true to ``trials.json``, whole and safe whatever it holds."""

from __future__ import annotations

import contextlib
import copy
import json
import math
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from yisheng.core.errors import DataError, StorageError
from yisheng.reporting import search_figures, svg
from yisheng.reporting.parallel_coordinates import MAX_LINES, draw_parallel_coordinates
from yisheng.reporting.search_facts import Axis, Search, Trial, format_argument, score_window
from yisheng.reporting.search_page import render_search_page, write_search_page

Show = Callable[[dict[str, Any]], str]
HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "学习率 & $x^2$",
    "{{ 7 * 7 }}{% raw %}",
    "\u202eمرحبا",
    "]]></style></script>\x00\x1b",
    "a" * 300,
)
VOID = {"meta", "br"}
TEMPLATES = resources.files("yisheng.reporting") / "templates"
AXES = [
    {"name": "lr", "kind": "log", "values": None, "low": 1e-4, "high": 1.0},
    {"name": "hidden", "kind": "choice", "values": [[16], [64], [64, 64]], "low": None, "high": None},
    {"name": "dropout", "kind": "uniform", "values": None, "low": 0.0, "high": 0.5},
    {"name": "batch_size", "kind": "logint", "values": None, "low": 16, "high": 256},
]


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Matplotlib's figures take nearly all the time; they are drawn only for tests that ask for them."""
    if "drawn" not in request.fixturenames:
        empty = f'<svg xmlns="{svg.NAMESPACE}" viewBox="0 0 1 1" />'
        monkeypatch.setattr(search_figures, "draw", lambda name, paint: empty)


@pytest.fixture
def drawn() -> None:
    """Draw the figures."""


@pytest.fixture
def show(tmp_path: Path) -> Show:
    """Render the page of a search with such a ``trials.json``, and check all that holds of every page."""

    def rendered(content: dict[str, Any]) -> str:
        folder = tmp_path / "0007-house-mlp-search"
        folder.mkdir(exist_ok=True)
        (folder / "trials.json").write_text(json.dumps(content))
        text = render_search_page(folder)
        page = Page(text)
        assert max(page.ids.values()) == 1
        assert set(page.links) <= set(page.ids)
        assert page.tags["h1"] == 1
        assert page.tags["caption"] == page.tags["table"]
        assert page.tags["svg"] == text.count('role="img" aria-label="')
        for figure in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
            ElementTree.fromstring(figure)
        assert not re.search(r"url\((?!#)|@import|https?://", text)
        return text

    return rendered


class Page(HTMLParser):
    """What a page holds; fails where it is not well formed or holds what could run or reach out."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.said = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        at = dict(attrs)
        self.tags[tag] += 1
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form", "img")
        assert not [name for name in at if name.startswith("on") or name in ("src", "action")]
        assert (at.get("href") or "#").startswith("#")
        assert tag != "th" or at.get("scope") in ("row", "col")
        self.ids.update([str(at["id"])] if "id" in at else [])
        if tag == "a":
            self.links.append(str(at["href"])[1:])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.said += data


def trial(number: int, **more: Any) -> dict[str, Any]:
    setting = {
        "lr": 10 ** -(number % 4 + number / 100),
        "hidden": AXES[1]["values"][number % 3],
        "dropout": number % 6 / 12,
        "batch_size": 16 << number % 5,
    }
    mean = 0.5 + 0.01 * number
    scores = {"mean": mean, "sd": 0.02, "se": 0.009, "jobs": 5, "seconds": 1.5, "parameters": 100 * (number % 3 + 1)}
    end = {"executor": "stacked", "failure": "", "epochs": 30, "curve": [2.0, 1.0, 0.5 + 0.01 * number]}
    return {"number": number, "setting": setting, **scores, **end, **more}


def search(n: int = 12, **more: Any) -> dict[str, Any]:
    trials = [trial(i) for i in range(1, n + 1)]
    found = {"score": "log_rmse", "higher": False, "axes": copy.deepcopy(AXES), "trials": trials, "search": "random"}
    return {**found, "best": 1, "chosen": 3, "finished": True, "importance": {"lr": 0.81, "hidden": 0.05}, **more}


def section(text: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', text, re.DOTALL)
    assert found, f"no section {name}"
    return found[0]


def headline(text: str) -> str:
    return text.split('class="verdict')[1].split("<nav")[0]


def test_a_whole_search(show: Show, drawn: None) -> None:
    text = show(search())
    assert re.findall(r'<section id="(\w+)"', text) == [
        *("coordinates", "parameters", "importance", "trials", "curves", "time")
    ]
    top = headline(text)
    assert "Best: trial 1, validation log RMSE 0.510 (standard deviation 0.020 over 5 trainings" in top
    assert "One-standard-error rule (0.009): chosen is trial 3, 0.530" in top
    assert "it has 100 parameters instead of 200" in top
    assert "<code>lr=0.09772372209558107 hidden=64 dropout=0.08333333333333333 batch_size=32</code>" in top
    assert "12 (60 trainings)" in text
    for figure in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        assert not re.findall(r"#[0-9a-f]{6}\b", re.sub(r"var\(--\w+, #\w{6}\)", "", figure)), "the page's colours only"


def test_what_the_rule_did_is_said(show: Show) -> None:
    assert "the best trial is also the simplest" in headline(show(search(chosen=1)))
    lone = search(2, chosen=1)
    for one in lone["trials"]:
        one.update(se=None, sd=None, jobs=1)
    top = headline(show(lone))
    assert "0.510 (one training)" in top
    assert "There is no standard error" in top
    equal = search(2, chosen=2)
    equal["trials"][1]["parameters"] = equal["trials"][0]["parameters"]
    assert "it is simpler" in headline(show(equal))
    assert "One-standard-error" not in headline(show(search(chosen=None)))


def test_the_table_is_sorted_by_score_and_exact(show: Show) -> None:
    for higher, order in ((False, range(1, 13)), (True, range(12, 0, -1))):
        table = section(show(search(higher=higher, best=12 if higher else 1, score="r2")), "trials")
        rows = table.split("<tbody>")[1].split("<tr")[1:]
        assert [int(re.search(r'scope="row">(\d+)', row)[1]) for row in rows] == list(order)  # type: ignore[index]
        values = [f'<data value="{0.5 + 0.01 * i!r}">' for i in order]
        assert all(value in row for value, row in zip(values, rows, strict=True))
        assert [i for i, row in zip(order, rows, strict=True) if "best" in row] == [12 if higher else 1]
        assert [i for i, row in zip(order, rows, strict=True) if "chosen" in row] == [3]


def test_importance(show: Show) -> None:
    shown = section(show(search()), "importance")
    assert re.findall(r"<bdi>(\w+)</bdi></th><td[^>]*>([^<]+)<", shown) == [("lr", "81.0%"), ("hidden", "5.0%")]
    without = search()
    del without["importance"]
    for content in (without, search(importance=None), search(importance={}), search(importance={"other": 1.0})):
        assert "too few, or too alike" in section(show(content), "importance")


def test_failures_are_named_and_kept_apart(show: Show) -> None:
    content = search()
    for i in (3, 5, 6):
        content["trials"][i].update(mean=None, sd=None, se=None, failure="the loss became nan in step 7")
    content["trials"][7].update(mean=math.nan)
    text = show(content)
    shown = " ".join(section(text, "failures").split())
    assert "4 trials of 12 ended without a score" in shown
    assert "the loss became nan in step 7</bdi>: trials 4, 6, 7" in shown
    assert "for example <code>lr=" in shown
    assert "no score that one can reckon with</bdi>: trial 8" in shown
    assert len(section(text, "trials").split("<tbody>")[1].split("<tr")[1:]) == 8


def test_all_failed(show: Show) -> None:
    content = search(best=None, chosen=None)
    del content["importance"]
    for one in content["trials"]:
        one.update(mean=None, sd=None, se=None, failure="boom")
    text = show(content)
    assert "None of 12 trials has a score." in headline(text)
    assert re.findall(r'<section id="(\w+)"', text) == ["trials", "failures", "time"]


def test_nothing_yet_and_broken_off(show: Show) -> None:
    assert "There are no trials yet." in show({"score": "rmse"})
    content = search(finished=False)
    content["trials"][4].update(mean=None, sd=None, se=None)
    text = show(content)
    assert "has not come to its end" in headline(text)
    assert 'id="failures"' not in text


def test_time_and_the_way_of_training(show: Show) -> None:
    content = search()
    for one in content["trials"][:2]:
        one.update(executor="serial", seconds=20.0)
    shown = section(show(content), "time")
    rows = re.findall(r"<tr>(.*?)</tr>", shown.split("<tbody>")[1], re.DOTALL)
    cells = [re.findall(r">([^<>\n]+)<", row) for row in rows]
    assert cells == [
        ["serial: one after the other", "2", "10", "40.0 s", "4.0 s"],
        ["stacked: many models in one pass", "10", "50", "15.0 s", "300 ms"],
    ]


def test_one_trial_and_one_axis_of_one_value(show: Show, drawn: None) -> None:
    show(search(1, chosen=1))
    one = {"name": "lr", "kind": "choice", "values": [0.1]}
    for axis in (one, {"name": "lr", "kind": "log", "low": 0.1, "high": 0.1}, {**one, "kind": "uniform", "low": 1}):
        trials = [trial(i, setting={"lr": 0.1}, mean=0.5) for i in range(1, 4)]
        show(search(axes=[axis], trials=trials, importance={"lr": 0.0}))
    show(search(axes=[], trials=[trial(1, setting={})], importance=None))


def test_wild_scores_do_not_press_the_others_flat(show: Show, drawn: None) -> None:
    content = search()
    content["trials"][9].update(mean=1e12, sd=1e13)
    content["trials"][10].update(mean=1e200)
    content["trials"][8].update(mean=-math.inf)
    text = show(content)
    assert "no score that one can reckon with</bdi>: trials 9, 11" in " ".join(section(text, "failures").split())
    assert "1e+12" in section(text, "trials")
    assert score_window([0.5, 0.6, 0.7, 0.8, 1e12], higher=False) == pytest.approx((0.5, 1.4))
    assert score_window([0.5, 0.6, 0.7, 0.8, -1e12], higher=True) == pytest.approx((-0.1, 0.8))


def test_ten_thousand_trials(show: Show, drawn: None) -> None:
    text = show(search(10_000, chosen=9_003))
    assert len(text) < 1_000_000
    table = section(text, "trials")
    assert "The best 301 of 10,000" in " ".join(table.split())
    assert table.count("<tr") == 302
    assert "9,003" in table
    assert f"Drawn are {MAX_LINES} of 10,000" in section(text, "coordinates")


def test_halving_shows_the_epochs(show: Show, drawn: None) -> None:
    content = search()
    for one in content["trials"][4:]:
        one["epochs"] = 10
    text = show(content)
    assert ">Epochs<" in section(text, "trials")
    assert "Grey ones were trained for fewer epochs" in section(text, "parameters")
    assert ">epochs</text>" in section(text, "coordinates")
    assert ">Epochs<" not in section(show(search()), "trials")
    content["axes"] = [{"name": "epochs", "kind": "choice", "values": [10, 30]}]
    for one in content["trials"]:
        one["setting"] = {"epochs": one["epochs"]}
    assert section(show(content), "coordinates").count(">epochs</text>") == 1


def _lines(content: dict[str, Any]) -> dict[str, list[tuple[str, float]]]:
    """Class of each line -> its points as (command, height) by axis."""
    root = ElementTree.fromstring(draw_parallel_coordinates(Search.model_validate(content)))
    paths = [e for e in root.iter() if e.tag == "path"]
    return {
        f"{e.get('class')} {e[0].text.split(':')[0]}": [  # type: ignore[union-attr]
            (step[0], float(step.split()[1])) for step in re.findall(r"[ML]\S+ \S+", str(e.get("d")))
        ]
        for e in paths
    }


def test_lines_cross_the_axes_where_their_values_are() -> None:
    axes = [
        {"name": "lr", "kind": "log", "low": 0.01, "high": 1},
        {"name": "net", "kind": "choice", "values": ["a", "b"]},
    ]
    trials = [
        trial(1, setting={"lr": 0.01, "net": "a"}, mean=3.0),
        trial(2, setting={"lr": 0.1, "net": "b"}, mean=2.0),
        trial(3, setting={"lr": 1.0, "net": "a"}, mean=1.0),
        trial(4, setting={"net": "a"}, mean=2.5),
    ]
    lines = _lines(search(axes=axes, trials=trials, best=3, chosen=2))
    assert set(lines) == {"q0 trial 3", "q1 trial 2", "q2 trial 4", "q3 trial 1", "best trial 3", "chosen trial 2"}
    heights = {name: [y for _, y in points] for name, points in lines.items()}
    bottom, first, top = (heights[name][0] for name in ("q3 trial 1", "q1 trial 2", "q0 trial 3"))
    assert first == pytest.approx((bottom + top) / 2)  # a tenth lies half way on a log axis
    assert bottom > top  # SVG counts from above
    assert heights["q3 trial 1"][1] == heights["q0 trial 3"][1] != heights["q1 trial 2"][1]
    assert heights["q0 trial 3"][2] == top  # the smaller the error, the higher up
    assert heights["q3 trial 1"][2] == bottom
    assert [command for command, _ in lines["q2 trial 4"]] == ["M", "L"]  # no place on the first axis
    upward = _lines(search(axes=axes, trials=trials, best=1, chosen=1, higher=True))
    assert upward["q0 trial 1"][2][1] == top
    assert "chosen trial 1" not in upward


@pytest.mark.parametrize("kind", ["uniform", "log", "int", "logint", "choice"])
def test_values_that_have_no_place_on_their_axis(show: Show, drawn: None, kind: str) -> None:
    values = [0, -1, "word", None, True, [1, 2], 1e300, 0.5, {"a": 1}, 10**400, math.nan]
    trials = [trial(i, setting={"x": value}) for i, value in enumerate(values, 1)]
    show(search(axes=[{"name": "x", "kind": kind, "values": None, "low": 0.1, "high": 1}], trials=trials))
    show(search(axes=[{"name": "x", "kind": kind, "low": -5, "high": None}], trials=trials[:6], importance=None))


def test_names_are_shown_as_they_are(show: Show, drawn: None) -> None:
    axes = [{"name": name, "kind": "choice", "values": list(HOSTILE)} for name in HOSTILE]
    trials = [trial(i, setting=dict.fromkeys(HOSTILE, HOSTILE[i % 7]), executor=HOSTILE[i % 7]) for i in range(1, 12)]
    trials.append(trial(12, setting={}, mean=None, failure=HOSTILE[0]))
    text = show(search(axes=axes, trials=trials, score=HOSTILE[1], search=HOSTILE[0], importance={HOSTILE[0]: 0.5}))
    said = Page(text).said
    for name in HOSTILE:
        assert svg.replace_unprintable(name) in said
    assert "<script" not in text
    assert "49" not in section(text, "importance")


def test_settings_are_typed_with_all_their_digits() -> None:
    assert format_argument(0.1 + 0.2) == "0.30000000000000004"
    assert (
        format_argument([64, 32]),
        format_argument(None),
        format_argument(False),
        format_argument("relu"),
        format_argument(64),
    ) == (
        "64,32",
        "none",
        "false",
        "relu",
        "64",
    )


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "3", '{"trials": 3}', '{"trials": [{}]}', '{"axes": [{"kind": "x"}]}']
)
def test_what_is_no_search_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match="does not exist"):
        render_search_page(tmp_path)
    (tmp_path / "trials.json").write_text(content)
    with pytest.raises(DataError, match="trials.json"):
        render_search_page(tmp_path)


def test_write_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trials.json").write_text(json.dumps(search()))
    path = write_search_page(tmp_path)
    assert path == tmp_path / "report.html"
    before = path.read_text(encoding="utf-8")
    assert before == render_search_page(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StorageError, match="no space left"):
        write_search_page(tmp_path)
    assert path.read_text(encoding="utf-8") == before


def test_the_style_is_made_of_the_pages_colours() -> None:
    style, ours = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "tuning.css"))
    assert set(re.findall(r"var\(--([\w-]+)", ours)) <= set(re.findall(r"--([\w-]+):", style))
    assert not re.findall(r"#[0-9a-f]{3,}|url\(|</", ours)
    assert ours.count("{") == ours.count("}")
    classes = set(re.findall(r'class="([\w -]+)"', draw_parallel_coordinates(Search.model_validate(search()))))
    drawn = {name for each in classes for name in each.split()} - {"lines", "q2"}  # q2 has the colour of all paths
    assert drawn <= set(re.findall(r"\.([\w-]+)", ours))


def test_some_holds_the_best_the_marked_and_a_sample() -> None:
    content = Search.model_validate(search(1000, chosen=777))
    some = [t.number for t in content.sample_trials(100)]
    assert len(set(some)) == len(some)
    assert set(range(1, 26)) | {777, 1000} <= set(some)
    assert len(some) <= 102
    assert content.sample_trials(1000) is content.ranked
    assert Trial(number=1, mean=1.0, failure="x").score != 1.0
    assert Axis(name="a").kind == "choice"


plain = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
json_data = st.recursive(plain, lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=4), s, max_size=3))


def test_any_value_anywhere_is_survived_or_refused(show: Show) -> None:
    @settings(max_examples=60, phases=[Phase.explicit, Phase.generate])
    @given(st.data())
    def survives(data: st.DataObject) -> None:
        content: Any = search(4)
        where = content
        while True:
            key = data.draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
            if not isinstance(where[key], dict | list) or not where[key] or data.draw(st.integers(0, 3)) == 0:
                where[key] = data.draw(json_data)
                break
            where = where[key]
        with contextlib.suppress(DataError):
            assert "</html>" in show(content)

    survives()


def test_any_number_can_be_drawn(show: Show, drawn: None) -> None:
    @settings(max_examples=8, phases=[Phase.explicit, Phase.generate])  # to shrink a figure takes too long
    @given(
        st.lists(st.tuples(st.floats(), st.floats(), st.floats(), st.floats()), min_size=1, max_size=5), st.booleans()
    )
    def draws(rows: list[tuple[float, float, float, float]], higher: bool) -> None:
        axes = [{"name": "x", "kind": "log", "low": rows[0][3], "high": 1}, {"name": "y", "kind": "uniform"}]
        trials = [
            trial(i, setting={"x": x, "y": x}, mean=mean, sd=sd, se=sd, curve=[x, sd, mean])
            for i, (x, mean, sd, _) in enumerate(rows, 1)
        ]
        show(search(axes=axes, trials=trials, higher=higher))

    draws()
