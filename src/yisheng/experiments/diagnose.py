"""``diagnose``: the doctor's findings about a run as text; and ``fail_on``, which makes an error of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, FindingsError, UsageError
from yisheng.core.logging import SEVERITIES as SEVERITY_NAMES
from yisheng.core.messages import Message
from yisheng.core.natural_sort import natural_key
from yisheng.core.run_folder import RunFolder
from yisheng.data.fingerprint import fingerprint
from yisheng.diagnosis import data_findings
from yisheng.diagnosis.run_diagnosis import add_history_findings
from yisheng.diagnosis.sample import Sample
from yisheng.diagnosis.trained_network import LABEL_NOISE
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.reporting.findings_schema import SEVERITIES, Findings
from yisheng.reporting.run_facts import RunFacts, read_run_facts

FAIL_ON: Final = ("error", "warning")
"""Values of ``fail_on``: findings of that severity, or a worse one, are not allowed."""


def diagnose(folder: Path, *, data: bool | Dataset = False) -> Findings:
    """Return the doctor's findings about a run, finished or broken off; its history is checked again.

    Args:
        folder: a run folder.
        data: also check the data, with all checks, those that train small models among them; a data set if the config
            cannot name it.

    Raises:
        DataError: this is not a run folder, its ``findings.json`` is damaged, or the data is not what it was in
            training.
    """
    facts = read_run_facts(folder)
    if RunFolder.FINDINGS in facts.file_problems:
        path = folder / RunFolder.FINDINGS
        raise DataError(
            Message(
                "{path} is damaged: {file_problems}", path=path, file_problems=facts.file_problems[RunFolder.FINDINGS]
            ),
            Message("delete it, or train again"),
        )
    findings = facts.findings or _without_doctor(facts)
    if data is not False:
        sample = _sample_data(RunFolder(folder), None if data is True else data)
        sample = data_findings.add_run_results(sample, facts, findings)
        reported = [finding.check for finding in findings.findings]
        results = [
            data_findings.run_checks(
                sample,
                cost,
                reported=reported,
                skipped=data_findings.find_skipped(facts),
                progress=data_findings.announce_check,
            )
            for cost in data_findings.COSTS
        ]
        by_network = [cause for cause in findings.findings if cause.check == LABEL_NOISE]
        findings = data_findings.merge_findings(findings, results)
        if by_network and LABEL_NOISE not in {cause.check for cause in findings.findings}:  # the quick trees see less
            findings = findings.model_copy(update={"findings": [*findings.findings, *by_network]})
    return data_findings.fold_symptoms(add_history_findings(findings, facts))


def _without_doctor(facts: RunFacts) -> Findings:
    """Return the findings about a run without ``findings.json``: which checks were not run, and why."""
    if facts.cross_validation is not None:
        return Findings(unchecked={"training": Message("each fold has its own findings")})
    unwatched = Message("the doctor did not watch it: there is no {file}", file=RunFolder.FINDINGS)
    findings = Findings(unchecked={"training": unwatched})
    reason = Message("the doctor did not watch the training: use data=true")
    skipped = [data_findings.skip_checks(cost, reason, facts.spec) for cost in data_findings.COSTS]
    return data_findings.merge_findings(findings, skipped)


def _sample_data(run: RunFolder, data: Dataset | None) -> Sample:
    """Return the data of a run in the parts that it was trained and scored on."""
    config = run.config
    data = load_dataset(config) if data is None else data
    if run.data_sha256 != fingerprint(data):
        raise DataError(
            Message("the data is not what it was in training (SHA-256 differs): other rows would be checked"),
            Message("restore the data, or train again"),
        )
    ordered = data_findings.is_ordered(config, data)
    return Sample.from_dataset(data, split_dataset(config, data), seed=config.seed, ordered=ordered)


def list_runs(folder: Path) -> dict[str, Path]:
    """Return the runs in a folder: those of a cross-validation by name, a search's final run, or the run itself ('').

    Raises:
        DataError: this is a cross-validation without any run yet, or a search that is not finished.
    """
    run = RunFolder(folder).model_folder
    if not run.is_cross_validation:
        return {"": run.path}
    folders = sorted(run.path.iterdir(), key=lambda path: natural_key(path.name))
    runs = {path.name: path for path in folders if (path / RunFolder.CONFIG).is_file()}
    if not runs:
        raise DataError(
            Message("{path} has no run yet", path=run.path),
            Message("continue it: yisheng resume {path}", path=run.path),
        )
    return runs


def require_healthy(folder: Path, fail_on: str) -> None:
    """Refuse a run or cross-validation with findings, for continuous integration.

    Args:
        folder: of a run or a cross-validation.
        fail_on: ``error`` or ``warning``: the least severe that is not allowed.

    Raises:
        FindingsError: there is a finding of that severity or a worse one.
        UsageError: ``fail_on`` is neither.
    """
    require_no_findings({name: diagnose(path) for name, path in list_runs(folder).items()}, fail_on)


def require_no_findings(findings_by_run: Mapping[str, Findings], fail_on: str) -> None:
    """Refuse findings of some runs, as `require_healthy` does.

    Raises:
        FindingsError: there is a finding of that severity or a worse one.
        UsageError: ``fail_on`` is neither error nor warning.
    """
    require_fail_on(fail_on)
    for name, findings in findings_by_run.items():
        refused = [
            finding for finding in findings.findings if SEVERITIES.index(finding.severity) <= FAIL_ON.index(fail_on)
        ]
        if refused:
            severity = SEVERITY_NAMES[refused[0].severity]
            problem = Message("{severity}: {cause}", severity=severity, cause=refused[0].cause)
            if len(refused) > 1:
                problem = Message("{finding} (and {count} more)", finding=problem, count=len(refused) - 1)
            if name:
                problem = Message("{name}: {problem}", name=name, problem=problem)
            raise FindingsError(problem, refused[0].remedy)


def require_fail_on(fail_on: str) -> None:
    """Refuse a wrong ``fail_on``.

    Raises:
        UsageError: it is neither error nor warning.
    """
    if fail_on not in FAIL_ON:
        raise UsageError(
            Message("fail_on must be error or warning, got {fail_on}", fail_on=f"{fail_on!r}"),
            Message("leave it out to be told only"),
        )


def require_doctor(config: Config, fail_on: str) -> None:
    """Check before training that there will be findings for ``fail_on``.

    Raises:
        UsageError: ``fail_on`` is neither error nor warning, or the config has no doctor.
    """
    require_fail_on(fail_on)
    if config.doctor == "off":
        raise UsageError(
            Message("fail_on={fail_on} needs the doctor, got doctor=off", fail_on=fail_on),
            Message("leave one of them out"),
        )
