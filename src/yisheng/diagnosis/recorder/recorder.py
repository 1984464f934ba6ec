"""Watching a training from outside: hooks for the steps that are looked at, nothing for the others.

Nothing is computed with gradients, no random number is drawn, and no extra pass is made: what is trained is the same to
the bit as without it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import torch
from torch import nn

from yisheng.diagnosis.loss_graph import (
    FACTORS,
    Activation,
    Loss,
    Pairing,
    activations,
    every,
    factor,
    leaves,
    outside,
    pairing,
    together,
)

FIRST, SPARSE = 5, 320
"""Every one of the first steps is looked at, then ever fewer, at last every 320th: 16 of 2,000 steps in all."""
MODAL = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._BatchNorm)
SETTLED = 5
"""Updates after which rows that are equal stay so, and after which a parameter that nothing has changed is left out."""
FAINT = 2.0**-22
"""Below it float16, whose least number is 2^-24, holds a value in two bits or fewer."""
SAMPLES = 4096
"""Values of a layer that its statistics are taken from at most, per unit."""


@dataclass(frozen=True)
class Unit:
    """What a layer did in one forward pass of a step that was looked at.

    Args:
        name: of the module.
        kind: class of the module.
        training: whether it was in training mode.
        shape: of its output.
        mean: of its output.
        std: of its output.
        largest: largest absolute value of its output; not finite where a value is not.
    """

    name: str
    kind: str
    training: bool
    shape: tuple[int, ...]
    mean: float
    std: float
    largest: float


@dataclass(frozen=True)
class Bend:
    """How an activation bent its inputs in a step that was looked at.

    Args:
        name: where it is, as ``after conv1.weight``.
        kind: relu, sigmoid or tanh.
        samples: values that each unit's shares are taken from.
        zero: of relu: share of zeros of each unit ``(units,)``.
        low, high: of sigmoid and tanh: share of each unit's values within 3% of either end.
    """

    name: str
    kind: str
    samples: int
    zero: torch.Tensor | None = None
    low: torch.Tensor | None = None
    high: torch.Tensor | None = None


@dataclass(frozen=True)
class Learning:
    """What one parameter went through in one step.

    Args:
        name: of the parameter.
        shape: its shape.
        weight: root mean square of its values before the update.
        gradient: of its gradient; None where it has none.
        update: of the change that the update made.
        lost: of a parameter in 16 bits: share of the values with a gradient that the update left as they were.
    """

    name: str
    shape: tuple[int, ...]
    weight: float
    gradient: float | None
    update: float
    lost: float | None = None


@dataclass(frozen=True)
class Slope:
    """The gradient of what a layer gave, where that is in float16.

    Args:
        name: of the layer.
        zero: share of its values that are zero.
        tiny: of the others, share that float16 holds in two bits or fewer: below 2^-22.
    """

    name: str
    zero: float
    tiny: float


@dataclass(frozen=True)
class Inputs:
    """What the network was given in a step.

    Args:
        shape: of the batch.
        mean, std: over all values.
        largest: largest absolute value; not finite where a value is not.
        column_std: standard deviation of each column of rows ``(D,)``, or None for images.
        column_mean: likewise.
    """

    shape: tuple[int, ...]
    mean: float
    std: float
    largest: float
    column_std: torch.Tensor | None
    column_mean: torch.Tensor | None


@dataclass
class Moment:
    """One step that was looked at; see `Watch`.

    Args:
        step: number of the update, from 1.
        training: whether the network as a whole was in training mode.
        inputs: what it was given, where that was one tensor.
        units: its layers, in the order in which they were called.
        bends: its activations, modules or not, from the last to the first.
        pairing: the loss and what it is fed with.
        carried: names of parameters that were updated with a gradient that still held that of an update before.
        learning: its parameters.
        seen: targets of the step, where the loss keeps them, copied.
        reached: names of the parameters of the optimiser that the loss depends on.
        shared: whether the loss also depends on parameters that the optimiser does not hold.
        rate: the largest learning rate.
        slopes: gradients of the layers that ran in float16, from the last to the first.
    """

    step: int
    training: bool = True
    inputs: Inputs | None = None
    units: list[Unit] = field(default_factory=list)
    bends: list[Bend] = field(default_factory=list)
    pairing: Pairing | None = None
    carried: tuple[str, ...] = ()
    learning: list[Learning] = field(default_factory=list)
    seen: torch.Tensor | None = None
    reached: tuple[str, ...] = ()
    shared: bool = False
    rate: float = 0.0
    slopes: list[Slope] = field(default_factory=list)


@dataclass(frozen=True)
class Broken:
    """The first loss that was not finite.

    Args:
        step: its number among the losses, from 1.
        inputs: whether what the network was given was finite.
        targets: whether what it was compared with was, as far as the graph keeps that.
        weights: whether all parameters were, before the update.
    """

    step: int
    inputs: bool
    targets: bool
    weights: bool


class Watch:
    """Looks at a training while it is entered; every hook is gone afterwards.

    Args:
        model: the network.
        optimizer: what updates it.

    It keeps ``moments`` (the steps that were looked at), ``losses`` (of every backward pass), ``steps`` (updates made),
    ``evaluated_in_training_mode`` (forward passes without gradient while dropout or batch norm were in training mode),
    ``updated_in_evaluation_mode`` (updates), ``equal_rows`` (weights whose rows were all the same at the beginning) and
    ``still_equal`` (which of them were after some updates), ``broken`` (the first loss that was not finite), ``begun``
    (updates that have begun, of those looked at), ``others`` (whether losses were seen that do not reach the network),
    and ``strangers`` (parameters that the loss depends on and neither the network nor the optimiser knows, with their
    versions and the updates made when first seen). Of what another watch saw before a training was stopped, it keeps
    ``touched`` (parameters that had changed) and ``lost`` (copies of strangers that nothing had changed).

    >>> net = nn.Linear(2, 1)
    >>> sgd = torch.optim.SGD(net.parameters(), lr=0.1)
    >>> with Watch(net, sgd) as watch:
    ...     for _ in range(3):
    ...         sgd.zero_grad()
    ...         torch.nn.functional.mse_loss(net(torch.ones(4, 2)), torch.ones(4, 1)).backward()
    ...         sgd.step()
    >>> watch.steps, len(watch.moments), watch.moments[0].pairing.loss
    (3, 3, 'mse')
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self.model, self.optimizer = model, optimizer
        self.moments: list[Moment] = []
        self.steps = 0
        self.backwards = self.begun = 0
        self.evaluated_in_training_mode = 0
        self.equal_rows = _equal_rows(model)
        self.updated_in_evaluation_mode = 0
        self.still_equal: tuple[str, ...] = ()
        self.broken: Broken | None = None
        self.others = False
        self.strangers: dict[int, tuple[torch.Tensor, int, int]] = {}
        self.lost: list[torch.Tensor] = []
        self.touched: frozenset[str] = frozenset()
        self._versions = {name: p._version for name, p in model.named_parameters()}
        self._modal = [part for part in model.modules() if isinstance(part, MODAL)]
        self._losses: list[torch.Tensor | float] = []
        self._values: list[float] = []
        self._aside: list[float] = []
        self._probe: torch.Tensor | None = None
        self._answer: torch.Tensor | None = None
        self._carrying: dict[str, torch.Tensor] = {}
        self._always: list[Any] = []
        self._now: list[Any] = []
        self._moment: Moment | None = None
        self._before: dict[str, torch.Tensor] = {}
        self._used: dict[str, tuple[int, int]] = {}
        self._names = {id(p): name for name, p in model.named_parameters()}
        self._parameters = dict(model.named_parameters())
        self._next = 0
        self._nested = False
        self._backward: Callable[..., Any] | None = None

    def __enter__(self) -> Watch:
        self._always = [
            self.optimizer.register_step_post_hook(self._after_update),
        ]
        if self._modal:
            self._always.append(self.model.register_forward_pre_hook(self._noted))
        self._backward = torch.autograd.backward  # what Tensor.backward calls, too
        torch.autograd.backward = self._seen_backward(self._backward)
        self._next = _next_look(self.steps)
        if self.steps + 1 >= self._next:
            self._look()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._backward is not None:
            torch.autograd.backward = self._backward
            self._backward = None
        for handle in (*self._always, *self._now):
            handle.remove()
        self._always, self._now = [], []
        self._keep()
        self._answer = None

    @property
    def losses(self) -> list[float]:
        """The loss of every backward pass that reached the network; reading it waits for the device."""
        self._read()
        return self._values or self._aside

    @property
    def untouched(self) -> frozenset[str]:
        """Parameters that nothing has changed; none before some updates were seen."""
        if self.backwards > 0 and self.steps < SETTLED:
            return frozenset()
        return frozenset(name for name, _ in self.model.named_parameters()) - self.changed

    @property
    def changed(self) -> frozenset[str]:
        """Parameters that something has changed."""
        now = self.model.named_parameters()
        return self.touched.union(name for name, p in now if p._version != self._versions.get(name, p._version))

    @property
    def strays(self) -> list[torch.Tensor]:
        """Parameters of the loss that neither network nor optimiser knows and nothing has changed."""
        seen = self.strangers.values()
        same = [p for p, version, at in seen if p._version == version and self.steps - at >= SETTLED]
        return [*self.lost, *same]

    @property
    def now(self) -> Moment | None:
        """The step that is being looked at, unfinished."""
        return self._moment

    def _look(self) -> None:
        """Look at the next step."""
        self._moment = Moment(self.steps + 1, self.model.training)
        self._parameters = dict(self.model.named_parameters())
        self._now = [
            self.optimizer.register_step_pre_hook(self._before_update),
            self.model.register_forward_pre_hook(self._given),
            self.model.register_forward_hook(self._answered),
        ]
        for name, module in self.model.named_modules():
            if next(module.children(), None) is None:
                self._now.append(module.register_forward_hook(functools.partial(self._called, name)))

    def _keep(self) -> None:
        """Keep the moment if anything was seen, and take the hooks of the step away."""
        if self._moment is not None and (self._moment.pairing is not None or self._moment.units):
            self.moments.append(self._moment)
        self._moment = None
        self._before.clear()
        self._carrying.clear()
        for handle in self._now:
            handle.remove()
        self._now = []

    def _noted(self, module: nn.Module, _: tuple[Any, ...]) -> None:
        if not torch.is_grad_enabled() and module.training and any(part.training for part in self._modal):
            self.evaluated_in_training_mode += 1

    def _given(self, module: nn.Module, arguments: tuple[Any, ...]) -> None:
        moment = self._moment
        tensor = arguments and isinstance(arguments[0], torch.Tensor)
        if moment is not None and tensor and torch.is_grad_enabled():
            moment.training = module.training
            if moment.inputs is None:
                moment.inputs = _inputs(arguments[0])

    def _answered(self, _module: nn.Module, _arguments: Any, output: Any) -> None:
        if self._moment is not None and isinstance(output, torch.Tensor) and torch.is_grad_enabled():
            self._answer = output.detach()

    def _called(self, name: str, module: nn.Module, _arguments: Any, output: Any) -> None:
        fits = isinstance(output, torch.Tensor) and output.is_floating_point() and output.numel()
        if self._moment is not None and fits and torch.is_grad_enabled():
            self._moment.units.append(_unit(name, module, output.detach()))
            if output.dtype == torch.float16 and output.requires_grad:
                output.register_hook(functools.partial(_note_slope, self._moment.slopes, name))

    def _seen_backward(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def backward(tensors: Any, *arguments: Any, **more: Any) -> Any:
            plain = type(tensors) is torch.Tensor
            run = original if plain else functools.partial(self._once, original)
            loss: Loss | None = tensors if plain else None if self._nested else together(tensors, *arguments, **more)
            node = None if loss is None else loss.grad_fn
            if loss is None or node is None or loss.numel() != 1:
                return original(tensors, *arguments, **more)
            value: torch.Tensor | float = loss.item() if loss.is_cpu else loss.detach()
            scale = factor(loss) if node.name() in FACTORS else None
            if scale is not None:
                value = value * (scale if isinstance(value, torch.Tensor) else scale.item())
            if self._moment is None and not self.others and isinstance(value, float) and math.isfinite(value):
                self.backwards += 1
                self._losses.append(value)  # nothing else to see: the shortest way for the smallest networks
                return run(tensors, *arguments, **more)
            reached = self._loss(loss, value)
            before = self._mark() if self.others else None
            result = run(tensors, *arguments, **more)
            if reached or (reached is None and (not self.others or before != self._mark())):
                self._losses.append(value)
            elif not self._values and not self._losses:
                self._aside.append(float(value))
            return result

        return backward

    def _once(self, original: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """Lists of losses, and tensors of other classes, come back through the same name on their way."""
        self._nested = True
        try:
            return original(*arguments, **more)
        finally:
            self._nested = False

    def _mark(self) -> tuple[int, int] | None:
        """What changes when a backward pass reaches the network."""
        gradient = None if self._probe is None else self._probe.grad
        return None if gradient is None else (id(gradient), gradient._version)

    def _loss(self, loss: Loss, value: torch.Tensor | float) -> bool | None:
        """Look at a loss before its backward pass; whether it reaches the network, None where nobody looked."""
        self.backwards += 1
        near = isinstance(value, float) or self._moment is not None  # elsewhere reading it would wait for the device
        if self.broken is None and near and not math.isfinite(value):
            self.broken = self._broken(loss)
        if len(self._losses) >= 512:
            self._read()
        moment = self._moment
        if moment is None:
            return None
        held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        nodes = every(loss)
        found = leaves(nodes)
        reached = [p for p in found if id(p) in held]
        moment.shared |= len(reached) < len(found)
        for p in found:
            if id(p) not in held and id(p) not in self._names and id(p) not in self.strangers:
                self._meet(p)
        if reached and self._probe is None:
            self._probe = reached[0]
        self.others |= not reached
        if moment.pairing is None and (reached or self._probe is None):
            moment.pairing = pairing(loss)
            moment.bends = [_bend(found) for found in activations(nodes, self._names) if found.result.ndim > 1]
            moment.reached = tuple(self._names[id(p)] for p in reached if id(p) in self._names)
            target = moment.pairing.target
            moment.seen = _written_target(moment.pairing, self._answer) if target is None else target[:SAMPLES].clone()
        self._note_carried(first=not moment.carried and not self._carrying)
        return bool(reached)

    def _meet(self, p: torch.Tensor) -> None:
        """Note a parameter that nobody knows; it may be one that was known before the training was stopped."""
        alike = [known for known in self.lost if (known.shape, known.dtype) == (p.shape, p.dtype)]
        same = next((known for known in alike if torch.equal(known, p.detach().cpu())), None)
        self.strangers[id(p)] = (p, p._version, self.steps - (0 if same is None else SETTLED))
        gone = same if same is not None else next(iter(alike), None)
        self.lost = [known for known in self.lost if known is not gone]

    def _broken(self, loss: Loss) -> Broken:
        found = pairing(loss)
        return Broken(
            len(self._losses) + len(self._values) + 1,
            all(bool(torch.isfinite(x).all()) for x in outside(loss) if x.is_floating_point()),
            found.target is None or bool(torch.isfinite(found.target).all()),
            all(bool(torch.isfinite(p).all()) for p in self.model.parameters()),
        )

    def _note_carried(self, *, first: bool) -> None:
        """Note the gradients that an update has used and nobody has cleared, before a backward pass adds to them.

        Two networks that train against each other fill each other's gradients and clear them before their own pass:
        only what is still there at the update counts.
        """
        if first:
            held = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
            self._carrying = {
                name: p.grad
                for name, p in self._parameters.items()
                if p.grad is not None
                and id(p) in held
                and self._used.get(name) == (id(p.grad), p.grad._version)
                and bool(p.grad.any())
            }
            return
        for name, gradient in list(self._carrying.items()):
            if self._parameters[name].grad is not gradient or not bool(gradient.any()):
                del self._carrying[name]

    def _before_update(self, *_: Any) -> None:
        self.begun += 1
        if self._moment is not None:
            self._note_carried(first=False)
            self._moment.carried = tuple(self._carrying)
            self._moment.rate = max(float(group.get("lr", 0.0)) for group in self.optimizer.param_groups)
            self._before = {name: p.detach().clone() for name, p in self._parameters.items() if p.requires_grad}

    def _after_update(self, *_: Any) -> None:
        self.steps += 1
        self.updated_in_evaluation_mode += not self.model.training
        if self.steps == SETTLED and self.equal_rows:
            self.still_equal = _still_equal(self.model, self.equal_rows)
        if self._moment is not None:
            after = {name: self._parameters[name] for name in self._before}
            self._moment.learning = _learning(self._before, after)
            self._keep()
            self._next = _next_look(self.steps)
        if self.steps + 1 >= self._next:
            self._look()
            self._used = {
                name: (id(p.grad), p.grad._version) for name, p in self._parameters.items() if p.grad is not None
            }

    def _read(self) -> None:
        waiting = [loss for loss in self._losses if isinstance(loss, torch.Tensor)]
        read = iter(torch.stack([loss.reshape(()).float() for loss in waiting]).tolist() if waiting else [])
        self._values += [next(read) if isinstance(loss, torch.Tensor) else loss for loss in self._losses]
        self._losses.clear()


def _next_look(step: int) -> int:
    """The step to be looked at next after a step.

    >>> found = [1]
    >>> while found[-1] < 1000:
    ...     found.append(_next_look(found[-1]))
    >>> found
    [1, 2, 3, 4, 5, 10, 20, 40, 80, 160, 320, 640, 960, 1280]
    """
    if step < FIRST:
        return step + 1
    if step >= SPARSE:
        return (step // SPARSE + 1) * SPARSE
    return FIRST * 2 ** (int(math.log2(step / FIRST)) + 1)


def _equal_rows(model: nn.Module) -> dict[str, torch.Tensor]:
    """A copy of a row of each weight whose rows are all the same, and not zero in the last layer."""
    found = {}
    for name, p in model.named_parameters():
        if p.ndim >= 2 and p.shape[0] > 1 and p.requires_grad and bool((p == p[:1]).all()):
            found[name] = p[0].detach().clone()
    return found


def _still_equal(model: nn.Module, names: Iterable[str]) -> tuple[str, ...]:
    """Of these weights those whose rows are the same."""
    weights = dict(model.named_parameters())
    return tuple(name for name in names if name in weights and alike(weights[name]))


@torch.no_grad()
def alike(weight: torch.Tensor) -> bool:
    """Whether all rows are the same, up to what the order of a sum makes.

    >>> alike(torch.ones(3, 2)), alike(torch.eye(2))
    (True, False)
    """
    return float((weight - weight[:1]).abs().max()) <= 1e-3 * float(weight.square().mean().sqrt())


@torch.no_grad()
def _written_target(found: Pairing, answer: torch.Tensor | None) -> torch.Tensor | None:
    """The targets of an error that is written out: the answer less the difference."""
    if found.difference is None or answer is None or found.expanded is not None:
        return None
    if found.difference.numel() != answer.numel():
        return None
    return (answer.reshape(found.difference.shape) - found.sign * found.difference)[:SAMPLES]


@torch.no_grad()
def _inputs(x: torch.Tensor) -> Inputs:
    """Statistics of a batch."""
    values = x.detach()
    if not values.is_floating_point():
        values = values.float()
    columns = torch.std_mean(values, 0, correction=0) if values.ndim == 2 else (None, None)
    mean, std = _spread(values.flatten()[: 1 << 16])
    return Inputs(tuple(x.shape), mean, std, _largest(values), *columns)


def _spread(values: torch.Tensor) -> tuple[float, float]:
    """Mean and standard deviation; three passes over the values, which is quicker than torch's one."""
    flat = values.flatten().float()
    mean = flat.mean()
    centred = flat - mean
    return float(mean), math.sqrt(float(torch.dot(centred, centred)) / max(1, flat.numel()))


def _largest(values: torch.Tensor) -> float:
    """Largest absolute value; NaN where one is."""
    least, most = torch.aminmax(values)
    return float(torch.maximum(-least, most))


@torch.no_grad()
def _unit(name: str, module: nn.Module, output: torch.Tensor) -> Unit:
    """Statistics of what a layer gave ``(B, units, ...)``."""
    some = output[: max(1, (1 << 14) * len(output) // output.numel())] if output.ndim else output
    return Unit(name, type(module).__name__, module.training, tuple(output.shape), *_spread(some), _largest(output))


@torch.no_grad()
def _bend(activation: Activation) -> Bend:
    """How much of an activation ``(B, units, ...)`` is bent."""
    result = activation.result
    rows = -(-SAMPLES // max(1, math.prod(result.shape[2:])))
    values = result[:rows].movedim(1, 0).flatten(1)[:, :SAMPLES]
    zero = low = high = None
    if activation.kind == "relu":
        zero = (values == 0).float().mean(1)
    else:
        bottom, top = (0.03, 0.97) if activation.kind == "sigmoid" else (-0.97, 0.97)
        low, high = (values < bottom).float().mean(1), (values > top).float().mean(1)
    return Bend(activation.name, activation.kind, values.shape[1], zero, low, high)


@torch.no_grad()
def _learning(before: dict[str, torch.Tensor], after: dict[str, nn.Parameter]) -> list[Learning]:
    """What an update did to the parameters."""
    gradients = {name: p.grad for name, p in after.items() if p.grad is not None and not p.grad.is_sparse}
    changes = [after[name].detach() - old for name, old in before.items()]
    sizes = iter(_sizes([*before.values(), *changes, *gradients.values()]))
    weight, update = ({name: next(sizes) for name in before} for _ in range(2))
    gradient = {name: next(sizes) for name in gradients}
    short = [name for name in gradients if after[name].dtype in (torch.float16, torch.bfloat16)]
    lost = {name: _lost(before[name], after[name], gradients[name]) for name in short}
    return [
        Learning(name, tuple(old.shape), weight[name], gradient.get(name), update[name], lost.get(name))
        for name, old in before.items()
    ]


@torch.no_grad()
def _note_slope(slopes: list[Slope], name: str, gradient: torch.Tensor) -> None:
    """Note how well float16 holds a gradient; it stays as it is."""
    some = gradient != 0
    count = int(some.sum())
    tiny = int((some & (gradient.abs() < FAINT)).sum())
    slopes.append(Slope(name, 1 - count / max(1, gradient.numel()), tiny / max(1, count)))


def _lost(before: torch.Tensor, after: torch.Tensor, gradient: torch.Tensor) -> float | None:
    """Share of the values with a gradient that are as they were; None where there is none."""
    some = gradient != 0
    count = int(some.sum())
    return float((some & (before == after)).sum()) / count if count else None


def _sizes(tensors: Sequence[torch.Tensor]) -> list[float]:
    """Root mean squares, waiting for the device once."""
    if not tensors:
        return []
    norms = torch._foreach_norm([tensor.detach().float() for tensor in tensors])
    near = {tensor.device for tensor in tensors}
    read = torch.stack(norms).tolist() if len(near) == 1 else [float(norm) for norm in norms]
    return [norm / math.sqrt(max(1, tensor.numel())) for tensor, norm in zip(tensors, read, strict=True)]
