"""Figures of a run, a cross-validation or a search by name, for ``yisheng plot`` and ``run.plot()``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final

from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.reporting import figures
from yisheng.reporting.formatting import is_higher_better, score_name
from yisheng.reporting.headline import describe_result
from yisheng.reporting.run_facts import RunFacts, read_run_facts
from yisheng.reporting.section import PARTS
from yisheng.reporting.sections import confusion, folds
from yisheng.reporting.svg import Chart

if TYPE_CHECKING:
    from yisheng.reporting.run_figures.figure import RunFigure

MAX_SCORES: Final = 5
MAX_FOLD_SCORES: Final = 3
MAX_MISTAKES: Final = 24
MISTAKES_IN_A_ROW: Final = 8
NOT_EVALUATED: Final = Message("it is not evaluated: run yisheng evaluate first")


@dataclass(frozen=True)
class Source:
    """What the figures of a run are made from.

    Args:
        folder: of a run or a cross-validation.
        data: the data set, if the config cannot name it.
        n: number of images.
        seed: which images.
    """

    folder: Path
    data: Dataset | None = None
    n: int = 18
    seed: int = 0

    @cached_property
    def facts(self) -> RunFacts:
        """Return the contents of the folder's files."""
        return read_run_facts(self.folder)

    @property
    def headline(self) -> str:
        """Return the run's main score with its interval."""
        facts = self.facts
        return describe_result(facts).result.partition(";")[0].rstrip(".") if facts.score else ""


@dataclass(frozen=True)
class FigureKind:
    """One kind of figure.

    Args:
        about: what it shows.
        draw: makes it.
        explain_absence: returns why a run has no such figure; empty text if it has one.
    """

    about: str
    draw: Callable[[Source], RunFigure]
    explain_absence: Callable[[RunFacts], str]


def plot(
    folder: Path,
    kind: str | None = None,
    *,
    out: Path | None = None,
    data: Dataset | None = None,
    n: int = 18,
    seed: int = 0,
) -> RunFigure:
    """Return a figure of a run, a cross-validation or a search.

    Args:
        folder: of the run, cross-validation or search.
        kind: a name of `list_kinds`; by default the curves of a run, the folds of a cross-validation, the trials of a
            search.
        out: file to write it to: .png, .svg or .pdf.
        data: the data set, for ``images`` of a run whose config cannot name it.
        n: number of images.
        seed: which images.

    Raises:
        UsageError: there is no such figure, or not of this run; or the file has another ending.
        DataError: the folder or its data cannot be read.
        StorageError: the file cannot be written.
    """
    from yisheng.experiments import search_plots
    from yisheng.reporting.run_figures.figure import require_format, save_figure

    if out is not None:
        require_format(out)
    if n < 1:
        raise UsageError(Message("n must be 1 or more, got {n}", n=n), Message("use n=18"))
    run = RunFolder(folder)
    kind = kind or choose_default(folder)
    if run.is_search and kind in search_plots.KINDS:
        figure = search_plots.plot(folder, kind)
    else:
        source = Source(run.model_folder.path, data, n, seed)
        figure = find_kind(source, kind, folder).draw(source)
    if out is not None:
        save_figure(figure, out)
    return figure


def choose_default(folder: Path) -> str:
    """Return the name of the figure that is drawn if none is named."""
    run = RunFolder(folder)
    return "trials" if run.is_search else "folds" if run.is_cross_validation else "curves"


def find_kind(source: Source, name: str, folder: Path) -> FigureKind:
    """Return a kind of figure that a run has.

    Args:
        source: the run.
        name: of the kind.
        folder: of the run, or of the search whose run it is.

    Raises:
        UsageError: there is no such kind, or this run has no such figure.
    """
    if name not in KINDS:
        raise UsageError(Message("there is no figure {name}", name=f"{name!r}"), suggest(name, list_kinds(folder)))
    reason = KINDS[name].explain_absence(source.facts)
    if reason:
        names = ", ".join(list_kinds(folder))
        remedy = Message("this run has {names}", names=names) if names else Message("train it further")
        raise UsageError(
            Message("{folder} has no figure {name}: {reason}", folder=source.folder, name=name, reason=reason), remedy
        )
    return KINDS[name]


def list_kinds(folder: Path) -> dict[str, str]:
    """Return what each figure of a run, cross-validation or search shows, by its name.

    Raises:
        DataError: this is not such a folder.
    """
    from yisheng.experiments import search_plots

    run = RunFolder(folder)
    facts = read_run_facts(run.model_folder.path)
    figure_kinds = {name: figure.about for name, figure in KINDS.items() if not figure.explain_absence(facts)}
    return {**search_plots.KINDS, **figure_kinds} if run.is_search else figure_kinds


def _draw_charts(source: Source, charts: list[Chart], details: str = "") -> RunFigure:
    from yisheng.reporting.run_figures.figure import draw_panels

    return draw_panels(charts, source.facts.name, details or source.headline)


def _draw_curves(source: Source) -> RunFigure:
    facts, history, best = source.facts, source.facts.history, source.facts.best_epoch
    names = sorted((name for name in history.scores() if name != "loss"), key=lambda name: name != facts.watched_score)
    charts = [figures.plot_loss_by_epoch(history, best)]
    charts += [
        figures.plot_score_by_epoch(history, name, score_name(name), best, log=is_higher_better(name) is False)
        for name in names[:MAX_SCORES]
    ]
    return _draw_charts(source, charts)


