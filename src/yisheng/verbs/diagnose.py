"""``diagnose``: the doctor's page of a run folder, as text; and ``fail_on``, for those who want an error of it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yisheng.core.errors import DataError, FindingsError, UsageError
from yisheng.core.recipe import Recipe
from yisheng.deploy.members import chosen
from yisheng.diagnose.page import after
from yisheng.report import facts
from yisheng.report.findings import FINDINGS, SEVERITIES, Findings
from yisheng.report.sections.findings import summary, told
from yisheng.verbs import cross, folders

WIDTH = 100
FAIL_ON = ("error", "warning")
"""What ``fail_on`` may be: findings of that severity, or worse, are not allowed."""


def diagnose(folder: Path) -> Findings:
    """What the doctor says of a run, finished or broken off; its course is looked at anew.

    Args:
        folder: a run folder.

    Raises:
        DataError: it is no run folder, or its ``findings.json`` is damaged.
    """
    known = facts.read(folder)
    if FINDINGS in known.problems:
        raise DataError(f"{folder / FINDINGS} is damaged: {known.problems[FINDINGS]}", "delete it, or train anew")
    found = known.findings
    if found is None:
        why = f"the doctor was not there: there is no {FINDINGS}"
        why = why if known.folds is None else "each member has a page of its own"
        found = Findings(unchecked={"training": why})
    return after(found, known)


def members(folder: Path) -> dict[str, Path]:
    """The runs that a folder stands for: those of a study by name, a search's chosen one, or the run itself ('').

    Raises:
        DataError: it is a study none of whose runs was begun, or a search that is not finished.
    """
    folder = chosen(folder)
    if not cross.is_study(folder):
        return {"": folder}
    found = {path.name: path for path in sorted(folder.iterdir()) if (path / folders.RECIPE).is_file()}
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
    severity = severity_of(fail_on)
    for name, path in members(folder).items():
        bad = [one for one in diagnose(path).findings if SEVERITIES.index(one.severity) <= SEVERITIES.index(severity)]
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


def require_doctor(recipe: Recipe, fail_on: str) -> None:
    """See before training that ``fail_on`` can be kept.

    Raises:
        UsageError: it is neither error nor warning, or the recipe has no doctor.
    """
    severity_of(fail_on)
    if recipe.doctor == "off":
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
