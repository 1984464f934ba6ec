"""Inputs as one block: the arrays themselves, or several packed into bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from yisheng.core import nested
from yisheng.core.errors import DataError
from yisheng.core.findings import Finding
from yisheng.core.input_spec import InputSpec, InputType
from yisheng.core.messages import Message
from yisheng.data.objects import _arrays
from yisheng.data.objects._values import Arrays, make_warning

COLOR_CHANNELS = (3, 4)


@dataclass(frozen=True)
class InputEncoder:
    """How inputs become the rows of a block.

    Args:
        shapes: of one sample's inputs.
        dtypes: types that a network receives.
        stored: types in which the values are stored.
        names: of the inputs; empty for a single input, or for inputs by position.

    >>> encoder, _ = InputEncoder.fit((np.zeros((4, 2)), np.zeros((4, 3))), "x")
    >>> encoder.encode((np.ones((1, 2)), np.ones((1, 3)))).shape
    (1, 20)
    """

    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[InputType, ...]
    stored: tuple[str, ...]
    names: tuple[str, ...] = ()

    @classmethod
    def fit(cls, arrays: Arrays, name: str, *, ids: bool | None = None) -> tuple[InputEncoder, list[Finding]]:
        """Return the encoder of some inputs, and notes on what it changes.

        Args:
            arrays: one array ``(N, ...)``, or several.
            name: of the inputs, for messages.
            ids: whether whole numbers are ids; by default those with one axis per row are.

        Raises:
            DataError: the values are no numbers, or NaN or infinite.
        """
        notes: list[Finding] = []
        dtypes: list[InputType] = []
        stored, shapes = [], []
        items = _arrays.list_arrays(arrays)
        for array, label in zip(items, _arrays.name_arrays(arrays, name), strict=True):
            array = _with_axis(array) if len(items) == 1 else array
            values, dtype, further = _arrays.store(array, label, ids=ids)
            notes += further + _note_last_channels(values, label)
            dtypes.append(dtype)
            stored.append(values.dtype.name)
            shapes.append(values.shape[1:])
        names = tuple(arrays) if isinstance(arrays, dict) else ()
        return cls(tuple(shapes), tuple(dtypes), tuple(stored), names), notes

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Return what a row of the block holds, if there are several inputs."""
        if len(self.shapes) == 1:
            return ()
        names = self.names or ("",) * len(self.shapes)
        return tuple(InputSpec(s, d, n) for s, d, n in zip(self.shapes, self.stored, names, strict=True))  # type: ignore[arg-type]  # a stored type

    @property
    def spec_fields(self) -> dict[str, Any]:
        """Return ``shape``, ``dtype`` and ``inputs`` of the spec."""
        if not self.inputs:
            return {"shape": self.shapes[0], "dtype": self.dtypes[0]}
        return {"shape": (sum(item.nbytes for item in self.inputs),), "inputs": self.inputs}

    def encode(self, arrays: Arrays, name: str = "x") -> np.ndarray:
        """Return inputs of some rows as a block ``(N, *shape)``.

        Args:
            arrays: inputs in the form of the fitted ones.
            name: of the inputs, for messages.

        Raises:
            DataError: they have another form, shape or type.
        """
        items = _arrays.list_arrays(arrays)
        names = tuple(arrays) if isinstance(arrays, dict) else ()
        if len(items) != len(self.shapes) or set(names) != set(self.names):
            expected = ", ".join(self.names) or Message("{count} by position", count=len(self.shapes))
            raise DataError(
                Message(
                    "{name} has the inputs {names}, the training rows have {expected}",
                    name=name,
                    names=", ".join(names) or Message("{count} by position", count=len(items)),
                    expected=expected,
                ),
                Message("give the same inputs for all parts"),
            )
        if isinstance(arrays, dict):
            items = [arrays[key] for key in self.names]
        labels = _arrays.name_arrays(arrays, name)
        values = []
        for array, shape, dtype, stored, label in zip(
            items, self.shapes, self.dtypes, self.stored, labels, strict=True
        ):
            array = _with_axis(array) if len(items) == 1 else array
            if array.shape[1:] != shape:
                raise DataError(
                    Message(
                        "{label} has rows of shape {shape}, the training rows have {training_shape}",
                        label=label,
                        shape=array.shape[1:],
                        training_shape=shape,
                    ),
                    Message("bring all rows to one shape"),
                )
            values.append(_convert(array, dtype, stored, label))
        if len(values) == 1:
            return np.ascontiguousarray(values[0])
        return nested.pack(dict(zip(self.names, values, strict=True)) if self.names else values)[0]


def _convert(array: np.ndarray, dtype: InputType, stored: str, name: str) -> np.ndarray:
    values = _arrays.stored_type(array, dtype, name)
    if stored == "uint8" and values.dtype != np.uint8:
        raise DataError(
            Message("{name} must hold bytes (uint8), got {dtype}", name=name, dtype=array.dtype),
            Message("give the same type for all parts"),
        )
    return values.astype(stored, copy=False)


def _with_axis(array: np.ndarray) -> np.ndarray:
    """Return ``(N, 1)`` for ``(N,)``: the only input of a data set has one axis or more."""
    return array[:, None] if array.ndim == 1 else array


def _note_last_channels(array: np.ndarray, name: str) -> list[Finding]:
    if array.ndim != 4 or array.dtype != np.uint8 or array.shape[3] not in COLOR_CHANNELS or array.shape[1] <= 4:
        return []
    return [
        make_warning(
            Message(
                "{name} has the shape (N, {height}, {width}, {channels}): the colors seem to be the last "
                "axis, and torch takes them first",
                name=name,
                height=array.shape[1],
                width=array.shape[2],
                channels=array.shape[3],
            ),
            f"give {name}.transpose(0, 3, 1, 2)",
        )
    ]
