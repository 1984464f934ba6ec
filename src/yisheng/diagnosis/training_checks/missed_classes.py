"""Rare classes that an evaluation never or hardly finds."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.recorder.evaluated import Confusion
from yisheng.diagnosis.recorder.statistics import is_discrete
from yisheng.diagnosis.wording import format_fraction, join_names
from yisheng.metrics.wilson import compute_wilson_bounds

MIN_ROWS = 8
"""Rows of a class without which its recall is not known: none of 8 found is evidence against a recall of 1/3."""
MAX_RECALL, MIN_OTHER_RECALL = 0.5, 0.6
"""Upper end of the 95% interval of the recall of a missed class; mean recall of the other classes."""
MAX_RECALL_OF_COMMON, MIN_RECALL_OF_OTHERS = 0.15, 0.8
"""The same for a class that is not rare, and of which no row is found: something leaves it out."""
MAX_PADDING_TOKENS = 2
"""Different inputs where the target is ignored: padding, and the end of the text before it."""
MAX_SWING = 100.0
"""Largest loss over the first one or that of guessing, above which it has diverged: batches with a rare row that is
missed have some dozens of times as much."""
MAX_EQUAL_SHARE = 0.5
"""Fraction of the training rows relative to that of equally frequent classes, below which a class is rare."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.from_config:
        return Message("the predictions of a run are examined at its end")
    return "" if case.evaluated.confusion is not None else Message("no evaluation with the loss of classes was seen")


@register(
    needs=explain_skip,
    when="during",
    cause="data",
    explains=("oscillation", "plateau", "high-learning-rate", "memorization", "overfitting", "evaluated-scores"),
)
def missed_classes(case: Case) -> Iterator[Finding]:
    """Find rare classes, or labels, that the last evaluation hardly predicted, while the others are recognized.

    A network whose loss has diverged, or whose learning rate vanished, predicts frequent classes as well, for this
    reason. A class that is not rare and never predicted is left out by ``ignore_index``, or by its weight in the loss.

    Args:
        case: the classes and predictions of its last evaluation, and the targets of the recorded steps.

    Source: He and Garcia, "Learning from imbalanced data", 2009, section 2; Wilson, "Probable inference", 1927 (the
    interval).
    """
    confusion = case.evaluated.confusion
    assert confusion is not None  # ensured by needs
    counts = confusion.counts.double().cpu()
    rows, hits = counts.sum(1), counts.diagonal()
    fractions = _shares(case, rows)
    rare = fractions < MAX_EQUAL_SHARE / len(fractions)
    if confusion.is_multilabel:
        rare[0] = False  # rows without a label
    has_weights = case.pairing is not None and case.pairing.has_weights
    left_out = _find_left_out(rows, hits, ~rare)
    is_left_out = left_out is not None and (has_weights or _is_ignored(case, left_out))
    if left_out is not None and is_left_out and not confusion.is_multilabel and not _is_padding(case, left_out):
        yield _explain_left_out(case, left_out, int(rows[left_out]), float(fractions[left_out]))
        return
    if _is_moved_wrongly(case):  # it answers with the frequent classes, whatever they are
        return
    missed = rare & (rows >= MIN_ROWS) & (_upper_recall(hits, rows) < MAX_RECALL)
    is_common = ~rare & (rows > 0)
    if not bool(missed.any()) or not bool(is_common.any()):
        return
    if float((hits[is_common] / rows[is_common]).mean()) < MIN_OTHER_RECALL:
        return
    worst = int(torch.where(missed, hits / rows.clamp(min=1), 2.0).argmin())
    yield Finding(
        "missed-classes",
        "warning",
        {
            "classes": missed.nonzero()[:, 0].tolist(),
            "rows": int(rows[worst]),
            "found": int(hits[worst]),
            "fraction of the training rows": float(fractions[worst]),
        },
        _explain_missed(confusion, missed, worst, fractions, rows, hits),
        Message(
            "the loss has weights already: give rare classes the larger ones, total / (classes * rows of the class)"
        )
        if has_weights
        else Message(
            "weight the classes: cross_entropy(weight=total / (classes * rows of each class)), or "
            "pos_weight=negative / positive rows; or draw rare classes more often (WeightedRandomSampler)"
        ),
        source=case.sources.get("loss", ""),
    )


def _is_moved_wrongly(case: Case) -> bool:
    """Return whether the loss has diverged beyond what rare rows do to it, or the learning rate vanished early."""
    if case.rate_vanished_at is not None and case.rate_vanished_at < case.steps / 2:
        return True
    start = max(abs(case.first_loss), case.baseline_loss if case.baseline_loss > 0 else 0.0)
    return case.nonfinite_loss is not None or max(case.losses, default=0.0) > MAX_SWING * start


