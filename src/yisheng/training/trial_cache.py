"""The cache of trials: what was timed on this machine, so that the same config always trains in the same way on it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from yisheng.core import cache_folder, files, machine, provenance
from yisheng.core.choice import Choice
from yisheng.core.errors import YishengError

MAX_CACHED_TRIALS = 200


@dataclass(frozen=True)
class TrialCache:
    """A file of timed trials in the cache folder.

    Args:
        name: of the file.
    """

    name: str

    @property
    def path(self) -> Path:
        """Return the path of the file."""
        return cache_folder.get_cache_folder() / self.name

    @property
    def lock(self) -> Path:
        """Return the path of a lock: if several processes start together, one times and the others wait for it."""
        return self.path.with_suffix(".lock")

    def read(self, key: str) -> Any:
        """Return the entry of a key, or None if it is missing or the file is damaged."""
        return self._read_all().get(key)

    def write(self, key: str, entry: dict[str, float | None]) -> None:
        """Add an entry to the file, which keeps the latest `MAX_CACHED_TRIALS`.

        Raises:
            StorageError: the folder is not writable.
        """
        trials = list({**self._read_all(), key: entry}.items())[-MAX_CACHED_TRIALS:]
        files.write_file(self.path, json.dumps(dict(trials), indent=1) + "\n", sync=False)

    def _read_all(self) -> dict[str, Any]:
        try:
            trials = files.read_json(self.path, limit=1 << 20)
        except (YishengError, OSError):
            return {}
        return trials if isinstance(trials, dict) else {}


def hash_trial(choice: Choice, model: nn.Module, shape: tuple[int, ...], *details: object) -> str:
    """Return a cache key for a network, its inputs, the machine and the code: times may change with any of them.

    Args:
        choice: the model of the config.
        model: the network, on its device.
        shape: of an input.
        details: whatever else the times depend on.
    """
    shapes = [(tuple(p.shape), p.requires_grad) for p in model.parameters()]
    device = next(model.parameters()).device
    processor = machine.describe_processor()[0] if device.type == "cpu" else torch.cuda.get_device_name(device)
    code = (_list_forwards(model), provenance.versions(), provenance.hash_sources())
    return hashlib.sha256(repr((choice, shapes, shape, details, processor, code)).encode()).hexdigest()[:32]


def _list_forwards(model: nn.Module) -> list[tuple[str, str]]:
    """Return name and bytecode of each ``forward``: one that uses ``view`` does not support channels-last."""
    forwards = {type(module): type(module).forward for module in model.modules()}
    codes = [(kind.__qualname__, getattr(forward, "__code__", None)) for kind, forward in forwards.items()]
    return sorted((name, f"{code.co_code.hex()} {code.co_names}") for name, code in codes if code is not None)
