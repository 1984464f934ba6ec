"""The site is built without a warning, has every page and every public name, and no link in it is broken."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import yisheng

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def test_the_reference_names_every_public_name():
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^\.\. auto\w+:: yisheng\.(\w+)$", text, re.MULTILINE))
    assert named == set(yisheng.__all__)


def test_every_page_is_in_the_contents():
    text = (DOCS / "index.md").read_text(encoding="utf-8")
    listed = re.findall(
        r"^[a-z0-9/-]+$", "\n".join(re.findall(r"```\{toctree\}(.*?)```", text, re.DOTALL)), re.MULTILINE
    )
    pages = [
        path.relative_to(DOCS).with_suffix("").as_posix() for path in (*DOCS.glob("*.md"), *DOCS.glob("tutorials/*.md"))
    ]
    assert sorted(listed) == sorted(set(pages) - {"index"})


@pytest.mark.parametrize("page", sorted(path.name for path in (DOCS / "zh").glob("*.md") if path.name != "index.md"))
def test_a_page_says_the_same_in_both_languages(page):
    """Blocks of code, headings, rows of tables and items of lists agree."""
    structures = []
    for folder in (DOCS, DOCS / "zh"):
        text = (folder / page).read_text(encoding="utf-8")
        blocks = re.findall(r"^```.*?^```$", text, re.DOTALL | re.MULTILINE)
        marks = re.findall(
            r"^(#+ |\||- )", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE), re.MULTILINE
        )
        structures.append((blocks, marks))
    assert structures[0] == structures[1]


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


@pytest.mark.slow
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("sphinx", "myst_nb", "furo")), reason="needs yisheng[docs]"
)
def test_the_site_is_built_without_a_warning_and_without_a_broken_link(tmp_path):
    script = ROOT / "scripts" / "build_docs.py"
    process = subprocess.run(
        [sys.executable, script, f"out={tmp_path}", "execute=false"], capture_output=True, text=True, cwd=tmp_path
    )
    assert process.returncode == 0, process.stdout + process.stderr
    for name in ("index", "api", "doctor", "tutorials/softmax-twice"):
        assert (tmp_path / "en" / f"{name}.html").is_file()
    assert "yisheng.train" in (tmp_path / "en" / "api.html").read_text(encoding="utf-8")
    assert 'lang="zh-CN"' in (tmp_path / "zh" / "index.html").read_text(encoding="utf-8")
    assert broken_links(tmp_path) == []
