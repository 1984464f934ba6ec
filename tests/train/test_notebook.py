"""The live plot, in a real notebook kernel."""

import nbformat
import pytest
from nbclient import NotebookClient


@pytest.mark.slow
def test_a_notebook_shows_curves_that_are_updated_in_place(tmp_path):
    code = f"import yisheng\nrun = yisheng.train(data='iris', epochs=4, out={str(tmp_path)!r})\nrun"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = notebook.cells[0].outputs
    pictures = [o for o in outputs if "image/svg+xml" in o.get("data", {})]
    assert len(pictures) == 1  # one display, redrawn
    assert "validation" in pictures[0]["data"]["image/svg+xml"]
    assert any("TrainedRun" in o.get("data", {}).get("text/plain", "") for o in outputs)
