"""The report of a run: well formed, safe, accessible, and made even if files are missing or damaged."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reporting.pages import MakeRun, find_section, replace_random_value
from yisheng.core.errors import DataError, StorageError
from yisheng.evaluation.png import encode_png
from yisheng.reporting import run_page, svg
from yisheng.reporting.run_page import render_run_page, write_run_page

VOID_TAGS = {"meta", "br", "img", "link", "input", "hr", "col", "wbr"}
FILES = ("config.toml", "model.json", "events.jsonl", "scores.json", "evaluation.json", "environment.json")


class Page(HTMLParser):
    """The contents of a page; fails if the page is not well formed, loads something or is not accessible."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: Counter[str] = Counter()
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.text: list[str] = []
        self.values: list[str] = []
        self.faults: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open
        assert not self.faults, self.faults

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._check_tag(tag, attrs)
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._check_tag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    def _check_tag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags[tag] += 1
        if len(attributes) != len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        if tag in ("script", "iframe", "object", "embed", "link", "base", "form"):
            self.faults.append(f"<{tag}>")
        self.faults += [f"{tag} {name}" for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            value = attributes.get(name)
            if value is not None and not value.startswith(("#", "data:image/png;base64,")):
                self.faults.append(f"{tag} {name}={value}")
            elif value and value.startswith("#"):
                self.links.append(value[1:])
        if "id" in attributes:
            self.ids[str(attributes["id"])] += 1
        self.links += str(attributes.get("aria-labelledby") or "").split()
        if tag == "img" and not (attributes.get("alt") or "").strip():
            self.faults.append("img without alt")
        if attributes.get("role") in ("img", "region") and not (attributes.get("aria-label") or "").strip():
            self.faults.append(f"{tag} role without label")
        if tag == "th" and attributes.get("scope") not in ("row", "col"):
            self.faults.append("th without scope")
        if tag == "html" and attributes.get("lang") != "en":
            self.faults.append("no lang")
        if tag == "data":
            self.values.append(str(attributes["value"]))


def render_checked(folder: Path) -> tuple[str, Page]:
    """Render the page of a run, and check what holds for every page."""
    text = render_run_page(folder)
    page = Page(text)
    assert max(page.ids.values()) == 1
    assert set(page.links) <= set(page.ids)
    assert page.tags["h1"] == 1
    assert page.tags["caption"] == page.tags["table"]
    assert page.tags["svg"] == text.count('role="img" aria-label="') - text.count('class="arrow"')
    for figure in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(figure)
    assert not re.search(r"url\((?!#)|@import|https?://(?!example\.com)", text.replace("<wbr>", ""))
    assert text.encode()
    return text, page


RUNS: dict[str, dict[str, Any]] = {
    "images": {"image": True},
    "binary": {"classes": ("no", "yes")},
    "rows": {},
    "regression": {"task": "regression", "spec_changes": {"target": "价格", "unit": "€/m²"}},
    "multilabel": {"task": "multilabel"},
    "twenty classes": {"classes": tuple(f"class {i}" for i in range(20))},
    "hundred classes": {"classes": tuple(f"class {i}" for i in range(100))},
    "hostile": {"classes": "hostile", "image": True},
    "hostile labels": {"task": "multilabel", "classes": "hostile"},
    "hostile target": {"task": "regression", "spec_changes": {"target": "<script>", "unit": '"><img src=x onerror=1>'}},
}


@pytest.mark.usefixtures("draw_figures")
@pytest.mark.parametrize("name", RUNS)
def test_page_of_every_kind_of_run(make_run: MakeRun, hostile: tuple[str, ...], name: str) -> None:
    options = dict(RUNS[name])
    if options.get("classes") == "hostile":
        options["classes"] = hostile
    folder = make_run(**options)
    text, page = render_checked(folder)
    assert render_run_page(folder) == text
    task = RUNS[name].get("task", "classification")
    expected = {
        "classification": {"scores", "curves", "confusion", "classes", "mistakes", "calibration"},
        "multilabel": {"scores", "curves", "classes", "mistakes"},
        "regression": {"scores", "curves", "regression", "mistakes"},
    }[task]
    sections = re.findall(r'<section id="(\w+)"', text)
    assert set(sections) == expected | {"use", "config", "environment"}
    for part in json.loads((folder / "scores.json").read_text()).values():
        for values in part.values():
            assert repr(values["value"]) in page.values
    assert "missing" not in text.split("</style>")[1]


def test_hostile_class_names_are_escaped(make_run: MakeRun, hostile: tuple[str, ...]) -> None:
    text, page = render_checked(make_run(classes=hostile, image=True))
    page_text = "".join(page.text)
    for name in hostile:
        assert svg.replace_unprintable(name) in page_text
    assert "49" not in find_section(text, "classes")  # the template in a class name was not evaluated
    assert "<script" not in text
    assert "onerror=" not in re.sub(r'"[^"]*"|>[^<]*<', "", text)


def test_folder_names_are_escaped(make_run: MakeRun) -> None:
    text, _ = render_checked(make_run(name="it's <b>&amp; $(rm) 中文"))
    assert "<h1><bdi>0007-it&#39;s &lt;b&gt;&amp;amp; $(rm) 中文</bdi></h1>" in text
    command = find_section(text, "use")
    assert "yisheng evaluate &#39;runs/0007-it&#39;&#34;&#39;&#34;&#39;s" in command


def test_page_shows_headline_scores_and_commands(make_run: MakeRun) -> None:
    text, _ = render_checked(make_run(image=True))
    assert "Test accuracy 0.911 (95% interval 0.905 to 0.917); guessing the most frequent class gives 0.100." in text
    scores = find_section(text, "scores")
    assert '<data value="0.91124">0.911</data>' in scores
    assert '<data value="0.90512">0.905</data>' in scores
    assert '<data value="0.92345">0.923</data>' in scores
    assert scores.index(">Accuracy") < scores.index(">F1 (macro)")
    assert "yisheng predict runs/0007-fake photo.png" in text
    assert "yisheng evaluate runs/0007-fake" in text
    assert "9 March 2025, 14:05 UTC" in text


def test_confusion_matrix_shows_the_counts_of_the_file(make_run: MakeRun) -> None:
    folder = make_run()
    matrix = json.loads((folder / "evaluation.json").read_text())["confusion"]
    table = find_section(render_run_page(folder), "confusion")
    body = table[table.index("<tbody>") :]
    rows = [[int(n) for n in re.findall(r"<td[^>]*>(?:<span[^>]*>)?([\d,]+)", row)] for row in body.split("<tr>")[1:]]
    assert [row[:-1] for row in rows] == matrix
    assert [row[-1] for row in rows] == [sum(row) for row in matrix]
    assert f"true cat, predicted dog: {matrix[0][1]} of {sum(matrix[0])} rows" in table
    assert f"({matrix[0][1] / sum(matrix[0]):.1%})" in table


def test_many_classes_show_the_most_confused_pairs(make_run: MakeRun) -> None:
    folder = make_run(classes=tuple(f"class {i}" for i in range(40)))
    evaluation = json.loads((folder / "evaluation.json").read_text())
    evaluation["confusion"][7][3] = 99
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    rows = find_section(render_run_page(folder), "confusion").split("<tbody>")[1].split("<tr>")[1:]
    assert len(rows) == 20
    assert "class 7" in rows[0]
    assert "class 3" in rows[0]
    assert ">99<" in rows[0]


def test_classes_are_sorted_by_f1_with_undefined_last(make_run: MakeRun) -> None:
    names = re.findall(r'<th scope="row"><bdi>(\w+)', find_section(render_run_page(make_run()), "classes"))
    assert names == ["newt", "dog", "cat"]


def test_mistakes_show_images(make_run: MakeRun) -> None:
    shown = find_section(render_run_page(make_run(image=True)), "mistakes")
    assert shown.count("<img ") == 6
    assert shown.count('class="pixels"') == 6
    assert 'alt="row 0: cat, predicted as' in shown
    assert "98.7% sure" in shown


@pytest.mark.parametrize("image", ["", "no base64!", "aGVsbG8=", '"><script>', "A" * (1 << 20) + "===="])
def test_invalid_images_are_left_out(make_run: MakeRun, image: str) -> None:
    folder = make_run(image=True)
    evaluation = json.loads((folder / "evaluation.json").read_text())
    evaluation["worst"][0]["image"] = image
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    assert find_section(render_checked(folder)[0], "mistakes").count("<img ") == 5


def test_mistakes_with_several_targets(make_run: MakeRun) -> None:
    folder = make_run("regression")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    evaluation["pairs"] = {"true": [[1.0, 2.0], [3.0, 4.0]], "predicted": [[1.5, 2.0], [3.0, 5.0]]}
    evaluation["worst"] = [{"row": 3, "name": "3", "true": [3.0, 4.0], "predicted": [3.0, 5.0], "error": [0.0, 1.0]}]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    shown = find_section(render_checked(folder)[0], "mistakes")
    assert "row 3" in shown
    assert "target 1 3.000, target 2 4.000" in shown
    assert "target 1 0.000, target 2 1.000" in shown


def test_images_with_numbers_show_their_errors(make_run: MakeRun) -> None:
    folder = make_run("regression")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    pixels = encode_png(np.zeros((1, 4, 4), np.uint8))
    evaluation["worst"] = [
        {"row": 3, "name": "a.png", "true": 20.0, "predicted": 31.5, "error": 11.5, "image": pixels},
        {"row": 4, "name": "b.png", "true": 25.0, "predicted": 24.0, "error": -1.0, "image": pixels},
    ]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    shown = " ".join(find_section(render_checked(folder)[0], "mistakes").split())
    assert "with the largest errors. Check them for wrong values" in shown
    assert "predicted − true: <bdi>11.50</bdi>" in shown
    assert "predicted − true: <bdi>−1.00</bdi>" in shown
    assert shown.count("<img ") == 2
    assert "% sure" not in shown
    evaluation["worst"] = [
        {"row": 3, "name": "a.png", "true": [2.0, 9e3], "predicted": [1.5, 9e3], "error": [-0.5, 0.0], "image": pixels}
    ]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    shown = " ".join(find_section(render_checked(folder)[0], "mistakes").split())
    assert "<bdi>target 1</bdi> 2.0000" in shown
    assert "<strong>1.5000</strong>" in shown
    assert "predicted − true: −0.5000" in shown
    assert "<bdi>target 2</bdi> 9,000.000" in shown


def test_calibration_is_described(make_run: MakeRun) -> None:
    shown = find_section(render_run_page(make_run()), "calibration")
    assert "differ by 3.1 percentage points on average" in shown
    assert "(expected calibration error 0.031)" in shown
    assert "overconfident" in shown
    assert "a part of the error is random" in shown


def test_page_of_interrupted_run(interrupted_run: Path) -> None:
    text, _ = render_checked(interrupted_run)
    assert "No scores yet. Training is not finished." in find_section(text, "scores")
    assert "The run stopped in epoch 3 of 5" in find_section(text, "curves")
    assert "yisheng predict" not in text
    assert "yisheng train config=runs/0007-cut/config.toml" in find_section(text, "use")


def test_page_of_unevaluated_run_shows_the_command(make_run: MakeRun) -> None:
    text, _ = render_checked(make_run(without=("scores.json", "evaluation.json")))
    assert "Run <code>yisheng evaluate runs/0007-fake</code>" in find_section(text, "scores")


@pytest.mark.parametrize("missing", FILES)
def test_any_file_may_be_missing(make_run: MakeRun, missing: str) -> None:
    render_checked(make_run(without=(missing,)))


@pytest.mark.parametrize("damaged", FILES)
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1, 2]", b"null", b"\xff\xfe\x00", b'{"spec": 3, "best": [], "test": 1}']
)
def test_any_file_may_be_damaged(make_run: MakeRun, damaged: str, content: bytes) -> None:
    folder = make_run()
    (folder / damaged).write_bytes(content)
    text, _ = render_checked(folder)
    harmless = content == b"" and damaged in ("config.toml", "events.jsonl")
    unknown = damaged in ("scores.json", "evaluation.json", "environment.json") and content.startswith(b'{"spec')
    if not (harmless or unknown or damaged == "events.jsonl"):
        assert f"<code>{damaged}</code>:" in text


