"""The doctor around a plain loop in a notebook kernel."""

import nbformat
import pytest
from nbclient import NotebookClient

CELL = """
import torch
from yisheng.diagnosis.doctor import doctor

net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3), torch.nn.Softmax(1))
sgd = torch.optim.SGD(net.parameters(), lr=0.1)
x, y = torch.randn(64, 4), torch.arange(64) % 3
with doctor(net, sgd) as dr:
    for _ in range(30):
        sgd.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        sgd.step()
print(dr)
"""


@pytest.mark.slow
def test_doctor_in_notebook_names_the_cause(tmp_path):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert "softmax is applied to the output before cross-entropy" in notebook.cells[0].outputs[0]["text"]
