"""What an update did to the parameters."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from yisheng.diagnosis.recorder.records import ParameterRecord
from yisheng.diagnosis.recorder.small_tensors import Floats, is_small, join, root_mean_squares


@dataclass(slots=True)
class WeightCopies:
    """Copies of parameters before an update.

    Args:
        shapes: of all, by name.
        sizes: number of values of the small ones, by name.
        joined: values of these ``(N,)``.
        single: the others, by name.
    """

    shapes: Mapping[str, tuple[int, ...]]
    sizes: Mapping[str, int]
    joined: Floats
    single: Mapping[str, torch.Tensor]


def copy_weights(parameters: Mapping[str, nn.Parameter]) -> WeightCopies:
    """Return copies of the parameters that require gradients."""
    trainable = {name: p for name, p in parameters.items() if p.requires_grad}
    small_parameters = {name: p for name, p in trainable.items() if is_small(p)}
    return WeightCopies(
        {name: tuple(p.shape) for name, p in trainable.items()},
        {name: p.numel() for name, p in small_parameters.items()},
        join(list(small_parameters.values())),
        {name: p.detach().clone() for name, p in trainable.items() if name not in small_parameters},
    )


@dataclass(slots=True)
class MeasuredUpdate:
    """An update whose statistics were not read yet: reading waits for the device.

    Args:
        copies: of the parameters before it.
        trainable: the parameters.
        new_values: of the small ones after it ``(N,)``.
        gradient_sizes: number of values of the gradients that are small, too, by name.
        gradients: values of these ``(N,)``.
        large_gradients: names of the other gradients.
        norms: root mean squares ``()`` of the other parameters, their changes, and the other gradients.
        unchanged: fraction of unchanged values of the 16-bit parameters, by name.
    """

    copies: WeightCopies
    trainable: Sequence[nn.Parameter]
    new_values: Floats
    gradient_sizes: Mapping[str, int]
    gradients: Floats
    large_gradients: Sequence[str]
    norms: Sequence[torch.Tensor]
    unchanged: Mapping[str, float | None]

    def describe(self) -> list[ParameterRecord]:
        """Return what the update did to the parameters."""
        copies, sizes = self.copies, list(self.copies.sizes.values())
        norms = iter(read_scalars(self.norms))
        weight = _name_values(copies.sizes, root_mean_squares(copies.joined, sizes), copies.single, norms)
        with np.errstate(invalid="ignore"):  # of infinite values
            changes = root_mean_squares(self.new_values - copies.joined, sizes)
        update = _name_values(copies.sizes, changes, copies.single, norms)
        gradients = root_mean_squares(self.gradients, list(self.gradient_sizes.values()))
        gradient = _name_values(self.gradient_sizes, gradients, self.large_gradients, norms)
        return [
            ParameterRecord(name, shape, weight[name], gradient.get(name), update[name], self.unchanged.get(name))
            for name, shape in copies.shapes.items()
        ]


def measure_update(copies: WeightCopies, parameters: Mapping[str, nn.Parameter]) -> MeasuredUpdate:
    """Measure what an update did to the parameters, before another one changes them.

    Args:
        copies: of the parameters before the update.
        parameters: after it, by name.
    """
    trainable = {name: parameters[name] for name in copies.shapes}
    all_gradients = {name: p.grad for name, p in trainable.items()}
    gradients = {name: grad for name, grad in all_gradients.items() if grad is not None}
    small_gradients = {
        name: grad for name, grad in gradients.items() if name in copies.sizes and not grad.is_sparse and is_small(grad)
    }
    large = [name for name in gradients if name not in small_gradients]
    single = copies.single.items()
    norms = [
        *map(_root_mean_square, copies.single.values()),
        *(_root_mean_square(trainable[name].detach() - old) for name, old in single),
        *(_root_mean_square(gradients[name]) for name in large),
    ]
    unchanged = {
        name: unchanged_fraction(old, trainable[name].detach(), gradients[name].detach())
        for name, old in single
        if name in gradients and not gradients[name].is_sparse and old.dtype in (torch.float16, torch.bfloat16)
    }
    names_of_large = dict.fromkeys(copies.single, torch.empty(0))
    return MeasuredUpdate(
        WeightCopies(copies.shapes, copies.sizes, copies.joined, names_of_large),
        list(trainable.values()),
        join([trainable[name] for name in copies.sizes]),
        {name: copies.sizes[name] for name in small_gradients},
        join(list(small_gradients.values())),
        large,
        norms,
        unchanged,
    )


def _name_values(
    names: Iterable[str], values: Sequence[float], large_names: Iterable[str], norms: Iterator[float]
) -> dict[str, float]:
    """Return the values of small tensors and the next norms of large ones by name."""
    return dict(zip(names, values, strict=True)) | {name: next(norms) for name in large_names}


def unchanged_fraction(old: torch.Tensor, new: torch.Tensor, gradient: torch.Tensor) -> float | None:
    """Return the fraction of values with a gradient that an update left unchanged, or None if none has a gradient."""
    nonzero = gradient != 0
    count = int(nonzero.sum())
    return float((nonzero & (old == new)).sum()) / count if count else None


def read_scalars(scalars: Sequence[torch.Tensor]) -> list[float]:
    """Return the values of tensors ``()``, waiting for their device once."""
    if all(scalar.is_cpu for scalar in scalars):
        return [scalar.item() for scalar in scalars]
    if len({scalar.device for scalar in scalars}) > 1:
        return [float(scalar) for scalar in scalars]
    values: list[float] = torch.stack([scalar.float() for scalar in scalars]).tolist()
    return values


def _root_mean_square(values: torch.Tensor) -> torch.Tensor:
    """Return the root mean square ``()`` of a tensor, whose missing values are zero if it is sparse."""
    count, values = values.numel(), values.detach()
    if values.is_sparse:
        values = values.coalesce().values()
    numbers = values if values.is_complex() else values.float()
    return torch.linalg.vector_norm(numbers) / math.sqrt(max(1, count))
