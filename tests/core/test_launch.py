"""How a process was started, by the variables of torchrun and Slurm."""

import re
import subprocess
import sys

import pytest

from yisheng.core.errors import UsageError
from yisheng.core.launch import FIRST_PORT, Launch, find_first_node, find_launch, require_one_process

VARIABLES = (
    "WORLD_SIZE",
    "RANK",
    "MASTER_ADDR",
    "MASTER_PORT",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_STEP_NODELIST",
    "SLURM_PROCID",
    "SLURM_JOB_ID",
    "LOCAL_RANK",
    "SLURM_LOCALID",
)
STEP = {
    "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
    "SLURM_PROCID": "3",
    "SLURM_JOB_ID": "1234567",
}


@pytest.fixture
def start(monkeypatch):
    """Return a function that sets the variables of a start."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return lambda **variables: [monkeypatch.setenv(name, value) for name, value in variables.items()]


def test_alone(start):
    assert find_launch() is None
    require_one_process("a search")
    start(WORLD_SIZE="1", RANK="0")
    assert find_launch() is None


def test_a_batch_script_of_slurm_is_one_process(start):
    start(SLURM_JOB_ID="7", SLURM_PROCID="0", SLURM_NTASKS="4")
    assert find_launch() is None
    start(SLURM_STEP_NUM_TASKS="1")
    assert find_launch() is None


def test_torchrun(start):
    start(WORLD_SIZE="4", RANK="2", **STEP | {"SLURM_PROCID": "0"})  # on each machine by srun
    assert find_launch() == Launch("torchrun", 2, 4)
    start(LOCAL_RANK="1", SLURM_LOCALID="0")
    assert find_launch() == Launch("torchrun", 2, 4, local_rank=1)


def test_srun(start):
    start(**STEP)
    assert find_launch() == Launch("srun", 3, 4, ("gpu07", FIRST_PORT + 4567))
    start(MASTER_ADDR="10.0.0.7", MASTER_PORT="29500")
    assert find_launch() == Launch("srun", 3, 4, ("10.0.0.7", 29500))
    start(SLURM_LOCALID="1")
    assert find_launch() == Launch("srun", 3, 4, ("10.0.0.7", 29500), local_rank=1)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "many"}, "WORLD_SIZE='many' is not a whole number from 1"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE='0' is not a whole number from 1"),
        ({"WORLD_SIZE": "2"}, "RANK='' is not a whole number from 0"),
        (STEP | {"SLURM_PROCID": "-1"}, "SLURM_PROCID='-1'"),
        (STEP | {"SLURM_STEP_NODELIST": ""}, "names no host"),
        (STEP | {"MASTER_PORT": "0"}, "MASTER_PORT='0'"),
    ],
)
def test_wrong_variables_are_refused(start, variables, message):
    start(**variables)
    with pytest.raises(UsageError, match=re.escape(message)):
        find_launch()


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("localhost", "localhost"),
        ("n1,n2", "n1"),
        ("n[001-003,9]", "n001"),
        ("a[3]-b,c", "a3-b"),
        ("x-[1-2].org", "x-1.org"),
    ],
)
def test_the_first_host_of_a_list(nodes, first):
    assert find_first_node(nodes) == first


def test_commands_that_every_process_would_repeat_are_refused(start):
    start(WORLD_SIZE="2", RANK="1")
    with pytest.raises(UsageError, match="a search needs one process, and torchrun started 2"):
        require_one_process("a search")
    for words, code in ((["runs"], 2), (["explain", "dropout"], 2), (["predict", "--help"], 0), (["env"], 0)):
        completed = subprocess.run(
            [sys.executable, "-m", "yisheng", *words], capture_output=True, text=True, check=False
        )
        assert completed.returncode == code, completed.stderr
