"""Scores of tokens that are flattened in another order than their targets."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from yisheng.core import nested
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.probe import REFUSALS, copied_network
from yisheng.diagnosis.recorder.records import StepRecord

MIN_PAIRS = 200
"""Recorded pairs of a token and a target, from which a dependence is recognized."""
MIN_SIGNIFICANCE, MAX_SIGNIFICANCE = 6.0, 3.0
"""Standard deviations of the G statistic above that of independent pairs, in the order of the rows and in that of the
scores."""
MAX_LEARNED_FRACTION = 0.5
"""Fraction of the loss that may be gone: scores in the order of their targets would be learned."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None or case.pairing.loss != "nll" or not case.is_finished:
        return Message("the loss is not a cross-entropy, or the training is not finished")
    if not case.learned_less_than(MAX_LEARNED_FRACTION):
        return Message("the network has learned what its loss can show")
    is_tokens = case.example is not None and len(case.example) == 1 and case.example[0].ndim == 2
    is_tokens = is_tokens and case.example is not None and not case.example[0].is_floating_point()
    return "" if is_tokens else Message("the inputs are not one tensor of tokens")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=("underfitting", "memorization", "overfitting", "plateau", "low-learning-rate", "missed-classes"),
)
def reshaped_outputs(case: Case) -> Iterator[Finding]:
    """Find scores (T, B, C) and targets (B, T) that are flattened, each in its own order.

    A recurrent network without batch_first has the time on the first axis. The targets depend on the tokens in the
    order of the rows, by the G statistic 2 Σ n log(n / e) of their table, and not in that of the scores.

    Args:
        case: its network, and tokens and targets of the recorded steps.

    Source: PyTorch documentation, torch.nn.LSTM (batch_first); Agresti, "Categorical data analysis", 2013, section 3.2.
    """
    if not _puts_time_first(case):
        return
    pairs = [pair for record in case.records if (pair := _read_pairs(record)) is not None]
    if sum(len(tokens) for tokens, _, _ in pairs) < MIN_PAIRS:
        return
    tokens, by_row, by_time = (torch.cat(parts) for parts in zip(*pairs, strict=True))
    in_rows, in_scores = compute_significance(tokens, by_row), compute_significance(tokens, by_time)
    if in_rows < MIN_SIGNIFICANCE or in_scores > MAX_SIGNIFICANCE:
        return
    yield Finding(
        "reshaped-outputs",
        "error",
        {"dependence in the order of the rows": in_rows, "in the order of the scores": in_scores},
        Message(
            "the scores (T, B, C) have the time on the first axis and the targets (B, T) the rows: flattened, they "
            "belong to different tokens"
        ),
        Message(
            "use batch_first=True and leave out the transpose, or flatten scores.transpose(0, 1) instead of scores"
        ),
        source=case.sources.get("loss", ""),
    )


def _puts_time_first(case: Case) -> bool:
    """Return whether the network turns tokens (B, T) into scores (T, B, C)."""
    tokens = case.example[0] if case.example is not None else torch.zeros(0, 0)
    tokens = tokens[: tokens.shape[1] - 1] if len(tokens) == tokens.shape[1] else tokens
    if len(tokens) < 2 or case.example is None:
        return False
    try:
        with copied_network(case.model, (tokens,)) as network:
            output = next(iter(nested.tensors(network(tokens))), None)
    except REFUSALS:
        return False
    return isinstance(output, torch.Tensor) and output.ndim == 3 and output.shape[:2] == tokens.t().shape


def _read_pairs(record: StepRecord) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | None:
    """Return tokens of a step, their targets in the order of the rows, and those in the order of the scores."""
    tokens = record.rows[0] if record.rows and len(record.rows) == 1 else None
    targets = record.targets
    if tokens is None or targets is None or tokens.ndim != 2 or targets.ndim != 1 or tokens.is_floating_point():
        return None
    rows, length = tokens.shape
    if targets.is_floating_point() or targets.numel() % length or targets.numel() < rows * length:
        return None
    by_row, by_time = targets.reshape(-1, length)[:rows], targets.reshape(length, -1)[:, :rows].t()
    return tokens.flatten().cpu(), by_row.flatten().cpu(), by_time.flatten().cpu()


def compute_significance(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return how far the G statistic of two sets of numbers is above that of independent ones, in standard deviations.

    Args:
        a: whole numbers ``(N,)``.
        b: whole numbers ``(N,)``.

    >>> a = torch.arange(400) % 5
    >>> compute_significance(a, a) > 100, compute_significance(a, torch.arange(400) // 80) < 0
    (True, True)
    """
    a, b = (values.unique(return_inverse=True)[1] for values in (a, b))
    rows, columns = int(a.max()) + 1, int(b.max()) + 1
    table = torch.bincount(a * columns + b, minlength=rows * columns).reshape(rows, columns).double()
    expected = table.sum(1, keepdim=True) * table.sum(0) / table.sum()
    statistic = 2 * float(torch.xlogy(table, table / expected).sum())
    freedom = (rows - 1) * (columns - 1)
    return (statistic - freedom) / math.sqrt(2 * freedom) if freedom else 0.0
