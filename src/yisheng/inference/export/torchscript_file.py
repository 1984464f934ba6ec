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

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.inference._export_messages import explain_failure
from yisheng.inference.export.full_model import FullModel
from yisheng.inference.export.graph_inputs import split_inputs
from yisheng.inference.program_module import ProgramModule

SUFFIX = ".pt"
HOLDS_CODE = True
"""Whether the file computes predictions by itself, so that it can resize images, too."""
METADATA_FILE = "yisheng.json"
"""The extra file in it with the metadata."""


def require_packages() -> None:
    """Do nothing: this format needs no further package."""


def write(path: Path, model: FullModel, example: tuple[torch.Tensor, ...], metadata: Mapping[str, Any]) -> None:
    """Trace the module and write it, for any number of inputs at a time.

    Args:
        path: the file.
        model: the module.
        example: two inputs.
        metadata: written to the extra file `METADATA_FILE`, as JSON.

    Raises:
        UsageError: the network cannot be traced.
    """
    for network in model.networks:
        if isinstance(network, ProgramModule) and network.computes_sizes:  # the tracer takes sizes for constants
            raise UsageError(
                Message(
                    "the network computes with the number of rows, which TorchScript cannot follow without its code",
                ),
                Message("name the network, as in model=net.py:Net, or use format=onnx"),
            )
    with _hide_torchscript_warnings(), torch.no_grad():
        try:
            traced = torch.jit.freeze(torch.jit.trace(model, example, check_trace=False))
        except Exception as error:
            raise UsageError(
                Message("the network cannot be converted to TorchScript: {error}", error=explain_failure(error)),
                Message("use format=onnx, or change that part of the network"),
            ) from error
        torch.jit.save(traced, str(path), _extra_files={METADATA_FILE: json.dumps(metadata)})


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function that predicts with the file."""
    extra: dict[str, Any] = {METADATA_FILE: ""}
    with _hide_torchscript_warnings():
        module = torch.jit.load(str(path), map_location="cpu", _extra_files=extra)
    spec = Spec.from_json(json.loads(extra[METADATA_FILE])["spec"])

    def predict(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            outputs: np.ndarray = module(*split_inputs(x, spec)).numpy()
        return outputs

    return predict


@contextlib.contextmanager
def _hide_torchscript_warnings() -> Iterator[None]:
    """Hide TorchScript's deprecation (it is frozen, not removed), and warnings of shapes that are constant here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]
        yield
