"""Files of weights: read as tensors by name, without executing anything that a file contains."""

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
from yisheng.core.messages import Message
from yisheng.core.os_errors import describe_os_error

MAX_FILE_BYTES = 4 << 30
"""Largest file that is read; VGG-19, the largest of the classic networks, has 0.6 GB."""
MAX_PICKLE_BYTES = 16 << 20
"""Largest pickle inside a .pth file that is read; it lists the tensors, and usually has some thousand bytes."""
PICKLE_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt")
STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts save the weights, next to the optimizer's state."""
RUN_WEIGHTS = "model.safetensors"
SAVE_WEIGHTS_ONLY = Message("save the weights alone: torch.save(model.state_dict(), path)")
DOWNLOAD_AGAIN = Message("download it again")


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read the tensors of a file of weights, by name, on the CPU.

    torch's files (``.pth``, ``.pt``) are read with ``weights_only``: only tensors and plain values are unpickled.
    Numbers in half or double precision become float32.

    Args:
        path: a ``.pth`` or ``.pt`` file that holds a state dict (also one under the key ``state_dict`` or ``model``,
            as training scripts save it), a ``.safetensors`` file, or a run folder.

    Raises:
        DataError: the file is missing, damaged or too large, holds anything but weights, or weights that are not
            finite.
    """
    path = path / RUN_WEIGHTS if path.is_dir() else path
    remedy = Message("name a .pth or .safetensors file, a run folder, or weights that the hub has")
    try:
        size = path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise DataError(
            Message("{path} cannot be read: {reason}", path=path, reason=describe_os_error(error)), remedy
        ) from None
    if size is None:
        raise DataError(Message("there are no weights at {path}", path=path), remedy)
    if size > MAX_FILE_BYTES:
        raise DataError(
            Message(
                "{path} has {size} bytes, more than the limit of {MAX_FILE_BYTES}",
                path=path,
                size=f"{size:,}",
                MAX_FILE_BYTES=f"{MAX_FILE_BYTES:,}",
            ),
            Message("check that it is a file of weights"),
        )
    suffix = path.suffix.lower()
    if suffix != ".safetensors" and suffix not in PICKLE_SUFFIXES:
        raise DataError(Message("{path} is neither a .safetensors nor a .pth file", path=path), remedy)
    try:
        content = load_file(path) if suffix == ".safetensors" else _find_state_dict(_load_pickle(path))
    except DataError:
        raise
    except MemoryError:
        raise DataError(
            Message("{path} is damaged: it needs more memory than the machine has", path=path), DOWNLOAD_AGAIN
        ) from None
    except SafetensorError as error:
        raise DataError(
            Message("{path} is not a complete safetensors file: {error}", path=path, error=error), DOWNLOAD_AGAIN
        ) from None
    except Exception as error:  # a damaged or hostile pickle can raise any error
        raise _explain_pickle_error(path, error) from None
    return _validate_tensors(path, content, size)


def _load_pickle(path: Path) -> Any:
    is_zip = zipfile.is_zipfile(path)
    if is_zip:
        require_uncompressed_zip(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of old formats, which it reads
        # In a memory-mapped file a tensor can only use bytes that the file has, whatever sizes it claims.
        return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)


def require_uncompressed_zip(path: Path) -> None:
    """Raise an error if a zip file could expand when it is read: torch stores its parts without compression."""
    try:
        with zipfile.ZipFile(path) as archive:
            for item in archive.infolist():
                if item.compress_type != zipfile.ZIP_STORED or item.file_size != item.compress_size:
                    raise DataError(
                        Message("{path} holds compressed parts, and torch writes none", path=path),
                        Message("save the weights again with torch.save"),
                    )
                if item.filename.endswith(".pkl") and item.file_size > MAX_PICKLE_BYTES:
                    raise DataError(
                        Message(
                            "{path} has a list of tensors of {file_size} bytes",
                            path=path,
                            file_size=f"{item.file_size:,}",
                        ),
                        DOWNLOAD_AGAIN,
                    )
            damaged = archive.testzip()
    # Every error that reading a damaged zip raises: NotImplementedError if its version or compression does not exist.
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, NotImplementedError) as error:
        raise DataError(Message("{path} is damaged: {error}", path=path, error=error), DOWNLOAD_AGAIN) from None
    if damaged is not None:
        raise DataError(
            Message("{path} is damaged: the checksum of {damaged} differs", path=path, damaged=damaged), DOWNLOAD_AGAIN
        )


def _find_state_dict(content: Any) -> Any:
    """Return the state dict in what a training script saved."""
    for key in STATE_DICT_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            return content[key]
    return content


def _explain_pickle_error(path: Path, error: Exception) -> DataError:
    text = " ".join(str(error).split())
    if "weights_only" in text or "Unsupported" in text:  # torch's words for what it would have to execute
        return DataError(
            Message(
                "{path} holds more than weights (Python objects), which is not read: it could execute any code",
                path=path,
            ),
            SAVE_WEIGHTS_ONLY,
        )
    return DataError(
        Message("{path} is not a complete file of weights: {reason}", path=path, reason=text[:200]),
        Message("download or save it again"),
    )


def _validate_tensors(path: Path, content: Any, size: int) -> dict[str, torch.Tensor]:
    """Return plain, finite tensors of a size that the file can hold, floats as float32."""
    if not isinstance(content, Mapping) or not content or not all(isinstance(name, str) for name in content):
        raise DataError(
            Message("{path} holds no weights by name, but {type_name}", path=path, type_name=type(content).__name__),
            SAVE_WEIGHTS_ONLY,
        )
    tensors: dict[str, torch.Tensor] = {}
    remaining_bytes = 4 * size  # half precision doubles, and two names may share their numbers
    for name, value in content.items():
        if not isinstance(value, torch.Tensor):
            raise DataError(
                Message(
                    "{path} holds {name}, a {type_name}, besides weights",
                    path=path,
                    name=name,
                    type_name=type(value).__name__,
                ),
                SAVE_WEIGHTS_ONLY,
            )
        plain = value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized
        if not plain or value.is_complex():
            raise DataError(
                Message(
                    "the weights {name} of {path} are not plain numbers ({dtype}, {layout})",
                    name=name,
                    path=path,
                    dtype=value.dtype,
                    layout=value.layout,
                ),
                SAVE_WEIGHTS_ONLY,
            )
        # A tensor of many elements may be a view of one number of the file, and would be expanded when it is copied.
        remaining_bytes -= value.numel() * value.element_size()
        if remaining_bytes < 0:
            raise DataError(
                Message("the weights {name} of {path} claim more numbers than the file holds", name=name, path=path),
                DOWNLOAD_AGAIN,
            )
        copy = torch.Tensor.detach(value).clone(memory_format=torch.contiguous_format)
        if copy.is_floating_point():
            copy = copy.to(torch.float32)
            if not torch.isfinite(copy).all():
                raise DataError(
                    Message("the weights {name} of {path} hold NaN or infinite values", name=name, path=path),
                    Message("use another file"),
                )
        tensors[name] = copy
    return tensors
