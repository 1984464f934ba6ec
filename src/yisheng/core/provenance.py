"""Where a run was made: versions, sources, git commit, processor."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from yisheng.core import machine
from yisheng.core.discovery import PACKAGE, plugins


def versions() -> dict[str, str]:
    """Return the versions of what a run depends on."""
    from importlib.metadata import PackageNotFoundError, version

    result = {"python": platform.python_version()}
    for name in ("yisheng", "torch", "numpy"):
        try:
            result[name] = version(name)
        except PackageNotFoundError:
            result[name] = "not installed as a package"
    return result


def describe_environment() -> dict[str, Any]:
    """Return what a run records about where it was made (part of ``environment.json``)."""
    import torch

    return {
        **versions(),
        "platform": platform.platform(),
        "processor": machine.describe_processor()[0],
        "threads": torch.get_num_threads(),
        "code": hash_sources(),
        "plugins": list(plugins()),
        "git": _git_state(),
    }


def hash_sources() -> str:
    """Return the SHA-256 of the sources of this package and of the plugins; another value may train other weights."""
    import hashlib
    import importlib.util

    digest = hashlib.sha256()
    for package in (PACKAGE, *plugins()):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for path in sorted(Path(folder).rglob("*.py")):
                digest.update(f"{package}/{path.relative_to(folder).as_posix()}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _git_state() -> dict[str, Any] | None:
    """Return the commit of the working tree that the run was started in, and whether it had changes."""
    import subprocess

    try:
        commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, timeout=5, check=True)
        status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.stdout.decode("ascii", "replace").strip(), "dirty": bool(status.stdout.strip())}
