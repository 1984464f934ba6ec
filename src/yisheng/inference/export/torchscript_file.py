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

from yisheng.inference.export.full_model import Whole

SUFFIX = ".pt"
ABOUT = "yisheng.json"
"""The extra file in it that holds what `about` gives."""


def require() -> None:
    """Nothing else is needed."""


def write(path: Path, whole: Whole, example: torch.Tensor, about: Mapping[str, Any]) -> None:
    """Trace the module and write it; the number of inputs stays free.

    Args:
        path: the file.
        whole: the module.
        example: two inputs.
        about: goes into the extra file `ABOUT`, as JSON.
    """
    with _quiet(), torch.no_grad():
        traced = torch.jit.freeze(torch.jit.trace(whole, example, check_trace=False))
        torch.jit.save(traced, str(path), _extra_files={ABOUT: json.dumps(about)})


def answer(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The answers of the file, read again."""
    with _quiet():
        module = torch.jit.load(str(path), map_location="cpu")

    def answers(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            found: np.ndarray = module(torch.from_numpy(x)).numpy()
        return found

    return answers


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what torch says of TorchScript (it is frozen, not removed) and of shapes that are fixed here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield
