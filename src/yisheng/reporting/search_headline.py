"""The headline of a search's report."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from yisheng.core.messages import Message
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
        text = Message("There are no trials yet.")
        if search.trials:
            text = Message("None of {trials} has a score.", trials=format_count(len(search.trials), "trial"))
        return Headline("worse" if search.failed else "unknown", (Line(text),))
    text = Message(
        "Best: trial {number}, validation {score} {value}.",
        number=f"{best.number:,}",
        score=score_name(search.score),
        value=describe_score(search, best),
    )
    lines = [Line(text, describe_setting(best))]
    if chosen is not None:
        lines.append(_describe_rule(search, best, chosen))
    if not search.finished:
        lines.append(Line(Message("The search is not finished: these are the results so far.")))
    elif len(search.ranked) > 1:
        lines.append(Line(Message("The best of many trials is partly the luckiest one: its score is optimistic.")))
    return Headline("better" if search.finished else "unknown", tuple(lines))


def describe_score(search: Search, trial: Trial) -> str:
    """Return a trial's score with its standard deviation as text."""
    text = format_number(trial.score, search.decimals)
    if trial.sd is None or trial.jobs < 2:
        return Message("{score} (one training)", score=text) if trial.jobs == 1 else text
    values = {"score": text, "sd": format_number(trial.known_sd, search.decimals), "trainings": f"{trial.jobs:,}"}
    if trial.known_se is None:
        return Message("{score} (standard deviation {sd} over {trainings} trainings)", **values)
    return Message(
        "{score} (standard deviation {sd} over {trainings} trainings, standard error {se})",
        se=format_number(trial.known_se, search.decimals),
        **values,
    )


def describe_setting(trial: Trial) -> str:
    """Return a trial's setting as command-line arguments."""
    return " ".join(shlex.quote(f"{name}={format_argument(value)}") for name, value in trial.setting.items())


def _describe_rule(search: Search, best: Trial, chosen: Trial) -> Line:
    """Describe the effect of the one-standard-error rule."""
    if best.known_se is None:
        rule = Message(
            "Without a standard error (it needs several folds or seeds), only equal scores count as equally good"
        )
    else:
        rule = Message("One-standard-error rule ({error})", error=format_number(best.known_se, search.decimals))
    if chosen is best:
        text = Message(
            "{rule}: the best trial is also the simplest among those as good as it, and is chosen.", rule=rule
        )
        return Line(text)
    values = {"rule": rule, "number": f"{chosen.number:,}", "score": describe_score(search, chosen)}
    text = Message("{rule}: the chosen trial {number}, {score}, is not shown to be worse and is simpler.", **values)
    if best.parameters is not None and chosen.parameters is not None and chosen.parameters < best.parameters:
        text = Message(
            "{rule}: the chosen trial {number}, {score}, is not shown to be worse and has {parameters} parameters "
            "instead of {best_parameters}.",
            parameters=f"{chosen.parameters:,}",
            best_parameters=f"{best.parameters:,}",
            **values,
        )
    return Line(text, describe_setting(chosen))
