"""``diagnose``: the doctor's page of a run folder, as text; and ``fail_on``, for those who want an error of it."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from yisheng.core import run_folder
from yisheng.core.config import Config
from yisheng.core.errors import DataError, FindingsError, UsageError
from yisheng.core.types import Dataset, Split
from yisheng.data.fingerprint import fingerprint
from yisheng.diagnosis import data_findings as data_checks
from yisheng.diagnosis.data_sample import Sample
from yisheng.diagnosis.run_diagnosis import after
from yisheng.experiments import load_data
from yisheng.experiments.cross_validation import train_folds
from yisheng.inference.ensemble import chosen
from yisheng.reporting import run_facts
from yisheng.reporting.findings_schema import FINDINGS, SEVERITIES, Findings
from yisheng.reporting.sections.findings import summary, told

WIDTH = 100
FAIL_ON = ("error", "warning")
"""What ``fail_on`` may be: findings of that severity, or worse, are not allowed."""


def diagnose(folder: Path, *, data: bool | Dataset = False, stream: TextIO | None = None) -> Findings:
    """What the doctor says of a run, finished or broken off; its course is looked at anew.

    Args:
        folder: a run folder.
        data: look at the data, too, with all checks, those that train small models among them; a data set where the
            config cannot name it.
        stream: where progress on the data goes.

    Raises:
        DataError: it is no run folder, or its ``findings.json`` is damaged; or the data is not what it was in training.
    """
    known = run_facts.read(folder)
    if FINDINGS in known.problems:
        raise DataError(f"{folder / FINDINGS} is damaged: {known.problems[FINDINGS]}", "delete it, or train anew")
    found = known.findings
    if found is None:
        why = f"the doctor was not there: there is no {FINDINGS}"
        why = why if known.folds is None else "each member has a page of its own"
        found = Findings(unchecked={"training": why})
        if known.folds is None:
            left = "the doctor was not there: say data=true"
            found = data_checks.joined(
                found, [data_checks.not_asked(cost, left, known.spec) for cost in data_checks.COSTS]
            )
    if data is not False:
        sample = data_checks.with_course(_sample(folder, None if data is True else data), known, found)
        progress = data_checks.spoken(stream or io.StringIO())
        told = [finding.check for finding in found.findings]
        found = data_checks.joined(
            found, [data_checks.ask(sample, cost, told=told, progress=progress) for cost in data_checks.COSTS]
        )
    return data_checks.folded(after(found, known))


def _sample(folder: Path, data: Dataset | None) -> Sample:
    """The data of a run in the parts that it was trained and scored on."""
    config = run_folder.config(folder)
    data = load_data.dataset(config) if data is None else data
    if run_folder.data_hash(run_folder.environment(folder)) != fingerprint(data):
        raise DataError(
            "the data is not what it was in training (SHA-256 differs): other rows would be looked at",
            "bring it back, or train anew",
        )
    split: Split = load_data.split(config, data)
    return Sample.of(data, split, seed=config.seed, ordered=data_checks.is_ordered(config, data))


def members(folder: Path) -> dict[str, Path]:
    """The runs that a folder stands for: those of a study by name, a search's chosen one, or the run itself ('').

    Raises:
        DataError: it is a study none of whose runs was begun, or a search that is not finished.
    """
    folder = chosen(folder)
    if not train_folds.is_study(folder):
        return {"": folder}
    found = {path.name: path for path in sorted(folder.iterdir()) if (path / run_folder.CONFIG).is_file()}
    if not found:
        raise DataError(f"{folder} holds no run yet", f"go on with it: yisheng resume {folder}")
    return found


def require_healthy(folder: Path, fail_on: str) -> None:
    """Refuse a run of which something is found, as a step of continuous integration wants it.

    Args:
        folder: a run, or a study of k folds.
        fail_on: ``error`` or ``warning``: the least severe that is not allowed.

    Raises:
        FindingsError: something of that severity or worse was found.
        UsageError: ``fail_on`` is neither.
    """
    require_none({name: diagnose(path) for name, path in members(folder).items()}, fail_on)


def require_none(pages: Mapping[str, Findings], fail_on: str) -> None:
    """The same of pages that are there already, by the names of the runs.

    Raises:
        FindingsError: something of that severity or worse was found.
        UsageError: ``fail_on`` is neither.
    """
    severity = severity_of(fail_on)
    for name, page in pages.items():
        bad = [one for one in page.findings if SEVERITIES.index(one.severity) <= SEVERITIES.index(severity)]
        if bad:
            more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
            where = f"{name}: " if name else ""
            raise FindingsError(f"{where}{bad[0].severity}: {bad[0].cause}{more}", bad[0].remedy)


def severity_of(fail_on: str) -> Any:
    """A checked ``fail_on``.

    Raises:
        UsageError: it is neither error nor warning.
    """
    if fail_on not in FAIL_ON:
        raise UsageError(f"fail_on must be error or warning, got {fail_on!r}", "leave it out to be told only")
    return fail_on


def require_doctor(config: Config, fail_on: str) -> None:
    """See before training that ``fail_on`` can be kept.

    Raises:
        UsageError: it is neither error nor warning, or the config has no doctor.
    """
    severity_of(fail_on)
    if config.doctor == "off":
        raise UsageError(f"fail_on={fail_on} needs the doctor, got doctor=off", "leave one of them out")


def text(found: Findings) -> str:
    """The page as text.

    >>> print(text(Findings(steps=600, unchecked={"mode": "training has shown nothing that it could look at"})))
    Nothing was found wrong in 600 steps of training.
    <BLANKLINE>
    not checked:
      mode: training has shown nothing that it could look at
    """
    return "\n".join(_lines(found))


def _lines(found: Findings) -> Iterator[str]:
    yield summary(found)
    for number, one in enumerate(found.findings, 1):
        yield ""
        yield from _wrapped(f"{number}. {one.severity}: {one.cause} ({one.check})", "   ")
        yield from _wrapped(f"   do: {one.remedy}", "       ")
        if one.evidence:
            yield from _wrapped(f"   seen: {told(one.evidence)}", "       ")
        for symptom in one.symptoms:
            yield from _wrapped(f"   explains: {symptom.cause}", "       ")
    if found.unchecked:
        yield ""
        yield "not checked:"
        for name, why in found.unchecked.items():
            yield from _wrapped(f"  {name}: {why}", "    ")


def _wrapped(line: str, indent: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
