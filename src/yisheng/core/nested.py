"""Inputs of a network that may be one tensor, a tuple or a dict of tensors; the one place that knows the difference.

A data set with several inputs keeps each sample as one row of bytes (`pack`), so that splits, gathers, memory maps and
hashes work on one block. `unpack` makes the tensors again.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from yisheng.core.errors import DataError, UsageError
from yisheng.core.input_spec import Inputs, InputSpec
from yisheng.core.messages import Message
from yisheng.core.packed_rows import unpack as unpack  # with `pack`; apart because `types` imports it
from yisheng.core.spec import Spec


def tensors(x: Inputs) -> list[torch.Tensor]:
    """Return all tensors of some inputs, in order.

    >>> len(tensors({"ids": torch.zeros(2), "mask": torch.ones(2)}))
    2
    """
    return [x] if isinstance(x, torch.Tensor) else list(x.values() if isinstance(x, dict) else x)


def map_tensors(function: Callable[[torch.Tensor], torch.Tensor], x: Inputs) -> Inputs:
    """Return the inputs with a function applied to each tensor.

    >>> map_tensors(torch.neg, (torch.tensor([1]), torch.tensor([2])))
    (tensor([-1]), tensor([-2]))
    """
    if isinstance(x, torch.Tensor):
        return function(x)
    return rebuild(x, [function(tensor) for tensor in tensors(x)])


def rebuild(x: Inputs, values: Sequence[torch.Tensor]) -> Inputs:
    """Return tensors in the form of ``x``."""
    if isinstance(x, torch.Tensor):
        return values[0]
    return dict(zip(x, values, strict=True)) if isinstance(x, dict) else tuple(values)


def only(x: Inputs) -> torch.Tensor:
    """Return the inputs of a network that takes one tensor.

    Raises:
        UsageError: there are several.

    >>> only(torch.ones(2))
    tensor([1., 1.])
    """
    if isinstance(x, torch.Tensor):
        return x
    raise UsageError(
        Message("this is for networks with one input"), Message("the data has {count}", count=len(tensors(x)))
    )


def take(x: Inputs, rows: Any) -> Inputs:
    """Return some rows of each tensor, by a slice, a mask or row numbers.

    >>> take((torch.arange(3), torch.arange(3)), slice(1, 2))
    (tensor([1]), tensor([1]))
    """
    return map_tensors(lambda tensor: tensor[rows], x)


def concatenate(parts: Sequence[Inputs]) -> Inputs:
    """Return the rows of several batches of inputs of the same form."""
    return rebuild(parts[0], [torch.cat(block) for block in zip(*map(tensors, parts), strict=True)])


def to_double(x: Inputs) -> Inputs:
    """Return the inputs as float64; ids stay int64."""
    return map_tensors(lambda tensor: tensor if tensor.dtype is torch.int64 else tensor.double(), x)


def to_single(x: Inputs) -> Inputs:
    """Return the inputs with float64 as float32: what was scaled in double precision, as a network takes it."""
    return map_tensors(lambda tensor: tensor.float() if tensor.dtype is torch.float64 else tensor, x)


def to_contiguous(x: Inputs) -> Inputs:
    """Return inputs whose memory is in the order of their axes, without a copy where it is already.

    torch calls a tensor contiguous whatever the stride of an axis of one value is. A convolution, though, takes
    images of one channel with strides ``(H W, 1, W, 1)`` for channels-last, and returns outputs that ``view`` cannot
    flatten. So these strides become the usual ones as well.

    >>> x = torch.zeros(2, 3, 4, 1).permute(0, 3, 1, 2)
    >>> x.is_contiguous(), x.stride(), to_contiguous(x).stride()
    (True, (12, 1, 4, 1), (12, 12, 4, 1))
    """
    return map_tensors(_to_contiguous, x)


def _to_contiguous(x: torch.Tensor) -> torch.Tensor:
    x = x.contiguous()
    if 1 not in x.shape or x.ndim < 2:
        return x
    return x.view(-1).view(x.shape) if x.numel() else x


def from_numpy(values: np.ndarray) -> torch.Tensor:
    """Return a contiguous tensor that shares the array's memory if possible; a read-only map stays read-only."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return _to_contiguous(torch.from_numpy(np.ascontiguousarray(values)))


