"""The schema of ``fix.json``: the applied remedies and their effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from yisheng.core.messages import Message
from yisheng.reporting.formatting import format_number

Outcome = Literal["better", "worse", "unclear"]
VERDICTS: dict[Outcome, Message] = {
    "better": Message("better"),
    "worse": Message("worse"),
    "unclear": Message("not shown to be better"),
}


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Score(_Schema):
    """A score with its 95% interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None


class FixedRun(_Schema):
    """A run and its validation score; the score is None if training stopped by an error."""

    run: str
    score: Score | None = None


class Round(_Schema):
    """An applied remedy.

    Args:
        run_before: the run that the doctor examined.
        run_after: the run with the remedy.
        check: name of the check that reported the finding.
        cause: the finding's cause.
        change: the changed settings by key, with their new values.
        previous: the same settings with their previous values; None for a setting that was not set.
        difference: score after minus score before, on the same validation rows; None if a run stopped by an error.
        outcome: ``better`` or ``worse`` if the interval of the difference does not contain zero, else ``unclear``.
    """

    run_before: FixedRun
    run_after: FixedRun
    check: str
    cause: str
    change: dict[str, Any]
    previous: dict[str, Any] = {}
    difference: Score | None = None
    outcome: Outcome


class Fix(_Schema):
    """The rounds of ``fix=true``.

    Args:
        score: key of the validation score that decides.
        rounds: one for each remedy, in order.
        best: name of the run folder with the best validation score.
        end_reason: why there was no further round.
    """

    score: str
    rounds: list[Round] = []
    best: str
    end_reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the rounds as plain data, as they are stored."""
        return self.model_dump(mode="json")


def format_settings(settings: Mapping[str, Any]) -> str:
    """Return settings as command-line arguments.

    >>> format_settings({"lr": 0.1, "batch_norm": True, "hidden": [64, 32], "init": None})
    'lr=0.1 batch_norm=true hidden=64,32 init=none'
    """
    return " ".join(f"{key}={_format_value(value)}" for key, value in settings.items())


def score_difference(round_: Round) -> str:
    """Return the difference of the scores of a round with its interval, or an empty text if there is none.

    >>> runs = {"run_before": FixedRun(run="1"), "run_after": FixedRun(run="2")}
    >>> remedy = {"check": "inputs", "cause": "", "change": {}, "outcome": "better"}
    >>> score_difference(Round(**runs, **remedy, difference=Score(value=0.25, low=0.2, high=0.3)))
    'difference 0.250, 95% interval 0.200 to 0.300'
    """
    difference = round_.difference
    if difference is None:
        return ""
    value = format_number(difference.value)
    if difference.low is None:
        return Message("difference {value}", value=value)
    return Message(
        "difference {value}, 95% interval {low} to {high}",
        value=value,
        low=format_number(difference.low),
        high=format_number(difference.high),
    )


def _format_value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, list | tuple):
        return ",".join(map(_format_value, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
