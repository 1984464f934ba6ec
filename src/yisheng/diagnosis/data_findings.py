"""Run the data checks and merge their results into the findings of a run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from yisheng.core import registry
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.entry import Entry
from yisheng.core.findings import Finding
from yisheng.core.logging import logger
from yisheng.core.messages import Message, message_of
from yisheng.core.spec import Spec
from yisheng.diagnosis.sample import InconclusiveError, Sample
from yisheng.diagnosis.wording import describe_defect
from yisheng.reporting.findings_schema import SEVERITIES, Cause, Findings, Symptom
from yisheng.reporting.formatting import is_higher_better
from yisheng.reporting.headline import judge_score
from yisheng.reporting.run_facts import RunFacts

KIND = "diagnosis.data_checks"
Cost = Literal["cheap", "scored", "trainings"]
COSTS: tuple[Cost, ...] = ("cheap", "scored", "trainings")
SCORES_TO_JUDGE = ("accuracy", "log_loss", "rmse", "r2")
"""Scores that beat the baseline only if something was learned."""
NEEDS_TRAININGS = Message("it trains small models: use doctor=full, or yisheng diagnose RUN data=true")
OUTRANKED_CAUSES = ("rate", "fit")
"""Kinds of causes in the training that causes in the data outrank."""


@dataclass(frozen=True)
class CheckResults:
    """The results of some data checks.

    Args:
        checks: names of these checks.
        findings: what they found, in the order of the checks.
        unchecked: why a check could not run or decide, by its name.
    """

    checks: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    unchecked: Mapping[str, str] = field(default_factory=dict)


def run_checks(
    sample: Sample,
    cost: Cost,
    *,
    reported: Collection[str] = (),
    skipped: Collection[str] = (),
    progress: Callable[[str], None] | None = None,
) -> CheckResults:
    """Run the checks of one cost; a check that fails does not stop the others.

    Args:
        sample: the data.
        cost: ``cheap``, ``scored`` or ``trainings``.
        reported: checks that were reported when the data was read; the same is not reported twice.
        skipped: checks to leave out.
        progress: called with the name of each check before it runs.
    """
    entries = [
        entry
        for entry in _entries(cost)
        if _applies(entry, sample.spec) and entry.name not in skipped and (sample.raw or not entry.meta.get("raw"))
    ]
    findings: list[Finding] = []
    unchecked: dict[str, str] = {}
    for entry in entries:
        if entry.meta.get("read_as") in reported:
            continue
        try:
            reason = entry.meta["needs"](sample) if "needs" in entry.meta else ""
            if reason:
                raise InconclusiveError(reason)
            if progress is not None:
                progress(entry.name)
            findings += list(entry.build(sample))
        except InconclusiveError as inconclusive:
            unchecked[entry.name] = message_of(inconclusive)
        except Exception as error:  # a defect in a check must not stop the run that it examines
            unchecked[entry.name] = describe_defect(error)
    return CheckResults(tuple(entry.name for entry in entries), tuple(findings), unchecked)


def skip_checks(cost: Cost, reason: str, spec: Spec | None) -> CheckResults:
    """Return the results of checks that are skipped for a reason; if the spec is known, of those that apply to it."""
    entries = [entry for entry in _entries(cost) if not entry.meta.get("raw")]
    names = [entry.name for entry in entries if spec is None or _applies(entry, spec)]
    return CheckResults(tuple(names), (), dict.fromkeys(names, reason))


def add_run_results(sample: Sample, facts: RunFacts, findings: Findings) -> Sample:
    """Return the sample with what the run has reached on it.

    If the training has shown why the run reached little, its score is left out: the data is not the reason.

    Args:
        sample: the data.
        facts: the files of the run.
        findings: of the training.
    """
    score = "r2" if sample.spec.task == "regression" else "accuracy"
    test, baseline = facts.scores.get("test", {}), facts.scores.get("baseline", {})
    names = [name for name in SCORES_TO_JUDGE if name in test and name in baseline]
    verdicts = [judge_score(test[name], baseline[name], is_higher_better(name)) for name in names]
    beats_baseline = "better" in verdicts if verdicts else None
    training_checks = registry.names("diagnosis.training_checks")
    has_cause = any(cause.check in training_checks and cause.severity != "note" for cause in findings.findings)
    return replace(sample, test_score=None if has_cause else test.get(score), beats_baseline=beats_baseline)


def find_skipped(facts: RunFacts) -> tuple[str, ...]:
    """Return the checks that say nothing about a run: least squares of classes are compared with a line only.

    Another network that has less accuracy after a few epochs needs more of them, which `too-few-epochs` says.
    """
    is_class = facts.spec is not None and facts.spec.task == "classification"
    return ("least-squares",) if is_class and facts.choice_name("model") != "linear" else ()


def is_ordered(config: Config, data: Dataset) -> bool:
    """Return whether the parts are in the order of time or of the rows."""
    return config.split in ("contiguous", "time") or (config.split == "auto" and data.time is not None)


def announce_check(name: str) -> None:
    """Log the name of a check of the data that begins."""
    logger.info(Message("checking the data: {name}", name=name))


def merge_findings(findings: Findings, results: Iterable[CheckResults]) -> Findings:
    """Replace the findings of data checks by their new results.

    Args:
        findings: of the run.
        results: of the data checks.
    """
    results = list(results)
    checks = {name for result in results for name in result.checks}
    causes = [cause for cause in findings.findings if cause.check not in checks]
    unchecked = {name: reason for name, reason in findings.unchecked.items() if name not in checks}
    for result in results:
        causes += [Cause.from_finding(finding) for finding in result.findings]
        unchecked |= result.unchecked
    return fold_symptoms(findings.model_copy(update={"findings": causes, "unchecked": unchecked}))


def fold_symptoms(findings: Findings) -> Findings:
    """Turn findings that a cause in the data explains, and that are not more severe, into its symptoms.

    Among findings of one severity, causes in the data come after those in the structure of the training and before all
    others.
    """
    causes = list(findings.findings)
    for entry in registry.entries(KIND):
        explained = entry.meta.get("explains", ())
        for cause in [c for c in causes if c.check == entry.name and c.severity != "note"]:
            folded = [c for c in causes if c.check in explained and _is_as_severe(cause, c)]
            own_symptoms = [Symptom(**c.model_dump(exclude={"symptoms"})) for c in folded]
            symptoms = [*cause.symptoms, *own_symptoms, *(symptom for c in folded for symptom in c.symptoms)]
            with_symptoms = cause.model_copy(update={"symptoms": symptoms})
            causes = [with_symptoms if c is cause else c for c in causes if c not in folded]
    causes.sort(key=lambda cause: (SEVERITIES.index(cause.severity), _rank(cause.check)))
    return findings.model_copy(update={"findings": causes})


def _entries(cost: Cost) -> list[Entry]:
    return [entry for entry in registry.entries(KIND) if entry.meta["cost"] == cost]


def _applies(entry: Entry, spec: Spec) -> bool:
    return bool(entry.meta.get("fits", lambda _: True)(spec))


def _is_as_severe(cause: Symptom, finding: Symptom) -> bool:
    return SEVERITIES.index(cause.severity) <= SEVERITIES.index(finding.severity)


def _rank(check: str) -> int:
    """Return 0 for structure and data of the training, 1 for data checks, 2 for rates and fit, 3 for the history."""
    if check in registry.names(KIND):
        return 1
    if check in registry.names("diagnosis.training_checks"):
        return 2 if registry.find("diagnosis.training_checks", check).meta["cause"] in OUTRANKED_CAUSES else 0
    return 3 if check in registry.names("diagnosis.history_checks") else 1
