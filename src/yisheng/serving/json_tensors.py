"""Samples in JSON for networks that take neither images nor rows: nested lists of any shape, ids, several inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from yisheng.core.errors import DataError
from yisheng.core.input_spec import InputSpec
from yisheng.core.messages import Message
from yisheng.core.spec import Spec

Schema = dict[str, Any]
RANGES: Final = {"uint8": (0, 255), "int64": (-(2**53), 2**53)}
"""Smallest and largest integers of a type; larger ones do not survive JSON."""
MAX_NUMBER: Final = 3e38
"""About the largest number in single precision."""


def takes_tensors(spec: Spec) -> bool:
    """Return whether a network takes neither images nor rows of numbers."""
    return not (spec.is_image or spec.is_row)


def parse_json_tensors(samples: Sequence[Any], spec: Spec) -> np.ndarray:
    """Return samples as one block ``(N, *shape)``.

    Args:
        samples: nested lists of the shape of one sample; for several inputs an object with a nested list for each of
            them by name, or a list of them in their order.
        spec: the contract.

    Raises:
        DataError: a sample has another shape, or a value is not a number of the network's type.

    >>> parse_json_tensors([[[1, 2]], [[3, 4.5]]], Spec("regression", (1, 2))).tolist()
    [[[1.0, 2.0]], [[3.0, 4.5]]]
    """
    from yisheng.core import nested  # imports torch, which readers of other inputs do not need

    if not spec.inputs:
        item = InputSpec(spec.shape, spec.dtype)
        return np.stack([_parse_tensor(sample, item, f"row {n}") for n, sample in enumerate(samples, 1)])
    parts = [_split_sample(sample, spec, number) for number, sample in enumerate(samples, 1)]
    arrays = [
        np.stack([_parse_tensor(values, item, f"row {n}, {name}") for n, values in enumerate((p[i] for p in parts), 1)])
        for i, (item, name) in enumerate(zip(spec.inputs, name_inputs(spec), strict=True))
    ]
    return nested.pack(arrays)[0]


def name_inputs(spec: Spec) -> list[str]:
    """Return the names of several inputs; unnamed ones are numbered."""
    return [item.name or f"input {number}" for number, item in enumerate(spec.inputs, 1)]


def describe_tensor_row(spec: Spec) -> Schema:
    """Return the schema of one sample."""
    if not spec.inputs:
        return _describe_tensor(InputSpec(spec.shape, spec.dtype))
    schemas = [_describe_tensor(item) for item in spec.inputs]
    count = len(schemas)
    values: Schema = {"type": "array", "prefixItems": schemas, "minItems": count, "maxItems": count}
    if not spec.inputs[0].name:
        return values
    names = name_inputs(spec)
    properties = dict(zip(names, schemas, strict=True))
    return {"anyOf": [{"type": "object", "required": names, "properties": properties}, values]}


def _describe_tensor(item: InputSpec) -> Schema:
    if item.dtype == "float32":
        schema: Schema = {"type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}
    else:
        low, high = RANGES[item.dtype]
        schema = {"type": "integer", "minimum": low, "maximum": high}
    for size in reversed(item.shape):
        schema = {"type": "array", "items": schema, "minItems": size, "maxItems": size}
    return schema


def _split_sample(sample: Any, spec: Spec, number: int) -> list[Any]:
    """Return the inputs of one sample in their order."""
    names = name_inputs(spec)
    has_names = bool(spec.inputs[0].name)
    if isinstance(sample, dict) and has_names:
        missing = [name for name in names if name not in sample]
        if missing:
            raise DataError(
                Message("row {number} lacks {missing}", number=number, missing=", ".join(missing)),
                Message("give all inputs: {names}", names=", ".join(names)),
            )
        return [sample[name] for name in names]
    if isinstance(sample, list) and len(sample) == len(names):
        return sample
    form = f"an object with {', '.join(names)}" if has_names else f"a list of {len(names)} inputs"
    raise DataError(
        Message("row {number} is not {form}", number=number, form=form),
        Message("the network takes {description}", description=spec.description),
    )


def _parse_tensor(values: Any, item: InputSpec, name: str) -> np.ndarray:
    """Return the nested lists of one input as an array of its shape and type."""
    from yisheng.inference.inputs.tensor_inputs import convert_values

    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError):  # lists of different lengths
        raise DataError(
            Message("{name}: its lists have different lengths", name=name),
            Message("give {item}", item=_describe_form(item)),
        ) from None
    if isinstance(values, list) != bool(item.shape) or array.shape != item.shape:
        is_list = isinstance(values, list)
        shape = Message("lists of the shape {shape}", shape=array.shape) if is_list else Message("no list")
        raise DataError(
            Message("{name} must be {item}, got {shape}", name=name, item=_describe_form(item), shape=shape),
            Message("the sizes are those of the training"),
        )
    if array.dtype.kind not in "iuf":
        raise DataError(
            Message("{name}: a value is not a number", name=name),
            Message("send numbers; null and text are not accepted"),
        )
    low, high = RANGES.get(item.dtype, (-MAX_NUMBER, MAX_NUMBER))
    if array.min() < low or array.max() > high:
        raise DataError(
            Message("{name}: values must be from {low} to {high}", name=name, low=f"{low:g}", high=f"{high:g}"),
            Message("send values in this range"),
        )
    if item.dtype != "float32" and array.dtype.kind == "f":
        raise DataError(
            Message("{name}: a value is not a whole number", name=name),
            Message("the network takes {dtype} values", dtype=item.dtype),
        )
    return convert_values(array, item.dtype)


def _describe_form(item: InputSpec) -> str:
    """Return the form of an input in words.

    >>> _describe_form(InputSpec((6, 5)))
    'a list of 6 lists of 5 numbers'
    >>> _describe_form(InputSpec((), "int64"))
    'a whole number'
    """
    if not item.shape:
        return "a number" if item.dtype == "float32" else "a whole number"
    kind = "numbers" if item.dtype == "float32" else "whole numbers"
    first, *remaining = item.shape
    return f"a list of {first} " + "".join(f"lists of {size} " for size in remaining) + kind
