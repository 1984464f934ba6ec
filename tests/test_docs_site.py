"""The site has the same pages in both languages, every public name, no broken link, and a search that finds words."""

import functools
import http.server
import importlib.util
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest

import yisheng

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_the_reference_names_every_public_name():
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\.\. auto\w+:: yisheng\.(\w+)$", text, re.MULTILINE))
    assert named == set(yisheng.__all__)


def list_pages(folder: Path) -> list[str]:
    """Return the pages of a language, tutorials included, without the suffix."""
    paths = (*folder.glob("*.md"), *folder.glob("tutorials/*.md"))
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in paths)


def read_contents(folder: Path) -> list[str]:
    """Return the pages that the first page of a language lists, in order."""
    text = (folder / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"```\{toctree\}(.*?)```", text, re.DOTALL)
    return re.findall(r"^[a-z0-9/-]+$", "\n".join(trees), re.MULTILINE)


def test_every_page_is_in_the_contents():
    assert sorted(read_contents(DOCS)) == [page for page in list_pages(DOCS) if page != "index"]


def test_both_languages_have_the_same_pages_in_the_same_order():
    assert list_pages(DOCS / "zh") == list_pages(DOCS)
    assert read_contents(DOCS / "zh") == read_contents(DOCS)


CODE = re.compile(r"(?<!`)(`+)(?!`)((?:.|\n(?!\n))+?)(?<!`)\1(?!`)")
"""Code within a paragraph, between one or more backticks."""


def read_structure(path: Path) -> dict[str, list[str]]:
    """Return what does not depend on the language of a page."""
    text = path.read_text(encoding="utf-8")
    fence = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
    indented = re.compile(r"(?<=\n\n)(?: {4}.*\n|\n(?= {4}))+")
    prose = indented.sub("", fence.sub("", text))
    return {
        "blocks of code": [*fence.findall(text), *indented.findall(fence.sub("", text))],
        "headings, rows of tables and items of lists": re.findall(r"^(#+ |\||- )", prose, re.MULTILINE),
        "code within sentences": sorted({" ".join(code.split()) for _, code in CODE.findall(prose)}),
        "links": sorted(Path(link).name for link in re.findall(r"\]\(([^)#]+)", prose)),
    }


@pytest.mark.parametrize("page", [page for page in list_pages(DOCS) if "/" not in page and page != "index"])
def test_a_page_says_the_same_in_both_languages(page):
    english, chinese = (read_structure(folder / f"{page}.md") for folder in (DOCS, DOCS / "zh"))
    for name, expected in english.items():
        assert chinese[name] == expected, name


def test_a_page_that_differs_is_found(tmp_path):
    (tmp_path / "a.md").write_text("# A\n\nUse `lr=1` [here](b.md#c).\n\n    run\n\n- x\n\n```python\ny = 1\n```\n")
    structure = read_structure(tmp_path / "a.md")
    assert list(structure.values()) == [["```python\ny = 1\n```", "    run\n"], ["# ", "- "], ["lr=1"], ["b.md"]]


class Page(HTMLParser):
    """The links and anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if values.get("id"):
            self.anchors.add(values["id"])
        self.links += [values[key] for key in ("href", "src") if values.get(key)]


def broken_links(folder: Path) -> list[str]:
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link.startswith(("//", "data:")):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            lacks_anchor = parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors
            if not target.exists() or lacks_anchor:
                broken.append(f"{path.name}: {link}")
    return broken


def test_a_broken_link_is_found(tmp_path):
    (tmp_path / "a.html").write_text('<p id="x"><a href="#x"></a><a href="b.html"></a><a href="#y"></a></p>')
    assert broken_links(tmp_path) == ["a.html: b.html", "a.html: #y"]


HAS_SPHINX = all(importlib.util.find_spec(name) is not None for name in ("sphinx", "myst_nb", "furo"))
needs_sphinx = pytest.mark.skipif(not HAS_SPHINX, reason="needs yisheng[docs]")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site of both languages, without running the tutorials."""
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, ROOT / "scripts" / "build_docs.py", f"out={out}", "execute=false"]
    process = subprocess.run(command, capture_output=True, text=True, cwd=out)
    assert process.returncode == 0, process.stdout + process.stderr
    return out


@pytest.mark.slow
@needs_sphinx
def test_the_site_is_built_without_a_warning_and_without_a_broken_link(site):
    for name in ("index", "api", "doctor", "tutorials/softmax-twice"):
        assert (site / "en" / f"{name}.html").is_file()
    assert "yisheng.train" in (site / "en" / "api.html").read_text(encoding="utf-8")
    assert 'lang="zh-CN"' in (site / "zh" / "index.html").read_text(encoding="utf-8")
    assert broken_links(site) == []


@pytest.mark.slow
@needs_sphinx
def test_every_page_leads_to_the_same_page_in_the_other_language(site):
    for name in list_pages(DOCS):
        for language, other in (("en", "zh"), ("zh", "en")):
            path = site / language / f"{name}.html"
            targets = {(path.parent / link).resolve() for link in Page(path.read_text(encoding="utf-8")).links}
            assert site / other / f"{name}.html" in targets


@pytest.mark.slow
@needs_sphinx
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: run scripts/chromium.sh")
def test_the_search_finds_words_in_both_languages(site):
    api = pytest.importorskip("playwright.sync_api")
    queries = {
        ("en", "overfitting"): "fix",
        ("zh", "过拟合"): "doctor",
        ("zh", "学习率范围测试"): "lr-find",
        ("zh", "图"): "images",
        ("zh", "safetensors"): "export",
    }
    handler = functools.partial(SilentHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, api.sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]).new_page()
        problems = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        address = f"http://127.0.0.1:{server.server_address[1]}"
        for (language, query), expected in queries.items():
            page.goto(f"{address}/{language}/search.html?q={quote(query)}")
            page.locator(f'#search-results a[href^="{expected}.html"]').first.wait_for(timeout=30_000)
        page.goto(f"{address}/zh/search.html?q={quote('鸭嘴兽学习率')}")
        page.locator("#search-results p.search-summary", has_text="没有匹配").wait_for(timeout=30_000)
        server.shutdown()
    assert problems == []


class SilentHandler(http.server.SimpleHTTPRequestHandler):
    """Serves the site without a log."""

    def log_message(self, *args) -> None:
        """Write nothing."""
