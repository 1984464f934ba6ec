"""The code of the ten tasks runs, and the page has it and its numbers of lines."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks" / "tasks"


@pytest.fixture
def count():
    spec = importlib.util.spec_from_file_location("count_lines_of_tasks", FOLDER / "count.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_page_is_up_to_date(count, language):
    page = count.PAGES[language].read_text(encoding="utf-8")
    assert page == count.make_page(language), "run python benchmarks/tasks/count.py"


def test_no_task_takes_more_lines_than_with_another_library(count):
    lines = {
        library: [count.count_lines(code) for code in count.read_tasks(FOLDER / f"with_{library}.py").values()]
        for library in count.LIBRARIES
    }
    assert len(lines["yisheng"]) == 10
    assert all(min(numbers) == numbers[0] for numbers in zip(*lines.values(), strict=True)), lines


@pytest.mark.slow
def test_the_ten_tasks_run(tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(FOLDER)}
    command = [sys.executable, FOLDER / "with_yisheng.py"]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert process.returncode == 0, process.stderr[-4000:]
    assert len(list((tmp_path / "runs").iterdir())) == 7
    assert {"confusion.png", "net.onnx"} <= {path.name for path in tmp_path.iterdir()}
    printed = process.stdout.splitlines()
    assert printed[4].isdigit()
    assert Path(tmp_path, printed[-1]).exists()
