"""TorchScript: one file that libtorch reads in C++, without Python."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from yisheng.inference.export.full_model import FullModel

SUFFIX = ".pt"
METADATA_FILE = "yisheng.json"
"""The extra file in it with the metadata."""


def require_packages() -> None:
    """Do nothing: this format needs no further package."""


def write(path: Path, model: FullModel, example: torch.Tensor, metadata: Mapping[str, Any]) -> None:
    """Trace the module and write it, for any number of inputs at a time.

    Args:
        path: the file.
        model: the module.
        example: two inputs.
        metadata: written to the extra file `METADATA_FILE`, as JSON.
    """
    with _hide_torchscript_warnings(), torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(model, example, check_trace=False))
        torch.jit.save(traced, str(path), _extra_files={METADATA_FILE: json.dumps(metadata)})


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that predicts with the file."""
    with _hide_torchscript_warnings():
        module = torch.jit.load(str(path), map_location="cpu")

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            outputs: np.ndarray = module(torch.from_numpy(x)).numpy()
        return outputs

    return predict


@contextlib.contextmanager
def _hide_torchscript_warnings() -> Iterator[None]:
    """Hide TorchScript's deprecation (it is frozen, not removed), and warnings of shapes that are constant here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield
