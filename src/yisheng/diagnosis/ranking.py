"""Rank findings: causes first, with the symptoms that they explain."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yisheng.core import registry
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case

CAUSES = ("structure", "data", "rate", "fit")
"""Kinds of causes, the most fundamental first: a rate that looks wrong next to a wrong loss is a symptom."""
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """The findings of all training checks.

    Args:
        findings: causes, the most likely first.
        symptoms: findings that a cause explains, by the cause's check.
        unchecked: why a check could not run, by its name.

    >>> print(Diagnosis((), {}, {"plateau": "it needs at least 500 losses, got 37"}))
    nothing found
    not checked: plateau (it needs at least 500 losses, got 37)
    """

    findings: tuple[Finding, ...]
    symptoms: dict[str, tuple[Finding, ...]]
    unchecked: Mapping[str, str]

    def __str__(self) -> str:
        lines = []
        for finding in self.findings:
            lines += [f"{finding.severity}: {finding.cause}", f"  {finding.remedy}"]
            lines += [f"  explains: {symptom.cause}" for symptom in self.symptoms.get(finding.check, ())]
        lines = lines or ["nothing found"]
        if self.unchecked:
            lines.append("not checked: " + ", ".join(f"{name} ({why})" for name, why in self.unchecked.items()))
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from yisheng.reporting.findings_schema import Cause, Findings, Symptom
        from yisheng.reporting.findings_text import render_findings

        causes = [
            Cause(
                **Cause.from_finding(finding).model_dump(exclude={"symptoms"}),
                symptoms=[Symptom.from_finding(symptom) for symptom in self.symptoms.get(finding.check, ())],
            )
            for finding in self.findings
        ]
        return render_findings(Findings(findings=causes, unchecked=dict(self.unchecked)))


def diagnose(case: Case) -> Diagnosis:
    """Run every training check and rank the findings by the kind of their cause, then by severity."""
    entries = {entry.name: entry for entry in registry.entries("diagnosis.training_checks")}
    findings: list[tuple[str, Finding]] = []
    unchecked = {}
    for name, entry in entries.items():
        reason = entry.meta["needs"](case) if "needs" in entry.meta else ""
        if reason:
            unchecked[name] = reason
        else:
            findings += [(name, finding) for finding in entry.build(case)]
    findings.sort(key=lambda pair: _sort_key(entries[pair[0]].meta["cause"], pair[1]))
    explains = {name: entry.meta.get("explains", ()) for name, entry in entries.items()}
    return _fold_symptoms(findings, explains, unchecked)


def _sort_key(cause: str, finding: Finding) -> tuple[bool, int, int]:
    return finding.severity == "note", CAUSES.index(cause), SEVERITIES.index(finding.severity)


def _fold_symptoms(
    findings: Sequence[tuple[str, Finding]], explains: dict[str, tuple[str, ...]], unchecked: dict[str, str]
) -> Diagnosis:
    """Turn findings that another one explains into its symptoms; of two that explain each other, keep the first."""
    names = list(dict.fromkeys(name for name, _ in findings))
    explainers = {
        name: [
            candidate
            for rank, candidate in enumerate(names)
            if candidate != name
            and name in explains.get(candidate, ())
            and not (candidate in explains.get(name, ()) and names.index(name) < rank)
        ]
        for name in names
    }
    roots = [name for name in names if not explainers[name]] or names[:1]
    causes = [finding for name, finding in findings if name in roots]
    symptoms: dict[str, tuple[Finding, ...]] = {}
    for name, finding in findings:
        if name not in roots:
            root = _find_root(name, explainers, roots)
            symptoms[root] = (*symptoms.get(root, ()), finding)
    return Diagnosis(tuple(causes), symptoms, unchecked)


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
