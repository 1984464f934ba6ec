"""Inputs of any shape and type: sequences, ids of tokens, volumes, and several inputs of one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.input_spec import InputSpec
from yisheng.core.messages import Message
from yisheng.core.nested import pack
from yisheng.core.spec import Spec
from yisheng.inference.inputs.block import InputBlock, describe, list_forms, refuse


def to_array(value: Any, spec: Spec) -> np.ndarray:
    """Return an array, a tensor, or nested lists of these as one array.

    Raises:
        DataError: it is not an array of numbers, or its parts differ in shape.
    """
    value = from_tensor(value)
    if isinstance(value, list | tuple):
        value = [from_tensor(item) for item in value]
    try:
        array = np.asarray(value)
    except ValueError:  # the parts have different lengths
        raise DataError(
            Message("the inputs of {description} have different shapes", description=describe(value)),
            Message("pad them to one length; {forms}", forms=list_forms(spec)),
        ) from None
    if array.dtype.kind not in "fiub" or array.ndim == 0:
        refuse(describe(value), spec)
    return array


def from_tensor(value: Any) -> Any:
    """Return a torch tensor as a NumPy array on the CPU, and anything else unchanged.

    >>> import torch
    >>> from_tensor(torch.ones(1, dtype=torch.bfloat16, requires_grad=True)), from_tensor([1])
    (array([1.], dtype=float32), [1])
    """
    import torch

    if not isinstance(value, torch.Tensor):
        return value
    tensor = value.detach().cpu()
    return (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy()


def read_tensor(value: Any, spec: Spec) -> InputBlock:
    """Return one input of the network's shape, or several with a leading axis.

    Raises:
        DataError: the shape is neither, or a value is not of the type that the network takes.
    """
    array = to_array(value, spec)
    rows = _add_rows(array, InputSpec(spec.shape, spec.dtype))
    if rows is None:
        refuse(describe(array), spec)
    return InputBlock.from_array(convert_values(rows, spec.dtype))


def read_several(value: Any, spec: Spec) -> InputBlock:
    """Return the inputs of a network with several inputs, packed as in training.

    Args:
        value: a tuple or list of arrays in the order of the inputs, or a dict of arrays by name; each ``(N, ...)``, or
            without the leading axis for one sample.
        spec: the contract, with its ``inputs``.

    Raises:
        DataError: an input is missing, or has another shape or type than in training.
    """
    arrays = [to_array(item, spec) for item in _order_inputs(value, spec)]
    rows = [_add_rows(array, item) for array, item in zip(arrays, spec.inputs, strict=True)]
    for number, (array, block, item) in enumerate(zip(arrays, rows, spec.inputs, strict=True), 1):
        if block is None:
            shape = ", ".join(map(str, item.shape))
            raise DataError(
                Message(
                    "input {name} must have the shape (N, {expected}), got {shape}",
                    name=item.name or number,
                    expected=shape,
                    shape=array.shape,
                ),
                _list_several(spec),
            )
    values = [
        convert_values(block, item.dtype) for block, item in zip(rows, spec.inputs, strict=True) if block is not None
    ]
    return InputBlock.from_array(pack(values)[0])


def convert_values(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return an array with values of the type that a network takes; it is contiguous and writable.

    Args:
        array: of any number type; uint8 stays uint8 where float32 is required, as images are in training.
        dtype: ``float32``, ``uint8`` or ``int64``.

    Raises:
        DataError: the values are not finite, not whole, or too large for the type.

    >>> convert_values(np.array([1.0, 2.0]), "int64")
    array([1, 2])
    """
    if array.dtype.kind not in "fiub":
        raise DataError(
            Message("inputs must be numbers, got an array of {dtype}", dtype=array.dtype),
            Message("convert them, as in x.astype('float32')"),
        )
    if dtype == "float32" and array.dtype == np.uint8:
        return np.require(array, requirements=["C", "W"])
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.require(array, np.dtype(dtype), ["C", "W"])
    if dtype == "float32":
        if not np.isfinite(values).all():
            raise DataError(
                Message("the inputs contain NaN, infinite or too large values"), Message("remove or replace them")
            )
    elif not np.array_equal(values, array):
        raise DataError(
            Message(
                "the network takes whole numbers ({expected}), got {dtype} with other values",
                expected=dtype,
                dtype=array.dtype,
            ),
            Message("convert them, as in x.astype('{dtype}')", dtype=dtype),
        )
    return values


def _add_rows(array: np.ndarray, item: InputSpec) -> np.ndarray | None:
    """Return inputs ``(N, *shape)``, or None if the array has another shape."""
    if array.shape == item.shape:
        return array[None]
    return array if array.shape[1:] == item.shape and len(array) else None


def _order_inputs(value: Any, spec: Spec) -> Sequence[Any]:
    """Return the inputs in the order of training."""
    names = [item.name for item in spec.inputs]
    if isinstance(value, Mapping):
        if set(value) != set(names) or "" in names:
            received = ", ".join(map(str, value)) or Message("none")
            raise DataError(
                Message(
                    "the model takes the inputs {names}, got {received}",
                    names=", ".join(filter(None, names)) or Message("by position"),
                    received=received,
                ),
                _list_several(spec),
            )
        return [value[name] for name in names]
    if not isinstance(value, list | tuple) or len(value) != len(names):
        raise DataError(
            Message("the model takes {count} inputs, got {description}", count=len(names), description=describe(value)),
            _list_several(spec),
        )
    return value


def _list_several(spec: Spec) -> str:
    forms = [f"{item.name or f'x{n}'} (N, {', '.join(map(str, item.shape))})" for n, item in enumerate(spec.inputs, 1)]
    return f"give a {'dict' if spec.inputs[0].name else 'tuple'} of arrays: {', '.join(forms)}"
