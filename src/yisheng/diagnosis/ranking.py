"""Rank findings: causes first, with the symptoms that they explain."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from yisheng.core import registry
from yisheng.core.findings import Finding
from yisheng.core.logging import SEVERITIES as SEVERITY_NAMES
from yisheng.core.messages import Message, translate
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.source_of_finding import add_source
from yisheng.diagnosis.wording import describe_defect
from yisheng.reporting.findings_schema import SEVERITIES, Cause, Findings, Severity, Symptom
from yisheng.reporting.findings_text import format_alternative, summarize_parts

CAUSES = ("structure", "data", "rows", "rate", "fit", "history")
"""Kinds of causes, the most fundamental first: a rate that looks wrong next to a wrong loss is a symptom."""
TRAINING, HISTORY, DATA = (f"diagnosis.{kind}_checks" for kind in ("training", "history", "data"))
PARTS = {HISTORY: "validation", DATA: "data"}
"""Which part of what the doctor was given the checks of a kind look at; all others look at the training."""
RECORDING = "interrupted-recording"
"""Name of the finding that the doctor could not watch a training."""
MAX_LISTED_REASONS = 3
"""Checks that could not run whose reasons are printed."""


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """The findings of all checks.

    Args:
        findings: causes, the most likely first.
        symptoms: findings that a cause explains, by the cause's check.
        unchecked: why a check could not run, by its name.
        examined: what was looked at: training, validation, data.
        missing: what was not given.

    >>> unchecked = {"plateau": "it needs at least 500 losses, got 37"}
    >>> diagnosis = Diagnosis((), {}, unchecked, missing=("validation", "data"))
    >>> print(diagnosis)
    training: nothing found; validation and data were not given
    not checked: plateau (it needs at least 500 losses, got 37)
    >>> diagnosis.summary, diagnosis.to_findings().missing
    ('training: nothing found; validation and data were not given', ['validation', 'data'])
    """

    findings: tuple[Finding, ...]
    symptoms: dict[str, tuple[Finding, ...]]
    unchecked: Mapping[str, str]
    examined: tuple[str, ...] = ("training",)
    missing: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """Return in one line what was found where, and what was not looked at."""
        return summarize_parts(self._count_severities(), self.missing)

    def __str__(self) -> str:
        lines = [translate(self.summary)]
        for finding in self.findings:
            source = f" ({finding.source})" if finding.source else ""
            name = Message("{severity}: {cause}", severity=SEVERITY_NAMES[finding.severity], cause=finding.cause)
            lines += [f"{translate(name)}{source}", f"  {translate(finding.remedy)}"]
            symptoms = self.symptoms.get(finding.check, ())
            lines += [f"  {translate(Message('explains: {cause}', cause=symptom.cause))}" for symptom in symptoms]
            lines += [f"  {translate(format_alternative(alternative))}" for alternative in finding.alternatives]
        if len(self.unchecked) > MAX_LISTED_REASONS:
            count = Message("not checked: {count} checks; diagnose().unchecked says why", count=len(self.unchecked))
            lines.append(translate(count))
        elif self.unchecked:
            reasons = ", ".join(f"{name} ({translate(why)})" for name, why in self.unchecked.items())
            lines.append(translate(Message("not checked: {reasons}", reasons=reasons)))
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from yisheng.reporting.findings_text import render_findings

        return render_findings(self.to_findings())

    def to_findings(self) -> Findings:
        """Return the diagnosis in the form in which it is stored."""
        causes = [
            Cause(
                **Cause.from_finding(finding).model_dump(exclude={"symptoms"}),
                symptoms=[Symptom.from_finding(symptom) for symptom in self.symptoms.get(finding.check, ())],
            )
            for finding in self.findings
        ]
        return Findings(
            findings=causes,
            unchecked=dict(self.unchecked),
            examined=self._count_severities(),
            missing=list(self.missing),
        )

    def _count_severities(self) -> dict[str, dict[Severity, int]]:
        """Return how many findings of each severity are about each part, symptoms left out."""
        counts: dict[str, dict[Severity, int]] = {part: {} for part in self.examined}
        for finding in self.findings:
            part = counts.setdefault(find_part(finding.check), {})
            part[finding.severity] = part.get(finding.severity, 0) + 1
        return {part: {name: n[name] for name in SEVERITIES if name in n} for part, n in counts.items()}


def find_part(check: str) -> str:
    """Return what a check looks at.

    >>> find_part("leaking-rows"), find_part("overfitting"), find_part("loss-pairing")
    ('data', 'validation', 'training')
    """
    return next((part for kind, part in PARTS.items() if check in registry.names(kind)), "training")


def diagnose(case: Case) -> Diagnosis:
    """Run every training check and rank the findings by the kind of their cause, then by severity.

    A check that fails does not stop the others, nor the user's program. If the recording has failed, what was recorded
    before may mislead, so that no check runs.
    """
    if case.failure:
        return explain_failure(case.steps, case.failure)
    findings: list[Finding] = []
    unchecked: dict[str, str] = {}
    for entry in registry.entries(TRAINING):
        try:
            reason = entry.meta["needs"](case) if "needs" in entry.meta else ""
            if reason:
                unchecked[entry.name] = reason
            else:
                findings += [add_source(finding, case) for finding in entry.build(case)]
        except Exception as error:  # a defect in a check
            unchecked[entry.name] = describe_defect(error)
    return rank(findings, unchecked)


def explain_failure(steps: int, failure: str) -> Diagnosis:
    """Return a diagnosis that says why a training could not be watched.

    Args:
        steps: updates made before.
        failure: the error of the doctor.
    """
    cause = Message(
        "the doctor stopped watching after {steps} updates, because of an error of its own ({error}); the training "
        "went on without it",
        steps=f"{steps:,}",
        error=failure,
    )
    remedy = Message("report this error with your program; diagnose() has nothing to say about this training")
    finding = Finding(RECORDING, "note", {"updates": steps, "error": failure}, cause, remedy)
    reason = Message("the recording ended: {error}", error=failure)
    return rank([finding], dict.fromkeys(registry.names(TRAINING), reason))


def add_findings(diagnosis: Diagnosis, findings: Sequence[Finding], unchecked: Mapping[str, str]) -> Diagnosis:
    """Return a diagnosis with more findings, ranked among its own.

    Args:
        diagnosis: of the training.
        findings: of other checks.
        unchecked: why other checks could not run.
    """
    symptoms = [symptom for group in diagnosis.symptoms.values() for symptom in group]
    ranked = rank([*diagnosis.findings, *symptoms, *findings], {**diagnosis.unchecked, **unchecked})
    return replace(ranked, examined=diagnosis.examined, missing=diagnosis.missing)


def rank(findings: Sequence[Finding], unchecked: Mapping[str, str]) -> Diagnosis:
    """Sort findings by the kind of their cause and their severity, and fold symptoms into their causes.

    A finding about the course of the losses is a symptom of what is wrong with the training itself.

    Args:
        findings: of any checks.
        unchecked: why a check could not run, by its name.
    """
    findings = sorted(findings, key=_sort_key)
    names = {finding.check for finding in findings}
    entries = [entry for kind in (TRAINING, HISTORY, DATA) for entry in registry.entries(kind) if entry.name in names]
    explains = {entry.name: set(entry.meta.get("explains", ())) for entry in entries}
    training = [f.check for f in findings if f.check in registry.names(TRAINING) and f.severity != "note"]
    if training:
        explains[training[0]] |= {entry.name for entry in entries if entry.meta.get("follows")}
    return _fold_symptoms(findings, explains, unchecked)


def _sort_key(finding: Finding) -> tuple[bool, int, int]:
    return finding.severity == "note", CAUSES.index(_find_cause(finding.check)), SEVERITIES.index(finding.severity)


def _find_cause(check: str) -> str:
    """Return the kind of cause that a check finds; one that is not registered is about the program's structure."""
    if check in registry.names(TRAINING):
        return str(registry.find(TRAINING, check).meta["cause"])
    if check in registry.names(DATA):
        return "rows"
    return "history" if check in registry.names(HISTORY) else "structure"


