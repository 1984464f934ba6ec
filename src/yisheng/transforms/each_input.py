"""A scaling for each of several inputs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from yisheng import transforms
from yisheng.core import nested
from yisheng.core.errors import DataError
from yisheng.core.input_spec import Inputs, InputSpec
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.transforms._row_chunks import RowSubset, split_inputs

NO_SCALING = "raw"
"""The transform of ids."""


@register(fits=lambda spec: False, requires="nothing but several inputs, where scale=standard or unit applies it")  # noqa: ARG005
@dataclass(frozen=True)
class each_input:  # noqa: N801  # its name is the registered name
    """A scaling for each of several inputs: the chosen one for numbers and bytes, none for ids.

    It unpacks the block of a data set with several inputs into a tuple or dict of tensors; see `yisheng.core.nested`.
    ``scale=standard`` means it for such data, with `standard` for each input that holds numbers.

    Args:
        names: of the inputs; empty for inputs by position.
        shapes: of one sample's inputs.
        dtypes: types of the stored values.
        scales: the fitted transform of each input, as plain data.

    Raises:
        DataError: the fields do not describe the same inputs, or a transform is damaged.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]
    scales: tuple[dict[str, Any], ...]

    def __post_init__(self) -> None:
        lengths = {len(self.names), len(self.shapes), len(self.dtypes), len(self.scales)}
        if len(lengths) != 1 or not self.names:
            raise DataError(
                Message("transform each-input needs a name, a shape, a type and a scaling for each input"),
                Message("copy the file from an intact run folder"),
            )
        assert self.inputs
        assert self.fitted  # reading them raises an error if one is damaged

    @classmethod
    def fit(
        cls,
        x: np.ndarray | RowSubset,
        *,
        inputs: Sequence[InputSpec] = (),
        method: str = "standard",
        options: Mapping[str, Any] | None = None,
    ) -> each_input:
        """Fit the transform of each input.

        Args:
            x: the packed block, uint8 ``(N, nbytes)``.
            inputs: what it holds.
            method: name of the transform of numbers and bytes.
            options: its options.

        Raises:
            DataError: there are no rows, or a value is missing or infinite.
        """
        scales = []
        for item, values in zip(inputs, split_inputs(x, inputs), strict=True):
            is_ids = item.dtype == "int64"
            fitted = transforms.fit(NO_SCALING if is_ids else method, values, None if is_ids else options)
            scales.append(transforms.to_json(fitted))
        return cls(
            tuple(item.name for item in inputs),
            tuple(item.shape for item in inputs),
            tuple(item.dtype for item in inputs),
            tuple(scales),
        )

    @functools.cached_property
    def inputs(self) -> tuple[InputSpec, ...]:
        """Return the inputs of the packed block."""
        items = zip(self.shapes, self.dtypes, self.names, strict=True)
        inputs = tuple(InputSpec(shape, dtype, name) for shape, dtype, name in items)  # type: ignore[arg-type]  # checked by Spec
        return Spec("regression", (sum(item.nbytes for item in inputs),), inputs=inputs).inputs

    @functools.cached_property
    def fitted(self) -> tuple[Any, ...]:
        """Return the fitted transform of each input."""
        return tuple(map(transforms.from_json, self.scales))

    def apply(self, x: Inputs) -> Inputs:
        """Return the scaled inputs: a tuple, or a dict if they have names.

        Args:
            x: a packed block ``(B, nbytes)``, or its tensors by `yisheng.core.nested.unpack`.
        """
        parts = nested.unpack(x, self.inputs) if isinstance(x, torch.Tensor) else x
        items = zip(self.fitted, nested.tensors(parts), self.shapes, strict=True)
        return nested.rebuild(parts, [_use(transform.apply, values, shape) for transform, values, shape in items])

    def invert(self, x: Inputs) -> Inputs:
        """Return inputs in their original units."""
        items = zip(self.fitted, nested.tensors(x), self.shapes, strict=True)
        return nested.rebuild(x, [_use(transform.invert, values, shape) for transform, values, shape in items])

    def spec(self, spec: Spec) -> Spec:
        """Return the spec with the types of the inputs that the network receives."""
        items = zip(self.inputs, self.scales, strict=True)
        inputs = tuple(item if scale["name"] == NO_SCALING else replace(item, dtype="float32") for item, scale in items)
        return replace(spec, shape=(sum(item.nbytes for item in inputs),), inputs=inputs)


def _use(function: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Return the values of one input after a function of columns; one value a row is one column."""
    return function(values) if shape else function(values.unsqueeze(-1)).squeeze(-1)
