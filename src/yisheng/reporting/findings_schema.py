"""The form of ``findings.json``, checked when it is read: what the doctor found, and what it saw on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from yisheng.core.types import Finding

"""The file in a run folder."""
Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


def _finite(value: Any) -> Any:
    """Return None for NaN and infinity, which JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
Step = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Symptom(_Part):
    """A finding as it is stored; see `yisheng.core.types.Finding`. Its evidence is plain data."""

    check: str
    severity: Severity
    evidence: dict[str, Any] = {}
    cause: str
    remedy: str
    change: dict[str, Any] = {}

    @classmethod
    def from_finding(cls, finding: Finding) -> Self:
        """Return a finding in its stored form."""
        return cls(
            **{
                **vars(finding),
                "evidence": to_plain_evidence(finding.evidence),
                "change": to_plain_evidence(finding.change),
            }
        )


class Cause(Symptom):
    """A finding that explains others, with those as its symptoms."""

    symptoms: list[Symptom] = []


class LayerCurve(_Part):
    """A quantity of one layer at the recorded steps; None where it is unknown."""

    name: str
    values: list[Number]


class Curves(_Part):
    """The recorded quantities of the layers by step.

    Args:
        steps: that were looked at, ascending.
        gradients: root mean square of the gradient of each weight, from the first layer to the last.
        updates: root mean square of its update, relative to that of the weight.
        dead: of each relu, the share of its units that are zero for all samples of the step.
        saturated: of each sigmoid and tanh, the share of its units that lie at an end for most samples.
        thresholds: beyond which a check may speak, by the name of the curves.
    """

    steps: list[Step] = []
    gradients: list[LayerCurve] = []
    updates: list[LayerCurve] = []
    dead: list[LayerCurve] = []
    saturated: list[LayerCurve] = []
    thresholds: dict[str, float] = {}


class Findings(_Part):
    """The findings of the doctor on a run.

    Args:
        findings: causes, the likeliest first.
        unchecked: why a check could not say anything, by its name.
        steps: updates that it saw.
        curves: what it saw of the layers.
        probes: of experiments before training, the loss of rows held out by what was changed; empty without.
    """

    findings: list[Cause] = []
    unchecked: dict[str, str] = {}
    steps: Step = 0
    curves: Curves = Curves()
    probes: dict[str, Number] = {}

    def count_severity(self, severity: Severity) -> int:
        """Return the number of causes with a severity."""
        return sum(found.severity == severity for found in self.findings)

    def worst_severity(self) -> Severity | None:
        """Return the highest severity, or None if nothing was found."""
        return next((severity for severity in SEVERITIES if self.count_severity(severity)), None)

    def to_json(self) -> dict[str, Any]:
        """Return the findings as plain data, as they are stored."""
        return self.model_dump(mode="json")


def to_plain_evidence(value: Any) -> Any:
    """Return evidence as plain data that JSON can hold.

    >>> to_plain_evidence({"loss": math.inf, "steps": (1, 2)})
    {'loss': 'inf', 'steps': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(key): to_plain_evidence(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain_evidence(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return float(value) if hasattr(value, "__float__") else str(value)
