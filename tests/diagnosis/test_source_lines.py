"""Findings name the line of the user's own program: real programs in files of their own."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAD = """\
import torch
from torch import nn
import torch.nn.functional as F
import yisheng

torch.manual_seed(0)
x, y = torch.randn(256, 8), torch.randint(0, 4, (256,))
"""
LOOP = """\
with yisheng.doctor(net, optimizer) as dr:
    for step in range(12):
        rows = torch.randint(0, 256, (32,))
        optimizer.zero_grad()
        output = net(x[rows])
        loss = F.cross_entropy(output, y[rows])
        loss.backward()
        optimizer.step()
"""
NET = "net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))\n"
SGD = "optimizer = torch.optim.SGD(net.parameters(), lr=0.1)\n"
SHOW = "print([(finding.check, finding.source) for finding in dr.findings])\n"
MODULE = """\
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 32), nn.Linear(32, 4)

    def forward(self, x):
        hidden = F.relu(self.a(x))
        hidden = hidden.detach()
        return self.b(hidden)

net = Net()
"""
NO_GRAD = MODULE.replace(
    "        hidden = F.relu(self.a(x))\n        hidden = hidden.detach()\n",
    "        with torch.no_grad():\n            hidden = F.relu(self.a(x))\n",
)


def run_program(folder, text):
    """Run a program as ``train.py`` and return what it prints."""
    path = folder / "train.py"
    path.write_text(text)
    sources = str(Path(__file__).parents[2] / "src")
    environment = {"PYTHONPATH": sources, "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, str(path)]
    process = subprocess.run(
        command, capture_output=True, text=True, timeout=120, cwd=folder, env=environment, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def find_line(text, part):
    """Return the line of a program that contains a text, as findings name it."""
    return f"train.py:{next(number for number, line in enumerate(text.splitlines(), 1) if part in line)}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "check", "line"),
    [
        (HEAD + NET + SGD + LOOP.replace("(output, y", "(output.softmax(1), y"), "loss-pairing", "F.cross_entropy"),
        (HEAD + NET + SGD + LOOP.replace("optimizer.zero_grad()", "pass"), "carried-gradients", "loss.backward()"),
        (HEAD + NET + SGD + "net[2] = nn.Linear(32, 4)\n" + LOOP, "uncovered-parameters", "optimizer = torch"),
        (HEAD + MODULE + SGD + LOOP, "no-gradient", "hidden.detach()"),
        (HEAD + NO_GRAD + SGD + LOOP, "no-gradient", "F.relu(self.a(x))"),
        (HEAD + NET + SGD + LOOP.replace("        optimizer.step()\n", ""), "missing-update", "loss.backward()"),
        (HEAD + "y = (y / 255).long()\n" + NET + SGD + LOOP, "constant-targets", "F.cross_entropy"),
    ],
)
def test_finding_names_the_line_that_caused_it(tmp_path, program, check, line):
    output = run_program(tmp_path, program + SHOW)
    assert output.strip() == f"[({check!r}, {find_line(program, line)!r})]"


@pytest.mark.slow
def test_line_of_a_loss_in_a_function_of_another_file(tmp_path):
    """The innermost line of the user's own code is named, in whichever of the files it is."""
    (tmp_path / "losses.py").write_text(
        "import torch.nn.functional as F\n\n"
        "def criterion(output, y):\n    return F.cross_entropy(output.softmax(1), y)\n"
    )
    program = HEAD + "from losses import criterion\n" + NET + SGD + LOOP.replace("F.cross_entropy", "criterion") + SHOW
    assert run_program(tmp_path, program).strip() == "[('loss-pairing', 'losses.py:4')]"


@pytest.mark.slow
def test_loss_that_torch_refuses_is_the_finding(tmp_path):
    """The first step raises, and the doctor explains it with the line and the remedy."""
    program = (
        HEAD
        + "y = y + 1\n"
        + NET
        + SGD
        + "dr = yisheng.doctor(net, optimizer)\ntry:\n    with dr:\n        for step in range(5):\n"
        + "            F.cross_entropy(net(x), y).backward()\nexcept IndexError as error:\n    print('raised')\n"
        + "print(dr)\n"
    )
    lines = run_program(tmp_path, program).splitlines()
    assert lines[0] == "raised"
    assert lines[1] == "training: 1 error; validation and data were not given"
    assert lines[2].endswith(f"for the classes 0 to 3 ({find_line(program, 'F.cross_entropy')})")
    assert lines[3].strip() == "subtract 1 from the class numbers: they must begin at 0"


@pytest.mark.slow
def test_loop_that_ends_in_an_error_is_never_nothing_found(tmp_path):
    program = HEAD + NET.replace("Linear(8", "Linear(9") + SGD
    program += (
        "dr = yisheng.doctor(net, optimizer)\ntry:\n    with dr:\n        net(x)\nexcept RuntimeError:\n    pass\n"
        + SHOW
    )
    assert run_program(tmp_path, program).strip() == f"[('loop-error', {find_line(program, '        net(x)')!r})]"
