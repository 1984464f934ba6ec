"""What a reader of a search should take away who reads nothing else."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from yisheng.reporting.formatting import number, plural, score_name
from yisheng.reporting.headline import SIGNS, Verdict
from yisheng.reporting.search_facts import Search, Trial, typed


@dataclass(frozen=True)
class Line:
    """A sentence, and the setting that it speaks of, as one types it."""

    text: str
    setting: str = ""


@dataclass(frozen=True)
class Headline:
    """The box at the top; its first line is the result."""

    verdict: Verdict
    lines: tuple[Line, ...]

    @property
    def sign(self) -> str:
        """A sign for the verdict, so that it is not told by colour alone."""
        return SIGNS[self.verdict]


def headline(search: Search) -> Headline:
    """The best trial, the chosen one, and what the one-standard-error rule did."""
    best, pick = search.winner, search.pick
    if best is None:
        count = plural(len(search.trials), "trial")
        why = f"None of {count} has a score" if search.trials else "There are no trials yet"
        return Headline("worse" if search.failed else "unknown", (Line(f"{why}."),))
    lines = [
        Line(
            f"Best: trial {best.number:,}, validation {score_name(search.score)} {measured(search, best)}.",
            set_to(best),
        )
    ]
    if pick is not None:
        lines.append(_rule(search, best, pick))
    if not search.finished:
        lines.append(Line("The search has not come to its end: this is the standing so far."))
    elif len(search.ranked) > 1:
        lines.append(Line("The best of many is chosen by its own luck too: its score is a little too hopeful."))
    return Headline("better" if search.finished else "unknown", tuple(lines))


def measured(search: Search, trial: Trial) -> str:
    """A trial's score with its spread."""
    text = number(trial.score, search.decimals)
    if trial.sd is None or trial.jobs < 2:
        return f"{text} (one training)" if trial.jobs == 1 else text
    error = "" if trial.error is None else f", standard error {number(trial.error, search.decimals)}"
    return f"{text} (standard deviation {number(trial.spread, search.decimals)} over {trial.jobs:,} trainings{error})"


def set_to(trial: Trial) -> str:
    """A trial's setting as one types it."""
    return " ".join(shlex.quote(f"{name}={typed(value)}") for name, value in trial.setting.items())


def _rule(search: Search, best: Trial, pick: Trial) -> Line:
    """What the one-standard-error rule did."""
    if best.error is None:
        lead = (
            "There is no standard error (it takes several folds or seeds), so only equal scores count as equally good"
        )
    else:
        lead = f"One-standard-error rule ({number(best.error, search.decimals)})"
    if pick is best:
        return Line(f"{lead}: the best trial is also the simplest of those as good as it, and is chosen.")
    why = "it is simpler"
    if best.parameters is not None and pick.parameters is not None and pick.parameters < best.parameters:
        why = f"it has {pick.parameters:,} parameters instead of {best.parameters:,}"
    chosen = f"chosen is trial {pick.number:,}, {measured(search, pick)}"
    return Line(f"{lead}: {chosen}, as good for all that the scores tell; {why}.", set_to(pick))
