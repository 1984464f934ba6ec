"""What the checks of the data say, and how that goes on the page of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TextIO

from yisheng.core import registry
from yisheng.core.config import Config
from yisheng.core.types import Dataset, Finding, Spec
from yisheng.diagnosis.sample import InconclusiveError, Sample
from yisheng.reporting.findings_schema import SEVERITIES, Findings, Cause, Symptom
from yisheng.reporting.formatting import higher
from yisheng.reporting.headline import judge
from yisheng.reporting.run_facts import Facts

KIND = "diagnosis.data_checks"
Cost = Literal["cheap", "trainings"]
COSTS: tuple[Cost, ...] = ("cheap", "trainings")
TELLING = ("accuracy", "log_loss", "rmse")
"""Scores that are better than the baseline's only where something was learnt."""
NEEDS_TRAININGS = "it trains small models: asked with doctor=full, or by yisheng diagnose RUN data=true"
BEFORE = ("rate", "fit")
"""Causes in the training that those in the data outrank."""


@dataclass(frozen=True)
class CheckResults:
    """What checks of the data say.

    Args:
        checks: names of those that this is about.
        findings: in the order of the checks.
        unchecked: why a check could not say anything, by its name.
    """

    checks: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    unchecked: Mapping[str, str] = field(default_factory=dict)


def run_checks(
    sample: Sample,
    cost: Cost,
    *,
    reported: Collection[str] = (),
    progress: Callable[[str], None] | None = None,
) -> CheckResults:
    """Ask the checks of one cost; a defect in one of them costs nothing but its own answer.

    Args:
        sample: the data.
        cost: ``cheap`` or ``trainings``.
        told: checks that have spoken when the data was read; what they told of is not said twice.
        progress: is told the name of each check before it is asked.
    """
    entries = [entry for entry in _of(cost) if _fits(entry, sample.spec)]
    findings: list[Finding] = []
    unchecked: dict[str, str] = {}
    for entry in entries:
        if entry.meta.get("read_as") in reported:
            continue
        try:
            why_not = entry.meta["needs"](sample) if "needs" in entry.meta else ""
            if why_not:
                raise InconclusiveError(why_not)
            if progress is not None:
                progress(entry.name)
            findings += list(entry.build(sample))
        except InconclusiveError as unclear:
            unchecked[entry.name] = str(unclear)
        except Exception as error:
            unchecked[entry.name] = f"it has a defect: {type(error).__name__}: {error}"
    return CheckResults(tuple(entry.name for entry in entries), tuple(findings), unchecked)


def skip_checks(cost: Cost, reason: str, spec: Spec | None) -> CheckResults:
    """Answers of checks that are not asked, and why; of those for such data, where it is known."""
    names = [entry.name for entry in _of(cost) if spec is None or _fits(entry, spec)]
    return CheckResults(tuple(names), (), dict.fromkeys(names, reason))


def add_run_results(sample: Sample, facts: Facts, found: Findings) -> Sample:
    """The same with what the run's own network reached on it.

    Where training has shown why it reached little, that is not held against its size.

    Args:
        sample: the data.
        facts: the run's files.
        found: of the training as it was watched.
    """
    score = "r2" if sample.spec.task == "regression" else "accuracy"
    ours, base = facts.scores.get("test", {}), facts.scores.get("baseline", {})
    verdicts = [judge(ours[name], base[name], higher(name)) for name in TELLING if name in ours and name in base]
    learnt = "better" in verdicts if verdicts else None
    watched = registry.names("diagnosis.training_checks")
    hindered = any(one.check in watched and one.severity != "note" for one in found.findings)
    reached = None if hindered else ours.get(score)
    return replace(sample, reached=reached, learnt=learnt)


def is_ordered(config: Config, data: Dataset) -> bool:
    """Whether the parts are cut in the order of time or of the rows."""
    return config.split in ("contiguous", "time") or (config.split == "auto" and data.time is not None)


def announce_checks(stream: TextIO) -> Callable[[str], None]:
    """Tells a stream which check is asked."""
    return lambda name: print(f"looking at the data: {name}", file=stream, flush=True)


def merge_findings(findings: Findings, results: Iterable[CheckResults]) -> Findings:
    """A page with what checks of the data say, in the place of what these said before.

    Args:
        found: the page.
        answers: of these checks.
    """
    results = list(results)
    asked = {name for one in results for name in one.checks}
    kept = [one for one in findings.findings if one.check not in asked]
    unchecked = {name: why for name, why in findings.unchecked.items() if name not in asked}
    for one in results:
        kept += [Cause.from_finding(finding) for finding in one.findings]
        unchecked |= one.unchecked
    return fold_symptoms(findings.model_copy(update={"findings": kept, "unchecked": unchecked}))


def fold_symptoms(found: Findings) -> Findings:
    """A page on which causes in the data have taken the findings that they explain as their symptoms.

    They must be as grave as what they explain. Among findings of one severity, causes in the data come behind those in
    the structure of the training and before all others.
    """
    causes = list(found.findings)
    for entry in registry.entries(KIND):
        for cause in [one for one in causes if one.check == entry.name and one.severity != "note"]:
            taken = [one for one in causes if one.check in entry.meta.get("explains", ()) and _as_grave(cause, one)]
            plain_ones = [Symptom(**one.model_dump(exclude={"symptoms"})) for one in taken]
            symptoms = [*cause.symptoms, *plain_ones, *(symptom for one in taken for symptom in one.symptoms)]
            whole = cause.model_copy(update={"symptoms": symptoms})
            causes = [whole if one is cause else one for one in causes if one not in taken]
    causes.sort(key=lambda one: (SEVERITIES.index(one.severity), _place(one.check)))
    return found.model_copy(update={"findings": causes})


def _of(cost: Cost) -> list[registry.Entry]:
    return [entry for entry in registry.entries(KIND) if entry.meta["cost"] == cost]


def _fits(entry: registry.Entry, spec: Spec) -> bool:
    return bool(entry.meta.get("fits", lambda _: True)(spec))


def _as_grave(finding: Symptom, one: Symptom) -> bool:
    return SEVERITIES.index(finding.severity) <= SEVERITIES.index(one.severity)


def _place(check: str) -> int:
    """0 structure and data of the training, 1 the data's rows, 2 rates and fit, 3 the course."""
    if check in registry.names(KIND):
        return 1
    if check in registry.names("diagnosis.training_checks"):
        return 2 if registry.find("diagnosis.training_checks", check).meta["cause"] in BEFORE else 0
    return 3 if check in registry.names("diagnosis.history_checks") else 1
