"""The page: whole, safe, accessible, true to the files, and there whatever is missing."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.core.errors import DataError, StorageError
from yisheng.reporting import figures, run_page, svg
from yisheng.reporting.run_page import render_run_page, write_run_page

Make = Callable[..., Path]
VOID = {"meta", "br", "img", "link", "input", "hr", "col", "wbr"}
ALL = ("config.toml", "model.json", "events.jsonl", "scores.json", "evaluation.json", "environment.json")


@pytest.fixture(autouse=True)
def _undrawn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take nearly all the time; they are drawn only for tests that ask for them."""
    if "drawn" not in request.fixturenames:
        empty = f'<svg xmlns="{svg.NAMESPACE}" viewBox="0 0 1 1" />'
        monkeypatch.setattr(figures, "draw", lambda name, paint: empty)


@pytest.fixture
def drawn() -> None:
    """Draw the figures."""


class Page(HTMLParser):
    """What a page holds; complains about what is not well formed or not fit for everyone."""

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
        self._seen(tag, dict(attrs), attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._seen(tag, dict(attrs), attrs)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    def _seen(self, tag: str, at: dict[str, str | None], attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if len(at) != len(attrs):
            self.faults.append(f"<{tag}> has an attribute twice")
        if tag in ("script", "iframe", "object", "embed", "link", "base", "form"):
            self.faults.append(f"<{tag}>")
        self.faults += [f"{tag} {name}" for name in at if name.startswith("on")]
        for name in ("src", "href", "srcset", "action", "poster", "data"):
            value = at.get(name)
            if value is not None and not value.startswith(("#", "data:image/png;base64,")):
                self.faults.append(f"{tag} {name}={value}")
            elif value and value.startswith("#"):
                self.links.append(value[1:])
        if "id" in at:
            self.ids[str(at["id"])] += 1
        self.links += str(at.get("aria-labelledby") or "").split()
        if tag == "img" and not (at.get("alt") or "").strip():
            self.faults.append("img without alt")
        if at.get("role") in ("img", "region") and not (at.get("aria-label") or "").strip():
            self.faults.append(f"{tag} role without label")
        if tag == "th" and at.get("scope") not in ("row", "col"):
            self.faults.append("th without scope")
        if tag == "html" and at.get("lang") != "en":
            self.faults.append("no lang")
        if tag == "data":
            self.values.append(str(at["value"]))


def check(folder: Path) -> tuple[str, Page]:
    """Render, and check all that holds of every page."""
    text = render_run_page(folder)
    page = Page(text)
    assert max(page.ids.values()) == 1
    assert set(page.links) <= set(page.ids)
    assert page.tags["h1"] == 1
    assert page.tags["caption"] == page.tags["table"]
    assert page.tags["svg"] == text.count('role="img" aria-label="') - text.count('class="arrow"')
    for figure in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(figure)
    assert not re.search(r"url\((?!#)|@import|https?://(?!example\.com)", text)
    assert text.encode()
    return text, page


def section(text: str, name: str) -> str:
    found = re.search(rf'<section id="{name}".*?</section>', text, re.DOTALL)
    assert found, f"no section {name}"
    return found[0]


KINDS: dict[str, dict[str, Any]] = {
    "images": {"image": True},
    "binary": {"classes": ("no", "yes")},
    "rows": {},
    "regression": {"task": "regression", "spec_more": {"target": "价格", "unit": "€/m²"}},
    "multilabel": {"task": "multilabel"},
    "twenty": {"classes": tuple(f"kind {i}" for i in range(20))},
    "hundred": {"classes": tuple(f"kind {i}" for i in range(100))},
    "hostile": {"classes": "hostile", "image": True},
    "hostile labels": {"task": "multilabel", "classes": "hostile"},
    "hostile target": {"task": "regression", "spec_more": {"target": "<script>", "unit": '"><img src=x onerror=1>'}},
}


@pytest.mark.usefixtures("drawn")
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_run(make_run: Make, hostile: tuple[str, ...], kind: str) -> None:
    options = dict(KINDS[kind])
    if options.get("classes") == "hostile":
        options["classes"] = hostile
    folder = make_run(**options)
    text, page = check(folder)
    assert render_run_page(folder) == text
    task = KINDS[kind].get("task", "classification")
    wanted = {
        "classification": {"scores", "curves", "confusion", "classes", "mistakes", "calibration"},
        "multilabel": {"scores", "curves", "classes", "mistakes"},
        "regression": {"scores", "curves", "regression", "mistakes"},
    }[task]
    shown = re.findall(r'<section id="(\w+)"', text)
    assert set(shown) == wanted | {"use", "config", "environment"}
    for part in json.loads((folder / "scores.json").read_text()).values():
        for values in part.values():
            assert repr(values["value"]) in page.values
    assert "missing" not in text.split("</style>")[1]


def test_hostile_names_are_shown_as_they_are(make_run: Make, hostile: tuple[str, ...]) -> None:
    text, page = check(make_run(classes=hostile, image=True))
    said = "".join(page.text)
    for name in hostile:
        assert svg.replace_unprintable(name) in said
    assert "49" not in section(text, "classes")  # the template in a name was not run
    assert "<script" not in text
    assert "onerror=" not in re.sub(r'"[^"]*"|>[^<]*<', "", text)


def test_folder_names_are_escaped(make_run: Make) -> None:
    text, _ = check(make_run(name="it's <b>&amp; $(rm) 中文"))
    assert "<h1><bdi>0007-it&#39;s &lt;b&gt;&amp;amp; $(rm) 中文</bdi></h1>" in text
    command = section(text, "use")
    assert "yisheng evaluate &#39;runs/0007-it&#39;&#34;&#39;&#34;&#39;s" in command


def test_verdict_and_scores(make_run: Make) -> None:
    text, _ = check(make_run(image=True))
    assert "Test accuracy 0.911 (95% interval 0.905 to 0.917); guessing the commonest class gives 0.100." in text
    scores = section(text, "scores")
    assert '<data value="0.91124">0.911</data>' in scores
    assert '<data value="0.90512">0.905</data>' in scores
    assert '<data value="0.92345">0.923</data>' in scores
    assert scores.index(">Accuracy") < scores.index(">F1 (macro)")
    assert "yisheng predict runs/0007-fake photo.png" in text
    assert "yisheng evaluate runs/0007-fake" in text
    assert "9 March 2025, 14:05 UTC" in text


def test_confusion_matrix_is_the_files(make_run: Make) -> None:
    folder = make_run()
    about = json.loads((folder / "evaluation.json").read_text())
    table = section(render_run_page(folder), "confusion")
    body = table[table.index("<tbody>") :]
    shown = [[int(n) for n in re.findall(r"<td[^>]*>(?:<span[^>]*>)?([\d,]+)", row)] for row in body.split("<tr>")[1:]]
    assert [row[:-1] for row in shown] == about["confusion"]
    assert [row[-1] for row in shown] == [sum(row) for row in about["confusion"]]
    share = about["confusion"][0][1] / sum(about["confusion"][0])
    assert f"true cat, predicted dog: {about['confusion'][0][1]} of {sum(about['confusion'][0])} rows" in table
    assert f"({share:.1%})" in table


def test_of_many_classes_the_most_confused_are_listed(make_run: Make) -> None:
    folder = make_run(classes=tuple(f"kind {i}" for i in range(40)))
    about = json.loads((folder / "evaluation.json").read_text())
    about["confusion"][7][3] = 99
    (folder / "evaluation.json").write_text(json.dumps(about))
    rows = section(render_run_page(folder), "confusion").split("<tbody>")[1].split("<tr>")[1:]
    assert len(rows) == 20
    assert "kind 7" in rows[0]
    assert "kind 3" in rows[0]
    assert ">99<" in rows[0]


def test_classes_come_worst_first_and_the_unknown_last(make_run: Make) -> None:
    names = re.findall(r'<th scope="row"><bdi>(\w+)', section(render_run_page(make_run()), "classes"))
    assert names == ["newt", "dog", "cat"]


def test_images_of_the_worst(make_run: Make) -> None:
    shown = section(render_run_page(make_run(image=True)), "mistakes")
    assert shown.count("<img ") == 6
    assert shown.count('class="pixels"') == 6
    assert 'alt="row 0: cat, taken for' in shown
    assert "98.7% sure" in shown


@pytest.mark.parametrize("image", ["", "no base64!", "aGVsbG8=", '"><script>', "A" * (1 << 20) + "===="])
def test_what_is_no_image_is_not_shown_as_one(make_run: Make, image: str) -> None:
    folder = make_run(image=True)
    about = json.loads((folder / "evaluation.json").read_text())
    about["worst"][0]["image"] = image
    (folder / "evaluation.json").write_text(json.dumps(about))
    assert section(check(folder)[0], "mistakes").count("<img ") == 5


def test_several_targets(make_run: Make) -> None:
    folder = make_run("regression")
    about = json.loads((folder / "evaluation.json").read_text())
    about["pairs"] = {"true": [[1.0, 2.0], [3.0, 4.0]], "predicted": [[1.5, 2.0], [3.0, 5.0]]}
    about["worst"] = [{"row": 3, "name": "3", "true": [3.0, 4.0], "predicted": [3.0, 5.0], "error": [0.0, 1.0]}]
    (folder / "evaluation.json").write_text(json.dumps(about))
    shown = section(check(folder)[0], "mistakes")
    assert "row 3" in shown
    assert "3.000, 4.000" in shown
    assert '<data value="0.0">0.000</data>, <data value="1.0">1.000</data>' in " ".join(shown.split())


def test_calibration_in_words(make_run: Make) -> None:
    shown = section(render_run_page(make_run()), "calibration")
    assert "differ by 3.1 percentage points on average" in shown
    assert "(expected calibration error 0.031)" in shown
    assert "too sure of itself" in shown
    assert "a part of the error is chance" in shown


def test_interrupted_run(interrupted: Path) -> None:
    text, _ = check(interrupted)
    assert "There are no scores yet. Training has not come to its end." in section(text, "scores")
    assert "The run stopped in epoch 3 of 5" in section(text, "curves")
    assert "yisheng predict" not in text
    assert "yisheng train config=runs/0007-cut/config.toml" in section(text, "use")


def test_trained_but_not_scored(make_run: Make) -> None:
    text, _ = check(make_run(without=("scores.json", "evaluation.json")))
    assert "Make it with <code>yisheng evaluate runs/0007-fake</code>" in section(text, "scores")


@pytest.mark.parametrize("missing", ALL)
def test_any_one_file_may_be_missing(make_run: Make, missing: str) -> None:
    check(make_run(without=(missing,)))


@pytest.mark.parametrize("damaged", ALL)
@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1, 2]", b"null", b"\xff\xfe\x00", b'{"spec": 3, "best": [], "test": 1}']
)
def test_any_one_file_may_be_damaged(make_run: Make, damaged: str, content: bytes) -> None:
    folder = make_run()
    (folder / damaged).write_bytes(content)
    text, _ = check(folder)
    harmless = content == b"" and damaged in ("config.toml", "events.jsonl")
    unknown = damaged in ("scores.json", "evaluation.json", "environment.json") and content.startswith(b'{"spec')
    if not (harmless or unknown or damaged == "events.jsonl"):
        assert f"<code>{damaged}</code>:" in text


