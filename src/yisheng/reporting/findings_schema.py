"""The schema of ``findings.json``: the doctor's findings, and the recorded quantities of the layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializationInfo,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from yisheng.core.findings import Finding
from yisheng.core.messages import Message, restore_message
from yisheng.reporting.evaluation_schema import ClassRow
from yisheng.reporting.text_field import Text

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


def _finite(value: Any) -> Any:
    """Return None for NaN and infinity, since JSON has neither."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


Number = Annotated[float | None, BeforeValidator(_finite)]
Step = Annotated[int, Field(ge=0)]


class _Schema(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Texts(_Schema):
    """Texts for people: stored in English, and in ``messages`` with template and values, for other languages."""

    @model_validator(mode="before")
    @classmethod
    def _restore_messages(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("messages"), Mapping):
            return data
        restored = {name: _restore(data.get(name), stored) for name, stored in data["messages"].items()}
        return {**data, **{name: value for name, value in restored.items() if name in data}}

    @model_serializer(mode="wrap")
    def _add_messages(self, serialize: SerializerFunctionWrapHandler, info: SerializationInfo) -> dict[str, Any]:
        plain: dict[str, Any] = serialize(self)
        if info.mode != "json":
            return plain
        stored = {name: _to_plain(getattr(self, name)) for name in type(self).model_fields if name in plain}
        messages = {name: message for name, message in stored.items() if message}
        return {**plain, "messages": messages} if messages else plain


def _to_plain(value: Any) -> dict[str, Any] | None:
    """Return a message as plain data, or those of a mapping; None for everything else."""
    if isinstance(value, Message):
        return value.to_json() if value else None
    if isinstance(value, Mapping):
        return {key: item.to_json() for key, item in value.items() if isinstance(item, Message) and item} or None
    return None


def _restore(text: Any, stored: Any) -> Any:
    """Return the message of plain data if it is that of the text, which is returned otherwise."""
    if isinstance(text, Mapping) and isinstance(stored, Mapping):
        return {key: _restore(item, stored.get(key)) for key, item in text.items()}
    return restore_message(text, stored)


class Alternative(_Texts):
    """Another possible cause in its stored form; see `yisheng.core.findings.Alternative`."""

    cause: Text
    experiment: Text
    result: Text = ""


class RowImage(_Schema):
    """The image of a row that a finding names: its name, and a PNG in base64."""

    name: str
    image: str


class Symptom(_Texts):
    """A finding in its stored form; see `yisheng.core.findings.Finding`. Its evidence is plain data."""

    check: str
    severity: Severity
    evidence: dict[str, Any] = {}
    cause: Text
    remedy: Text
    change: dict[str, Any] = {}
    source: str = ""
    alternatives: list[Alternative] = []
    rows: list[int] = []
    images: list[RowImage] = []

    @classmethod
    def from_finding(cls, finding: Finding) -> Self:
        """Return a finding in its stored form."""
        return cls(
            **{
                **vars(finding),
                "evidence": to_plain_evidence(finding.evidence),
                "change": to_plain_evidence(finding.change),
                "alternatives": [vars(alternative) for alternative in finding.alternatives],
                "rows": list(finding.rows),
            }
        )


class Cause(Symptom):
    """A finding that explains other findings, which are its symptoms."""

    symptoms: list[Symptom] = []


class LayerCurve(_Schema):
    """A quantity of one layer at the recorded steps; None where it is unknown."""

    name: str
    values: list[Number]


class Curves(_Schema):
    """The recorded quantities of the layers by step.

    Args:
        steps: the recorded steps, in ascending order.
        gradients: root mean square of the gradient of each weight, from the first layer to the last.
        updates: root mean square of each weight's update, divided by that of the weight.
        dead: for each relu, the fraction of units that are zero for all samples of the step.
        saturated: for each sigmoid and tanh, the fraction of units that are at a limit for most samples.
        thresholds: the value beyond which a check may report a finding, by the name of the curves.
    """

    steps: list[Step] = []
    gradients: list[LayerCurve] = []
    updates: list[LayerCurve] = []
    dead: list[LayerCurve] = []
    saturated: list[LayerCurve] = []
    thresholds: dict[str, float] = {}


class Findings(_Texts):
    """The findings of the doctor on a run.

    Args:
        findings: causes, the likeliest first.
        unchecked: for each check without a result, the reason.
        steps: number of observed updates.
        curves: recorded quantities of the layers.
        probes: for each change tried before training, the loss of held-out rows; empty without these experiments.
        examined: number of findings by severity of each examined part (training, validation, data), if only some of
            them were examined; empty for a run.
        missing: the parts that were not given.
        validation_classes: rows and recall of each class in the validation part, of a finished run.
    """

    findings: list[Cause] = []
    unchecked: dict[str, Text] = {}
    steps: Step = 0
    curves: Curves = Curves()
    probes: dict[str, Number] = {}
    examined: dict[str, dict[Severity, int]] = {}
    missing: list[str] = []
    validation_classes: list[ClassRow] = []

    def count_severity(self, severity: Severity) -> int:
        """Return the number of causes with a severity."""
        return sum(finding.severity == severity for finding in self.findings)

    def worst_severity(self) -> Severity | None:
        """Return the highest severity, or None without findings."""
        return next((severity for severity in SEVERITIES if self.count_severity(severity)), None)

    def count_severities(self) -> dict[Severity, int]:
        """Return the number of causes of each severity, the most severe first."""
        return {severity: self.count_severity(severity) for severity in SEVERITIES}

    def __str__(self) -> str:
        from yisheng.reporting.findings_text import format_findings

        return format_findings(self)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from yisheng.reporting.findings_text import render_findings

        return render_findings(self)

    def to_json(self) -> dict[str, Any]:
        """Return the findings as plain data, as they are stored."""
        return self.model_dump(mode="json")


def to_plain_evidence(value: Any) -> Any:
    """Return evidence as data that JSON can represent.

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
