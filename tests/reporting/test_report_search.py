"""The report of a search: it shows ``trials.json``, and any content gives a well-formed, safe page or an error."""

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

from tests.reporting.pages import find_section, replace_random_value
from yisheng.core.errors import DataError, StorageError
from yisheng.reporting import search_figures, svg
from yisheng.reporting.parallel_coordinates import MAX_LINES, draw_parallel_coordinates
from yisheng.reporting.search_facts import Axis, Search, Trial, format_argument, score_window
from yisheng.reporting.search_page import render_search_page, write_search_page

RenderSearch = Callable[[dict[str, Any]], str]
HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "学习率 & $x^2$",
    "{{ 7 * 7 }}{% raw %}",
    "\u202eمرحبا",
    "]]></style></script>\x00\x1b",
    "a" * 300,
)
VOID_TAGS = {"meta", "br"}
TEMPLATES = resources.files("yisheng.reporting") / "templates"
AXES = [
    {"name": "lr", "kind": "log", "values": None, "low": 1e-4, "high": 1.0},
    {"name": "hidden", "kind": "choice", "values": [[16], [64], [64, 64]], "low": None, "high": None},
    {"name": "dropout", "kind": "uniform", "values": None, "low": 0.0, "high": 0.5},
    {"name": "batch_size", "kind": "logint", "values": None, "low": 16, "high": 256},
]


@pytest.fixture
def render_search(tmp_path: Path) -> RenderSearch:
    """Return a function that renders the page of a ``trials.json``, and checks what holds for every page."""

    def render(content: dict[str, Any]) -> str:
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

    return render