def _fold_symptoms(
    findings: Sequence[Finding], explains: Mapping[str, set[str]], unchecked: Mapping[str, str]
) -> Diagnosis:
    """Turn findings that another one explains into its symptoms; of two that explain each other, keep the first."""
    names = list(dict.fromkeys(finding.check for finding in findings))
    notes = {finding.check for finding in findings if finding.severity == "note"}
    explainers = {
        name: [
            candidate
            for rank, candidate in enumerate(names)
            if candidate != name
            and name in explains.get(candidate, ())
            and not (candidate in explains.get(name, ()) and names.index(name) < rank)
            and not (candidate in notes and name not in notes and find_part(candidate) != "training")
        ]
        for name in names
    }
    roots = [name for name in names if not explainers[name]] or names[:1]
    causes = [finding for finding in findings if finding.check in roots]
    symptoms: dict[str, tuple[Finding, ...]] = {}
    for finding in findings:
        if finding.check not in roots:
            root = _find_root(finding.check, explainers, roots)
            symptoms[root] = (*symptoms.get(root, ()), finding)
    return Diagnosis(tuple(causes), symptoms, dict(unchecked))


def _find_root(name: str, explainers: dict[str, list[str]], roots: list[str]) -> str:
    """Return the first root that explains a finding, directly or through other findings."""
    queue, visited = deque(explainers[name]), set[str]()
    while queue:
        candidate = queue.popleft()
        if candidate in roots:
            return candidate
        if candidate not in visited:
            visited.add(candidate)
            queue.extend(explainers[candidate])
    return roots[0]
