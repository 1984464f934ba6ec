"""The headline of a search's report."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from yisheng.reporting.formatting import format_count, format_number, score_name
from yisheng.reporting.headline import SIGNS, Verdict
from yisheng.reporting.search_facts import Search, Trial, format_argument


@dataclass(frozen=True)
class Line:
    """A sentence, and the setting that it is about as command-line arguments."""

    text: str
    setting: str = ""


@dataclass(frozen=True)
class Headline:
    """The box at the top; its first line is the result."""

    verdict: Verdict
    lines: tuple[Line, ...]

    @property
    def sign(self) -> str:
        """Return a sign for the verdict, so that it does not depend on color alone."""
        return SIGNS[self.verdict]


def write_search_headline(search: Search) -> Headline:
    """Return the best trial, the chosen one, and what the one-standard-error rule did."""
    best, pick = search.best_trial, search.chosen_trial
    if best is None:
        count = format_count(len(search.trials), "trial")
        why = f"None of {count} has a score" if search.trials else "There are no trials yet"
        return Headline("worse" if search.failed else "unknown", (Line(f"{why}."),))
    lines = [
        Line(
            f"Best: trial {best.number:,}, validation {score_name(search.score)} {describe_score(search, best)}.",
            describe_setting(best),
        )
    ]
    if pick is not None:
        lines.append(_rule(search, best, pick))
    if not search.finished:
        lines.append(Line("The search has not come to its end: this is the standing so far."))
    elif len(search.ranked) > 1:
        lines.append(Line("The best of many is chosen by its own luck too: its score is a little too hopeful."))
    return Headline("better" if search.finished else "unknown", tuple(lines))


def describe_score(search: Search, trial: Trial) -> str:
    """Return a trial's score with its standard deviation as text."""
    text = format_number(trial.score, search.decimals)
    if trial.sd is None or trial.jobs < 2:
        return f"{text} (one training)" if trial.jobs == 1 else text
    error = "" if trial.known_se is None else f", standard error {format_number(trial.known_se, search.decimals)}"
    return f"{text} (standard deviation {format_number(trial.known_sd, search.decimals)} over {trial.jobs:,} trainings{error})"


def describe_setting(trial: Trial) -> str:
    """Return a trial's setting as command-line arguments."""
    return " ".join(shlex.quote(f"{name}={format_argument(value)}") for name, value in trial.setting.items())


def _rule(search: Search, best: Trial, pick: Trial) -> Line:
    """Describe what the one-standard-error rule did."""
    if best.known_se is None:
        lead = (
            "There is no standard error (it takes several folds or seeds), so only equal scores count as equally good"
        )
    else:
        lead = f"One-standard-error rule ({format_number(best.known_se, search.decimals)})"
    if pick is best:
        return Line(f"{lead}: the best trial is also the simplest of those as good as it, and is chosen.")
    why = "it is simpler"
    if best.parameters is not None and pick.parameters is not None and pick.parameters < best.parameters:
        why = f"it has {pick.parameters:,} parameters instead of {best.parameters:,}"
    chosen = f"chosen is trial {pick.number:,}, {describe_score(search, pick)}"
    return Line(f"{lead}: {chosen}, as good for all that the scores tell; {why}.", describe_setting(pick))
