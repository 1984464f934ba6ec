"""The form of ``fix.json``, checked when it is read: which remedies were applied, and what they brought."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from yisheng.reporting.formatting import number

FIX = "fix.json"
"""The file in the folder of the run that is given in the end."""
Outcome = Literal["better", "worse", "unclear"]
VERDICTS: dict[Outcome, str] = {"better": "better", "worse": "worse", "unclear": "not shown to be better"}


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Measured(_Part):
    """A score with its 95% interval, where there is one."""

    value: float
    low: float | None = None
    high: float | None = None


class Trained(_Part):
    """A run and its validation score; None where it broke off."""

    run: str
    score: Measured | None = None


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

    before: Trained
    after: Trained
    check: str
    cause: str
    change: dict[str, Any]
    was: dict[str, Any] = {}
    difference: Measured | None = None
    outcome: Outcome


class Fix(_Part):
    """What ``fix=true`` did.

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

    def plain(self) -> dict[str, Any]:
        """As written to the file."""
        return self.model_dump(mode="json")


def worded(settings: Mapping[str, Any]) -> str:
    """Settings as one types them.

    >>> worded({"lr": 0.1, "batch_norm": True, "hidden": [64, 32], "init": None})
    'lr=0.1 batch_norm=true hidden=64,32 init=none'
    """
    return " ".join(f"{key}={_word(value)}" for key, value in settings.items())


def apart(done: Round) -> str:
    """The difference that a round made, with its interval.

    >>> ends = {"before": Trained(run="1"), "after": Trained(run="2"), "check": "inputs", "cause": "", "change": {}}
    >>> apart(Round(**ends, outcome="better", difference=Measured(value=0.25, low=0.2, high=0.3)))
    'difference 0.250, 95% interval 0.200 to 0.300'
    """
    found = done.difference
    if found is None:
        return ""
    between = "" if found.low is None else f", 95% interval {number(found.low)} to {number(found.high)}"
    return f"difference {number(found.value)}{between}"


def _word(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, list | tuple):
        return ",".join(map(_word, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