class Page(HTMLParser):
    """The contents of a page; fails if the page is not well formed, or could run a script or load something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags[tag] += 1
        assert tag not in ("script", "iframe", "object", "embed", "link", "base", "form", "img")
        assert not [name for name in attributes if name.startswith("on") or name in ("src", "action")]
        assert (attributes.get("href") or "#").startswith("#")
        assert tag != "th" or attributes.get("scope") in ("row", "col")
        self.ids.update([str(attributes["id"])] if "id" in attributes else [])
        if tag == "a":
            self.links.append(str(attributes["href"])[1:])

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data


def make_trial(number: int, **changes: Any) -> dict[str, Any]:
    setting = {
        "lr": 10 ** -(number % 4 + number / 100),
        "hidden": AXES[1]["values"][number % 3],
        "dropout": number % 6 / 12,
        "batch_size": 16 << number % 5,
    }
    mean = 0.5 + 0.01 * number
    scores = {"mean": mean, "sd": 0.02, "se": 0.009, "jobs": 5, "seconds": 1.5, "parameters": 100 * (number % 3 + 1)}
    training = {"executor": "stacked", "failure": "", "epochs": 30, "curve": [2.0, 1.0, 0.5 + 0.01 * number]}
    return {"number": number, "setting": setting, **scores, **training, **changes}


def make_search(n: int = 12, **changes: Any) -> dict[str, Any]:
    trials = [make_trial(i) for i in range(1, n + 1)]
    search = {"score": "log_rmse", "higher": False, "axes": copy.deepcopy(AXES), "trials": trials, "search": "random"}
    result = {"best": 1, "chosen": 3, "finished": True, "importance": {"lr": 0.81, "hidden": 0.05}}
    return {**search, **result, **changes}


def find_headline(text: str) -> str:
    """Return the HTML of the box at the top."""
    return text.split('class="verdict')[1].split("<nav")[0]


def test_page_of_a_finished_search(render_search: RenderSearch, draw_figures: None) -> None:
    text = render_search(make_search())
    assert re.findall(r'<section id="(\w+)"', text) == [
        *("coordinates", "parameters", "importance", "trials", "curves", "time")
    ]
    top = find_headline(text)
    assert "Best: trial 1, validation log RMSE 0.510 (standard deviation 0.020 over 5 trainings" in top
    assert "One-standard-error rule (0.009): the chosen trial 3, 0.530" in top
    assert "has 100 parameters instead of 200" in top
    assert "<code>lr=0.09772372209558107 hidden=64 dropout=0.08333333333333333 batch_size=32</code>" in top
    assert "12 (60 trainings)" in text
    for figure in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        assert not re.findall(r"#[0-9a-f]{6}\b", re.sub(r"var\(--\w+, #\w{6}\)", "", figure)), "not a color of the page"


def test_headline_describes_the_one_standard_error_rule(render_search: RenderSearch) -> None:
    assert "the best trial is also the simplest" in find_headline(render_search(make_search(chosen=1)))
    without_error = make_search(2, chosen=1)
    for trial in without_error["trials"]:
        trial.update(se=None, sd=None, jobs=1)
    top = find_headline(render_search(without_error))
    assert "0.510 (one training)" in top
    assert "Without a standard error" in top
    equal = make_search(2, chosen=2)
    equal["trials"][1]["parameters"] = equal["trials"][0]["parameters"]
    assert "is not shown to be worse and is simpler" in find_headline(render_search(equal))
    assert "One-standard-error" not in find_headline(render_search(make_search(chosen=None)))


def test_trials_are_sorted_by_score_with_exact_values(render_search: RenderSearch) -> None:
    for higher, order in ((False, range(1, 13)), (True, range(12, 0, -1))):
        table = find_section(render_search(make_search(higher=higher, best=12 if higher else 1, score="r2")), "trials")
        rows = table.split("<tbody>")[1].split("<tr")[1:]
        assert [int(re.search(r'scope="row">(\d+)', row)[1]) for row in rows] == list(order)  # type: ignore[index]
        values = [f'<data value="{0.5 + 0.01 * i!r}">' for i in order]
        assert all(value in row for value, row in zip(values, rows, strict=True))
        assert [i for i, row in zip(order, rows, strict=True) if "best" in row] == [12 if higher else 1]
        assert [i for i, row in zip(order, rows, strict=True) if "chosen" in row] == [3]


def test_importance_section(render_search: RenderSearch) -> None:
    shown = find_section(render_search(make_search()), "importance")
    assert re.findall(r"<bdi>(\w+)</bdi></th><td[^>]*>([^<]+)<", shown) == [("lr", "81.0%"), ("hidden", "5.0%")]
    without = make_search()
    del without["importance"]
    for content in (
        without,
        make_search(importance=None),
        make_search(importance={}),
        make_search(importance={"other": 1.0}),
    ):
        assert "too few or too similar" in find_section(render_search(content), "importance")


def test_failures_are_listed_by_reason(render_search: RenderSearch) -> None:
    content = make_search()
    for i in (3, 5, 6):
        content["trials"][i].update(mean=None, sd=None, se=None, failure="the loss became nan in step 7")
    content["trials"][7].update(mean=math.nan)
    text = render_search(content)
    shown = " ".join(find_section(text, "failures").split())
    assert "4 trials of 12 ended without a score" in shown
    assert "the loss became nan in step 7</bdi>: trials 4, 6, 7" in shown
    assert "for example <code>lr=" in shown
    assert "the score is not a finite number</bdi>: trial 8" in shown
    assert len(find_section(text, "trials").split("<tbody>")[1].split("<tr")[1:]) == 8


def test_page_of_a_search_without_scores(render_search: RenderSearch) -> None:
    content = make_search(best=None, chosen=None)
    del content["importance"]
    for trial in content["trials"]:
        trial.update(mean=None, sd=None, se=None, failure="boom")
    text = render_search(content)
    assert "None of 12 trials has a score." in find_headline(text)
    assert re.findall(r'<section id="(\w+)"', text) == ["trials", "failures", "time"]


def test_page_of_an_unfinished_search(render_search: RenderSearch) -> None:
    assert "There are no trials yet." in render_search({"score": "rmse"})
    content = make_search(finished=False)
    content["trials"][4].update(mean=None, sd=None, se=None)
    text = render_search(content)
    assert "The search is not finished" in find_headline(text)
    assert 'id="failures"' not in text


def test_time_by_executor(render_search: RenderSearch) -> None:
    content = make_search()
    for trial in content["trials"][:2]:
        trial.update(executor="serial", seconds=20.0)
    shown = find_section(render_search(content), "time")
    rows = re.findall(r"<tr>(.*?)</tr>", shown.split("<tbody>")[1], re.DOTALL)
    cells = [re.findall(r">([^<>\n]+)<", row) for row in rows]
    assert cells == [
        ["serial: one after the other", "2", "10", "40.0 s", "4.0 s"],
        ["stacked: many models in one pass", "10", "50", "15.0 s", "300 ms"],
    ]


def test_axes_with_a_single_value_are_drawn(render_search: RenderSearch, draw_figures: None) -> None:
    render_search(make_search(1, chosen=1))
    choice = {"name": "lr", "kind": "choice", "values": [0.1]}
    for axis in (
        choice,
        {"name": "lr", "kind": "log", "low": 0.1, "high": 0.1},
        {**choice, "kind": "uniform", "low": 1},
    ):
        trials = [make_trial(i, setting={"lr": 0.1}, mean=0.5) for i in range(1, 4)]
        render_search(make_search(axes=[axis], trials=trials, importance={"lr": 0.0}))
    render_search(make_search(axes=[], trials=[make_trial(1, setting={})], importance=None))


def test_outliers_do_not_flatten_the_figures(render_search: RenderSearch, draw_figures: None) -> None:
    content = make_search()
    content["trials"][9].update(mean=1e12, sd=1e13)
    content["trials"][10].update(mean=1e200)
    content["trials"][8].update(mean=-math.inf)
    text = render_search(content)
    assert "the score is not a finite number</bdi>: trials 9, 11" in " ".join(find_section(text, "failures").split())
    assert "1e+12" in find_section(text, "trials")
    assert score_window([0.5, 0.6, 0.7, 0.8, 1e12], higher=False) == pytest.approx((0.5, 1.4))
    assert score_window([0.5, 0.6, 0.7, 0.8, -1e12], higher=True) == pytest.approx((-0.1, 0.8))


def test_page_of_ten_thousand_trials_is_small(render_search: RenderSearch, draw_figures: None) -> None:
    text = render_search(make_search(10_000, chosen=9_003))
    assert len(text) < 1_000_000
    table = find_section(text, "trials")
    assert "The best 301 of 10,000" in " ".join(table.split())
    assert table.count("<tr") == 302
    assert "9,003" in table
    assert f"{MAX_LINES} of 10,000 trials are drawn" in find_section(text, "coordinates")


def test_successive_halving_shows_epochs(render_search: RenderSearch, draw_figures: None) -> None:
    content = make_search()
    for trial in content["trials"][4:]:
        trial["epochs"] = 10
    text = render_search(content)
    assert ">Epochs<" in find_section(text, "trials")
    assert "Gray dots were trained for fewer epochs" in find_section(text, "parameters")
    assert ">epochs</text>" in find_section(text, "coordinates")
    assert ">Epochs<" not in find_section(render_search(make_search()), "trials")
    content["axes"] = [{"name": "epochs", "kind": "choice", "values": [10, 30]}]
    for trial in content["trials"]:
        trial["setting"] = {"epochs": trial["epochs"]}
    assert find_section(render_search(content), "coordinates").count(">epochs</text>") == 1


def parse_lines(content: dict[str, Any]) -> dict[str, list[tuple[str, float]]]:
    """Return the points of each line as (SVG command, height) by axis, by the line's class and trial."""
    root = ElementTree.fromstring(draw_parallel_coordinates(Search.model_validate(content)))
    paths = [e for e in root.iter() if e.tag == "path"]
    return {
        f"{e.get('class')} {e[0].text.split(':')[0]}": [  # type: ignore[union-attr]
            (step[0], float(step.split()[1])) for step in re.findall(r"[ML]\S+ \S+", str(e.get("d")))
        ]
        for e in paths
    }


