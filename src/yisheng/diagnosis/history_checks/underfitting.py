"""A network that has not learned what the data allows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.diagnosis.history_checks import baseline_not_beaten
from yisheng.diagnosis.history_checks._loss_history import explain_skip, judge_capacity, read_loss_history
from yisheng.reporting.formatting import format_number, is_higher_better, score_name
from yisheng.reporting.run_facts import RunFacts

MIN_TRAINING_GAIN = 0.1
"""Gain on training rows relative to the initial loss."""


@register(needs=explain_skip, explains=("baseline-not-beaten", "plateau"), follows=True)
def underfitting(facts: RunFacts) -> Iterator[Finding]:
    """Find a run that boosted trees beat significantly, a linear model that levels off, or one that learned nothing.

    The last is reported only if the baseline is not beaten either: the rows may be noisy.

    Args:
        facts: the losses by epoch and the scores.

    Source: Goodfellow, Bengio and Courville, "Deep learning", 2016, section 5.2.
    """
    history = read_loss_history(facts)
    assert history is not None  # ensured by needs
    if _trees_are_better(facts):
        score = facts.score or ""
        network, trees = facts.scores[facts.part][score], facts.scores["boosting"][score]
        remedy, change = _choose_larger_model(facts)
        yield Finding(
            "underfitting",
            "warning",
            {"score": score, "network": network.value, "boosted trees": trees.value},
            Message(
                "boosted trees on the same rows reach {score} {format_number}, the network only "
                "{format_number_2}: it has not learned what the data allows",
                score=score_name(score),
                format_number=format_number(trees.value),
                format_number_2=format_number(network.value),
            ),
            remedy,
            change=change,
        )
        return
    capacity = judge_capacity(history)
    is_linear = facts.choice_name("model") == "linear"
    if is_linear and capacity is not None and facts.spec is not None and facts.spec.is_image:
        yield Finding(
            "underfitting",
            "warning",
            capacity.evidence,
            Message(
                "{cause}; a linear model compares pixels one by one and cannot recognize shapes", cause=capacity.cause
            ),
            Message("use a convolutional network, such as model=lenet or model=resnet18"),
            change={"model": "lenet"},
        )
        return
    lowest = min(history.training)
    gain = (history.start - lowest) / abs(history.start) if history.start else 0.0
    if gain < MIN_TRAINING_GAIN and not _beats_baseline(facts):
        yield Finding(
            "underfitting",
            "warning",
            {"training loss at first": history.start, "least": lowest, "fraction gone": gain},
            Message("the network hardly learned even its training rows: their loss fell by {gain}", gain=f"{gain:.0%}"),
            Message("try another lr (ten times larger, ten times smaller), more epochs, or a larger model"),
        )


def _choose_larger_model(facts: RunFacts) -> tuple[str, dict[str, Any]]:
    """Return a remedy for a network that trees beat, in words and as settings."""
    if facts.choice_name("model") == "tabm":
        return (
            Message("train longer, try another lr, or search for better settings: yisheng tune"),
            {"epochs": 3 * (facts.epochs[1] or facts.epochs[0])},
        )
    return (
        Message("use model=tabm; otherwise more epochs, a wider network (hidden=256,256), or a search: yisheng tune"),
        {"model": "tabm"},
    )


def _trees_are_better(facts: RunFacts) -> bool:
    """Return whether the interval of boosted trees is entirely better than that of the network."""
    score = facts.score or ""
    trees = facts.scores.get("boosting", {}).get(score)
    network = facts.scores.get(facts.part, {}).get(score)
    higher_is_better = is_higher_better(score) if score else None
    if trees is None or network is None or higher_is_better is None:
        return False
    network_limit, trees_limit = (network.high, trees.low) if higher_is_better else (network.low, trees.high)
    if network_limit is None or trees_limit is None:
        return False
    return (trees_limit > network_limit) == higher_is_better


def _beats_baseline(facts: RunFacts) -> bool:
    """Return whether the baseline is beaten."""
    if baseline_not_beaten.explain_skip(facts):
        return False
    return not list(baseline_not_beaten.baseline_not_beaten(facts))
