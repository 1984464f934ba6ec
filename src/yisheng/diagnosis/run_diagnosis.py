"""The doctor's page of a run: causes and their symptoms, what was not checked, and the curves behind them."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence

from yisheng.core import registry
from yisheng.core.types import Finding
from yisheng.diagnosis import dead_units
from yisheng.diagnosis.experiments import ExperimentResults
from yisheng.diagnosis.ranking import Diagnosis
from yisheng.diagnosis.recorder.records import ActivationRecord, ParameterRecord, StepRecord
from yisheng.diagnosis.training_checks import low_learning_rate, saturated_activation, vanishing_gradients
from yisheng.reporting.findings_schema import SEVERITIES, Curves, Findings, Cause, LayerCurve, Symptom
from yisheng.reporting.run_facts import Facts

EXPERIMENTS = "lr ladder, inputs standardised, one batch"


def build_findings(
    diagnosis: Diagnosis,
    records: Sequence[StepRecord],
    *,
    steps: int,
    data_findings: Iterable[Finding] = (),
    experiments: ExperimentResults | None = None,
) -> Findings:
    """What is said of a training as it was watched.

    Args:
        diagnosis: what the checks say.
        moments: the steps that were looked at.
        steps: updates that were made.
        others: what was noticed elsewhere, of the data say.
        probes: experiments that were made.
    """
    unchecked = dict(diagnosis.unchecked)
    if experiments is None or not experiments.losses:
        unchecked[EXPERIMENTS] = "experiments are made with doctor=full only"
    causes = [_found(finding, diagnosis.symptoms.get(finding.check, ())) for finding in diagnosis.findings]
    return Findings(
        findings=_sorted([*causes, *(_found(finding) for finding in data_findings)]),
        unchecked=unchecked,
        steps=steps,
        curves=build_curves(records),
        probes={} if experiments is None else dict(experiments.losses),
    )


def add_history_findings(findings: Findings, facts: Facts) -> Findings:
    """The page with what the whole course of a run tells: its losses by epoch and its scores.

    A run that does not learn has a reason; where training has already shown one, that is the cause and what the
    course tells its symptom.

    Args:
        found: of the training as it was watched; it may be empty.
        facts: the run's files.
    """
    entries = {entry.name: entry for entry in registry.entries("diagnosis.history_checks")}
    causes = [_without(one, entries) for one in findings.findings if one.check not in entries]
    unchecked = {name: why for name, why in findings.unchecked.items() if name not in entries}
    told: dict[str, Symptom] = {}
    for name, entry in entries.items():
        why_not = entry.meta["needs"](facts)
        if why_not:
            unchecked[name] = why_not
        else:
            told.update((name, Symptom.from_finding(finding)) for finding in entry.build(facts))
    watched = registry.names("diagnosis.training_checks")
    root = next((one.check for one in causes if one.check in watched and one.severity != "note"), None)
    symptoms: dict[str, list[Symptom]] = {}
    for name, one in told.items():
        cause = next((other for other, by in told.items() if _explains(entries[other], by, one)), None)
        cause = root if root and entries[name].meta.get("follows") else cause
        if cause is None:
            causes.append(Cause(**one.model_dump()))
        else:
            symptoms.setdefault(cause, []).append(one)
    folded = [one.model_copy(update={"symptoms": [*one.symptoms, *symptoms.get(one.check, ())]}) for one in causes]
    return findings.model_copy(update={"findings": _sorted(folded), "unchecked": unchecked})


def build_curves(moments: Sequence[StepRecord]) -> Curves:
    """What was seen of the layers, as lines by step."""
    looked = [moment for moment in moments if moment.parameters or moment.activations]
    weights = dict.fromkeys(one.name for moment in looked for one in moment.parameters if len(one.shape) > 1)
    bends = {bend.name: bend for moment in looked for bend in moment.activations}

    def of_weight(name: str, value: Callable[[ParameterRecord], float | None]) -> LayerCurve:
        seen = [next((one for one in moment.parameters if one.name == name), None) for moment in looked]
        return LayerCurve(name=name, values=[None if one is None else value(one) for one in seen])

    def of_bend(name: str, value: Callable[[ActivationRecord], float | None]) -> LayerCurve:
        seen = [next((one for one in moment.activations if one.name == name), None) for moment in looked]
        return LayerCurve(name=name, values=[None if one is None else value(one) for one in seen])

    return Curves(
        steps=[moment.step for moment in looked],
        gradients=[of_weight(name, lambda one: one.gradient) for name in weights],
        updates=[of_weight(name, lambda one: one.update / one.weight if one.weight else None) for name in weights],
        dead=[of_bend(name, _dead) for name, bend in reversed(bends.items()) if bend.zero_fraction is not None],
        saturated=[of_bend(name, _saturated) for name, bend in reversed(bends.items()) if bend.low_fraction is not None],
        thresholds={
            "gradients": vanishing_gradients.MAX_RATIO,
            "updates": low_learning_rate.SMALL_UPDATE,
            "dead": dead_units.MIN_DEAD_FRACTION,
            "saturated": saturated_activation.MIN_SATURATED_UNITS,
        },
    )


def _dead(bend: ActivationRecord) -> float | None:
    return None if bend.zero_fraction is None else float((bend.zero_fraction == 1).float().mean())


def _saturated(bend: ActivationRecord) -> float | None:
    if bend.low_fraction is None or bend.high_fraction is None:
        return None
    return float((bend.low_fraction + bend.high_fraction > saturated_activation.MIN_SATURATED_SAMPLES).float().mean())


def _explains(entry: registry.Entry, by: Symptom, one: Symptom) -> bool:
    """Whether a finding is the cause of another of the same kind, and as grave as it."""
    named = registry.hyphenate(one.check) in entry.meta.get("explains", ())
    return named and SEVERITIES.index(by.severity) <= SEVERITIES.index(one.severity)


def _found(finding: Finding, symptoms: Iterable[Finding] = ()) -> Cause:
    return Cause.from_finding(finding).model_copy(update={"symptoms": [Symptom.from_finding(symptom) for symptom in symptoms]})


def _without(found: Cause, names: Container[str]) -> Cause:
    """The same without symptoms of some checks, which are asked anew."""
    return found.model_copy(update={"symptoms": [one for one in found.symptoms if one.check not in names]})


def _sorted(found: Iterable[Cause]) -> list[Cause]:
    """The severe ones first; among equals the order stays."""
    return sorted(found, key=lambda one: SEVERITIES.index(one.severity))
