"""What a check of the doctor reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Alternative:
    """Another cause that remains possible, and what would distinguish it.

    Args:
        cause: what else could be wrong, as a clause.
        experiment: what to try, and which outcome shows this cause.
        result: the outcome, if the experiment was made; else empty.
    """

    cause: str
    experiment: str
    result: str = ""


@dataclass(frozen=True)
class Finding:
    """One problem or note that a check reports.

    Args:
        check: name of the check.
        severity: ``error`` (the run cannot be right), ``warning`` (it is likely worse than it could
            be) or ``note``.
        evidence: the measured values that support it, by name.
        cause: one sentence that says what is wrong.
        remedy: one sentence or setting, in the words of the config.
        change: the remedy as config settings by key (``{"scale": "standard"}``); empty if no setting can express it,
            and in a user's own loop. ``{"lr": "x 0.1"}`` multiplies the current value by 0.1, since a check does not
            know the config. `yisheng.experiments.remedies` applies changes and skips keys that the config does not
            have.
        source: file and line of the user's program that caused it (``train.py:42``); empty if unknown.
        alternatives: other causes that remain possible, the most likely first.
        rows: numbers of the rows that it names, which a report of images shows.
    """

    check: str
    severity: Literal["error", "warning", "note"]
    evidence: Mapping[str, Any]
    cause: str
    remedy: str
    change: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""
    alternatives: tuple[Alternative, ...] = ()
    rows: tuple[int, ...] = ()
