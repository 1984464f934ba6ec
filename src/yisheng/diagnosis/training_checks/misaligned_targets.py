"""Rows that come again with the label of another row."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.wording import describe_shortage

MIN_REPEATED, MIN_CONFLICTS = 6, 5
"""Recorded rows that were recorded before, and those of them with another label than before."""
MIN_CONFLICT_FRACTION = 0.5
"""Fraction of the repeated rows with another label, relative to that of labels in random order."""
MIN_DISTINCT_FRACTION = 0.7
"""Fraction of the recorded rows that are different ones: states of a game and rows of few values come again and again,
with an action or a label that is drawn again."""
MIN_ROW_VALUES = 4
"""Numbers of a row, below which rows may be equal by coincidence."""
MAX_LEARNED = 0.7
"""Fraction of the loss that may be gone: a network that has learned more has labels that go with its rows."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None or case.pairing.loss != "nll" or not case.pairing.is_only_term or case.pairing.has_weights:
        return Message("the loss is not the cross-entropy of one label per row")
    labels = _collect_labels(case)
    repeated = sum(len(values) - 1 for values in labels.values())
    return describe_shortage(MIN_REPEATED, repeated, Message("recorded rows that came again"))


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=(
        "memorization",
        "overfitting",
        "underfitting",
        "plateau",
        "low-learning-rate",
        "label-noise",
        "no-signal",
        "missed-classes",
    ),
)
def misaligned_targets(case: Case) -> Iterator[Finding]:
    """Find rows that come again in later epochs with another label: inputs and labels are no longer in the same order.

    Inputs may have been sorted, shuffled, filtered or augmented without their labels. With class frequencies p, labels
    in random order differ from an earlier one with probability 1 - Σ p².

    Args:
        case: rows of its inputs and targets.

    Source: Northcutt, Athalye and Mueller, "Pervasive label errors in test sets", 2021 (labels that contradict equal
    rows).
    """
    labels = _collect_labels(case)
    recorded = [value for values in labels.values() for value in values]
    repeated = [(values[0], value) for values in labels.values() for value in values[1:]]
    conflicts = sum(first != value for first, value in repeated)
    counts = torch.tensor(recorded).unique(return_counts=True)[1].double()
    expected = 1 - float((counts / counts.sum()).square().sum())
    if conflicts < MIN_CONFLICTS or conflicts < MIN_CONFLICT_FRACTION * expected * len(repeated):
        return
    if len(labels) < MIN_DISTINCT_FRACTION * len(recorded) or not case.learned_fraction < MAX_LEARNED:
        return
    yield Finding(
        "misaligned-targets",
        "error",
        {"recorded rows": len(recorded), "rows that came again": len(repeated), "with another label": conflicts},
        Message(
            "of {count} recorded rows that came again {conflicts} have another label than before: inputs and labels "
            "are not in the same order",
            count=len(repeated),
            conflicts=conflicts,
        ),
        Message(
            "apply each order, selection and shuffle to inputs and labels alike: x, y = x[order], y[order]",
        ),
        source=case.sources.get("loss", ""),
    )


def _collect_labels(case: Case) -> dict[bytes, list[int]]:
    """Return the labels of each recorded row by its content, one of each recorded batch."""
    labels: dict[bytes, list[int]] = {}
    for record in case.records:
        rows, targets = record.rows, record.targets
        if rows is None or targets is None or targets.is_floating_point() or targets.ndim != 1:
            continue
        if sum(part[0].numel() for part in rows) < MIN_ROW_VALUES or record.inputs is None:
            continue
        if len(targets) < len(rows[0]) or record.inputs.shape[0] != len(targets):
            continue
        contents = [
            b"".join(part[number].reshape(-1).cpu().contiguous().view(torch.uint8).numpy().tobytes() for part in rows)
            for number in range(len(rows[0]))
        ]
        for content, label in dict(zip(contents, targets.tolist(), strict=False)).items():
            labels.setdefault(content, []).append(label)
    return labels