def pack(arrays: Sequence[np.ndarray] | Mapping[str, np.ndarray]) -> tuple[np.ndarray, tuple[InputSpec, ...]]:
    """Return several inputs as one block of bytes, uint8 ``(N, nbytes)``, and what is in it.

    Args:
        arrays: float32, uint8 or int64 ``(N, ...)`` each; a mapping's keys are the names of the inputs.

    Raises:
        DataError: the inputs have different numbers of rows, or another type.

    >>> block, inputs = pack({"ids": np.zeros((5, 2), np.int64), "size": np.zeros((5, 1), np.float32)})
    >>> block.shape, [item.name for item in inputs]
    ((5, 20), ['ids', 'size'])
    """
    names = tuple(arrays) if isinstance(arrays, Mapping) else ("",) * len(arrays)
    values = list(arrays.values()) if isinstance(arrays, Mapping) else list(arrays)
    if len({len(array) for array in values}) > 1:
        counts = ", ".join(str(len(array)) for array in values)
        raise DataError(
            Message("all inputs must have the same number of rows, got {counts}", counts=counts),
            Message("give one row per sample"),
        )
    inputs = tuple(
        InputSpec(tuple(array.shape[1:]), array.dtype.name, name)  # type: ignore[arg-type]  # Spec checks it
        for name, array in zip(names, values, strict=True)
    )
    rows = [np.ascontiguousarray(array).reshape(len(array), -1).view(np.uint8) for array in values]
    return np.concatenate(rows, axis=1), inputs


def make_zeros(spec: Spec, n: int, *, device: torch.device, dtype: torch.dtype = torch.float32) -> Inputs:
    """Return ``n`` samples of zeros as the network of a spec takes them.

    Args:
        spec: the contract of the network's inputs, after their scaling.
        n: number of samples.
        device: of the tensors.
        dtype: of the numbers, which is that of the network's weights; ids are int64.

    >>> make_zeros(Spec("regression", (3,), dtype="int64"), 1, device=torch.device("cpu"))
    tensor([[0, 0, 0]])
    """
    items = spec.inputs or (InputSpec(spec.shape, spec.dtype),)

    def zeros(item: InputSpec) -> torch.Tensor:
        value_type = dtype if item.dtype == "float32" else getattr(torch, item.dtype)
        return torch.zeros(n, *item.shape, device=device, dtype=value_type)

    if not spec.inputs:
        return zeros(items[0])
    return {item.name: zeros(item) for item in items} if items[0].name else tuple(map(zeros, items))


def call(model: nn.Module, x: Inputs) -> Any:
    """Return what a network returns for some inputs.

    A tuple is passed by position. A dict is passed by keyword if ``forward`` takes these names, else as one argument.

    >>> class Pair(nn.Module):
    ...     def forward(self, left, right):
    ...         return left - right
    >>> call(Pair(), {"right": torch.tensor(1), "left": torch.tensor(3)})
    tensor(2)
    """
    args, kwargs = arguments_of(model, x)
    return model(*args, **kwargs)


def arguments_of(model: nn.Module, x: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments with which `call` calls a network."""
    if isinstance(x, tuple):
        return x, {}
    if isinstance(x, dict) and _takes_keywords(type(model).forward, tuple(x)):
        return (), x
    return (x,), {}


@functools.lru_cache(maxsize=256)
def _takes_keywords(forward: Callable[..., Any], names: tuple[str, ...]) -> bool:
    """Return whether a function (with self) can be called with exactly these keywords."""
    try:
        inspect.signature(forward).bind(None, **dict.fromkeys(names))
    except TypeError:
        return False
    return True
