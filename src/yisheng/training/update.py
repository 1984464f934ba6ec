"""One update: forward, backward, step. All that changes its mathematics is here."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import nn

from yisheng.core import autocast
from yisheng.core.errors import UsageError
from yisheng.core.types import Batch
from yisheng.training.loop import Loss, Step
from yisheng.training.nonfinite import explain_nonfinite_gradient, explain_nonfinite_loss, explain_nonfinite_update
from yisheng.training.state import State

Precision = Literal["fp32", "bf16", "fp64"]


def mean_loss(model: nn.Module, batch: Batch, loss: Loss, precision: Precision = "fp32") -> torch.Tensor:
    """Mean of the samples' losses, weighted where the batch has weights.

    A network may give ``(B, K, O)``: K members, each with a loss of its own; a sample's loss is their mean.

    Args:
        model: in training mode.
        batch: the samples.
        loss: ``(output, y) -> (B,)``, in float32 or more.
        precision: bf16 lets torch run the layers that bear it in bfloat16 (autocast); weights stay float32. Otherwise
            that of the weights.

    Raises:
        UsageError: the loss does not give one value for each sample.
    """
    output = autocast.output(model, batch.x, half=precision == "bf16")
    members, y = 1, batch.y
    if output.ndim == 3:
        members = output.shape[1]
        output, y = output.flatten(0, 1), y.repeat_interleave(members, 0)
    losses = loss(output, y)
    if losses.shape != y.shape[:1]:
        raise UsageError(
            f"a loss must give one value for each of {len(y)} outputs, got shape {tuple(losses.shape)}",
            "give the losses themselves, (B,): the update takes their mean",
        )
    if members > 1:
        losses = losses.view(-1, members).mean(1)
    if batch.weight is None:
        return losses.mean()
    fractions = (batch.weight / _total(batch.weight)).to(losses.dtype)
    return (losses * fractions).sum()


def _total(weight: torch.Tensor) -> torch.Tensor:
    """Sum of the weights; samples that all weigh nothing make a loss of 0, not 0/0."""
    return weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


def make_update(
    *,
    micro_batch: int | None = None,
    clip_norm: float | None = None,
    clip_value: float | None = None,
    check_finite: Literal["at once", "late"] = "at once",
    precision: Precision = "fp32",
) -> Step:
    """An update on the mean loss of a batch; it gives that mean, detached.

    Args:
        micro: samples per forward pass; a larger batch is worked off in pieces whose gradients add up
            to the whole batch's, so that it needs the memory of one piece. (Batch norm sees the pieces.)
        clip_norm: the norm of all gradients together is scaled down to this (Pascanu et al., "On the
            difficulty of training recurrent neural networks", 2013, section 3.2).
        clip_value: every gradient is cut to plus or minus this, before the norm is.
        watch: when to look whether loss and gradients are finite. At once: before the step, so that the
            weights stay good; free on a CPU, but it would wait for a GPU at every step. Late: one update
            behind, when the GPU has long been given the next one.
        precision: of the forward pass; see `mean_loss`.

    Raises:
        NonFiniteError: (from the update) naming the step, the rows and the layer where it began.
        UsageError: (from the update) the loss does not give one value for each sample.
    """

    before: list[tuple[torch.Tensor, int, int, Batch]] = []

    def step(state: State, batch: Batch, loss: Loss) -> torch.Tensor:
        means = []
        if before and not math.isfinite(before[0][0].item()):
            raise explain_nonfinite_update(*before[0][1:])
        for piece, share in _pieces(batch, micro_batch):
            mean = mean_loss(state.model, piece, loss, precision)
            mean = mean if share is None else mean * share
            if check_finite == "at once" and not math.isfinite(mean.item()):
                raise explain_nonfinite_loss(state, piece, mean.item())
            if state.observe_loss is not None:
                state.observe_loss(mean)
            mean.backward()
            means.append(mean.detach())
        parameters = [p for group in state.optimizer.param_groups for p in group["params"] if p.grad is not None]
        sums = [
            p.grad.sum() for p in parameters if p.grad is not None
        ]  # not finite if any value is not, and cheaper than a norm
        if check_finite == "late":
            size = torch.stack(sums).sum() if sums else torch.zeros(())
            before[:] = [(size, state.step + 1, state.epoch, batch)]
        elif not all(math.isfinite(value.item()) for value in sums):
            raise explain_nonfinite_gradient(state, batch)
        if clip_value is not None:
            nn.utils.clip_grad_value_(parameters, clip_value)
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(parameters, clip_norm)
        state.optimizer.step()
        state.optimizer.zero_grad()
        return means[0] if len(means) == 1 else torch.stack(means).sum()

    return step


def _pieces(batch: Batch, micro: int | None) -> list[tuple[Batch, float | torch.Tensor | None]]:
    """Pieces of ``micro`` samples, each with its share of the batch's mean; None of the batch as a whole."""
    if micro is None or len(batch) <= micro:
        return [(batch, None)]
    edges = list(range(0, len(batch), micro))
    if len(batch) - edges[-1] == 1:
        edges.pop()  # batch norm cannot normalise a single row
    pieces: list[tuple[Batch, float | torch.Tensor | None]] = []
    for at, end in zip(edges, [*edges[1:], len(batch)], strict=True):
        share: float | torch.Tensor = (end - at) / len(batch)
        weight = None
        if batch.weight is not None:
            weight = batch.weight[at:end]
            share = weight.sum() / _total(batch.weight)
        pieces.append((Batch(batch.x[at:end], batch.y[at:end], batch.index[at:end], weight), share))
    return pieces
