"""The blocks of docs/python.md and the cells of the example notebook run as they are written."""

import re
import shlex
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from PIL import Image

from yisheng.cli import main

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "python.md"
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


@pytest.mark.slow
def test_python_page_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = PAGE.read_text(encoding="utf-8")
    names = {}
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    for line in "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines():
        program, *words = shlex.split(line)
        assert program == "yisheng"
        assert main(words) == 0
    for name in ("confusion.svg", "mistakes.png", "calibration.pdf", "trials.png"):
        assert (tmp_path / name).stat().st_size > 1000
    with Image.open(tmp_path / "images.png") as image:
        assert image.width > 900
    assert "f1-macro" in capsys.readouterr().out


def test_every_public_attribute_of_a_run_is_on_the_page():
    import yisheng

    text = PAGE.read_text(encoding="utf-8")
    public = [name for name in vars(yisheng.TrainedRun) if not name.startswith("_")]
    missing = [name for name in public if not re.search(rf"\.{name}\b", text)]
    assert set(missing) <= {"run"}


@pytest.mark.slow
def test_example_notebook_runs(tmp_path):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert all(not cell.outputs for cell in notebook.cells if cell.cell_type == "code"), "clear the outputs"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    shown = [output["data"] for output in outputs if "data" in output]
    assert sum("image/png" in data for data in shown) >= 3
    pages = [data["text/html"] for data in shown if "<iframe" in data.get("text/html", "")]
    assert len(pages) == 1
    assert not any(output["output_type"] == "error" for output in outputs)
