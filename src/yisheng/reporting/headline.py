"""The verdict: how good the model is, what it must be compared with, and whether it is any better."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from yisheng.core.types import Score
from yisheng.reporting.formatting import BASELINES, capital, higher, number, places, score_name
from yisheng.reporting.run_facts import Facts

Verdict = Literal["better", "unclear", "worse", "unknown"]
SIGNS: dict[Verdict, str] = {"better": "✓", "unclear": "≈", "worse": "✗", "unknown": "…"}


@dataclass(frozen=True)
class Headline:
    """The verdict in one word, and in sentences; the first is the result, the second what it means."""

    verdict: Verdict
    result: str
    meaning: str
    epochs: str

    @property
    def sign(self) -> str:
        """A sign for the verdict, so that it is not told by colour alone."""
        return SIGNS[self.verdict]


def headline(facts: Facts) -> Headline:
    """What a reader should take away who reads nothing else."""
    score = facts.score
    if score is None:
        return Headline("unknown", _unscored(facts), "", _epochs(facts))
    measured, base = facts.scores[facts.part][score], facts.scores.get("baseline", {}).get(score)
    decimals = places(measured.value, measured.low, measured.high)
    result = f"{capital(facts.part)} {score_name(score)} {number(measured.value, decimals)}"
    if measured.low is not None and measured.high is not None:
        result += f" (95% interval {number(measured.low, decimals)} to {number(measured.high, decimals)})"
    if base:
        result += f"; {_baseline(facts)} gives {number(base.value, decimals)}"
    verdict = judge(measured, base, higher(score))
    return Headline(verdict, f"{result}.", _meaning(verdict, measured, base, higher(score)), _epochs(facts))


def judge(measured: Score, base: Score | None, upward: bool | None) -> Verdict:
    """Whether the whole interval of a score lies on the good side of the baseline.

    Args:
        measured: the score with its interval; without one the value stands for it.
        base: the baseline's score, or None.
        upward: whether larger is better; None where that is not known.

    >>> judge(Score(0.9, 0.8, 0.95), Score(0.5), True), judge(Score(0.9, 0.8, 0.95), Score(0.5), False)
    ('better', 'worse')
    >>> judge(Score(0.6, 0.4, 0.8), Score(0.5), True)
    'unclear'
    """
    if base is None or upward is None or not math.isfinite(measured.value + base.value):
        return "unknown"
    low = measured.value if measured.low is None else measured.low
    high = measured.value if measured.high is None else measured.high
    if low <= base.value <= high:
        return "unclear"
    return "better" if (low > base.value) == upward else "worse"


def _meaning(verdict: Verdict, measured: Score, base: Score | None, upward: bool | None) -> str:
    interval = "the whole interval" if measured.low is not None else "the score"
    side, other = ("above", "below") if upward else ("below", "above")
    if verdict == "unknown":
        return "There is no baseline to compare with." if base is None else ""
    return {
        "better": f"Better than the baseline: {interval} lies {side} it.",
        "unclear": "Not shown to be better than the baseline: the interval includes it.",
        "worse": f"Worse than the baseline: {interval} lies {other} it.",
    }[verdict]


def _baseline(facts: Facts) -> str:
    return BASELINES[facts.spec.task] if facts.spec else "the baseline"


def _unscored(facts: Facts) -> str:
    """What can be said of a run without scores: how far it came."""
    done, asked = facts.epochs
    if facts.finished:
        return "Trained, but not scored yet."
    of = f" of {asked:,}" if asked else ""
    text = f"Not scored: the run has not come to its end ({done:,}{of} epochs are done)."
    best = facts.history.best(facts.watched, higher=higher(facts.watched) is not False)
    if best:
        text += f" Best validation {score_name(facts.watched)} so far: {number(best.scores[facts.watched])}."
    return text


def _epochs(facts: Facts) -> str:
    """Which epoch's weights are used, of how many, and whether the run ended early."""
    done, asked = facts.epochs
    if not facts.best_epoch:
        return ""
    early = f", stopped early ({asked:,} were asked for)" if facts.finished and asked and done < asked else ""
    kept = "Best weights" if facts.finished else "Best so far"
    return f"{kept}: epoch {facts.best_epoch:,} of {done or facts.best_epoch:,}{early}."
