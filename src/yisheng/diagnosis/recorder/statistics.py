"""Statistics of tensors for the recorder; none of them needs gradients or random numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from yisheng.diagnosis.loss_graph import Activation
from yisheng.diagnosis.pairing import Pairing
from yisheng.diagnosis.recorder.records import (
    ActivationRecord,
    GradientRecord,
    InputRecord,
    LayerRecord,
)
from yisheng.diagnosis.recorder.small_tensors import (
    Floats,
    describe_columns,
    describe_segments,
    is_dense,
    is_small,
)
from yisheng.diagnosis.recorder.updates import read_scalars

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
    if is_small(values):
        array = values.numpy()
        ((mean, std, highest),) = describe_segments([array.ravel()])
        columns = describe_columns(array) if array.ndim == 2 else (None, None)
        return InputRecord(tuple(x.shape), mean, std, highest, *columns)
    columns = torch.std_mean(values, 0, correction=0) if values.ndim == 2 else (None, None)
    std, mean, low, high = read_scalars(_measure(values.reshape(-1)[:MAX_INPUT_VALUES], values))
    return InputRecord(tuple(x.shape), mean, std, max(high, -low), *columns)


def is_discrete(x: torch.Tensor) -> bool:
    """Return whether the type of some values is that of whole numbers, as of tokens and nodes.

    >>> is_discrete(torch.tensor([1, 2])), is_discrete(torch.tensor([1.0, 2.0]))
    (True, False)
    """
    return not x.is_floating_point() and not x.is_complex()


def take_example(arguments: Sequence[object]) -> tuple[torch.Tensor, ...] | None:
    """Return a copy of the first rows of a network's inputs, or None if they are not tensors of rows, or large."""
    tensors = [argument.detach() for argument in arguments if is_dense(argument)]
    is_batch = len(tensors) == len(arguments) > 0 and all(tensor.ndim > 0 for tensor in tensors)
    if not is_batch or len({len(tensor) for tensor in tensors}) > 1 or len(tensors[0]) < 2:
        return None
    rows = tuple(tensor[:MAX_EXAMPLE_ROWS] for tensor in tensors)
    if sum(tensor.numel() for tensor in rows) > MAX_EXAMPLE_VALUES:
        return None
    return tuple(tensor.clone() for tensor in rows)


@dataclass(slots=True)
class MeasuredLayer:
    """A layer in one forward pass, whose statistics were not read yet: reading waits for the device.

    Args:
        name: of the module.
        kind: class of the module.
        training: whether it was in training mode.
        shape: of its output.
        values: of its output, if that is small.
        scalars: otherwise standard deviation, mean, lowest and highest value of its output, each ``()``.
    """

    name: str
    kind: str
    training: bool
    shape: tuple[int, ...]
    values: Floats | None
    scalars: tuple[torch.Tensor, ...] = ()


def measure_layer(name: str, module: nn.Module, output: torch.Tensor) -> MeasuredLayer:
    """Measure the output of a layer ``(B, units, ...)``, before another one may overwrite it."""
    kind, shape = type(module).__name__, tuple(output.shape)
    if is_small(output):
        return MeasuredLayer(name, kind, module.training, shape, output.numpy().flatten())
    sample = output[: max(1, MAX_LAYER_VALUES * len(output) // output.numel())] if output.ndim else output
    return MeasuredLayer(name, kind, module.training, shape, None, _measure(sample, output))


def read_layers(layers: Sequence[MeasuredLayer]) -> list[LayerRecord]:
    """Return the records of measured layers."""
    arrays = iter(describe_segments([layer.values for layer in layers if layer.values is not None]))
    scalars = iter(read_scalars([scalar for layer in layers for scalar in layer.scalars]))
    records = []
    for layer in layers:
        if layer.values is None:
            std, mean, low, high = (next(scalars) for _ in range(4))
            highest = max(high, -low)
        else:
            mean, std, highest = next(arrays)
        records.append(LayerRecord(layer.name, layer.kind, layer.training, layer.shape, mean, std, highest))
    return records


def keep_activation(activation: Activation) -> Callable[[], ActivationRecord]:
    """Return a function that describes an activation as it is now: a small one is copied, others are described."""
    if is_small(activation.result):
        copy = Activation(activation.name, activation.kind, activation.result.clone())
        return lambda: describe_activation(copy)
    record = describe_activation(activation)
    return lambda: record


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


def _measure(
    sample: torch.Tensor, values: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return standard deviation and mean of a sample, and lowest and highest of all values; NaN if any value is."""
    return *torch.std_mean(sample.float(), correction=0), *torch.aminmax(values)


def find_equal_rows(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of one row of each weight whose rows are all equal, by name."""
    return {
        name: p[0].detach().clone()
        for name, p in model.named_parameters()
        if p.ndim >= 2 and p.shape[0] > 1 and p.requires_grad and is_dense(p) and bool((p == p[:1]).all())
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
