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


def test_small_batches_of_small_networks_use_one_thread(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(machine, "count_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    digits, mnist = 32 * 64, 128 * 784
    assert threads_worth(digits, 32 * 5_000) == 1
    assert threads_worth(mnist, 128 * 60_000) == 8
    assert threads_worth(digits, 32 * 11_000_000) == 8  # ResNet-18 on 8x8 images
    monkeypatch.setattr(machine, "count_cores", lambda: 2)  # torch counts all cores, the container grants two
    assert threads_worth(mnist, 128 * 60_000) == 2


def test_the_number_of_threads_set_by_the_user_is_used(monkeypatch):
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
        ("0::/", {"cpu.max": "not a number"}, 8),
        ("0::/job/task", {"cpu.max": "300000 100000", "job/task/cpu.max": "max 100000"}, 3),
        ("0::/job/task", {"job/cpu.max": "300000 100000", "job/task/cpu.max": "200000 100000"}, 2),
        ("4:cpuacct,cpu:/box", {"cpu/box/cpu.cfs_quota_us": "500000", "cpu/box/cpu.cfs_period_us": "100000"}, 5),
        ("4:cpu:/another/path\n0::/", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ("4:cpuset:/\n0::/../out", {}, 8),
    ],
)
def test_cores_granted_by_a_container(tmp_path, monkeypatch, line, files, granted):
    monkeypatch.setattr(machine, "count_affinity", lambda: 8)
    (tmp_path / "cgroup").write_text(line + "\n")
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text + "\n")
    assert machine.count_cores(tmp_path / "cgroup", tmp_path) == granted
    assert machine.count_cores(tmp_path / "missing", tmp_path) == 8


def test_torch_gets_the_granted_cores_unless_the_user_set_a_number(monkeypatch):
    monkeypatch.setattr(machine, "count_affinity", lambda: 8)
    monkeypatch.setattr(machine, "count_cores", lambda: 2)
    monkeypatch.setattr(os, "environ", dict[str, str]())
    process.limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "2"
    assert not machine.user_set_threads()  # so a small network still uses one thread
    os.environ["OMP_NUM_THREADS"] = "3"
    process.limit_threads()
    assert os.environ["OMP_NUM_THREADS"] == "3"
    assert machine.user_set_threads()


def test_nothing_is_set_if_all_cores_are_granted(monkeypatch):
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
np.ones(1 << 22)  # 32 MiB, as a training step allocates and frees
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(1 << 22)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults)
"""


def count_page_faults(**environment: str) -> tuple[str, int]:
    """Return whether memory is kept, and the page faults of ten blocks of 32 MiB, in a separate process."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MALLOC_", "GLIBC_", "LD_PRE"))}
    child = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**clean, **environment}, capture_output=True, text=True, check=True
    )
    keeps, count = child.stdout.split()
    return keeps, int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has this option")
def test_freed_memory_is_allocated_again_without_page_faults():
    keeps, faults = count_page_faults()
    user_keeps, user_faults = count_page_faults(MALLOC_ARENA_MAX="2", MALLOC_MMAP_THRESHOLD_="100000")
    assert (keeps, user_keeps) == ("True", "False")  # settings of the user stay
    assert faults < user_faults / 10


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has /proc/stat")
def test_cores_used_by_other_processes_are_counted():
    if len(os.sched_getaffinity(0)) != machine.count_cores():
        pytest.skip("the container grants a part of all cores, which /proc/stat does not count")
    idle = min(machine.busy_cores(0.2) for _ in range(5))
    children = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(machine.count_cores())]
    try:
        time.sleep(0.5)
        busy = max(machine.busy_cores(0.5) for _ in range(3))
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert 0 <= idle <= machine.count_cores() + 0.5
    assert busy > 0.5 * machine.count_cores()


V2 = ("memory.max", "memory.current", ("active_file", "inactive_file"))
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_active_file", "total_inactive_file"))


def write_cgroup(path, names, limit_bytes, used=700):
    """Write a control group with a memory limit; 150 of the used bytes are of files."""
    path.mkdir(parents=True, exist_ok=True)
    limit, usage, (active, inactive) = names
    for name, text in ((limit, limit_bytes), (usage, used), ("memory.stat", f"anon 500\n{active} 50\n{inactive} 100")):
        (path / name).write_text(f"{text}\n")


@pytest.mark.parametrize(
    ("line", "folder", "names"),
    [
        ("0::/box", "box", V2),
        ("0::/init", "", V2),  # a container whose processes were moved into another group
        ("0::/path/on/the/host", "", V2),
        ("0::/../outside", "", V2),
        ("0::/job/step/task", "job", V2),
        ("9:cpu:/\n4:memory:/box\n0::/", "memory/box", V1),
        ("4:memory:/another/path", "memory", V1),
    ],
)
def test_the_memory_limit_of_a_container(tmp_path, line, folder, names):
    own_group, groups = tmp_path / "cgroup", tmp_path / "groups"
    own_group.write_text(line + "\n")
    for unlimited in ("init", "job/step", "job/step/task"):
        write_cgroup(groups / unlimited, V2, "max")
    write_cgroup(groups / folder, names, 1000)
    assert machine._container_memory(own_group, groups) == (1000, 450)
    write_cgroup(groups / folder, names, "max")
    assert machine._container_memory(own_group, groups) is None
    assert machine._container_memory(tmp_path / "missing", groups) is None


def test_the_smallest_free_memory_of_all_groups_counts(tmp_path):
    (tmp_path / "cgroup").write_text("0::/job/task\n")
    write_cgroup(tmp_path / "job", V2, 2000, used=1800)
    write_cgroup(tmp_path / "job" / "task", V2, 1000)
    assert machine._container_memory(tmp_path / "cgroup", tmp_path) == (1000, 350)