def test_lines_cross_the_axes_at_their_values() -> None:
    axes = [
        {"name": "lr", "kind": "log", "low": 0.01, "high": 1},
        {"name": "net", "kind": "choice", "values": ["a", "b"]},
    ]
    trials = [
        make_trial(1, setting={"lr": 0.01, "net": "a"}, mean=3.0),
        make_trial(2, setting={"lr": 0.1, "net": "b"}, mean=2.0),
        make_trial(3, setting={"lr": 1.0, "net": "a"}, mean=1.0),
        make_trial(4, setting={"net": "a"}, mean=2.5),
    ]
    lines = parse_lines(make_search(axes=axes, trials=trials, best=3, chosen=2))
    assert set(lines) == {"q0 trial 3", "q1 trial 2", "q2 trial 4", "q3 trial 1", "best trial 3", "chosen trial 2"}
    heights = {name: [y for _, y in points] for name, points in lines.items()}
    bottom, first, top = (heights[name][0] for name in ("q3 trial 1", "q1 trial 2", "q0 trial 3"))
    assert first == pytest.approx((bottom + top) / 2)  # 0.1 is in the middle of a log axis from 0.01 to 1
    assert bottom > top  # y points down in SVG
    assert heights["q3 trial 1"][1] == heights["q0 trial 3"][1] != heights["q1 trial 2"][1]
    assert heights["q0 trial 3"][2] == top  # a smaller error is higher up
    assert heights["q3 trial 1"][2] == bottom
    assert [command for command, _ in lines["q2 trial 4"]] == ["M", "L"]  # no value on the first axis
    upward = parse_lines(make_search(axes=axes, trials=trials, best=1, chosen=1, higher=True))
    assert upward["q0 trial 1"][2][1] == top
    assert "chosen trial 1" not in upward


