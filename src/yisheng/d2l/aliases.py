"""The book's short names for functions and methods of tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

ones, zeros, eye, arange, linspace = torch.ones, torch.zeros, torch.eye, torch.arange, torch.linspace
tensor, stack, concat, meshgrid = torch.tensor, torch.stack, torch.cat, torch.meshgrid
normal, rand, randn = torch.normal, torch.rand, torch.randn
sin, sinh, cos, cosh, tanh = torch.sin, torch.sinh, torch.cos, torch.cosh, torch.tanh
exp, log, matmul, abs = torch.exp, torch.log, torch.matmul, torch.abs  # the book's name
int32, float32 = torch.int32, torch.float32
nn_Module = nn.Module  # noqa: N816  # the book's name


def numpy(x: torch.Tensor, *args: Any, **kwargs: Any) -> np.ndarray:
    """Return a tensor's values as a NumPy array, without its graph; usually ``x.detach().cpu().numpy()``.

    >>> numpy(torch.ones(2, requires_grad=True))
    array([1., 1.], dtype=float32)
    """
    return x.detach().cpu().numpy(*args, **kwargs)


def size(x: torch.Tensor) -> int:
    """Return the number of elements of a tensor; usually ``x.numel()``.

    >>> size(torch.ones(2, 3))
    6
    """
    return x.numel()


def reshape(x: torch.Tensor, *shape: Any) -> torch.Tensor:
    """Return a tensor in another shape; usually ``x.reshape(shape)``."""
    return x.reshape(*shape)


def to(x: Any, *args: Any, **kwargs: Any) -> Any:
    """Return a tensor or a module on another device; usually ``x.to(device)``."""
    return x.to(*args, **kwargs)


def reduce_sum(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Return the sum of a tensor, along axes if any are named; usually ``x.sum(axis)``."""
    return x.sum(*args, **kwargs)


def reduce_mean(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Return the mean of a tensor, along axes if any are named; usually ``x.mean(axis)``."""
    return x.mean(*args, **kwargs)


def argmax(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Return the indices of the largest values; usually ``x.argmax(axis)``."""
    return x.argmax(*args, **kwargs)


def astype(x: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
    """Return a tensor in another type; usually ``x.type(dtype)``."""
    return x.type(*args, **kwargs)


def transpose(x: torch.Tensor) -> torch.Tensor:
    """Return the transpose of a matrix; usually ``x.t()``.

    >>> transpose(torch.ones(2, 3)).shape
    torch.Size([3, 2])
    """
    return x.t()
