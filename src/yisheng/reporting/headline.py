"""The headline of a report: the score, the baseline, and whether the model is better than the baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from yisheng.core.messages import Message
from yisheng.core.score import Score
from yisheng.reporting.findings_schema import Severity
from yisheng.reporting.formatting import (
    BASELINE_DESCRIPTIONS,
    capitalize,
    decimal_places,
    format_count,
    format_number,
    is_higher_better,
    score_name,
)
from yisheng.reporting.run_facts import RunFacts

Verdict = Literal["better", "unclear", "worse", "unknown"]
SIGNS: dict[Verdict, str] = {"better": "✓", "unclear": "≈", "worse": "✗", "unknown": "…"}
SIGNS_OF_SEVERITY: dict[Severity, str] = {"error": "✗", "warning": "!", "note": "i"}
VERDICT_OF_SEVERITY: dict[Severity, Verdict] = {"error": "worse", "warning": "unclear"}
"""The verdict that a finding allows at best: no model is good whose training has an error."""
RANKS: tuple[Verdict, ...] = ("better", "unknown", "unclear", "worse")

PARTS = {"test": Message("Test"), "validation": Message("Validation")}
"""Part of the rows -> how a sentence begins with it."""
MEANINGS: dict[tuple[Verdict, bool, bool], Message] = {
    ("better", True, True): Message("Better than the baseline: the whole interval is above it."),
    ("better", True, False): Message("Better than the baseline: the whole interval is below it."),
    ("better", False, True): Message("Better than the baseline: the score is above it."),
    ("better", False, False): Message("Better than the baseline: the score is below it."),
    ("worse", True, True): Message("Worse than the baseline: the whole interval is above it."),
    ("worse", True, False): Message("Worse than the baseline: the whole interval is below it."),
    ("worse", False, True): Message("Worse than the baseline: the score is above it."),
    ("worse", False, False): Message("Worse than the baseline: the score is below it."),
}
"""Verdict, whether the score has an interval, whether it is above the baseline -> the sentence."""


@dataclass(frozen=True)
class Headline:
    """The verdict in one word and in sentences.

    Args:
        verdict: whether the model is better than the baseline.
        result: the score and the baseline's.
        meaning: the verdict as a sentence.
        epochs: which epoch's weights are used.
        findings: number of the doctor's findings as text; empty if there are none worse than a note.
        severity: the highest severity of the findings.
    """

    verdict: Verdict
    result: str
    meaning: str
    epochs: str
    findings: str = ""
    severity: Severity | None = None

    @property
    def state(self) -> Verdict:
        """Return the verdict, or a worse one if the findings do not allow it."""
        allowed = VERDICT_OF_SEVERITY.get(self.severity, "better") if self.severity else "better"
        return max(self.verdict, allowed, key=RANKS.index)

    @property
    def sign(self) -> str:
        """Return a sign for the state, so that it does not depend on color alone."""
        return SIGNS[self.state] if self.state == self.verdict else SIGNS_OF_SEVERITY[self.severity or "note"]


def describe_result(facts: RunFacts) -> Headline:
    """Return the result of a run in a few sentences, with the findings of the doctor."""
    headline = _describe_score(facts)
    if facts.findings is None:
        return headline
    counts = {name: facts.findings.count_severity(name) for name in VERDICT_OF_SEVERITY}
    texts = [format_count(count, name) for name, count in counts.items() if count]
    text = texts[0] if texts else ""
    if len(texts) == 2:
        text = Message("{errors} and {warnings}", errors=texts[0], warnings=texts[1])
    return replace(headline, findings=text, severity=facts.findings.worst_severity())


def _describe_score(facts: RunFacts) -> Headline:
    score = facts.score
    if score is None:
        return Headline("unknown", _describe_unscored(facts), "", _describe_epochs(facts))
    measured, base = facts.scores[facts.part][score], facts.scores.get("baseline", {}).get(score)
    decimals = decimal_places(measured.value, measured.low, measured.high)
    result = Message(
        "{part} {score} {value}",
        part=PARTS.get(facts.part, capitalize(facts.part)),
        score=score_name(score),
        value=format_number(measured.value, decimals),
    )
    if measured.low is not None and measured.high is not None:
        result = Message(
            "{result} (95% interval {low} to {high})",
            result=result,
            low=format_number(measured.low, decimals),
            high=format_number(measured.high, decimals),
        )
    if base:
        result = Message(
            "{result}; {baseline} gives {value}.",
            result=result,
            baseline=_describe_baseline(facts),
            value=format_number(base.value, decimals),
        )
    else:
        result = Message("{result}.", result=result)
    verdict = judge_score(measured, base, is_higher_better(score))
    return Headline(
        verdict,
        result,
        _describe_verdict(verdict, measured, base, is_higher_better(score)),
        _describe_epochs(facts),
    )


def judge_score(measured: Score, base: Score | None, upward: bool | None) -> Verdict:
    """Compare the interval of a score with the baseline: better, worse or unclear.

    Args:
        measured: the score; without an interval, its value is compared.
        base: the baseline's score, or None.
        upward: whether larger values are better; None for an unknown metric.

    >>> judge_score(Score(0.9, 0.8, 0.95), Score(0.5), True), judge_score(Score(0.9, 0.8, 0.95), Score(0.5), False)
    ('better', 'worse')
    >>> judge_score(Score(0.6, 0.4, 0.8), Score(0.5), True)
    'unclear'
    """
    if base is None or upward is None or not math.isfinite(measured.value + base.value):
        return "unknown"
    low = measured.value if measured.low is None else measured.low
    high = measured.value if measured.high is None else measured.high
    if low <= base.value <= high:
        return "unclear"
    return "better" if (low > base.value) == upward else "worse"


def _describe_verdict(verdict: Verdict, measured: Score, base: Score | None, upward: bool | None) -> str:
    """Return what the verdict means, as a sentence."""
    if verdict == "unknown":
        return Message("No baseline to compare with.") if base is None else ""
    if verdict == "unclear":
        return Message("Not shown to be better than the baseline: the interval includes it.")
    is_above, has_interval = bool(upward) == (verdict == "better"), measured.low is not None
    return MEANINGS[verdict, has_interval, is_above]


def _describe_baseline(facts: RunFacts) -> str:
    return BASELINE_DESCRIPTIONS[facts.spec.task] if facts.spec else Message("the baseline")


def _describe_unscored(facts: RunFacts) -> str:
    """Describe the progress of a run without scores."""
    epochs_done, epochs_requested = facts.epochs
    if facts.is_finished:
        return Message("Trained, but not scored yet.")
    values = {"done": f"{epochs_done:,}", "requested": f"{epochs_requested:,}" if epochs_requested else ""}
    if epochs_requested:
        text = Message("Not scored: the run is not finished ({done} of {requested} epochs are done).", **values)
    else:
        text = Message("Not scored: the run is not finished ({done} epochs are done).", **values)
    score = facts.watched_score
    best = facts.history.best_epoch(score, higher=is_higher_better(score) is not False)
    if not best:
        return text
    return Message(
        "{progress} Best validation {score} so far: {value}.",
        progress=text,
        score=score_name(score),
        value=format_number(best.scores[score]),
    )


def _describe_epochs(facts: RunFacts) -> str:
    """Describe which epoch's weights are used, of how many, and whether the run stopped early."""
    epochs_done, epochs_requested = facts.epochs
    if epochs_requested == 0:
        return Message("Not trained here (epochs=0): the scores are of the weights that the network came with.")
    if not facts.best_epoch:
        return ""
    values = {"epoch": f"{facts.best_epoch:,}", "epochs": f"{epochs_done or facts.best_epoch:,}"}
    if not facts.is_finished:
        return Message("Best so far: epoch {epoch} of {epochs}.", **values)
    if epochs_requested and epochs_done < epochs_requested:
        requested = f"{epochs_requested:,}"
        return Message(
            "Best weights: epoch {epoch} of {epochs}, stopped early ({requested} were requested).",
            **values,
            requested=requested,
        )
    return Message("Best weights: epoch {epoch} of {epochs}.", **values)
