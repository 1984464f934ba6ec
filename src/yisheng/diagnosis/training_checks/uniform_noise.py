"""Uniform noise where a normal distribution is meant."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.code_noise import find_uniform_noise


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if not case.is_finished or case.from_config or case.example is None:
        return Message("it needs a finished training and rows of its inputs")
    is_container = isinstance(case.model, nn.ModuleDict | nn.ModuleList)
    return Message("the network is a container of others") if is_container else ""


@register(needs=explain_skip, when="after", cause="structure", explains=("underfitting", "baseline-not-beaten"))
def uniform_noise(case: Case) -> Iterator[Finding]:
    """Find codes m + s u of a mean m and a deviation s that the network returns, with u uniform instead of normal.

    A divergence from the normal distribution is then that of other codes: u has mean 1/2 and is never negative.

    Args:
        case: the network and rows of its inputs.

    Source: Kingma and Welling, "Auto-encoding variational Bayes", 2014, section 2.4 (the reparameterization).
    """
    added = find_uniform_noise(case.model, case.example)
    if added is None:
        return
    mean, std = float(added.noise.mean()), float(added.noise.std())
    yield Finding(
        "uniform-noise",
        "error",
        {"mean of the noise": mean, "standard deviation of the noise": std},
        Message(
            "the network adds uniform noise (torch.rand, from 0 to 1) times a standard deviation to a mean: its codes "
            "are never below the mean (the noise has mean {mean} and standard deviation {std}, not 0 and 1), and what "
            "reads them does not know codes from a normal distribution",
            mean=f"{mean:.2f}",
            std=f"{std:.2f}",
        ),
        Message("use torch.randn_like(std), whose numbers are normal with mean 0: mean + std * torch.randn_like(std)"),
        source=added.source,
    )
