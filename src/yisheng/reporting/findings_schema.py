"""The form of ``findings.json``, checked when it is read: what the doctor found, and what it saw on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from yisheng.core.types import Finding

FINDINGS = "findings.json"
"""The file in a run folder."""
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


def _finite(value: Any) -> Any:
    """JSON has no NaN or infinity: there is a gap instead."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
Step = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Symptom(_Part):
    """What a check found; see `yisheng.core.types.Finding`. Evidence is plain data."""

    check: str
    severity: Severity
    evidence: dict[str, Any] = {}
    cause: str
    remedy: str
    change: dict[str, Any] = {}

    @classmethod
    def of(cls, finding: Finding) -> Self:
        """A check's finding as it is written."""
        return cls(**{**vars(finding), "evidence": plain(finding.evidence), "change": plain(finding.change)})


class Found(Symptom):
    """A cause, and what it explains."""

    symptoms: list[Symptom] = []


class Line(_Part):
    """A quantity of one layer at the steps that were looked at; None where it is not known."""

    name: str
    values: list[Number]


class Curves(_Part):
    """What was seen of the layers.

    Args:
        steps: that were looked at, ascending.
        gradients: root mean square of the gradient of each weight, from the first layer to the last.
        updates: root mean square of its update, relative to that of the weight.
        dead: of each relu, the share of its units that are zero for all samples of the step.
        saturated: of each sigmoid and tanh, the share of its units that lie at an end for most samples.
        thresholds: beyond which a check may speak, by the name of the curves.
    """

    steps: list[Step] = []
    gradients: list[Line] = []
    updates: list[Line] = []
    dead: list[Line] = []
    saturated: list[Line] = []
    thresholds: dict[str, float] = {}


class Findings(_Part):
    """What the doctor says of a run.

    Args:
        findings: causes, the likeliest first.
        unchecked: why a check could not say anything, by its name.
        steps: updates that it saw.
        curves: what it saw of the layers.
        probes: of experiments before training, the loss of rows held out by what was changed; empty without.
    """

    findings: list[Found] = []
    unchecked: dict[str, str] = {}
    steps: Step = 0
    curves: Curves = Curves()
    probes: dict[str, Number] = {}

    def count(self, severity: Severity) -> int:
        """How many causes are of a severity."""
        return sum(found.severity == severity for found in self.findings)

    def worst(self) -> Severity | None:
        """The most severe there is; None where nothing was found."""
        return next((severity for severity in SEVERITIES if self.count(severity)), None)

    def plain(self) -> dict[str, Any]:
        """As written to the file."""
        return self.model_dump(mode="json")


def plain(value: Any) -> Any:
    """Evidence as plain data that JSON can hold.

    >>> plain({"loss": math.inf, "steps": (1, 2)})
    {'loss': 'inf', 'steps': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return float(value) if hasattr(value, "__float__") else str(value)
