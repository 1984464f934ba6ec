"""The live plot, in a real notebook kernel."""

import nbformat
import pytest
from nbclient import NotebookClient

from yisheng.training import progress


@pytest.mark.slow
def test_a_notebook_shows_curves_that_are_updated_in_place(tmp_path):
    code = f"import yisheng\nrun = yisheng.train(data='iris', epochs=4, out={str(tmp_path)!r})\nrun"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = notebook.cells[0].outputs
    images = [o for o in outputs if "image/svg+xml" in o.get("data", {})]
    assert len(images) == 1  # one display, redrawn
    assert "validation" in images[0]["data"]["image/svg+xml"]
    assert any("TrainedRun" in o.get("data", {}).get("text/plain", "") for o in outputs)


def test_the_curves_show_steps_before_the_first_epoch_and_a_single_epoch():
    before = progress._draw_curves({}, [(0.1, 2.0), (0.2, 1.0)], 0, 4)
    assert "loss of a step" in before
    first = progress._draw_curves({"training loss": [1.0], "validation accuracy": [0.5]}, [], 1, 4)
    assert "validation accuracy" in first
    assert "loss of a step" not in first
