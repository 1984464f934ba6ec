"""One update: forward, backward, step. Everything that changes its arithmetic is here."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from yisheng.core import autocast
from yisheng.core.errors import UsageError
from yisheng.core.events import Batch
from yisheng.core.messages import Message
from yisheng.training.loop import Loss, Step
from yisheng.training.nonfinite import explain_nonfinite_gradient, explain_nonfinite_loss, explain_nonfinite_update
from yisheng.training.overlapped_shards import compute_overlapped_shards
from yisheng.training.pieces import Piece, compute_pieces, split_batch, sum_weights
from yisheng.training.shards import Sharding, compute_shards
from yisheng.training.state import State

if TYPE_CHECKING:  # it imports much of torch.distributed
    from yisheng.training.divided_update import DividedUpdate

Precision = Literal["fp32", "bf16", "fp64"]
Penalty = Callable[[], torch.Tensor]
Forward = Callable[..., torch.Tensor]
"""``(model, x, bf16=...) -> output``; see `yisheng.core.autocast.forward`."""


def mean_loss(
    model: nn.Module,
    batch: Batch,
    loss: Loss,
    precision: Precision = "fp32",
    forward: Forward = autocast.forward,
) -> torch.Tensor:
    """Compute the mean of the samples' losses, weighted if the batch has weights.

    The outputs may be ``(B, K, O)``: K members, each with a loss; the loss of a sample is their mean.

    Args:
        model: in training mode.
        batch: the samples.
        loss: ``(output, y) -> (B,)``, in float32 or more; or a scalar, the mean of a batch without weights.
        precision: ``bf16`` runs the layers that support it in bfloat16 (autocast), and the weights stay float32;
            otherwise the layers compute in the precision of the weights.
        forward: computes the output, as compiled code does.

    Raises:
        UsageError: the loss does not return one value for each sample.
    """
    output = forward(model, batch.x, bf16=precision == "bf16")
    members, y = 1, batch.y
    if output.ndim == 3:
        members = output.shape[1]
        output, y = output.flatten(0, 1), y.repeat_interleave(members, 0)
    losses = loss(output, y)
    if losses.ndim == 0:
        if batch.weight is not None:
            raise UsageError(
                Message("the loss returns one number for a batch, so its samples cannot have weights"),
                Message("return one value for each sample, without reduction"),
            )
        return losses
    if losses.shape != y.shape[:1]:
        raise UsageError(
            Message(
                "a loss must return one value for each of {count} outputs, or one number for all, got shape {shape}",
                count=len(y),
                shape=tuple(losses.shape),
            ),
            Message("return the losses without reduction, with shape (B,): the update takes their mean"),
        )
    if members > 1:
        losses = losses.view(-1, members).mean(1)
    if batch.weight is None:
        return losses.mean()
    fractions = (batch.weight / sum_weights(batch.weight)).to(losses.dtype)
    return (losses * fractions).sum()


def make_update(
    *,
    micro_batch: int | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    check_finite: Literal["before step", "one step late"] = "before step",
    precision: Precision = "fp32",
    penalty: Penalty | None = None,
    sharding: Sharding | None = None,
    divided: DividedUpdate | None = None,
    forward: Forward = autocast.forward,
) -> Step:
    """Make an update on the mean loss of a batch; it returns that mean, detached.

    Args:
        micro_batch: samples per forward pass. A larger batch is split into micro-batches whose gradients are
            accumulated in the order of a binary tree, so that it needs the memory of one micro-batch. (Batch norm
            normalizes each of them alone.)
        clip_norm: the norm of all gradients together is scaled down to this (Pascanu et al., "On the
            difficulty of training recurrent neural networks", 2013, section 3.2).
        clip_value: every gradient is clipped to plus or minus this, before ``clip_norm`` is applied.
        check_finite: when to check whether loss and gradients are finite. ``before step`` protects the weights; it
            costs nothing on a CPU, but would wait for a GPU at every step. ``one step late`` checks the previous
            update, while the GPU computes the next one.
        precision: of the forward pass; see `mean_loss`.
        penalty: a function of the weights that is minimized together with the loss. Its gradient is added once per
            update, before clipping; like weight decay, it is not in the returned loss.
        sharding: compute the batch in shards, perhaps in several processes; ``micro_batch`` is then without effect.
        divided: compute with weights that the processes divide among themselves, in place of ``sharding``.
        forward: computes the network's output; where layers are recorded, the network itself does.

    Raises:
        NonFiniteError: (from the update) it names the step, the rows and the layer where the values began.
        UsageError: (from the update) the loss does not return one value for each sample.
    """

    steps_by_closure: list[bool] = []  # found out once: it takes as long as a small update
    previous: list[tuple[torch.Tensor, int, int, Batch]] = []  # gradient sum, step, epoch and batch of one update

    def add_gradients(state: State, batch: Batch, loss: Loss, *, observed: bool) -> torch.Tensor:
        """Add the gradients of the batch, limited; return its mean loss."""

        def compute_loss(piece: Piece) -> tuple[torch.Tensor, torch.Tensor]:
            is_recorded = state.is_recorded is not None and state.is_recorded()
            compute_output = autocast.forward if is_recorded else forward
            part_mean = mean_loss(state.model, piece.batch, loss, precision, compute_output)
            return part_mean, part_mean if piece.fraction is None else part_mean * piece.fraction

        def compute(piece: Piece, *, is_observed: bool = observed) -> torch.Tensor:
            part_mean, mean = compute_loss(piece)
            if check_finite == "before step" and not math.isfinite(mean.item()):
                raise explain_nonfinite_loss(state, piece.batch, mean.item())
            if is_observed and state.observe_loss is not None:
                state.observe_loss(part_mean)
            mean.backward()
            return mean.detach()

        if divided is not None:
            mean = divided.compute(state, batch, lambda piece: compute_loss(piece)[1])
        elif sharding is not None:
            compute_all = compute_shards if sharding.exact else compute_overlapped_shards
            mean = compute_all(state, batch, sharding, compute)
        else:
            parameters = [p for group in state.optimizer.param_groups for p in group["params"]]
            mean = compute_pieces(split_batch(batch, micro_batch), parameters, compute)
        if penalty is not None and (value := penalty()).requires_grad:
            value.backward()
        if divided is not None:
            divided.limit(state, batch, clip_norm=clip_norm, clip_value=clip_value)
            return mean
        parameters = [p for group in state.optimizer.param_groups for p in group["params"] if p.grad is not None]
        # A sum is not finite if a value is not, and takes less time than a norm.
        sums = [p.grad.sum() for p in parameters if p.grad is not None]
        if check_finite == "one step late":
            total = torch.stack(sums).sum() if sums else torch.zeros(())
            previous[:] = [(total, state.step + 1, state.epoch, batch)]
        elif not all(math.isfinite(value.item()) for value in sums):
            raise explain_nonfinite_gradient(state, batch)
        if clip_value is not None:
            nn.utils.clip_grad_value_(parameters, clip_value)
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        return mean

    def step(state: State, batch: Batch, loss: Loss) -> torch.Tensor:
        if previous and not math.isfinite(previous[0][0].item()):
            raise explain_nonfinite_update(*previous[0][1:])
        if not steps_by_closure:
            steps_by_closure.append(needs_closure(state.optimizer))
        if steps_by_closure[0]:
            mean = _step_by_closure(state.optimizer, functools.partial(add_gradients, state, batch, loss))
        else:
            mean = add_gradients(state, batch, loss, observed=True)
            state.optimizer.step()
        state.optimizer.zero_grad()
        return mean

    return step


def needs_closure(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether an optimizer computes the loss several times in one step, as L-BFGS does.

    >>> w = torch.zeros(1, requires_grad=True)
    >>> needs_closure(torch.optim.LBFGS([w])), needs_closure(torch.optim.SGD([w], lr=0.1))
    (True, False)
    """
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    return closure is not None and closure.default is inspect.Parameter.empty


def _step_by_closure(optimizer: torch.optim.Optimizer, add_gradients: Callable[..., torch.Tensor]) -> torch.Tensor:
    """Make a step of an optimizer that needs a closure; return the loss before it."""
    mean = add_gradients(observed=True)  # before the step, so that its hooks see gradients
    computed = [mean.item()]

    def closure() -> float:
        if computed:
            return computed.pop()
        optimizer.zero_grad()
        return add_gradients(observed=False).item()

    optimizer.step(closure)
    return mean


def make_l1_penalty(weights: Iterable[torch.Tensor], l1: float) -> Penalty:
    """Make the L1 penalty ``l1 * sum |w|`` of weights that are trained now; frozen ones have no part in it.

    Args:
        weights: see `yisheng.optim.parameter_groups.list_weights`.
        l1: units of the loss over those of the weights.

    >>> w = torch.tensor([3.0, -4.0], requires_grad=True)
    >>> make_l1_penalty([w], 0.5)()
    tensor(3.5000, grad_fn=<MulBackward0>)

    Source: Tibshirani, "Regression shrinkage and selection via the lasso", 1996.
    """
    weights = list(weights)

    def penalty() -> torch.Tensor:
        norms = [torch.linalg.vector_norm(w, ord=1) for w in weights if w.requires_grad]
        return l1 * torch.stack(norms).sum() if norms else torch.zeros(())

    return penalty