@pytest.mark.parametrize("kind", ["uniform", "log", "int", "logint", "choice"])
def test_values_outside_their_axis_are_accepted(render_search: RenderSearch, draw_figures: None, kind: str) -> None:
    values = [0, -1, "word", None, True, [1, 2], 1e300, 0.5, {"a": 1}, 10**400, math.nan]
    trials = [make_trial(i, setting={"x": value}) for i, value in enumerate(values, 1)]
    render_search(make_search(axes=[{"name": "x", "kind": kind, "values": None, "low": 0.1, "high": 1}], trials=trials))
    render_search(
        make_search(axes=[{"name": "x", "kind": kind, "low": -5, "high": None}], trials=trials[:6], importance=None)
    )


def test_hostile_names_are_escaped(render_search: RenderSearch, draw_figures: None) -> None:
    axes = [{"name": name, "kind": "choice", "values": list(HOSTILE)} for name in HOSTILE]
    trials = [
        make_trial(i, setting=dict.fromkeys(HOSTILE, HOSTILE[i % 7]), executor=HOSTILE[i % 7]) for i in range(1, 12)
    ]
    trials.append(make_trial(12, setting={}, mean=None, failure=HOSTILE[0]))
    text = render_search(
        make_search(axes=axes, trials=trials, score=HOSTILE[1], search=HOSTILE[0], importance={HOSTILE[0]: 0.5})
    )
    page_text = Page(text).text
    for name in HOSTILE:
        assert svg.replace_unprintable(name) in page_text
    assert "<script" not in text
    assert "49" not in find_section(text, "importance")


def test_format_argument_keeps_all_digits() -> None:
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
def test_invalid_trials_files_are_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match="does not exist"):
        render_search_page(tmp_path)
    (tmp_path / "trials.json").write_text(content)
    with pytest.raises(DataError, match="trials.json"):
        render_search_page(tmp_path)


def test_failed_write_leaves_the_page_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trials.json").write_text(json.dumps(make_search()))
    path = write_search_page(tmp_path)
    assert path == tmp_path / "report.html"
    text = path.read_text(encoding="utf-8")
    assert text == render_search_page(tmp_path)

    def raise_disk_full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", raise_disk_full)
    with pytest.raises(StorageError, match="no space left"):
        write_search_page(tmp_path)
    assert path.read_text(encoding="utf-8") == text


