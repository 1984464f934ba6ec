"""Statistics of tensors for the recorder; none of them needs gradients or random numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import nn

from yisheng.diagnosis.loss_graph import Activation
from yisheng.diagnosis.pairing import Pairing
from yisheng.diagnosis.recorder.records import (
    ActivationRecord,
    GradientRecord,
    InputRecord,
    LayerRecord,
    ParameterRecord,
)

MAX_SAMPLES = 4096
"""Values per unit of a layer that its statistics are computed from."""
MAX_INPUT_VALUES = 1 << 16
MAX_LAYER_VALUES = 1 << 14
MAX_EXAMPLE_ROWS, MAX_EXAMPLE_VALUES = 16, 1 << 20
"""Rows that are kept as an example of the inputs, and their values in all."""
MIN_PRECISE_FLOAT16 = 2.0**-22
"""Below it float16, whose smallest positive number is 2^-24, holds a value in two bits or fewer."""


def describe_inputs(x: torch.Tensor) -> InputRecord:
    """Return the statistics of an input batch ``(B, ...)``."""
    values = x.detach()
    if not values.is_floating_point():
        values = values.float()
    columns = torch.std_mean(values, 0, correction=0) if values.ndim == 2 else (None, None)
    mean, std = mean_and_std(values.flatten()[:MAX_INPUT_VALUES])
    return InputRecord(tuple(x.shape), mean, std, max_abs(values), *columns)


def take_example(arguments: Sequence[object]) -> tuple[torch.Tensor, ...] | None:
    """Return a copy of the first rows of a network's inputs, or None if they are not tensors of rows, or large."""
    tensors = [argument.detach() for argument in arguments if isinstance(argument, torch.Tensor)]
    is_batch = len(tensors) == len(arguments) > 0 and all(tensor.ndim > 0 for tensor in tensors)
    if not is_batch or len({len(tensor) for tensor in tensors}) > 1 or len(tensors[0]) < 2:
        return None
    rows = tuple(tensor[:MAX_EXAMPLE_ROWS] for tensor in tensors)
    if sum(tensor.numel() for tensor in rows) > MAX_EXAMPLE_VALUES:
        return None
    return tuple(tensor.clone() for tensor in rows)


