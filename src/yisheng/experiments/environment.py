"""``env``: what this machine is good for, and what to do about what is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from yisheng.core import machine

EXTRAS = {"notebook": ("ipykernel", "IPython")}
"""Extra -> the modules that it brings."""


def facts() -> dict[str, Any]:
    """What there is: versions, processor, threads, memory (GiB), disk (GiB), GPU and driver, extras.

    ``threads_wait`` is how a thread waits for the others; ``bfloat16``, whether there are instructions for it;
    ``keeps_memory``, whether memory that a step gives back stays with the process (see `machine.keep_memory`).
    """
    import importlib.util

    import torch

    name, features = machine.processor()
    memory = machine.memory()
    disk = shutil.disk_usage(Path.cwd())
    found: dict[str, Any] = {
        **machine.versions(),
        "platform": machine.environment()["platform"],
        "processor": name,
        "instruction_sets": features,
        "cores": machine.cores(),
        "threads": torch.get_num_threads(),
        "threads_wait": _waiting(),
        "bfloat16": machine.halves(machine.device("auto")),
        "keeps_memory": machine.keep_memory(),
        "memory_gib": None if memory is None else {"total": _gib(memory[0]), "available": _gib(memory[1])},
        "disk_gib": {"total": _gib(disk.total), "free": _gib(disk.free)},
        "device": str(machine.device("auto")),
        "cuda_runtime": torch.version.cuda,
        "gpu": _gpus(),
        "extras": {
            extra: "installed" if all(importlib.util.find_spec(m) for m in modules) else "missing"
            for extra, modules in EXTRAS.items()
        },
    }
    if hasattr(os, "getloadavg"):
        found["load"] = round(os.getloadavg()[0], 2)
    return found


def advice(found: dict[str, Any]) -> list[str]:
    """What to do about what is missing or in the way, in plain sentences.

    Args:
        found: what `facts` told.
    """
    said = []
    driver = _driver()
    if driver and not found["gpu"]:
        if found["cuda_runtime"] is None:
            said.append(f"There is an NVIDIA driver ({driver}) but torch is a CPU build: install torch's CUDA build.")
        else:
            said.append(
                f"The NVIDIA driver {driver} does not work with torch's CUDA {found['cuda_runtime']}: "
                "update the driver, or install a torch built for an older CUDA."
            )
    elif not found["gpu"] and found["device"] == "cpu":
        said.append("No GPU: training uses the processor. Small images and tables are quick on it.")
    if found["threads"] > found["cores"]:
        said.append(
            f"torch uses {found['threads']} threads on {found['cores']} cores, which slows it down: "
            f"set OMP_NUM_THREADS={found['cores']}."
        )
    if found.get("load", 0) > found["cores"] * 0.75:
        said.append(
            f"The machine is busy (load {found['load']} on {found['cores']} cores): times will be longer; "
            "stop what is not needed, or give training one core with OMP_NUM_THREADS=1."
        )
    linux = found["platform"].startswith("Linux")
    if linux and found["device"] == "cpu" and not found["keeps_memory"] and "LD_PRELOAD" not in os.environ:
        said.append(
            "Memory that a step gives back returns to the system, which costs page faults: leave MALLOC_* and "
            "GLIBC_TUNABLES unset, or on another C library than glibc preload tcmalloc or jemalloc."
        )
    if found["memory_gib"] and found["memory_gib"]["available"] < 2:
        said.append("Less than 2 GiB of memory are free: close something, or use a smaller data set.")
    if found["disk_gib"]["free"] < 1:
        said.append("Less than 1 GiB of disk is free here: write runs elsewhere with out=.")
    said += [
        f"Extra [{extra}] is not installed: pip install 'yisheng[{extra}]'."
        for extra, state in found["extras"].items()
        if state == "missing"
    ]
    return said


def _waiting() -> str:
    """How a thread waits for the others: as the user or `machine.wait_briefly` said."""
    return next(
        (f"{name}={os.environ[name]}" for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT") if name in os.environ),
        "as OpenMP does by itself",
    )


def _gpus() -> list[str]:
    import torch

    if not torch.cuda.is_available():
        return ["Apple GPU (MPS)"] if torch.backends.mps.is_available() else []
    devices = (torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count()))
    return [f"{d.name} ({_gib(d.total_memory)} GiB, compute capability {d.major}.{d.minor})" for d in devices]


def _driver() -> str | None:
    """Version of the NVIDIA driver, if there is one."""
    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.splitlines()[0].strip() if answer.stdout else None


def _gib(size: int) -> float:
    return round(size / 2**30, 1)
