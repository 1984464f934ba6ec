"""What the recorder keeps of a training: plain dataclasses, one per kind of observation."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from yisheng.diagnosis.loss_terms import LossTerm
from yisheng.diagnosis.pairing import Pairing
from yisheng.diagnosis.recorder.trained_rows import TrainedRows


@dataclass(frozen=True)
class LayerRecord:
    """Statistics of a layer's output in one forward pass.

    Args:
        name: of the module.
        kind: class of the module.
        training: whether it was in training mode.
        shape: of its output.
        mean: of its output.
        std: of its output.
        max_abs: largest absolute value of its output; not finite if any value is not.
    """

    name: str
    kind: str
    training: bool
    shape: tuple[int, ...]
    mean: float
    std: float
    max_abs: float


@dataclass(frozen=True)
class ActivationRecord:
    """How often the units of an activation were zero or saturated.

    Args:
        name: its position, as ``after conv1.weight``.
        kind: relu, sigmoid or tanh.
        samples: values per unit that the fractions are computed from.
        zero_fraction: of a relu, fraction of zeros per unit ``(units,)``.
        low_fraction: of a sigmoid or tanh, fraction of values within 3% of the lower end per unit ``(units,)``.
        high_fraction: likewise of the upper end.
    """

    name: str
    kind: str
    samples: int
    zero_fraction: torch.Tensor | None = None
    low_fraction: torch.Tensor | None = None
    high_fraction: torch.Tensor | None = None


@dataclass(frozen=True)
class ParameterRecord:
    """One parameter in one update.

    Args:
        name: of the parameter.
        shape: its shape.
        weight: root mean square of its values before the update.
        gradient: root mean square of its gradient, or None if it has none.
        update: root mean square of the change made by the update.
        unchanged_fraction: of a 16-bit parameter, the fraction of values that have a gradient and did not change.
    """

    name: str
    shape: tuple[int, ...]
    weight: float
    gradient: float | None
    update: float
    unchanged_fraction: float | None = None


@dataclass(frozen=True)
class GradientRecord:
    """The gradient of a layer's float16 output.

    Args:
        name: of the layer.
        zero_fraction: fraction of zeros.
        subnormal_fraction: of the other values, the fraction that float16 holds in two bits or fewer (below 2^-22).
    """

    name: str
    zero_fraction: float
    subnormal_fraction: float


@dataclass(frozen=True)
class InputRecord:
    """Statistics of the network's input batch.

    Args:
        shape: of the batch.
        mean: over all values.
        std: over all values.
        max_abs: largest absolute value; not finite if any value is not.
        column_std: standard deviation of each column of a table ``(D,)``, or None for images.
        column_mean: mean of each column, likewise.
    """

    shape: tuple[int, ...]
    mean: float
    std: float
    max_abs: float
    column_std: torch.Tensor | None
    column_mean: torch.Tensor | None


@dataclass
class StepRecord:
    """One recorded update; see `yisheng.diagnosis.recorder.recorder.Recorder`.

    Args:
        step: number of the update, from 1.
        training: whether the network as a whole was in training mode.
        inputs: the input, if it was a single tensor.
        layers: the layers in the order in which they were called.
        activations: the activations, modules or functions, from the last to the first.
        pairing: the loss and what it compares.
        carried_gradients: names of parameters whose gradient still contained that of an earlier update.
        foreign_gradients: names of parameters whose gradient still contained that of a loss for another network.
        parameters: the parameters.
        targets: a copy of the targets, if the loss keeps them.
        counted: which of them the program has not masked, of the same shape; None if all count.
        reached: names of the optimizer's parameters that the loss depends on.
        depends_on_others: whether the loss also depends on parameters that the optimizer does not hold.
        lr: the largest learning rate.
        gradients: gradients of layers that ran in float16, from the last to the first.
        terms: what the loss is the sum of; empty if it is one term.
        rows: the first rows of the network's inputs, if the loop is the user's own and they are small.
        sample: some rows of its first input, evenly distributed over the batch, if the loop is the user's own.
        random_states: hashes of what the random generator holds when the step began, before the first forward pass and
            before the update.
        has_equal_rows: whether all rows of its only input, numbers of several rows, were the same.
        blocked: parameters that the loss depends on only through functions whose derivative is zero, and these.
        infinite_slopes: functions whose derivative is infinite at one of their values, before others are selected.
        options: numbers and texts that the network was called with, next to its first input.
        trained: rows that the update was made on, if the loop is the user's own and its loss keeps their targets.
        passes: forward passes of the network with gradients before the update.
    """

    step: int
    training: bool = True
    inputs: InputRecord | None = None
    layers: list[LayerRecord] = field(default_factory=list)
    activations: list[ActivationRecord] = field(default_factory=list)
    pairing: Pairing | None = None
    carried_gradients: tuple[str, ...] = ()
    foreign_gradients: tuple[str, ...] = ()
    parameters: list[ParameterRecord] = field(default_factory=list)
    targets: torch.Tensor | None = None
    reached: tuple[str, ...] = ()
    depends_on_others: bool = False
    lr: float = 0.0
    gradients: list[GradientRecord] = field(default_factory=list)
    terms: tuple[LossTerm, ...] = ()
    rows: tuple[torch.Tensor, ...] | None = None
    sample: torch.Tensor | None = None
    random_states: tuple[int, ...] = ()
    has_equal_rows: bool = False
    blocked: dict[str, str] = field(default_factory=dict)
    infinite_slopes: tuple[str, ...] = ()
    options: tuple[int | str, ...] = ()
    trained: TrainedRows | None = None
    passes: int = 0
    counted: torch.Tensor | None = None

    @property
    def counted_targets(self) -> torch.Tensor | None:
        """Return the targets that count in the loss; flat if others are masked."""
        return self.targets if self.targets is None or self.counted is None else self.targets[self.counted]


@dataclass(frozen=True)
class NonFiniteLoss:
    """The first loss that was not finite.

    Args:
        step: its number among the losses, from 1.
        inputs: whether the network's inputs were finite.
        targets: whether the targets were finite, as far as the graph keeps them.
        weights: whether all parameters were finite before the update.
        dtype: type of the loss, as ``float16``; empty if it is a sum of several.
    """

    step: int
    inputs: bool
    targets: bool
    weights: bool
    dtype: str = ""
