"""The number of threads of a training, the memory of a container, and what the command sets for its own process."""

import os
import platform
import subprocess
import sys
import time

import pytest
import torch

from yisheng.core import machine, process
from yisheng.core.machine import threads_worth


def test_a_second_thread_is_for_large_batches_or_large_networks(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(machine, "count_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    digits, mnist = 32 * 64, 128 * 784
    assert threads_worth(digits, 32 * 5_000) == 1
    assert threads_worth(mnist, 128 * 60_000) == 8
    assert threads_worth(digits, 32 * 11_000_000) == 8  # ResNet-18 on 8x8 images
    monkeypatch.setattr(machine, "count_cores", lambda: 2)  # torch counts all, a container grants two of them
    assert threads_worth(mnist, 128 * 60_000) == 2


def test_the_user_is_obeyed(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert threads_worth(1, 1) == 8


@pytest.mark.parametrize(
    ("line", "files", "granted"),
    [
        ("0::/", {"cpu.max": "200000 100000"}, 2),
        ("0::/", {"cpu.max": "max 100000"}, 8),
        ("0::/", {"cpu.max": "10000 100000"}, 1),
        ("0::/", {"cpu.max": "1600000 100000"}, 8),
        ("0::/", {"cpu.max": "what is this"}, 8),
        ("0::/job/task", {"cpu.max": "300000 100000", "job/task/cpu.max": "max 100000"}, 3),
        ("0::/job/task", {"job/cpu.max": "300000 100000", "job/task/cpu.max": "200000 100000"}, 2),
        ("4:cpuacct,cpu:/box", {"cpu/box/cpu.cfs_quota_us": "500000", "cpu/box/cpu.cfs_period_us": "100000"}, 5),
        ("4:cpu:/far/away\n0::/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ("4:cpuset:/\n0::/../out", {}, 8),
    ],
)
def test_the_share_of_the_cores_that_a_container_grants(tmp_path, monkeypatch, line, files, granted):
    monkeypatch.setattr(machine, "count_affinity", lambda: 8)
    (tmp_path / "mine").write_text(line + "\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert machine.count_cores(tmp_path / "mine", tmp_path) == granted
    assert machine.count_cores(tmp_path / "none", tmp_path) == 8


def test_torch_is_told_of_the_share_and_the_user_is_obeyed(monkeypatch):
    monkeypatch.setattr(machine, "count_affinity", lambda: 8)
    monkeypatch.setattr(machine, "count_cores", lambda: 2)
    monkeypatch.setattr(os, "environ", dict[str, str]())
    process.limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert not machine.user_set_threads()  # a small network is still worth one thread alone
    os.environ["OMP_NUM_THREADS"] = "3"
    process.limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert machine.user_set_threads()


def test_all_cores_need_not_be_told(monkeypatch):
    monkeypatch.setattr(machine, "count_affinity", lambda: 8)
    monkeypatch.setattr(machine, "count_cores", lambda: 8)
    monkeypatch.setattr(os, "environ", dict[str, str]())
    process.limit_threads()
    assert os.environ == {}
    assert not machine.user_set_threads()


PROGRAM = """
import resource, sys
from yisheng.core import process
print(process.keep_memory())
import numpy as np
np.ones(1 << 22)  # 32 MiB, as a step of training takes and gives back
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(1 << 22)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment: str) -> tuple[str, int]:
    """Whether memory is kept, and page faults of ten blocks of 32 MiB, in a process of its own."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_", "LD_PRE"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    said, count = done.stdout.split()
    return said, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this is what glibc does")
def test_memory_that_is_given_back_costs_no_page_faults_when_taken_again():
    (kept, few), (left, many) = faults(), faults(MALLOC_ARENA_MAX="2", MALLOC_MMAP_THRESHOLD_="100000")
    assert (kept, left) == ("True", "False")  # a user who set it is obeyed
    assert few < many / 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/stat tells it")
def test_cores_that_others_keep_busy_are_seen():
    if len(os.sched_getaffinity(0)) != machine.count_cores():
        pytest.skip("a share of all cores: the system does not tell")
    quiet = min(machine.busy_cores(0.2) for _ in range(5))
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(machine.count_cores())]
    try:
        time.sleep(0.5)
        taken = max(machine.busy_cores(0.5) for _ in range(3))
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert 0 <= quiet <= machine.count_cores() + 0.5
    assert taken > 0.5 * machine.count_cores()


V2 = ("memory.max", "memory.current", ("active_file", "inactive_file"))
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file"))


def grouped(path, names, granted, used=700):
    """A control group that grants so much; 150 bytes of what it uses are of files."""
    path.mkdir(parents=True, exist_ok=True)
    limit, usage, (active, inactive) = names
    for name, text in ((limit, granted), (usage, used), ("memory.stat", f"anon 500\n{active} 50\n{inactive} 100")):
        (path / name).write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("line", "folder", "names"),
    [
        ("0::/box", "box", V2),
        ("0::/init", "", V2),  # a container whose processes were moved into a group of their own
        ("0::/seen/from/outside", "", V2),
        ("0::/../outside", "", V2),
        ("0::/job/step/task", "job", V2),
        ("9:cpu:/\n4:memory:/box\n0::/", "memory/box", V1),
        ("4:memory:/far/away", "memory", V1),
    ],
)
def test_what_a_container_may_use(tmp_path, line, folder, names):
    mine, groups = tmp_path / "mine", tmp_path / "groups"
    mine.write_text(line + "\n")
    for free in ("init", "job/step", "job/step/task"):
        grouped(groups / free, V2, "max")
    grouped(groups / folder, names, 1000)
    assert machine._container_memory(mine, groups) == (1000, 450)
    grouped(groups / folder, names, "max")
    assert machine._container_memory(mine, groups) is None
    assert machine._container_memory(tmp_path / "none", groups) is None


def test_the_tightest_limit_counts(tmp_path):
    (tmp_path / "mine").write_text("0::/job/task\n")
    grouped(tmp_path / "job", V2, 2000, used=1800)
    grouped(tmp_path / "job" / "task", V2, 1000)
    assert machine._container_memory(tmp_path / "mine", tmp_path) == (1000, 350)
