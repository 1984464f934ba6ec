"""Checkpoints: one file each, complete, checksummed, without pickle.

A checkpoint is a safetensors file named after its step and the SHA-256 of its bytes, written beside
the others and renamed into place. Whatever happens while it is written, the one before it is whole,
and a damaged file is known by its own name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse
from safetensors.torch import save as serialise

from yisheng.core import files
from yisheng.core.errors import DataError, NonFiniteError
from yisheng.training.state import State

FORMAT = 1
KEPT = 2


def save(folder: Path, state: State) -> Path:
    """Write a checkpoint of the state and keep the last two.

    Args:
        folder: the run's ``checkpoint`` folder; made if missing.
        state: a consistent state: between two events.

    Raises:
        NonFiniteError: weights are NaN or infinite: such a state is not worth continuing.
        StorageError: it could not be written; the older ones are untouched.
    """
    for name, parameter in state.model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise NonFiniteError(
                f"the weights {name} are not finite after step {state.step}: no checkpoint was written",
                "lower lr or clip gradients (clip_norm=1); the checkpoint before is whole",
            )
    tensors, plain = state.dump()
    text = json.dumps({"format": FORMAT, **plain}, allow_nan=False).encode()
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    content = serialise({**tensors, "json": torch.frombuffer(bytearray(text), dtype=torch.uint8)})
    path = folder / f"{state.step:09d}-{_digest(content)}.safetensors"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise files.storage_error(error, folder) from error
    files.write(path, content)
    others = [p for p in _newest_first(folder) if p != path]
    later = [p for p in others if _step(p) > state.step]  # damaged ones that were passed over: they must not count
    for old in later + [p for p in others if p not in later][KEPT - 1 :]:
        old.unlink(missing_ok=True)
    return path


def load(folder: Path, state: State) -> Path | None:
    """Bring the state to the newest whole checkpoint; gives its path, or None where there is none.

    Raises:
        DataError: the checkpoint is whole, but of another model or optimiser.
    """
    for path, tensors, plain in _whole(folder):
        try:
            state.load(tensors, plain)
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path} is of another model or optimiser: {str(error).splitlines()[0]}",
                "bring back the config that the run was begun with",
            ) from None
        return path
    return None


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """The model's weights in the newest whole checkpoint: those after the last update, not of the best epoch.

    Raises:
        DataError: there is none.
    """
    for _, tensors, _ in _whole(folder):
        return {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    raise DataError(f"{folder} has no whole checkpoint", "train anew")


def _whole(folder: Path) -> Iterator[tuple[Path, dict[str, torch.Tensor], dict[str, Any]]]:
    """The whole checkpoints of this format, newest first: path, tensors, plain data."""
    for path in _newest_first(folder):
        try:
            content = path.read_bytes()
            if _digest(content) != path.stem.partition("-")[2]:
                continue
            tensors = parse(content)
            plain = json.loads(tensors.pop("json").numpy().tobytes())
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, RecursionError):
            continue
        if isinstance(plain, dict) and plain.pop("format", None) == FORMAT:
            yield path, tensors, plain


def _newest_first(folder: Path) -> Iterator[Path]:
    """Checkpoints by step, then by age: two of one step differ when an epoch's end was scored between."""
    found = [p for p in folder.glob("*-*.safetensors") if p.stem.partition("-")[0].isdigit()]
    yield from sorted(found, key=lambda p: (_step(p), p.stat().st_mtime_ns), reverse=True)


def _step(path: Path) -> int:
    return int(path.stem.partition("-")[0])


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
