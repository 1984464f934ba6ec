"""Build the content of ``findings.json``: causes with their symptoms, skipped checks and the curves of the layers."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

from yisheng.core import registry
from yisheng.core.discovery import hyphenate
from yisheng.core.entry import Entry
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.diagnosis import dead_units
from yisheng.diagnosis.experiments import ExperimentResults
from yisheng.diagnosis.ranking import Diagnosis
from yisheng.diagnosis.recorder.records import ActivationRecord, ParameterRecord, StepRecord
from yisheng.diagnosis.training_checks import low_learning_rate, saturated_activation, vanishing_gradients
from yisheng.reporting.findings_schema import SEVERITIES, Cause, Curves, Findings, LayerCurve, Symptom
from yisheng.reporting.run_facts import RunFacts

EXPERIMENTS = "learning rates, standardized inputs, one batch"
"""The experiments by name, in the list of what was not checked."""


def build_findings(
    diagnosis: Diagnosis,
    records: Sequence[StepRecord],
    *,
    steps: int,
    data_findings: Iterable[Finding] = (),
    experiments: ExperimentResults | None = None,
) -> Findings:
    """Return the findings of a training, without those of its history.

    Args:
        diagnosis: the findings of the training checks.
        records: the recorded steps.
        steps: updates made.
        data_findings: what was found while the data was read.
        experiments: results of the experiments, if there were any.
    """
    unchecked = dict(diagnosis.unchecked)
    if experiments is None or not experiments.losses:
        unchecked[EXPERIMENTS] = Message("the experiments need doctor=full")
    causes = [_build_cause(finding, diagnosis.symptoms.get(finding.check, ())) for finding in diagnosis.findings]
    return Findings(
        findings=_sort_by_severity([*causes, *(_build_cause(finding) for finding in data_findings)]),
        unchecked=unchecked,
        steps=steps,
        curves=build_curves(records),
        probes={} if experiments is None else dict(experiments.losses),
    )


def add_history_findings(findings: Findings, facts: RunFacts) -> Findings:
    """Return the findings with those of the history checks: on the losses by epoch and on the scores.

    If the training itself has shown a cause, a poor history is its symptom.

    Args:
        findings: of the training; may be empty. History findings in it are replaced.
        facts: the files of the run.
    """
    entries = {entry.name: entry for entry in registry.entries("diagnosis.history_checks")}
    causes = [_without_symptoms(cause, entries) for cause in findings.findings if cause.check not in entries]
    unchecked = {name: reason for name, reason in findings.unchecked.items() if name not in entries}
    history_findings: dict[str, Symptom] = {}
    for name, entry in entries.items():
        reason = entry.meta["needs"](facts)
        if reason:
            unchecked[name] = reason
        else:
            history_findings.update((name, Symptom.from_finding(finding)) for finding in entry.build(facts))
    training_checks = registry.names("diagnosis.training_checks")
    root = next((c.check for c in causes if c.check in training_checks and c.severity != "note"), None)
    symptoms: dict[str, list[Symptom]] = {}
    for name, finding in history_findings.items():
        explainers = (
            cause_name
            for cause_name, cause in history_findings.items()
            if _explains(entries[cause_name], cause, finding)
        )
        explainer = root if root and entries[name].meta.get("follows") else next(explainers, None)
        if explainer is None:
            causes.append(Cause(**finding.model_dump()))
        else:
            symptoms.setdefault(explainer, []).append(finding)
    folded = [c.model_copy(update={"symptoms": [*c.symptoms, *symptoms.get(c.check, ())]}) for c in causes]
    return findings.model_copy(update={"findings": _sort_by_severity(folded), "unchecked": unchecked})


def build_curves(records: Sequence[StepRecord]) -> Curves:
    """Return the recorded quantities of the layers as curves over the steps."""
    records = [record for record in records if record.parameters or record.activations]
    weights = dict.fromkeys(p.name for record in records for p in record.parameters if len(p.shape) > 1)
    units = {unit.name: unit for record in records for unit in record.activations}
    names = list(reversed(units))  # the recorder lists activations from the last to the first
    relus = [name for name in names if units[name].zero_fraction is not None]
    bounded = [name for name in names if units[name].low_fraction is not None]
    return Curves(
        steps=[record.step for record in records],
        gradients=[_weight_curve(records, name, lambda p: p.gradient) for name in weights],
        updates=[_weight_curve(records, name, lambda p: p.update / p.weight if p.weight else None) for name in weights],
        dead=[_activation_curve(records, name, _dead_fraction) for name in relus],
        saturated=[_activation_curve(records, name, _saturated_fraction) for name in bounded],
        thresholds={
            "gradients": vanishing_gradients.MAX_RATIO,
            "updates": low_learning_rate.SMALL_UPDATE,
            "dead": dead_units.MIN_DEAD_FRACTION,
            "saturated": saturated_activation.MIN_SATURATED_UNITS,
        },
    )


def _weight_curve(
    records: Sequence[StepRecord], name: str, value: Callable[[ParameterRecord], float | None]
) -> LayerCurve:
    parameters = [next((p for p in record.parameters if p.name == name), None) for record in records]
    return LayerCurve(name=name, values=[None if p is None else value(p) for p in parameters])


def _activation_curve(
    records: Sequence[StepRecord], name: str, value: Callable[[ActivationRecord], float | None]
) -> LayerCurve:
    units = [next((unit for unit in record.activations if unit.name == name), None) for record in records]
    return LayerCurve(name=name, values=[None if unit is None else value(unit) for unit in units])


def _dead_fraction(unit: ActivationRecord) -> float | None:
    return None if unit.zero_fraction is None else float((unit.zero_fraction == 1).float().mean())


def _saturated_fraction(unit: ActivationRecord) -> float | None:
    if unit.low_fraction is None or unit.high_fraction is None:
        return None
    at_an_end = unit.low_fraction + unit.high_fraction > saturated_activation.MIN_SATURATED_SAMPLES
    return float(at_an_end.float().mean())


def _explains(entry: Entry, cause: Symptom, finding: Symptom) -> bool:
    """Return whether a history finding is the cause of another one, and at least as severe."""
    is_listed = hyphenate(finding.check) in entry.meta.get("explains", ())
    return is_listed and SEVERITIES.index(cause.severity) <= SEVERITIES.index(finding.severity)


def _build_cause(finding: Finding, symptoms: Iterable[Finding] = ()) -> Cause:
    cause = Cause.from_finding(finding)
    return cause.model_copy(update={"symptoms": [Symptom.from_finding(symptom) for symptom in symptoms]})


def _without_symptoms(cause: Cause, checks: Container[str]) -> Cause:
    """Return a cause without the symptoms of checks that are run again."""
    return cause.model_copy(update={"symptoms": [s for s in cause.symptoms if s.check not in checks]})


def _sort_by_severity(causes: Iterable[Cause]) -> list[Cause]:
    """Return the causes with the most severe first; equally severe ones keep their order."""
    return sorted(causes, key=lambda cause: SEVERITIES.index(cause.severity))
