"""What is fitted on the training part, applied to every batch, saved with the run, and undone in prediction.

A transform is a frozen dataclass decorated with `register`. Its positional fields are what was fitted;
its keyword-only fields, if any, are its options (so the registry knows them, and they are saved too). It has

    T.fit(x, **options) -> T      a class method; ``x`` is a NumPy array or a `Gather`: read it by slices of rows
    t.apply(x) -> tensor          float32 (float64 for float64); never in place
    t.invert(x) -> tensor         the inverse

A transform that prepares the columns of a table by their kinds, missing values included, asks for them in its
``fit(x, *, columns, **options)``; where it changes their number, ``t.spec(spec)`` is the contract after it.

They work on images ``(B, C, H, W)`` or rows ``(B, D)``, also with further axes before them. Field values are plain
JSON data.

What `register` may be told here: ``default_for`` (what ``target_scale=auto`` means for a spec).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch

    from yisheng.core.types import Column, Spec


class Transform(Protocol):
    """A fitted transform."""

    def apply(self, x: torch.Tensor) -> torch.Tensor: ...

    def invert(self, x: torch.Tensor) -> torch.Tensor: ...


def fit(
    name: str,
    x: np.ndarray,
    options: Mapping[str, Any] | None = None,
    *,
    rows: np.ndarray | None = None,
    columns: Sequence[Column] = (),
) -> Transform:
    """A transform fitted on the training part.

    Args:
        name: its registered name.
        x: inputs or targets ``(N, ...)``, uint8 or floating; may be memory-mapped.
        options: its options by name.
        rows: row numbers of the training part; all rows without it. ``fit("standard", x, rows=train)``
            gathers a piece at a time, so the part need not fit into the memory.
        columns: the table's columns, for what asks for them and for errors, where numbers are used without them.

    Raises:
        UsageError: no transform has that name.
        DataError: there is no row, or a value is missing or infinite.

    >>> import numpy as np
    >>> fit("standard", np.array([[1.0], [3.0]], np.float32))
    standard(mean=(2.0,), std=(1.0,))
    """
    from yisheng.core import registry
    from yisheng.transforms._chunks import Gather, require_finite

    entry = registry.find("transforms", name)
    part: Any = x if rows is None else Gather(x, rows)
    given = dict(options or {})
    if takes_columns(name):
        given["columns"] = tuple(columns)
    else:
        require_finite(part, [column.name for column in columns])
    fitted: Transform = entry.build.fit(part, **given)  # type: ignore[attr-defined]  # the kind's contract
    return fitted


def takes_columns(name: str) -> bool:
    """Whether a transform prepares a table's columns by their kinds, missing values included.

    Raises:
        UsageError: no transform has that name.

    >>> takes_columns("standard")
    False
    """
    import inspect

    from yisheng.core import registry

    build: Any = registry.find("transforms", name).build
    return "columns" in inspect.signature(build.fit).parameters


def after(transform: Transform | None, spec: Spec) -> Spec:
    """The contract of what a fitted transform gives: another number of columns, perhaps.

    >>> from yisheng.core.types import Spec
    >>> after(None, Spec("regression", (3,))).shape
    (3,)
    """
    changed: Spec = transform.spec(spec) if hasattr(transform, "spec") else spec  # type: ignore[union-attr]  # asked
    return changed


def to_json(transform: Transform) -> dict[str, Any]:
    """A fitted transform as plain data, as written to ``model.json``.

    >>> from yisheng.transforms.unit import unit
    >>> to_json(unit((0.0,), (255.0,)))
    {'name': 'unit', 'low': [0.0], 'high': [255.0]}
    """
    from dataclasses import fields

    from yisheng.core.registry import dashed

    values = {f.name: getattr(transform, f.name) for f in fields(transform)}  # type: ignore[arg-type]  # a dataclass
    return {
        "name": dashed(type(transform).__name__),
        **{k: list(v) if isinstance(v, tuple) else v for k, v in values.items()},
    }


def from_json(data: Mapping[str, Any]) -> Transform:
    """The inverse of `to_json`, checked.

    Raises:
        DataError: the name is unknown, or a field is missing, unknown or of the wrong kind.

    >>> from_json({"name": "unit", "low": [0.0], "high": [255.0]})
    unit(low=(0.0,), high=(255.0,))
    """
    import dataclasses
    import typing

    from pydantic import ConfigDict, TypeAdapter, ValidationError

    from yisheng.core import registry
    from yisheng.core.errors import DataError, UsageError

    remedy = "take the file from a whole run"
    if not isinstance(data, Mapping) or not isinstance(data.get("name"), str):
        raise DataError("a fitted transform must be an object with a name", remedy)
    try:
        build: Any = registry.find("transforms", data["name"]).build
    except UsageError as error:
        raise DataError(f"the fitted transform is unknown: {error.problem}", error.remedy) from None
    wanted = [f.name for f in dataclasses.fields(build)]
    if sorted([*wanted, "name"]) != sorted(map(str, data)):
        came = ", ".join(str(key) for key in data if key != "name") or "none"
        raise DataError(f"transform {data['name']} has the fields {', '.join(wanted) or 'none'}, got {came}", remedy)
    hints = typing.get_type_hints(build)
    values = {}
    for field in wanted:
        value = tuple(data[field]) if isinstance(data[field], list) else data[field]
        try:
            values[field] = TypeAdapter(hints[field], config=ConfigDict(strict=True)).validate_python(value)
        except ValidationError as error:
            what = error.errors()[0]["msg"]
            raise DataError(f"transform {data['name']} is damaged at {field}: {what}", remedy) from None
    transform: Transform = build(**values)
    return transform
