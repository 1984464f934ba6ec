"""Transforms: fitted on the training part, applied to every batch, saved with the run, and inverted in prediction.

A transform is a frozen dataclass decorated with `register`. Its positional fields are the fitted values; its
keyword-only fields, if any, are its options, which the registry lists and the run saves as well. It has

    T.fit(x, **options) -> T      a class method; ``x`` is a NumPy array or a `RowSubset`, to be read in slices of rows
    t.apply(x) -> tensor          float32 (float64 for float64); never in place
    t.invert(x) -> tensor         the inverse

A transform that prepares the columns of a table by their kinds, missing values included, has the signature
``fit(x, *, columns, **options)``; if it changes their number, ``t.spec(spec)`` returns the spec of its outputs.

Inputs are rows ``(B, D)`` and sequences ``(B, T, D)``, scaled along the last axis, or images ``(B, C, H, W)``, volumes
``(B, C, D, H, W)`` and anything with more axes, scaled along the axis after B. A transform of several inputs
(`each_input`) takes and returns tuples or dicts of tensors. Field values are plain JSON data.

Keys of `register` for this kind: ``default_for`` (the specs for which ``target_scale=auto`` means this transform).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from yisheng.core.messages import Message
from yisheng.core.validation_texts import describe_invalid

if TYPE_CHECKING:
    import numpy as np

    from yisheng.core.columns import Column
    from yisheng.core.input_spec import InputSpec
    from yisheng.core.spec import Spec


class Transform(Protocol):
    """A fitted transform."""

    def apply(self, x: Any) -> Any: ...

    def invert(self, x: Any) -> Any: ...


def fit(
    name: str,
    x: np.ndarray,
    options: Mapping[str, Any] | None = None,
    *,
    rows: np.ndarray | None = None,
    columns: Sequence[Column] = (),
    inputs: Sequence[InputSpec] = (),
    unused: Sequence[int] = (),
) -> Transform:
    """Return a transform fitted on the training part.

    Args:
        name: its registered name.
        x: inputs or targets ``(N, ...)``, uint8 or floating; may be memory-mapped.
        options: its options by name.
        rows: row numbers of the training part, all rows by default. ``fit("standard", x, rows=train)`` gathers a
            chunk at a time, so the part need not fit into memory.
        columns: the table's columns, for a transform that prepares them, and for their names in errors.
        inputs: what the rows of a packed block hold: the transform is fitted on each of them, except on ids.
        unused: positions of words of texts to leave out, for a transform that prepares columns by their kinds.

    Raises:
        UsageError: no transform has that name.
        DataError: there are no rows, or a value is missing or infinite.

    >>> import numpy as np
    >>> fit("standard", np.array([[1.0], [3.0]], np.float32))
    standard(mean=(2.0,), std=(1.0,))
    """
    from yisheng.core import registry
    from yisheng.transforms._row_chunks import RowSubset, require_finite

    entry = registry.find("transforms", name)
    part: Any = x if rows is None else RowSubset(x, rows)
    arguments = dict(options or {})
    if inputs:
        each_input: Any = registry.find("transforms", "each-input").build
        scaled_inputs: Transform = each_input.fit(part, inputs=inputs, method=name, options=options)
        return scaled_inputs
    if takes_columns(name):
        arguments["columns"] = tuple(columns)
        if unused:
            arguments["unused"] = tuple(unused)
    else:
        require_finite(part, [column.name for column in columns])
    fitted: Transform = entry.build.fit(part, **arguments)  # type: ignore[attr-defined]  # see the module's docstring
    return fitted


def takes_columns(name: str) -> bool:
    """Return whether a transform prepares a table's columns by their kinds, missing values included.

    Raises:
        UsageError: no transform has that name.

    >>> takes_columns("standard")
    False
    """
    import inspect

    from yisheng.core import registry

    build: Any = registry.find("transforms", name).build
    return "columns" in inspect.signature(build.fit).parameters


def transform_spec(transform: Transform | None, spec: Spec) -> Spec:
    """Return the spec of a fitted transform's outputs, which may have another number of columns.

    >>> from yisheng.core.spec import Spec
    >>> transform_spec(None, Spec("regression", (3,))).shape
    (3,)
    """
    transformed: Spec = transform.spec(spec) if hasattr(transform, "spec") else spec  # type: ignore[union-attr]
    return transformed


def to_json(transform: Transform) -> dict[str, Any]:
    """Return a fitted transform as plain data, as in ``model.json``.

    >>> from yisheng.transforms.unit import unit
    >>> to_json(unit((0.0,), (255.0,)))
    {'name': 'unit', 'low': [0.0], 'high': [255.0]}
    """
    from dataclasses import fields

    from yisheng.core.discovery import hyphenate

    values = {f.name: getattr(transform, f.name) for f in fields(transform)}  # type: ignore[arg-type]  # a dataclass
    return {
        "name": hyphenate(type(transform).__name__),
        **{k: _to_lists(v) for k, v in values.items()},
    }


def _to_lists(value: Any) -> Any:
    return [_to_lists(item) for item in value] if isinstance(value, tuple) else value


def _to_tuples(value: Any) -> Any:
    return tuple(_to_tuples(item) for item in value) if isinstance(value, list) else value


def from_json(data: Mapping[str, Any]) -> Transform:
    """Return a transform from the data of `to_json`, after checking it.

    Raises:
        DataError: the name is unknown, or a field is missing, unknown or of the wrong type.

    >>> from_json({"name": "unit", "low": [0.0], "high": [255.0]})
    unit(low=(0.0,), high=(255.0,))
    """
    import dataclasses
    import typing

    from pydantic import ConfigDict, TypeAdapter, ValidationError

    from yisheng.core import registry
    from yisheng.core.errors import DataError, UsageError

    remedy = Message("copy the file from an intact run folder")
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        raise DataError(Message("a fitted transform must be an object with a name"), remedy)
    try:
        build: Any = registry.find("transforms", data["name"]).build
    except UsageError as error:
        raise DataError(
            Message("the fitted transform is unknown: {problem}", problem=error.problem), error.remedy
        ) from None
    names = [f.name for f in dataclasses.fields(build)]
    if sorted([*names, "name"]) != sorted(map(str, data)):
        received = ", ".join(str(key) for key in data if key != "name") or Message("none")
        raise DataError(
            Message(
                "transform {name} has the fields {names}, got {received}",
                name=data["name"],
                names=", ".join(names) or Message("none"),
                received=received,
            ),
            remedy,
        )
    hints = typing.get_type_hints(build)
    values = {}
    for name in names:
        value = _to_tuples(data[name])
        try:
            values[name] = TypeAdapter(hints[name], config=ConfigDict(strict=True)).validate_python(value)
        except ValidationError as error:
            reason = describe_invalid(error.errors()[0])
            raise DataError(
                Message(
                    "transform {name} is damaged at {field}: {reason}", name=data["name"], field=name, reason=reason
                ),
                remedy,
            ) from None
    transform: Transform = build(**values)
    return transform
