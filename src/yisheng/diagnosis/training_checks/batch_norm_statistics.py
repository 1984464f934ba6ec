"""Running statistics of batch norm that hardly follow the batches."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.network_copies import NetworkCopy, named_statistics
from yisheng.diagnosis.wording import describe_shortage

MIN_UPDATES = 20
"""A few updates, as in a test of a loop, are not enough for the default momentum either."""
MAX_INITIAL_FRACTION = 0.5
"""Weight of the initial statistics, mean 0 and variance 1, in the running ones."""
MIN_DIFFERENCE = 0.5
"""Difference between the means of a channel in a copy and in the network in standard deviations, or of the logarithms
of these, in the median of the channels."""
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not any(isinstance(module, BATCH_NORMS) for module in case.model.modules()):
        return Message("the network has no batch norm")
    return describe_shortage(MIN_UPDATES, case.steps, Message("updates"))


@register(
    needs=explain_skip, when="during", cause="structure", explains=("memorization", "overfitting", "underfitting")
)
def batch_norm_statistics(case: Case) -> Iterator[Finding]:
    """Find batch norm whose running statistics still are mostly the initial ones, so that evaluation differs.

    After n updates with momentum m, (1 - m)^n of the initial mean 0 and variance 1 is left. torch's momentum is the
    weight of the new batch; other libraries mean the old average by it (0.99 there is 0.01 here). An average of the
    weights has running statistics of its own, which nothing updates if only its parameters are averaged.

    Args:
        case: its network, the copies of it, and the number of its updates.

    Source: PyTorch documentation, torch.nn.BatchNorm1d (momentum), torch.optim.swa_utils.update_bn.
    """
    worst, worst_name, momentum = 0.0, "", 0.0
    for name, module in case.model.named_modules():
        counts = isinstance(module, BATCH_NORMS) and module.track_running_stats
        if not counts or module.momentum is None or module.num_batches_tracked is None:
            continue
        initial_fraction = (1 - float(module.momentum)) ** int(module.num_batches_tracked)
        if int(module.num_batches_tracked) >= MIN_UPDATES and initial_fraction > worst:
            worst, worst_name, momentum = initial_fraction, name, float(module.momentum)
    if worst > MAX_INITIAL_FRACTION:
        yield Finding(
            "batch-norm-statistics",
            "error",
            {"layer": worst_name, "momentum": momentum, "fraction of the initial values": worst},
            Message(
                "with a momentum of {momentum}, the running statistics of {worst_name} still are the initial "
                "ones by {worst} after {steps} updates: in evaluation the network is a different one",
                momentum=f"{momentum:g}",
                worst_name=worst_name,
                worst=f"{worst:.0%}",
                steps=f"{case.steps:,}",
            ),
            Message("use momentum=0.1 (the default): in torch it is the weight of the new batch"),
        )
        return
    for copy in case.copies:
        if _lacks_statistics(copy, case.model):
            yield Finding(
                "batch-norm-statistics",
                "error",
                {"evaluations of the copy": copy.calls.evaluation, "updates": case.steps},
                Message(
                    "a copy of the network is evaluated whose weights follow the trained ones (an average) while the "
                    "running statistics of its batch norms stay as they were: they belong to other weights"
                ),
                Message(
                    "copy the buffers, too (torch.optim.swa_utils.AveragedModel does), or call update_bn(loader, "
                    "average) of the same module before it is evaluated"
                ),
            )
            return


def _lacks_statistics(copy: NetworkCopy, model: nn.Module) -> bool:
    """Return whether an evaluated copy has other weights than at first, and statistics that nothing has updated."""
    if not copy.calls.evaluation or copy.is_unchanged("parameters") or not copy.is_unchanged("statistics"):
        return False
    return _measure_difference(copy.model, model) > MIN_DIFFERENCE


@torch.no_grad()
def _measure_difference(first: nn.Module, second: nn.Module) -> float:
    """Return how much the running statistics of two networks differ, in the median of the channels; 0 without any."""
    a, b = dict(named_statistics(first)), dict(named_statistics(second))
    differences = []
    for name in (name.removesuffix("_mean") for name in b if name.endswith("running_mean") and name in a):
        std = b[f"{name}_var"].clamp(min=1e-12).sqrt()
        ratio = (a[f"{name}_var"].clamp(min=1e-12) / b[f"{name}_var"].clamp(min=1e-12)).log().abs() / 2
        differences.append(torch.maximum((a[f"{name}_mean"] - b[f"{name}_mean"]).abs() / std, ratio))
    return float(torch.cat(differences).median()) if differences else 0.0
