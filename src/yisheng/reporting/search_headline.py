"""The headline of a search's report."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from yisheng.reporting.formatting import format_count, format_number, score_name
from yisheng.reporting.headline import SIGNS, Verdict
from yisheng.reporting.search_facts import Search, Trial, format_argument


@dataclass(frozen=True)
class Line:
    """A sentence, with the setting of its trial as command-line arguments."""

    text: str
    setting: str = ""


@dataclass(frozen=True)
class Headline:
    """The box at the top of the page; its first line is the result."""

    verdict: Verdict
    lines: tuple[Line, ...]

    @property
    def sign(self) -> str:
        """Return a sign for the verdict, so that it does not depend on color alone."""
        return SIGNS[self.verdict]


def describe_search_result(search: Search) -> Headline:
    """Return the best trial, the chosen trial, and the effect of the one-standard-error rule."""
    best, chosen = search.best_trial, search.chosen_trial
    if best is None:
        count = format_count(len(search.trials), "trial")
        text = f"None of {count} has a score" if search.trials else "There are no trials yet"
        return Headline("worse" if search.failed else "unknown", (Line(f"{text}."),))
    lines = [
        Line(
            f"Best: trial {best.number:,}, validation {score_name(search.score)} {describe_score(search, best)}.",
            describe_setting(best),
        )
    ]
    if chosen is not None:
        lines.append(_describe_rule(search, best, chosen))
    if not search.finished:
        lines.append(Line("The search is not finished: these are the results so far."))
    elif len(search.ranked) > 1:
        lines.append(Line("The best of many trials is partly the luckiest one: its score is optimistic."))
    return Headline("better" if search.finished else "unknown", tuple(lines))


def describe_score(search: Search, trial: Trial) -> str:
    """Return a trial's score with its standard deviation as text."""
    text = format_number(trial.score, search.decimals)
    if trial.sd is None or trial.jobs < 2:
        return f"{text} (one training)" if trial.jobs == 1 else text
    sd = f"standard deviation {format_number(trial.known_sd, search.decimals)} over {trial.jobs:,} trainings"
    if trial.known_se is None:
        return f"{text} ({sd})"
    return f"{text} ({sd}, standard error {format_number(trial.known_se, search.decimals)})"


def describe_setting(trial: Trial) -> str:
    """Return a trial's setting as command-line arguments."""
    return " ".join(shlex.quote(f"{name}={format_argument(value)}") for name, value in trial.setting.items())


def _describe_rule(search: Search, best: Trial, chosen: Trial) -> Line:
    """Describe the effect of the one-standard-error rule."""
    if best.known_se is None:
        rule = "Without a standard error (it needs several folds or seeds), only equal scores count as equally good"
    else:
        rule = f"One-standard-error rule ({format_number(best.known_se, search.decimals)})"
    if chosen is best:
        return Line(f"{rule}: the best trial is also the simplest among those as good as it, and is chosen.")
    reason = "is simpler"
    if best.parameters is not None and chosen.parameters is not None and chosen.parameters < best.parameters:
        reason = f"has {chosen.parameters:,} parameters instead of {best.parameters:,}"
    trial = f"trial {chosen.number:,}, {describe_score(search, chosen)}"
    return Line(f"{rule}: the chosen {trial}, is not shown to be worse and {reason}.", describe_setting(chosen))