def describe_layer(name: str, module: nn.Module, output: torch.Tensor) -> LayerRecord:
    """Return the statistics of a layer's output ``(B, units, ...)``."""
    sample = output[: max(1, MAX_LAYER_VALUES * len(output) // output.numel())] if output.ndim else output
    shape = tuple(output.shape)
    return LayerRecord(name, type(module).__name__, module.training, shape, *mean_and_std(sample), max_abs(output))


def describe_activation(activation: Activation) -> ActivationRecord:
    """Return how often the units of an activation ``(B, units, ...)`` are zero or saturated."""
    result = activation.result
    rows = -(-MAX_SAMPLES // max(1, math.prod(result.shape[2:])))
    values = result[:rows].movedim(1, 0).flatten(1)[:, :MAX_SAMPLES]
    zero = low = high = None
    if activation.kind == "relu":
        zero = (values == 0).float().mean(1)
    else:
        bottom, top = (0.03, 0.97) if activation.kind == "sigmoid" else (-0.97, 0.97)
        low, high = (values < bottom).float().mean(1), (values > top).float().mean(1)
    return ActivationRecord(activation.name, activation.kind, values.shape[1], zero, low, high)


@torch.no_grad()
def describe_update(
    weights_before: Mapping[str, torch.Tensor], weights_after: Mapping[str, nn.Parameter]
) -> list[ParameterRecord]:
    """Return what an update did to the parameters.

    Args:
        weights_before: copies of the parameters before the update, by name.
        weights_after: the parameters after it, by name.
    """
    gradients = {name: p.grad for name, p in weights_after.items() if p.grad is not None and not p.grad.is_sparse}
    changes = [weights_after[name].detach() - old for name, old in weights_before.items()]
    sizes = iter(root_mean_squares([*weights_before.values(), *changes, *gradients.values()]))
    weight, update = ({name: next(sizes) for name in weights_before} for _ in range(2))
    gradient = {name: next(sizes) for name in gradients}
    half = [name for name in gradients if weights_after[name].dtype in (torch.float16, torch.bfloat16)]
    unchanged = {name: unchanged_fraction(weights_before[name], weights_after[name], gradients[name]) for name in half}
    return [
        ParameterRecord(name, tuple(old.shape), weight[name], gradient.get(name), update[name], unchanged.get(name))
        for name, old in weights_before.items()
    ]


@torch.no_grad()
def describe_half_gradient(name: str, gradient: torch.Tensor) -> GradientRecord:
    """Return how well float16 holds a gradient."""
    nonzero = gradient != 0
    count = int(nonzero.sum())
    imprecise = int((nonzero & (gradient.abs() < MIN_PRECISE_FLOAT16)).sum())
    return GradientRecord(name, 1 - count / max(1, gradient.numel()), imprecise / max(1, count))


def targets_of_difference(pairing: Pairing, output: torch.Tensor | None) -> torch.Tensor | None:
    """Return the targets of a loss that is written out: the output minus the difference that the graph keeps."""
    if pairing.difference is None or output is None or pairing.expanded_shape is not None:
        return None
    if pairing.difference.numel() != output.numel():
        return None
    return (output.reshape(pairing.difference.shape) - pairing.sign * pairing.difference)[:MAX_SAMPLES]


def unchanged_fraction(old: torch.Tensor, new: torch.Tensor, gradient: torch.Tensor) -> float | None:
    """Return the fraction of values with a gradient that an update left unchanged, or None if none has a gradient."""
    nonzero = gradient != 0
    count = int(nonzero.sum())
    return float((nonzero & (old == new)).sum()) / count if count else None


def mean_and_std(values: torch.Tensor) -> tuple[float, float]:
    """Return mean and standard deviation; three passes over the values are faster than `torch.std_mean`."""
    flat = values.flatten().float()
    mean = flat.mean()
    centered = flat - mean
    return float(mean), math.sqrt(float(torch.dot(centered, centered)) / max(1, flat.numel()))


def max_abs(values: torch.Tensor) -> float:
    """Return the largest absolute value; NaN if any value is NaN."""
    low, high = torch.aminmax(values)
    return float(torch.maximum(-low, high))


def root_mean_squares(tensors: Sequence[torch.Tensor]) -> list[float]:
    """Return the root mean square of each tensor, waiting for the device once."""
    if not tensors:
        return []
    norms = [torch.linalg.vector_norm(tensor.detach().float()) for tensor in tensors]
    devices = {tensor.device for tensor in tensors}
    values = torch.stack(norms).tolist() if len(devices) == 1 else [float(norm) for norm in norms]
    return [norm / math.sqrt(max(1, tensor.numel())) for tensor, norm in zip(tensors, values, strict=True)]


def find_equal_rows(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of one row of each weight whose rows are all equal, by name."""
    return {
        name: p[0].detach().clone()
        for name, p in model.named_parameters()
        if p.ndim >= 2 and p.shape[0] > 1 and p.requires_grad and bool((p == p[:1]).all())
    }


def names_with_equal_rows(model: nn.Module, names: Iterable[str]) -> tuple[str, ...]:
    """Return those of these weights whose rows are still equal."""
    weights = dict(model.named_parameters())
    return tuple(name for name in names if name in weights and has_equal_rows(weights[name]))


@torch.no_grad()
def has_equal_rows(weight: torch.Tensor) -> bool:
    """Return whether all rows are equal, up to the rounding of sums in another order.

    >>> has_equal_rows(torch.ones(3, 2)), has_equal_rows(torch.eye(2))
    (True, False)
    """
    return float((weight - weight[:1]).abs().max()) <= 1e-3 * float(weight.square().mean().sqrt())
