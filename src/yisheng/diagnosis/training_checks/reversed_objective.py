"""A term of the loss that rewards what it is to prevent."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import Any, Literal

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.case import NO_LOSS, Case
from yisheng.diagnosis.loss_problems import collect_forms
from yisheng.diagnosis.loss_terms import LossTerm
from yisheng.diagnosis.policy_terms import is_policy_gradient
from yisheng.diagnosis.reversed_pairs import find_reversed_pairs
from yisheng.diagnosis.reversed_terms import ReversedTerm
from yisheng.diagnosis.wording import join_names

MIN_LOSSES = 3
"""Recorded losses with such a term: one may be of a warm-up."""
MAX_WITHOUT = 0.5
"""Fraction of the recorded losses that may lack it: two losses may take turns."""
MIN_FALL = 0.2
"""Part of the first entropy that must be gone at the end: an entropy that remains was not driven down."""


def explain_skip(case: Case) -> str:
    """Return why the check cannot run; empty if it can."""
    return "" if case.features or case.pairs or any(record.terms for record in case.records) else NO_LOSS


@register(
    needs=explain_skip,
    when="during",
    cause="structure",
    explains=(
        "unbounded-loss",
        "constant-outputs",
        "collapsed-outputs",
        "exploding-gradients",
        "high-learning-rate",
        "non-finite-loss",
        "non-finite-gradients",
        "oscillation",
        "outweighed-loss",
        "plateau",
        "underfitting",
        "memorization",
        "overfitting",
        "opposed-score",
    ),
)
def reversed_objective(case: Case) -> Iterator[Finding]:
    """Find a divergence, a penalty of weights, or the entropy of a policy that is in the loss with the wrong sign.

    The divergence of N(m, v) from N(0, 1) is (v + m^2 - 1 - log v) / 2. A loss that contains log v - v instead, or
    minus the squares of weights, has no lower bound. A contrastive loss whose label means the opposite pulls together
    the pairs that are far apart from the beginning, and does not succeed.

    Args:
        case: the form and the terms of its recorded losses, and the pairs that they compare.

    Source: Kingma and Welling, "Auto-encoding variational Bayes", 2014, appendix B (the divergence and its sign);
    Mnih et al., "Asynchronous methods for deep reinforcement learning", 2016, section 4 (the entropy of a policy);
    Hadsell, Chopra and LeCun, "Dimensionality reduction by learning an invariant mapping", 2006 (a label of 0 is that
    of similar pairs).
    """
    terms = [form.reversed_terms for form in collect_forms(case)]
    divergences = [term for group in terms for term in group if term.kind == "divergence"]
    if _is_regular(len(divergences), len(terms)):
        yield _describe_divergence(case, divergences)
    penalties = [group for group in terms if any(term.kind == "penalty" for term in group)]
    if _is_regular(len(penalties), len(terms)):
        yield from _describe_penalty(case, penalties)
    yield from _find_penalized_entropy(case)
    yield from _find_reversed_labels(case)


def _is_regular(count: int, losses: int) -> bool:
    return count >= MIN_LOSSES and count >= (1 - MAX_WITHOUT) * losses


def _describe_divergence(case: Case, terms: list[ReversedTerm]) -> Finding:
    first, last = terms[0].size, terms[-1].size
    return _make_finding(
        case,
        {"mean v at first": first, "mean v at the end": last, "losses": len(terms)},
        Message(
            "the loss contains + log v - v of a learned positive v, such as a variance: it is a divergence (or the "
            "negative logarithm of a likelihood) with the wrong sign, which rewards a larger v without bound. The "
            "mean of v goes from {first} to {last}",
            first=f"{first:.3g}",
            last=f"{last:.3g}",
        ),
        Message(
            "add the divergence, which is never negative: kl = -0.5 * (1 + log_var - mean.pow(2) - log_var.exp()); "
            "loss = error + kl.sum(1).mean()"
        ),
    )


def _describe_penalty(case: Case, groups: list[tuple[ReversedTerm, ...]]) -> Iterator[Finding]:
    names = {id(p): name for name, p in case.model.named_parameters() if id(p) in case.optimizer_ids}
    first, last = (
        {names[t.weight]: t.size for t in group if t.kind == "penalty" and t.weight in names}
        for group in (groups[0], groups[-1])
    )
    weights = [name for name in first if name in last]
    if not weights:
        return
    first_size, last_size = (math.sqrt(statistics.fmean(sizes[n] ** 2 for n in weights)) for sizes in (first, last))
    yield _make_finding(
        case,
        {"weights": weights, "size at first": first_size, "size at the end": last_size, "losses": len(groups)},
        Message(
            "the loss contains minus the size of {names}: the penalty has the wrong sign, and larger weights make the "
            "loss smaller without bound (its root mean square is {first} at first, {last} at the end)",
            names=join_names(weights),
            first=f"{first_size:.3g}",
            last=f"{last_size:.3g}",
        ),
        Message("add the penalty to the loss instead of subtracting it: loss = error + 1e-4 * penalty"),
    )


def _find_penalized_entropy(case: Case) -> Iterator[Finding]:
    """Yield a policy whose entropy makes the loss larger, if it is lost in training."""
    entropies = [term for record in case.records if (term := _find_entropy(record.terms)) is not None]
    if not is_policy_gradient(case.features) or len(entropies) < MIN_LOSSES or any(e.factor > 0 for e in entropies):
        return
    first, last = entropies[0], entropies[-1]
    if not first.value - last.value > MIN_FALL * first.value:
        return
    yield _make_finding(
        case,
        {"entropy at first": first.value, "entropy at the end": last.value, "factor": -first.factor},
        Message(
            "the loss of the policy grows with its entropy (factor {factor}): the sign of the bonus is reversed, and "
            "the policy is paid for trying nothing. The entropy falls from {first} to {last}",
            factor=f"{-first.factor:.3g}",
            first=f"{first.value:.3g}",
            last=f"{last.value:.3g}",
        ),
        Message("subtract the entropy: loss = policy_loss - 0.01 * entropy.mean()"),
    )


def _find_entropy(terms: tuple[LossTerm, ...]) -> LossTerm | None:
    """Return the entropy next to a term that weights log-probabilities, or None."""
    has_policy = any(term.kind == "weighted" for term in terms)
    return next((t for t in terms if t.kind == "entropy" and t.factor != 0), None) if has_policy else None


def _find_reversed_labels(case: Case) -> Iterator[Finding]:
    """Yield pairs that the loss pulls together although they are farther apart than those that it pushes apart."""
    pairs = find_reversed_pairs(case.pairs)
    if pairs is None:
        return
    values = {"fraction": f"{pairs.farther:.0%}", "pairs": pairs.pairs, "later": f"{pairs.farther_later:.0%}"}
    yield _make_finding(
        case,
        {"pairs": pairs.pairs, "pulled pairs farther": pairs.farther, "the same later": pairs.farther_later},
        Message(
            "the loss pulls together the pairs whose inputs are farther apart: such a pair has the larger distance in "
            "{fraction} of the comparisons with one that it pushes apart ({pairs} pairs), and at the end its "
            "outputs still in {later}: the label seems to mean the opposite, and pairs that are alike are "
            "pushed apart",
            **values,
        )
        if pairs.by_inputs
        else Message(
            "the loss pulls together the pairs that are farther apart: before anything is learned, such a pair has the "
            "larger distance in {fraction} of the comparisons with one that it pushes apart ({pairs} pairs), and at "
            "the end still in {later}: the label seems to mean the opposite, and pairs that are alike are pushed apart",
            **values,
        ),
        Message(
            "give the loss 1 - label, or exchange its terms: with label = 1 for pairs that are alike it is label * "
            "distance**2 + (1 - label) * relu(margin - distance)**2; cosine_embedding_loss and hinge_embedding_loss "
            "want 1 for them and -1 for others"
        ),
        "warning",
    )


def _make_finding(
    case: Case, evidence: dict[str, Any], cause: str, remedy: str, severity: Literal["error", "warning"] = "error"
) -> Finding:
    source = case.sources.get("loss", "") or case.sources.get("backward", "")
    return Finding("reversed-objective", severity, evidence, cause, remedy, source=source)
