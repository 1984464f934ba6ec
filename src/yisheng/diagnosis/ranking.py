"""One cause first, and the symptoms that it explains under it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from yisheng.core import registry
from yisheng.core.types import Finding
from yisheng.diagnosis.case import Case

CAUSES = ("structure", "data", "rate", "fit")
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Diagnosis:
    """What the doctor says.

    Args:
        findings: causes, the likeliest first.
        symptoms: what one of the causes explains, by the cause's check.
        unchecked: why a check had nothing to look at, by its name.
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


def diagnose(case: Case) -> Diagnosis:
    """Ask every check, and put what they say in order.

    Structural causes outrank data, data outranks rates: a rate that looks wrong beside a wrong loss is a symptom.
    """
    entries = {entry.name: entry for entry in registry.entries("diagnosis.training_checks")}
    found: list[tuple[str, Finding]] = []
    unchecked = {}
    for name, entry in entries.items():
        why_not = entry.meta["needs"](case) if "needs" in entry.meta else ""
        if why_not:
            unchecked[name] = why_not
        else:
            found += [(name, finding) for finding in entry.build(case)]
    found.sort(key=lambda pair: _rank(entries[pair[0]].meta["cause"], pair[1]))
    return _folded(found, {name: entry.meta.get("explains", ()) for name, entry in entries.items()}, unchecked)


def _rank(cause: str, finding: Finding) -> tuple[bool, int, int]:
    return finding.severity == "note", CAUSES.index(cause), SEVERITIES.index(finding.severity)


def _folded(
    found: Sequence[tuple[str, Finding]], explains: dict[str, tuple[str, ...]], unchecked: dict[str, str]
) -> Diagnosis:
    """Findings that another explains become its symptoms; of two that explain each other the first is the cause."""
    names = list(dict.fromkeys(name for name, _ in found))
    above = {
        name: [
            other
            for at, other in enumerate(names)
            if other != name
            and name in explains.get(other, ())
            and not (other in explains.get(name, ()) and names.index(name) < at)
        ]
        for name in names
    }
    roots = [name for name in names if not above[name]] or names[:1]
    kept = [finding for name, finding in found if name in roots]
    symptoms: dict[str, tuple[Finding, ...]] = {}
    for name, finding in found:
        if name not in roots:
            root = _root(name, above, roots)
            symptoms[root] = (*symptoms.get(root, ()), finding)
    return Diagnosis(tuple(kept), symptoms, unchecked)


def _root(name: str, above: dict[str, list[str]], roots: list[str]) -> str:
    """The first root that explains a finding, through others if need be."""
    waiting, seen = deque(above[name]), set[str]()
    while waiting:
        other = waiting.popleft()
        if other in roots:
            return other
        if other not in seen:
            seen.add(other)
            waiting.extend(above[other])
    return roots[0]
