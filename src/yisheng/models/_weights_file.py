"""Reading a file of weights: tensors by name, and nothing that the file says is run."""

from __future__ import annotations

import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from yisheng.core.errors import DataError

LIMIT = 4 << 30
"""Largest file that is read, in bytes; VGG-19, the heaviest of the classic networks, has 0.6 GB."""
DIRECTORY = 16 << 20
"""Largest list of contents (the pickle inside a .pth file) that is read, in bytes; usual are some thousands."""
PICKLED = (".pth", ".pt", ".bin", ".ckpt")
WRAPPINGS = ("state_dict", "model_state_dict", "model")
"""Under which key training scripts put the weights, beside the optimiser's state and the like."""
RUN = "model.safetensors"


def read(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file of weights, by name, on the CPU.

    torch's own files (``.pth``, ``.pt``) are read with ``weights_only``: of what a pickle can say, only tensors and
    plain values are understood. Numbers in half or double precision become float32.

    Args:
        path: a ``.pth`` or ``.pt`` file that holds a state dict (also one under the key ``state_dict`` or ``model``,
            as training scripts save it), a ``.safetensors`` file, or a run folder.

    Raises:
        DataError: the file is missing, damaged, larger than it may be, holds anything but weights, or weights that
            are not finite.
    """
    path = path / RUN if path.is_dir() else path
    what = "name a .pth or .safetensors file, a run folder, or weights that the hub knows"
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", what) from None
    if size is None:
        raise DataError(f"there are no weights at {path}", what)
    if size > LIMIT:
        raise DataError(
            f"{path} has {size:,} bytes, more than the {LIMIT:,} that are read", "is it the file you meant?"
        )
    suffix = path.suffix.lower()
    if suffix != ".safetensors" and suffix not in PICKLED:
        raise DataError(f"{path} is neither a .safetensors nor a .pth file", what)
    try:
        held = load_file(path) if suffix == ".safetensors" else _unpacked(_torch_load(path))
    except DataError:
        raise
    except MemoryError:
        raise DataError(f"{path} asks for more memory than there is", "the file is damaged; fetch it again") from None
    except SafetensorError as error:
        raise DataError(f"{path} is no whole safetensors file: {error}", "fetch it again") from None
    except Exception as error:  # a damaged or hostile pickle can raise whatever there is
        raise _refusal(path, error) from None
    return _checked(path, held, size)


def _torch_load(path: Path) -> Any:
    packed = zipfile.is_zipfile(path)
    if packed:
        _require_plain_zip(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of old forms, which are read all the same
        # Mapped, a tensor can only be made of bytes that the file has, whatever sizes it claims.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=packed)


def _require_plain_zip(path: Path) -> None:
    """See that nothing unfolds: torch stores everything as it is."""
    try:
        with zipfile.ZipFile(path) as packed:
            for item in packed.infolist():
                if item.compress_type != zipfile.ZIP_STORED or item.file_size != item.compress_size:
                    raise DataError(f"{path} holds compressed parts", "torch writes none: save the weights again")
                if item.filename.endswith(".pkl") and item.file_size > DIRECTORY:
                    raise DataError(f"{path} has a list of contents of {item.file_size:,} bytes", "fetch it again")
            damaged = packed.testzip()
    # All that reading a damaged zip raises: NotImplementedError where its version or compression is none there is.
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise DataError(f"{path} is damaged: {error}", "fetch it again") from None
    if damaged is not None:
        raise DataError(f"{path} is damaged: the checksum of {damaged} differs", "fetch it again")


def _unpacked(held: Any) -> Any:
    """The state dict, out of what a training script saved around it."""
    for key in WRAPPINGS:
        if isinstance(held, Mapping) and isinstance(held.get(key), Mapping):
            return held[key]
    return held


def _refusal(path: Path, error: Exception) -> DataError:
    text = " ".join(str(error).split())
    if "weights_only" in text or "Unsupported" in text:  # torch's words for what it would have to run
        return DataError(
            f"{path} holds more than weights (Python objects), which is not read: it could run any code",
            "save the weights alone: torch.save(model.state_dict(), path)",
        )
    return DataError(f"{path} is no whole file of weights: {text[:200]}", "fetch it again, or save it again")


def _checked(path: Path, held: Any, size: int) -> dict[str, torch.Tensor]:
    """Plain, finite tensors of a size that the file can hold, floats as float32."""
    alone = "save the weights alone: torch.save(model.state_dict(), path)"
    if not isinstance(held, Mapping) or not held or not all(isinstance(name, str) for name in held):
        raise DataError(f"{path} holds no weights by name, but {type(held).__name__}", alone)
    found: dict[str, torch.Tensor] = {}
    kind = 4 * size  # half precision doubles, and two names may share their numbers
    for name, value in held.items():
        if not isinstance(value, torch.Tensor):
            raise DataError(f"{path} holds {name}, a {type(value).__name__}, beside its weights", alone)
        plain = value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
        if not plain or value.is_complex():
            raise DataError(f"the weights {name} of {path} are no plain numbers ({value.dtype}, {value.layout})", alone)
        # A tensor of many elements may lie on one number of the file, and would unfold when it is copied.
        kind -= value.numel() * value.element_size()
        if kind < 0:
            raise DataError(f"the weights {name} of {path} claim more numbers than the file holds", "fetch it again")
        copy = torch.Tensor.detach(value).clone(memory_format=torch.contiguous_format)
        if copy.is_floating_point():
            copy = copy.to(torch.float32)
            if not torch.isfinite(copy).all():
                raise DataError(f"the weights {name} of {path} hold NaN or infinite values", "take another file")
        found[name] = copy
    return found