def _draw_steps(source: Source) -> RunFigure:
    history = source.facts.history
    return _draw_charts(source, [figures.plot_loss_by_step(history), figures.plot_lr_by_step(history)])


def _draw_folds(source: Source) -> RunFigure:
    cv = source.facts.cross_validation
    assert cv is not None
    names = list(dict.fromkeys(name for model in cv.trained_models for name in model.scores or {}))
    names.sort(key=lambda name: name != cv.score)
    return _draw_charts(source, [folds.plot_folds(cv, name, score_name(name)) for name in names[:MAX_FOLD_SCORES]])


def _draw_confusion(source: Source) -> RunFigure:
    from yisheng.reporting.run_figures.confusion import draw_confusion

    evaluation = source.facts.evaluation
    assert evaluation is not None
    assert evaluation.confusion is not None
    names = confusion.class_names(source.facts, evaluation)
    part = _name_part(evaluation.part)
    details = Message("{rows} rows of the {part} part", rows=f"{evaluation.rows:,}", part=part)
    return draw_confusion(evaluation.confusion_matrix, names, source.facts.name, details)


def _draw_calibration(source: Source) -> RunFigure:
    evaluation = source.facts.evaluation
    assert evaluation is not None
    assert evaluation.calibration is not None
    return _draw_charts(
        source,
        [figures.plot_reliability(evaluation.calibration.bins)],
        Message("{part} part", part=_name_part(evaluation.part)),
    )


def _draw_predicted(source: Source) -> RunFigure:
    from yisheng.reporting.sections.regression import MAX_TARGETS, name_targets

    evaluation, spec = source.facts.evaluation, source.facts.spec
    assert evaluation is not None
    assert evaluation.pairs is not None
    unit, by_target = spec.unit if spec else "", evaluation.pairs.by_target[:MAX_TARGETS]
    charts = [
        plot(pairs, unit, name)
        for name, pairs in zip(name_targets(source.facts, len(evaluation.pairs.by_target)), by_target, strict=False)
        for plot in (figures.plot_predicted_by_true, figures.plot_residuals)
    ]
    return _draw_charts(source, charts)


def _draw_mistakes(source: Source) -> RunFigure:
    from yisheng.reporting.run_figures.mistakes import draw_mistakes

    return draw_mistakes(source.facts, MAX_MISTAKES, MISTAKES_IN_A_ROW)


def _draw_images(source: Source) -> RunFigure:
    from yisheng.experiments.predicted_images import draw_predicted_images

    return draw_predicted_images(source.folder, source.facts, source.data, source.n, source.seed)


def _name_part(part: str) -> str:
    return PARTS.get(part, part)


def _explain_curves(facts: RunFacts) -> str:
    if facts.cross_validation is not None:
        return Message("it has a model for each fold; give one of them, as in {path}", path=f"{facts.run}/fold-01")
    return "" if facts.history.epochs else Message("no epoch is finished")


def _explain_steps(facts: RunFacts) -> str:
    return "" if len(facts.history.steps) > 1 else Message("no two steps are in its log")


def _explain_folds(facts: RunFacts) -> str:
    cv = facts.cross_validation
    if cv is None:
        return Message("it is a single run")
    return "" if cv.trained_models else Message("no fold is trained")


def _explain_confusion(facts: RunFacts) -> str:
    if facts.spec and facts.spec.task != "classification":
        return Message("it is a {task}", task=facts.spec.task)
    return "" if facts.evaluation and facts.evaluation.confusion else NOT_EVALUATED


def _explain_calibration(facts: RunFacts) -> str:
    if facts.spec and facts.spec.task != "classification":
        return Message("it is a {task}", task=facts.spec.task)
    return "" if facts.evaluation and facts.evaluation.calibration else NOT_EVALUATED


def _explain_predicted(facts: RunFacts) -> str:
    if facts.spec and facts.spec.task != "regression":
        return Message("it is a {task}", task=facts.spec.task)
    return "" if facts.evaluation and facts.evaluation.pairs else NOT_EVALUATED


def _explain_mistakes(facts: RunFacts) -> str:
    if facts.evaluation is None:
        return NOT_EVALUATED
    part = _name_part(facts.evaluation.part)
    return "" if facts.evaluation.worst else Message("all rows of the {part} part are predicted correctly", part=part)


def _explain_images(facts: RunFacts) -> str:
    if facts.spec is None:
        return Message("it has no model yet")
    return "" if facts.spec.is_image else Message("its inputs are not images")


KINDS: Final[Mapping[str, FigureKind]] = {
    "curves": FigureKind(
        Message("loss and scores by epoch, with the epoch whose weights are used"), _draw_curves, _explain_curves
    ),
    "steps": FigureKind(Message("training loss and learning rate by step"), _draw_steps, _explain_steps),
    "confusion-matrix": FigureKind(
        Message("how often each class was predicted as each other"), _draw_confusion, _explain_confusion
    ),
    "images": FigureKind(
        Message("images of the test part with their true and predicted labels"), _draw_images, _explain_images
    ),
    "mistakes": FigureKind(Message("the rows or images with the worst predictions"), _draw_mistakes, _explain_mistakes),
    "predicted": FigureKind(
        Message("predicted against true values, and their differences"), _draw_predicted, _explain_predicted
    ),
    "calibration": FigureKind(Message("accuracy by predicted probability"), _draw_calibration, _explain_calibration),
    "folds": FigureKind(Message("the scores of a cross-validation's folds"), _draw_folds, _explain_folds),
}
"""Figures of a run or a cross-validation by name."""
