"""Cells in the style of the book's chapters run with `yisheng.d2l` in place of the book's package."""

import os
import re
import subprocess
import sys

import pytest

from tests.d2l.chapters import ALIASES, CHAPTERS, NEEDS_DATA, OWN_NAMES, count_cells

RUNS = [
    pytest.param(name, marks=[pytest.mark.realdata, pytest.mark.slow] if NEEDS_DATA.search(text) else [])
    for name, text in CHAPTERS.items()
]


def run_chapter(name, folder, **variables):
    """Run the cells of a chapter in a process of their own; return its output and its messages."""
    script = folder / f"{name}.py"
    script.write_text(CHAPTERS[name], encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **variables}
    environment.pop("YISHENG_D2L_FIGURES", None)
    command = [sys.executable, "-m", "yisheng.d2l", script.name]
    process = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment)
    assert process.returncode == 0, process.stdout[-2000:] + process.stderr[-4000:]
    assert "yisheng/d2l" not in process.stderr.replace(str(folder), ""), "a warning of our code\n" + process.stderr
    return process.stdout, process.stderr


def test_the_cells_use_every_name_of_the_book():
    text = "\n".join(CHAPTERS.values())
    unused = [name for name in OWN_NAMES + ALIASES if not re.search(rf"\bd2l\.{name}\b", text)]
    assert not unused
    assert sum(map(count_cells, CHAPTERS.values())) >= 120


@pytest.mark.parametrize("name", RUNS)
def test_all_cells_of_a_chapter_run(name, tmp_path):
    fast = {"YISHENG_D2L_FAST": "1"} if NEEDS_DATA.search(CHAPTERS[name]) else {}
    _, messages = run_chapter(name, tmp_path, **fast)
    count = count_cells(CHAPTERS[name])
    assert f"{count} of {count} cells ran" in messages
    assert "now imports yisheng.d2l" in messages
    figures = re.findall(r"^figure: (.*)$", messages, re.MULTILINE)
    assert all((tmp_path / path).stat().st_size > 1000 for path in figures)


@pytest.mark.slow
@pytest.mark.realdata
def test_softmax_regression_reaches_the_books_accuracy(tmp_path):
    output, _ = run_chapter("linear_networks", tmp_path)
    accuracy = float(re.search(r"test accuracy (\d\.\d+)", output)[1])
    assert accuracy == pytest.approx(0.83, abs=0.015)