def test_damaged_lines_of_the_log_are_told(make_run: Make) -> None:
    folder = make_run()
    with (folder / "events.jsonl").open("a") as log:
        log.write("scar\nscar\n")
    assert "left out: 2" in render_run_page(folder)


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a run folder"):
        render_run_page(tmp_path)
    with pytest.raises(DataError, match="not a run folder"):
        render_run_page(tmp_path / "nowhere")


def test_write_is_whole_or_not_at_all(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_run()
    path = write_run_page(folder)
    assert path == folder / "report.html"
    before = path.read_text(encoding="utf-8")
    assert before == render_run_page(folder)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(StorageError, match="no space left"):
        write_run_page(folder)
    assert path.read_text(encoding="utf-8") == before
    assert sorted(p.name for p in folder.iterdir()) == sorted([*ALL, "report.html"])


def test_a_section_is_one_function(make_run: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from yisheng.reporting.section import Section, fill

    def findings(facts: Any) -> Section:
        return Section("findings", "Findings", fill("<p>{{ name }}</p>", name=f"<{facts.name}>"))

    monkeypatch.setattr(run_page, "SECTIONS", (findings, *run_page.SECTIONS))
    text, _ = check(make_run())
    assert "<p>&lt;0007-fake&gt;</p>" in section(text, "findings")
    assert '<a href="#findings">Findings</a>' in text


plain = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5)
json_data = st.recursive(plain, lambda s: st.lists(s, max_size=3) | st.dictionaries(st.text(max_size=4), s, max_size=3))


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_any_value_anywhere_is_survived(make_run: Make, task: str) -> None:
    """One value of one file becomes anything at all: the page is there, and as safe as ever."""
    folder = make_run(task)
    originals = {name: (folder / name).read_text() for name in ALL if name.endswith(".json")}

    @settings(max_examples=40, deadline=None)
    @given(st.data())
    def survives(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(originals)))
        whole = json.loads(originals[name])
        at: Any = whole
        while True:
            key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
            if not (isinstance(at[key], dict | list) and at[key] and data.draw(st.integers(0, 3))):
                break
            at = at[key]
        at[key] = data.draw(json_data)
        (folder / name).write_text(json.dumps(whole))
        Page(render_run_page(folder))
        (folder / name).write_text(originals[name])

    survives()
