"""The tutorials run as they are written, and say the same in both languages."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
TUTORIALS = sorted(path.name for path in (DOCS / "tutorials").glob("*.md"))
CELL = re.compile(r"^```\{code-cell\} ipython3\n(.*?)^```$", re.DOTALL | re.MULTILINE)
every_tutorial = pytest.mark.parametrize("name", TUTORIALS)


def read_cells(path: Path) -> list[str]:
    return CELL.findall(path.read_text(encoding="utf-8"))


def read_structure(path: Path) -> list[str]:
    """Return the kinds of a page's lines that both languages share: headings, cells, shell blocks, links."""
    text = CELL.sub("CELL\n", path.read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if re.match(r"#+ |CELL|    \S", line)]
    return [re.match(r"#+", line)[0] if line.startswith("#") else line for line in lines]


def test_there_are_tutorials_in_both_languages():
    assert len(TUTORIALS) >= 12
    assert sorted(path.name for path in (DOCS / "zh" / "tutorials").glob("*.md")) == TUTORIALS


@every_tutorial
def test_both_languages_have_the_same_code(name):
    english, chinese = DOCS / "tutorials" / name, DOCS / "zh" / "tutorials" / name
    assert read_cells(english)
    assert read_cells(english) == read_cells(chinese)
    assert read_structure(english) == read_structure(chinese)


@every_tutorial
def test_the_chinese_page_is_chinese(name):
    """No paragraph is English: outside of code, each has Chinese characters."""
    text = CELL.sub("", (DOCS / "zh" / "tutorials" / name).read_text(encoding="utf-8"))
    text = text.split("---\n", 2)[2]
    paragraphs = [p for p in text.split("\n\n") if p.strip() and not p.startswith("    ")]
    assert all(re.search(r"[\u4e00-\u9fff]", paragraph) for paragraph in paragraphs)


PUNCTUATION = re.compile(
    r"[\u4e00-\u9fff][,;:?!()]|[,;:?!(][\u4e00-\u9fff]|[\u4e00-\u9fff]\.(?![a-z])"  # half-width next to Chinese
    r"|[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]"  # no space between Chinese and Latin
)


@every_tutorial
def test_chinese_is_typeset_as_chinese(name):
    """Punctuation is full-width, and a space is between Chinese and Latin words, outside of code."""
    text = CELL.sub("", (DOCS / "zh" / "tutorials" / name).read_text(encoding="utf-8")).split("---\n", 2)[2]
    text = re.sub(r"`+[^`]*`+|\]\([^)]*\)|(?m:^ {4}.*$)", " ", text)
    assert not [text[max(0, m.start() - 20) : m.end() + 20] for m in PUNCTUATION.finditer(text)]


def test_typesetting_is_checked():
    assert all(map(PUNCTUATION.search, ("损失,梯度", "用torch训练", "完成.")))
    assert not PUNCTUATION.search("损失，用 torch 训练 3 轮。")


@every_tutorial
def test_links_lead_somewhere(name):
    for folder in (DOCS / "tutorials", DOCS / "zh" / "tutorials"):
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (folder / name).read_text(encoding="utf-8")):
            assert "://" in target or (folder / target).exists(), target


@pytest.mark.slow
@every_tutorial
def test_the_cells_run(name, tmp_path):
    """Both languages have the same cells, so they run once, in a kernel of their own folder."""
    import nbformat

    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(c) for c in read_cells(DOCS / "tutorials" / name)]
    )
    for cell in notebook.cells:
        del cell["id"]
    notebook.nbformat_minor = 4
    path = tmp_path / "tutorial.ipynb"
    nbformat.write(notebook, path)
    code = (
        "import sys, nbformat; from nbclient import NotebookClient; nb = nbformat.read(sys.argv[1], 4); "
        "NotebookClient(nb, timeout=300, kernel_name='python3').execute(); nbformat.write(nb, sys.argv[1])"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    process = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert process.returncode == 0, process.stderr[-4000:]
    outputs = [cell.get("outputs") for cell in nbformat.read(path, 4).cells]
    assert any(outputs), "the cells print something"


@every_tutorial
def test_a_tutorial_is_read_in_one_sitting(name):
    """A page has a heading, what is learned before the first cell, and at most 270 lines."""
    text = (DOCS / "tutorials" / name).read_text(encoding="utf-8").split("---\n", 2)[2]
    introduction = text.split("```", 1)[0]
    assert introduction.strip().startswith("# ")
    assert len(introduction.split()) > 15
    assert len(text.splitlines()) <= 270
