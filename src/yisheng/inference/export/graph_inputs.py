"""The inputs of an exported file: one tensor, or one for each of a network's several inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from yisheng.core import nested
from yisheng.core.input_spec import Inputs
from yisheng.core.spec import Spec

INPUT, OUTPUT = "input", "output"
"""Names of the graph's only input, and of its output."""


def describe_inputs(spec: Spec, dtype: str, *, any_size: bool = False) -> list[dict[str, Any]]:
    """Return name, type and shape of each input of a file.

    Args:
        spec: the contract of the raw data.
        dtype: type of the raw values of a single input.
        any_size: whether the file takes images of any size.

    >>> describe_inputs(Spec("regression", (3,)), "float32")
    [{'name': 'input', 'dtype': 'float32', 'shape': ['N', 3]}]
    """
    if not spec.inputs:
        shape = [spec.shape[0], "H", "W"] if any_size else spec.shape
        return [{"name": INPUT, "dtype": dtype, "shape": ["N", *shape]}]
    return [
        {"name": item.name or f"{INPUT}_{number}", "dtype": item.dtype, "shape": ["N", *item.shape]}
        for number, item in enumerate(spec.inputs, 1)
    ]


def split_inputs(x: np.ndarray, spec: Spec) -> tuple[torch.Tensor, ...]:
    """Return a block of raw inputs as the tensors that a file takes."""
    block = nested.from_numpy(x)
    return tuple(nested.tensors(nested.unpack(block, spec.inputs))) if spec.inputs else (block,)


def join_inputs(tensors: tuple[torch.Tensor, ...], spec: Spec) -> Inputs:
    """Return the tensors that a file takes as the fitted transform takes them."""
    if not spec.inputs:
        return tensors[0]
    names = [item.name for item in spec.inputs]
    return dict(zip(names, tensors, strict=True)) if names[0] else tensors
