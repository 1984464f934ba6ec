"""Checkpoints: one complete file each, with a checksum and without pickle.

A checkpoint is a safetensors file named after its step and the SHA-256 of its bytes. It is written next to the others
and renamed into place, so the previous one stays intact whatever happens, and a damaged file does not match its name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as parse

from yisheng.core import files
from yisheng.core.errors import DataError, NonFiniteError
from yisheng.core.messages import Message
from yisheng.core.tensor_bytes import serialize_tensors
from yisheng.training.state import State

FORMAT = 1
MAX_CHECKPOINTS = 2
"""Checkpoints to keep: if the newest is damaged, a run resumes from the one before."""
_NAME = re.compile(r"(?P<step>[0-9]{9,18})-(?P<sha256>[0-9a-f]{32})\.safetensors")
"""Name of a checkpoint; other files in the folder are neither read nor deleted."""


def save(folder: Path, state: State) -> Path:
    """Write a checkpoint of the state, and delete all but the last two.

    Args:
        folder: the run's ``checkpoint`` folder; created if missing.
        state: a consistent state: between two events.

    Raises:
        NonFiniteError: weights are NaN or infinite, so the state is not worth resuming.
        StorageError: the file cannot be written; the older checkpoints stay.
    """
    for name, parameter in state.model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise NonFiniteError(
                Message(
                    "the weights {name} are not finite after step {step}: no checkpoint was written",
                    name=name,
                    step=state.step,
                ),
                Message("use a lower lr or clip gradients (clip_norm=1); the previous checkpoint is intact"),
            )
    return write(folder, *state.dump())


def write(folder: Path, tensors: dict[str, torch.Tensor], plain: dict[str, Any]) -> Path:
    """Write a checkpoint of what `State.dump` returned, and delete all but the last two; see `save`."""
    content, step = _to_bytes(tensors, plain), plain["step"]
    path = folder / f"{step:09d}-{_hash(content)}.safetensors"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise files.explain_write_error(error, folder) from error
    files.write_file(path, content)
    _delete_old(folder, path, step)
    return path


def to_bytes(state: State) -> bytes:
    """Return the state as the content of a checkpoint."""
    return _to_bytes(*state.dump())


def _to_bytes(tensors: dict[str, torch.Tensor], plain: dict[str, Any]) -> bytes:
    text = json.dumps({"format": FORMAT, **plain}, allow_nan=False).encode()
    return serialize_tensors({**tensors, "json": torch.frombuffer(bytearray(text), dtype=torch.uint8)})


def load_bytes(content: bytes, state: State) -> None:
    """Load what `to_bytes` returned in another process of the same training."""
    tensors, plain = _parse(content)
    state.load(tensors, plain)


def _parse(content: bytes) -> tuple[dict[str, torch.Tensor], Any]:
    tensors = parse(content)
    return tensors, json.loads(tensors.pop("json").numpy().tobytes())


def _delete_old(folder: Path, newest: Path, step: int) -> None:
    """Delete all checkpoints but the newest and its predecessors; those of later steps are damaged ones."""
    older = [path for path in _list_newest_first(folder) if path != newest]
    damaged = [path for path in older if _step(path) > step]
    intact = [path for path in older if path not in damaged]
    for path in damaged + intact[MAX_CHECKPOINTS - 1 :]:
        path.unlink(missing_ok=True)


def load(folder: Path, state: State) -> Path | None:
    """Load the newest intact checkpoint into the state; return its path, or None if there is none.

    Raises:
        DataError: the checkpoint is intact, but of another model or optimizer.
    """
    for path, tensors, plain in _read_intact(folder):
        try:
            state.load(tensors, plain)
        except (RuntimeError, KeyError, ValueError, TypeError, AttributeError) as error:
            raise DataError(
                Message(
                    "{path} is of another model or optimizer: {reason}",
                    path=path,
                    reason=str(error).splitlines()[0],
                ),
                Message("restore the config.toml that the run was started with"),
            ) from None
        return path
    return None


def load_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the model's weights in the newest intact checkpoint: those of the last update, not of the best epoch.

    Raises:
        DataError: there is none.
    """
    for _, tensors, _ in _read_intact(folder):
        return {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    raise DataError(Message("{folder} has no intact checkpoint", folder=folder), Message("train again"))


def _read_intact(folder: Path) -> Iterator[tuple[Path, dict[str, torch.Tensor], dict[str, Any]]]:
    """Yield path, tensors and plain data of the intact checkpoints of this format, newest first.

    A file is intact if its bytes have the hash and its state the step that its name says: a copy under the name of a
    later step would otherwise be taken for the newest.
    """
    for path in _list_newest_first(folder):
        try:
            content = path.read_bytes()
            if _hash(content) != _parse_name(path)["sha256"]:
                continue
            tensors, plain = _parse(content)
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, RecursionError):
            continue
        is_current = isinstance(plain, dict) and plain.pop("format", None) == FORMAT
        if is_current and plain.get("step") == _step(path):
            yield path, tensors, plain


def _list_newest_first(folder: Path) -> list[Path]:
    """Return the checkpoints by step, then by age: there are two of a step if the epoch's end was scored between."""
    paths = [path for path in folder.glob("*.safetensors") if _NAME.fullmatch(path.name) and path.is_file()]
    return sorted(paths, key=lambda path: (_step(path), path.stat().st_mtime_ns), reverse=True)


def _parse_name(path: Path) -> re.Match[str]:
    match = _NAME.fullmatch(path.name)
    assert match is not None
    return match


def _step(path: Path) -> int:
    return int(_parse_name(path)["step"])


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]
