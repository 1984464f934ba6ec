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
    assert len(TUTORIALS) >= 3
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