def test_damaged_lines_of_the_log_are_reported(make_run: MakeRun) -> None:
    folder = make_run()
    with (folder / "events.jsonl").open("a") as log:
        log.write("damaged\ndamaged\n")
    assert "left out: 2" in render_run_page(folder)


def test_folders_without_a_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a run folder"):
        render_run_page(tmp_path)
    with pytest.raises(DataError, match="not a run folder"):
        render_run_page(tmp_path / "nowhere")


def test_failed_write_leaves_the_page_unchanged(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run()
    path = write_run_page(folder)
    assert path == folder / "report.html"
    text = path.read_text(encoding="utf-8")
    assert text == render_run_page(folder)

    def raise_disk_full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", raise_disk_full)
    with pytest.raises(StorageError, match="no space left"):
        write_run_page(folder)
    assert path.read_text(encoding="utf-8") == text
    assert sorted(p.name for p in folder.iterdir()) == sorted([*FILES, "report.html", "README.md"])


def test_sections_are_functions(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    from yisheng.reporting.section import Section, render

    def findings(facts: Any) -> Section:
        return Section("findings", "Findings", render("<p>{{ name }}</p>", name=f"<{facts.name}>"))

    monkeypatch.setattr(run_page, "SECTIONS", (findings, *run_page.SECTIONS))
    text, _ = render_checked(make_run())
    assert "<p>&lt;0007-fake&gt;</p>" in find_section(text, "findings")
    assert '<a href="#findings">Findings</a>' in text


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_any_value_in_any_file_is_accepted(make_run: MakeRun, task: str) -> None:
    """Replace one value of one file by an arbitrary one: the page is still made, and is safe."""
    folder = make_run(task)
    originals = {name: (folder / name).read_text() for name in FILES if name.endswith(".json")}

    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def render_with_random_value(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(originals)))
        content = json.loads(originals[name])
        replace_random_value(content, data)
        (folder / name).write_text(json.dumps(content))
        Page(render_run_page(folder))
        (folder / name).write_text(originals[name])

    render_with_random_value()


def test_mistakes_of_a_table_show_the_unusual_values(make_run: MakeRun) -> None:
    folder = make_run("regression")
    evaluation = json.loads((folder / "evaluation.json").read_text())
    evaluation["worst"][0]["unusual"] = [{"column": "<b>age", "value": "92", "typical": "38"}]
    evaluation["worst"][0]["name"] = "house 17"
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    shown = find_section(render_checked(folder)[0], "mistakes")
    assert "house 17" in shown
    assert "Most unusual values" in shown
    assert re.search(r"&lt;b&gt;age</bdi> <strong><bdi>92</bdi></strong>\s*<small>\(<bdi>38</bdi>\)", shown)
    assert shown.count("<small>none</small>") == 4
    del evaluation["worst"][0]["unusual"]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    assert "unusual" not in find_section(render_checked(folder)[0], "mistakes")
