"""``env``: facts about this machine, and what to do about missing parts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from yisheng.core import machine, process, provenance
from yisheng.core.messages import Message

COLLECTIVE_EXTRAS: Final = ("all", "dev")
"""Extras that repeat others."""
INSTALLED: Final = "installed"
MAX_LOAD_FRACTION: Final = 0.75
"""Load average per core above which the machine counts as busy."""
MIN_MEMORY_GIB: Final = 2
MIN_DISK_GIB: Final = 1


def collect_facts() -> dict[str, Any]:
    """Return versions, processor, threads, memory (GiB), disk (GiB), GPU, driver and extras.

    ``threads_wait`` is how waiting threads wait; ``bfloat16``, whether the processor has instructions for it;
    ``keeps_memory``, whether freed memory stays with the process (see `yisheng.core.process.keep_memory`).
    """
    import torch

    name, features = machine.describe_processor()
    memory = machine.memory_sizes()
    disk = shutil.disk_usage(Path.cwd())
    device = machine.select_device("auto")
    facts: dict[str, Any] = {
        **provenance.versions(),
        "platform": provenance.describe_environment()["platform"],
        "processor": name,
        "instruction_sets": features,
        "cores": machine.count_cores(),
        "threads": torch.get_num_threads(),
        "threads_wait": _describe_waiting(),
        "bfloat16": machine.has_bfloat16(device),
        "keeps_memory": process.keeps_memory(),
        "memory_gib": None if memory is None else {"total": _gib(memory[0]), "available": _gib(memory[1])},
        "disk_gib": {"total": _gib(disk.total), "free": _gib(disk.free)},
        "device": str(device),
        "cuda_runtime": torch.version.cuda,
        "gpu": _describe_gpus(),
        "extras": {extra: _describe_extra(packages) for extra, packages in list_extras().items()},
    }
    if hasattr(os, "getloadavg"):
        facts["load"] = round(os.getloadavg()[0], 2)
    return facts


def list_extras() -> dict[str, list[str]]:
    """Return extra -> the requirements (``onnx>=1.17``) that it installs, as the installed package declares them.

    Empty if the package is not installed but only importable.
    """
    import importlib.metadata

    from packaging.requirements import Requirement

    extras: dict[str, list[str]] = {}
    try:
        declared = importlib.metadata.requires("yisheng") or []
        names = importlib.metadata.metadata("yisheng").get_all("Provides-Extra") or []
    except importlib.metadata.PackageNotFoundError:
        return {}
    for requirement in map(Requirement, declared):
        for name in names:
            is_wanted = requirement.marker is not None and requirement.marker.evaluate({"extra": name})
            if is_wanted and name not in COLLECTIVE_EXTRAS:
                extras.setdefault(name, []).append(f"{requirement.name}{requirement.specifier}")
    return dict(sorted(extras.items()))


def advise(facts: dict[str, Any]) -> list[str]:
    """Return sentences on what to do about missing or slow parts.

    Args:
        facts: from `collect_facts`.
    """
    return [*_advise_gpu(facts), *_advise_processor(facts), *_advise_memory(facts), *_advise_extras(facts)]


def _advise_gpu(facts: dict[str, Any]) -> Iterator[str]:
    driver = _driver_version()
    if driver and not facts["gpu"]:
        if facts["cuda_runtime"] is None:
            yield Message(
                "There is an NVIDIA driver ({driver}) but torch is a CPU build: install torch's CUDA build.",
                driver=driver,
            )
        else:
            yield Message(
                "The NVIDIA driver {driver} does not work with torch's CUDA {runtime}: "
                "update the driver, or install a torch built for an older CUDA.",
                driver=driver,
                runtime=facts["cuda_runtime"],
            )
    elif not facts["gpu"] and facts["device"] == "cpu":
        yield Message("No GPU: training uses the processor. Small images and tables are quick on it.")


def _advise_processor(facts: dict[str, Any]) -> Iterator[str]:
    if facts["threads"] > facts["cores"]:
        yield Message(
            "torch uses {threads} threads on {cores} cores, which slows it down: set OMP_NUM_THREADS={cores}.",
            threads=facts["threads"],
            cores=facts["cores"],
        )
    if facts.get("load", 0) > facts["cores"] * MAX_LOAD_FRACTION:
        yield Message(
            "The machine is busy (load {load} on {cores} cores): times will be longer; "
            "stop what is not needed, or give training one core with OMP_NUM_THREADS=1.",
            load=facts["load"],
            cores=facts["cores"],
        )


def _advise_memory(facts: dict[str, Any]) -> Iterator[str]:
    is_linux = facts["platform"].startswith("Linux")
    if is_linux and facts["device"] == "cpu" and not facts["keeps_memory"] and "LD_PRELOAD" not in os.environ:
        yield Message(
            "Memory that a training step frees returns to the system, which costs page faults: leave MALLOC_* and "
            "GLIBC_TUNABLES unset, or on a C library other than glibc preload tcmalloc or jemalloc."
        )
    if facts["memory_gib"] and facts["memory_gib"]["available"] < MIN_MEMORY_GIB:
        yield Message(
            "Less than {limit} GiB of memory are free: close something, or use a smaller data set.",
            limit=MIN_MEMORY_GIB,
        )
    if facts["disk_gib"]["free"] < MIN_DISK_GIB:
        yield Message("Less than {limit} GiB of disk is free here: write runs elsewhere with out=.", limit=MIN_DISK_GIB)


def _advise_extras(facts: dict[str, Any]) -> Iterator[str]:
    for extra, state in facts["extras"].items():
        if state != INSTALLED:
            yield Message(
                "Extra [{extra}] is incomplete ({state}): pip install 'yisheng[{extra}]'.", extra=extra, state=state
            )


def _describe_extra(requirements: list[str]) -> str:
    """Return ``installed``, or which packages are missing or too old."""
    import importlib.metadata

    from packaging.requirements import Requirement

    missing, old = [], []
    for requirement in map(Requirement, requirements):
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            old.append(f"{requirement} (here: {version})")
    parts = [f"missing: {', '.join(missing)}"] if missing else []
    return "; ".join([*parts, *(["too old: " + ", ".join(old)] if old else [])]) or INSTALLED


def _describe_waiting() -> str:
    """Return how threads wait: as the user or `process.shorten_spinning` set it."""
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        if name in os.environ:
            return f"{name}={os.environ.get(name)}"
    return "OpenMP's default"


def _describe_gpus() -> list[str]:
    import torch

    if not torch.cuda.is_available():
        return ["Apple GPU (MPS)"] if torch.backends.mps.is_available() else []
    devices = (torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count()))
    return [f"{d.name} ({_gib(d.total_memory)} GiB, compute capability {d.major}.{d.minor})" for d in devices]


def _driver_version() -> str | None:
    """Return the version of the NVIDIA driver, if there is one."""
    try:
        command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        completed = subprocess.run(
            command, capture_output=True, encoding="utf-8", errors="replace", timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return completed.stdout.splitlines()[0].strip() if completed.stdout else None


def _gib(size: int) -> float:
    return round(size / 2**30, 1)
