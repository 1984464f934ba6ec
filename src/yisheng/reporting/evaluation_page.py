"""The report of an evaluation on other data: one self-contained page in ``evaluations/NAME/report.html``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.validation_texts import describe_invalid
from yisheng.reporting import evaluation_sections
from yisheng.reporting.evaluation_schema import Evaluation
from yisheng.reporting.formatting import format_count, replace_unprintable
from yisheng.reporting.headline import SIGNS
from yisheng.reporting.history import History
from yisheng.reporting.other_data_schema import OtherData
from yisheng.reporting.run_facts import RunFacts, read_run_facts
from yisheng.reporting.section import Section, render_page
from yisheng.reporting.sections.calibration import calibration
from yisheng.reporting.sections.classes import classes
from yisheng.reporting.sections.confusion import confusion
from yisheng.reporting.sections.groups import groups
from yisheng.reporting.sections.intervals import intervals
from yisheng.reporting.sections.mistakes import mistakes
from yisheng.reporting.sections.regression import regression

OTHER_SECTIONS: tuple[Callable[[RunFacts, OtherData], Section | None], ...] = (
    evaluation_sections.compared_scores,
    evaluation_sections.matching,
    evaluation_sections.distribution,
)
SHARED_SECTIONS: tuple[Callable[[RunFacts], Section | None], ...] = (
    confusion,
    classes,
    regression,
    intervals,
    mistakes,
    calibration,
    groups,
)
"""Sections that the report of a run has, too."""


def render_evaluation_page(folder: Path, run: Path) -> str:
    """Return the page as HTML.

    Args:
        folder: of the evaluation.
        run: the run folder, or one with only the files of a model.

    Raises:
        DataError: a file of the evaluation is missing or damaged.
    """
    facts = _read_facts(folder, run)
    assert facts.evaluation is not None
    comparison = facts.evaluation.other_data
    if comparison is None:
        raise DataError(
            Message("{folder} holds no evaluation on other data", folder=folder),
            Message("use yisheng evaluate {run} data=DATA", run=run),
        )
    verdict, result, meaning = evaluation_sections.describe_difference(facts, comparison)
    sections = [make(facts, comparison) for make in OTHER_SECTIONS] + [make(facts) for make in SHARED_SECTIONS]
    text = render_page(
        "evaluation.html",
        facts=facts,
        data_name=comparison.data.name,
        verdict=verdict,
        sign=SIGNS[verdict],  # type: ignore[index]  # one of its keys
        result=result,
        meaning=meaning,
        summary_facts=_summary_facts(facts, comparison),
        sections=[section for section in sections if section],
    )
    return replace_unprintable(text)


def write_evaluation_page(folder: Path, run: Path) -> Path:
    """Write the page into the folder of the evaluation as ``report.html``; return its path.

    Raises:
        DataError: a file of the evaluation is missing or damaged.
        StorageError: the page cannot be written; an existing report is unchanged.
    """
    path = folder / RunFolder.REPORT
    files.write_file(path, render_evaluation_page(folder, run))
    return path


def _read_facts(folder: Path, run: Path) -> RunFacts:
    """Return the facts of the run with the scores and details of the evaluation instead of its own."""
    facts = read_run_facts(run)
    try:
        evaluation = Evaluation.model_validate(files.read_json(folder / RunFolder.EVALUATION))
    except ValidationError as error:
        problem = error.errors()[0]
        position = ".".join(map(str, problem["loc"]))
        raise DataError(
            Message(
                "{path} is damaged at {position}: {problem}",
                path=folder / RunFolder.EVALUATION,
                position=position,
                problem=describe_invalid(problem),
            ),
            Message("evaluate the run again"),
        ) from None
    return replace(facts, scores=RunFolder(folder).scores, evaluation=evaluation, history=History())


def _summary_facts(facts: RunFacts, comparison: OtherData) -> list[tuple[str, str]]:
    ood = comparison.out_of_distribution
    texts = {
        Message("Run"): facts.run,
        Message("Model"): facts.choice_name("model"),
        Message("Data"): evaluation_sections.name_part(comparison),
        Message("Rows"): format_count(comparison.data.scored, "row"),
        Message("Out of distribution"): "" if ood is None else f"{100 * ood.fraction:.1f}%",
        Message("Evaluated"): comparison.evaluated.replace("T", ", ").replace("+00:00", " UTC"),
    }
    return [(name, text) for name, text in texts.items() if text]
