"""The form of ``fix.json``, checked when it is read: which remedies were applied, and what they brought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from yisheng.reporting.formatting import format_number

"""The file in the folder of the run that is given in the end."""
Outcome = Literal["better", "worse", "unclear"]
VERDICTS: dict[Outcome, str] = {"better": "better", "worse": "worse", "unclear": "not shown to be better"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Score(_Part):
    """A score with its 95% interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None


class FixedRun(_Part):
    """A run and its validation score, or None if it was aborted."""

    run: str
    score: Score | None = None


class Round(_Part):
    """A remedy that was applied.

    Args:
        before: the run that the doctor looked at.
        after: the run with the remedy.
        check: that found something.
        cause: in its words.
        change: settings by key, as they are after.
        was: the same settings before; None where there was none.
        difference: after minus before, on the same validation rows; None where one of them broke off.
        outcome: whether after is better or worse beyond that interval, or neither is shown.
    """

    before: FixedRun
    after: FixedRun
    check: str
    cause: str
    change: dict[str, Any]
    was: dict[str, Any] = {}
    difference: Score | None = None
    outcome: Outcome


class Fix(_Part):
    """The rounds of ``fix=true``.

    Args:
        score: the validation score that decides, by its name in JSON.
        rounds: one for each remedy, in order.
        best: the run with the best validation score.
        ended: why there was no further round.
    """

    score: str
    rounds: list[Round] = []
    best: str
    ended: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the rounds as plain data, as they are stored."""
        return self.model_dump(mode="json")


def format_settings(settings: Mapping[str, Any]) -> str:
    """Return settings as they are written on the command line.

    >>> format_settings({"lr": 0.1, "batch_norm": True, "hidden": [64, 32], "init": None})
    'lr=0.1 batch_norm=true hidden=64,32 init=none'
    """
    return " ".join(f"{key}={_word(value)}" for key, value in settings.items())


def score_difference(round_: Round) -> str:
    """Return the difference that a round made, with its interval.

    >>> ends = {"before": FixedRun(run="1"), "after": FixedRun(run="2"), "check": "inputs", "cause": "", "change": {}}
    >>> score_difference(Round(**ends, outcome="better", difference=Score(value=0.25, low=0.2, high=0.3)))
    'difference 0.250, 95% interval 0.200 to 0.300'
    """
    difference = round_.difference
    if difference is None:
        return ""
    between = (
        ""
        if difference.low is None
        else f", 95% interval {format_number(difference.low)} to {format_number(difference.high)}"
    )
    return f"difference {format_number(difference.value)}{between}"


def _word(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, list | tuple):
        return ",".join(map(_word, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
