"""Find that a user's loop trains on a few of its rows only, from the loss of those that the doctor was given."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # its common name

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.modes import evaluation_mode
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.given_rows import MIN_MATCHED, compare, find_passed_fraction

CHECK = "unused-rows"
MAX_ROWS, BATCH = 2000, 256
MIN_LOSSES, MIN_ROWS = 50, 40
"""Training losses and rows of each part, without which their means are not known."""
MIN_RATIO, MIN_FRACTION = 4.0, 0.5
"""Loss of the given training rows over that of the loop, and the fraction of the way from the loop's loss to that of
the validation rows: rows that were trained on are near the loop's, and unused ones near the validation rows'."""
MIN_LOSS = 0.05
"""Loss of the given rows relative to that of guessing, below which there is nothing left to say."""
LOSSES = {("nll", ("log_softmax",)): F.cross_entropy, ("mse", ()): F.mse_loss}
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def find_unused_rows(case: Case, data: Any, validation: Any) -> Iterator[Finding]:
    """Yield that the given training rows have a loss like that of rows that the network has never seen.

    Args:
        case: the finished training.
        data: the training rows ``(x, y)``.
        validation: the held-out rows ``(x, y)``.
    """
    pairing = case.pairing
    loss = None if pairing is None or not pairing.is_only_term else LOSSES.get((pairing.loss, pairing.operations))
    has_batch_norm = any(isinstance(module, BATCH_NORMS) for module in case.model.modules())
    if loss is None or has_batch_norm or len(case.losses) < MIN_LOSSES or not case.is_mean or case.is_restored:
        return  # the loop's last losses are not those of weights that were restored
    if find_passed_fraction(case, data[0] if isinstance(data, tuple | list) else data) < MIN_MATCHED:
        return  # the loop scales or augments the rows: their loss as they are is another one
    data_loss, held_out_loss = (_measure(case.model, loss, part) for part in (data, validation))
    if not math.isfinite(data_loss + held_out_loss + case.final_loss) or not data_loss > MIN_LOSS * case.baseline_loss:
        return
    fraction = (data_loss - case.final_loss) / max(held_out_loss - case.final_loss, 1e-12)
    if data_loss < MIN_RATIO * case.final_loss or fraction < MIN_FRACTION:
        return
    rows = len(data[0])
    yield Finding(
        CHECK,
        "warning",
        {"loss of the loop": case.final_loss, "given training rows": data_loss, "validation rows": held_out_loss},
        Message(
            "the loop's own loss is {loss} at the end, and that of the {rows} training rows that were given is "
            "{given}, next to the {held_out} of validation rows: the loop trains on a few of them only",
            loss=f"{case.final_loss:.3g}",
            rows=f"{rows:,}",
            given=f"{data_loss:.3g}",
            held_out=f"{held_out_loss:.3g}",
        ),
        Message(
            "look at what the loader draws from: a Subset, a slice or a break that is left from debugging, a sampler "
            "with few indices"
        ),
        source=case.sources.get("loss", ""),
    )


@torch.no_grad()
def _measure(model: nn.Module, loss: Any, pair: Any) -> float:
    """Return the mean loss of some rows in evaluation mode, or NaN if they are no tensors that the network takes."""
    is_pair = isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(part, torch.Tensor) for part in pair)
    if not is_pair or len(pair[0]) < MIN_ROWS or len(pair[0]) != len(pair[1]):
        return math.nan
    interval = -(-len(pair[0]) // MAX_ROWS)
    x, y = pair[0][::interval], pair[1][::interval]
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    with evaluation_mode(model), torch.random.fork_rng(enabled=device.type == "cpu", devices=[]):
        try:
            losses = [
                float(compare(loss, model(a.to(device)), b.to(device))) * len(a)
                for a, b in zip(x.split(BATCH), y.split(BATCH), strict=True)
            ]
        except (RuntimeError, TypeError, ValueError, IndexError):
            return math.nan
    return sum(losses) / len(x)