def test_search_style_sheet_uses_the_colors_of_the_page() -> None:
    style, search_style = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "search.css"))
    assert set(re.findall(r"var\(--([\w-]+)", search_style)) <= set(re.findall(r"--([\w-]+):", style))
    assert not re.findall(r"#[0-9a-f]{3,}|url\(|</", search_style)
    assert search_style.count("{") == search_style.count("}")
    classes = set(re.findall(r'class="([\w -]+)"', draw_parallel_coordinates(Search.model_validate(make_search()))))
    names = {name for value in classes for name in value.split()} - {"lines", "q2"}  # q2 has the default color
    assert names <= set(re.findall(r"\.([\w-]+)", search_style))


def test_sample_trials_contains_the_best_and_the_chosen() -> None:
    content = Search.model_validate(make_search(1000, chosen=777))
    numbers = [t.number for t in content.sample_trials(100)]
    assert len(set(numbers)) == len(numbers)
    assert set(range(1, 26)) | {777, 1000} <= set(numbers)
    assert len(numbers) <= 102
    assert content.sample_trials(1000) is content.ranked
    assert Trial(number=1, mean=1.0, failure="x").score != 1.0
    assert Axis(name="a").kind == "choice"


def test_any_value_in_trials_json_is_accepted_or_refused(render_search: RenderSearch) -> None:
    @settings(max_examples=60, phases=[Phase.explicit, Phase.generate])
    @given(st.data())
    def render_with_random_value(data: st.DataObject) -> None:
        content: Any = make_search(4)
        replace_random_value(content, data)
        with contextlib.suppress(DataError):
            assert "</html>" in render_search(content)

    render_with_random_value()


def test_any_numbers_are_drawn(render_search: RenderSearch, draw_figures: None) -> None:
    @settings(max_examples=8, phases=[Phase.explicit, Phase.generate])  # shrinking takes too long with figures
    @given(
        st.lists(st.tuples(st.floats(), st.floats(), st.floats(), st.floats()), min_size=1, max_size=5), st.booleans()
    )
    def render_rows(rows: list[tuple[float, float, float, float]], higher: bool) -> None:
        axes = [{"name": "x", "kind": "log", "low": rows[0][3], "high": 1}, {"name": "y", "kind": "uniform"}]
        trials = [
            make_trial(i, setting={"x": x, "y": x}, mean=mean, sd=sd, se=sd, curve=[x, sd, mean])
            for i, (x, mean, sd, _) in enumerate(rows, 1)
        ]
        render_search(make_search(axes=axes, trials=trials, higher=higher))

    render_rows()


def test_labels_of_axes_have_a_ground_that_hides_lines() -> None:
    search = Search.model_validate(make_search())
    root = ElementTree.fromstring(draw_parallel_coordinates(search))
    for axis in (group for group in root.iter("g") if group.get("class") == "axis"):
        ticks = [text for text in axis.iter("text") if text.get("class") != "name"]
        grounds = list(axis.iter("rect"))
        assert len(ticks) == len(grounds) > 0
        for tick, ground in zip(ticks, grounds, strict=True):
            assert float(ground.attrib["width"]) >= 6 * len(tick.text or "")
            assert float(ground.attrib["x"]) + float(ground.attrib["width"]) <= float(tick.attrib["x"]) + 3
    lines = next(i for i, group in enumerate(root) if group.get("class") == "lines")
    assert all(i > lines for i, group in enumerate(root) if group.get("class") == "axis")


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("sd", [0.0, 0.001, 0.3, 1e6])
def test_error_bars_stay_inside_the_figure(log: bool, sd: float) -> None:
    low, high = (0.01, 5.0) if log else (0.4, 0.5)
    bars = [(float(i), y - sd, y + sd) for i, y in enumerate((low, high))]
    bottom, top = search_figures._extend_for_bars(low, high, bars, log=log)
    assert bottom <= low < high <= top
    if log:
        assert bottom > 0
        assert math.log(top / bottom) <= 2.01 * math.log(high / low)
    else:
        assert top - bottom <= 2.01 * (high - low)
    if sd in (0.0, 0.001):
        assert bottom <= low - sd
        assert top >= high + sd