def _find_left_out(rows: torch.Tensor, hits: torch.Tensor, is_common: torch.Tensor) -> int | None:
    """Return the common class of which no row is found although the other classes are recognized, or None."""
    missed = is_common & (hits == 0) & (rows >= MIN_ROWS) & (_upper_recall(hits, rows) < MAX_RECALL_OF_COMMON)
    other_classes = is_common & ~missed & (rows > 0)
    if int(missed.sum()) != 1 or not bool(other_classes.any()):
        return None
    is_learned = float((hits[other_classes] / rows[other_classes]).mean()) > MIN_RECALL_OF_OTHERS
    return int(missed.int().argmax()) if is_learned else None


def _is_ignored(case: Case, number: int) -> bool:
    """Return whether the loss leaves out a class number."""
    return any(call.ignore_index == number for call in case.loss_calls)


def _is_padding(case: Case, number: int) -> bool:
    """Return whether a network of tokens is to ignore a class: where the target has it, its input is padding, too."""
    tokens = [
        (x, record.targets.reshape(-1)[: x.numel()])
        for record in case.records
        for x in record.rows or ()
        if record.targets is not None and is_discrete(x) and x.ndim > 1
    ]
    if not tokens or not _is_ignored(case, number):
        return False
    aligned = [x.reshape(-1)[target == number] for x, target in tokens if target.numel() == x.numel()]
    return not aligned or any(0 < len(values.unique()) <= MAX_PADDING_TOKENS for values in aligned)


def _explain_left_out(case: Case, number: int, rows: int, fraction: float) -> Finding:
    is_ignored = _is_ignored(case, number)
    facts = {"number": number, "fraction": format_fraction(fraction), "rows": rows}
    return Finding(
        "missed-classes",
        "error",
        {"classes": [number], "rows": rows, "found": 0, "fraction of the training rows": fraction},
        Message(
            "class {number} has {fraction} of the training rows, and none of {rows} evaluated rows is found, although "
            "the other classes are recognized: the loss leaves it out by ignore_index={number}",
            **facts,
        )
        if is_ignored
        else Message(
            "class {number} has {fraction} of the training rows, and none of {rows} evaluated rows is found, although "
            "the other classes are recognized: its weight leaves it out",
            **facts,
        ),
        Message("leave ignore_index={number} away, or use a number outside the classes, such as -100", number=number)
        if is_ignored
        else Message("look at the weight of this class: total / (classes * rows of the class), never 0"),
        source=case.sources.get("loss", ""),
    )


def _explain_missed(
    confusion: Confusion,
    missed: torch.Tensor,
    worst: int,
    fractions: torch.Tensor,
    rows: torch.Tensor,
    hits: torch.Tensor,
) -> Message:
    """Return how rare the missed classes are, and how many of the rows of the worst one are found."""
    facts = {
        "fraction": format_fraction(float(fractions[worst])),
        "rows": int(rows[worst]),
        "found": int(hits[worst]),
    }
    if confusion.is_multilabel:
        return Message(
            "positive labels are {fraction} of the training rows, and of {rows} evaluated rows {found} are found: "
            "answering with the frequent classes is nearly always right",
            **facts,
        )
    names = [str(worst), *(str(k) for k in missed.nonzero()[:, 0].tolist() if k != worst)]
    if len(names) == 1:
        return Message(
            "class {name} has {fraction} of the training rows, and of {rows} evaluated rows {found} are found: "
            "answering with the frequent classes is nearly always right",
            name=names[0],
            **facts,
        )
    return Message(
        "classes {names} are rare: {name} has {fraction} of the training rows, and of {rows} evaluated rows {found} "
        "are found: answering with the frequent classes is nearly always right",
        names=join_names(names),
        name=names[0],
        **facts,
    )


def _shares(case: Case, rows: torch.Tensor) -> torch.Tensor:
    """Return the fraction of the training rows in each class, or of the evaluated ones if targets are unknown."""
    targets = case.collect_targets()
    evaluated = rows / rows.sum().clamp(min=1)
    if targets is None or not len(targets):
        return evaluated
    classes = len(rows)
    if targets.is_floating_point() and not (classes == 2 and bool(((targets == 0) | (targets == 1)).all())):
        return evaluated
    numbers = targets.long().cpu()
    numbers = numbers[(numbers >= 0) & (numbers < classes)]
    if len(numbers) < MIN_ROWS * classes:
        return evaluated
    return numbers.bincount(minlength=classes).double() / len(numbers)


def _upper_recall(hits: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """Return the upper ends of the 95% intervals of the recalls."""
    pairs = zip(hits.tolist(), rows.clamp(min=1).tolist(), strict=True)
    return torch.tensor([compute_wilson_bounds(int(hit), int(n))[1] for hit, n in pairs], dtype=torch.float64)
