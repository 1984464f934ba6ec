"""A loss that other terms outweigh."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import torch
from torch.nn import functional as F  # its common name

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import Case, constant_prediction_loss, select_counted
from yisheng.diagnosis.pairing import Pairing

MIN_UPDATES = 50
"""Before that, a penalty that is made small first may still leave room for the other term."""
MIN_RATIO = 3.0
"""Other terms at first over the one that compares outputs with targets: equal shares are common and learn."""
NO_CLASS = -100
"""Number that torch leaves out by default."""
LAST_RECORDS = 4
"""Recorded steps at the end: one batch may be an easy one."""
MAX_LEARNED_FRACTION = 0.1
"""Fraction of the loss of guessing that the comparing term has lost at the end, of a term that is learned."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    if case.pairing is None or case.pairing.is_only_term:
        return Message("the loss has one term, or none that compares outputs with targets")
    if case.steps < MIN_UPDATES or len(case.losses) != case.steps:
        return Message("there are too few updates, or several losses in each")
    return "" if _find_terms(case) else Message("the value of the term that compares outputs with targets is unknown")


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=(
        "plateau",
        "underfitting",
        "strong-decay",
        "collapsed-outputs",
        "constant-outputs",
        "vanishing-gradients",
        "label-noise",
    ),
)
def outweighed_loss(case: Case) -> Iterator[Finding]:
    """Find a loss whose other terms, such as a penalty, are several times as large as the one that compares targets.

    With T the term that compares and L the loss, (L - T) / T at first must be large, and T at the end next to the loss
    of guessing.

    Args:
        case: the outputs and targets that its graphs keep, and its losses.

    Source: Kendall, Gal and Cipolla, "Multi-task learning using uncertainty to weigh losses for scene geometry and
    semantics", 2018, section 3 (the weights of several terms).
    """
    terms = _find_terms(case)
    (step, first), (_, last) = terms[0], terms[-1]
    other_terms = case.losses[step - 1] - first
    counted, pairing = [record.counted_targets for record in case.records], case.pairing
    targets = [batch for batch in counted if batch is not None]
    if not targets or pairing is None or len({tuple(batch.shape[1:]) for batch in targets}) > 1:
        return
    guess = constant_prediction_loss(pairing.loss, select_counted(pairing, torch.cat(targets)))
    if not guess > 0 or other_terms < MIN_RATIO * first or last < (1 - MAX_LEARNED_FRACTION) * guess:
        return
    yield Finding(
        "outweighed-loss",
        "warning",
        {"term at first": first, "other terms at first": other_terms, "term at the end": last, "guessing": guess},
        Message(
            "of the first loss, {loss}, only {first} compare outputs with targets, and this term is not learned "
            "({last}; guessing has {guess}): the other terms outweigh it",
            loss=f"{first + other_terms:.3g}",
            first=f"{first:.3g}",
            last=f"{last:.3g}",
            guess=f"{guess:.3g}",
        ),
        Message(
            "multiply the other terms (a penalty, a second task) by {factor}, or average them in the same way as the "
            "term that compares",
            factor=f"{first / other_terms / 10:.1g}",
        ),
        source=case.sources.get("loss", ""),
    )


def _find_terms(case: Case) -> list[tuple[int, float]]:
    """Return the recorded steps with the value of the term that compares outputs with targets."""
    terms = [(r.step, _compute_term(r.pairing)) for r in case.records if r.pairing is not None]
    return [(step, value) for step, value in terms if math.isfinite(value) and step <= len(case.losses)]


def _compute_term(pairing: Pairing) -> float:
    """Return the value of the term that compares outputs and targets, or NaN if its graph does not show it."""
    return compute_mean_loss(pairing) if pairing.reduction == "mean" else math.nan


def find_remaining_fraction(case: Case) -> float:
    """Return the term that compares outputs with targets at the end, relative to that of guessing; NaN if unknown.

    In each of the last recorded steps it is compared with the best constant of the same batch.
    """
    fractions = []
    for record in case.records[-LAST_RECORDS:]:
        if record.pairing is None or record.counted_targets is None:
            continue
        guess = constant_prediction_loss(record.pairing.loss, select_counted(record.pairing, record.counted_targets))
        fractions.append(compute_mean_loss(record.pairing) / guess if guess > 0 else math.nan)
    return statistics.median(fractions) if fractions and all(map(math.isfinite, fractions)) else math.nan


@torch.no_grad()
def compute_mean_loss(pairing: Pairing) -> float:
    """Return the mean loss of the outputs and targets that a graph has kept, whatever it is reduced to, or NaN."""
    output, target = pairing.output, pairing.target
    if pairing.difference is not None and pairing.loss in ("squared", "absolute"):
        difference = pairing.difference.float()
        return float((difference.square() if pairing.loss == "squared" else difference.abs()).mean())
    if output is None or target is None or pairing.has_weights:
        return math.nan
    if output.shape == target.shape and pairing.loss == "binary_cross_entropy":
        return float(F.binary_cross_entropy(output.float(), target.float()))
    if output.shape == target.shape and pairing.loss == "binary_cross_entropy_with_logits":
        return float(F.binary_cross_entropy_with_logits(output.float(), target.float()))
    if pairing.loss == "nll" and output.ndim == 2:
        ignored = NO_CLASS if pairing.ignored is None else pairing.ignored
        return float(F.nll_loss(output.float(), target, ignore_index=ignored))
    if pairing.loss == "mse" and output.shape == target.shape:
        return float(F.mse_loss(output.float(), target.float()))
    return math.nan
