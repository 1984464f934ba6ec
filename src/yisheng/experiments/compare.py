"""``compare``: what differs between runs, and whether the difference of their scores is significant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from yisheng.core import files
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.run_contents import read_run
from yisheng.core.run_folder import RunFolder
from yisheng.core.score_keys import parse_score_key
from yisheng.core.validation_texts import describe_invalid
from yisheng.evaluation.corrected_intervals import LEVEL
from yisheng.experiments.comparison import Comparison, describe_test
from yisheng.experiments.other_data.result import Evaluation
from yisheng.experiments.significance import ComparedRun, RunGroup, compare_groups
from yisheng.reporting import comparison_page
from yisheng.reporting.comparison_figures import Curves
from yisheng.reporting.config_diff import IGNORED_KEYS, LABEL_KEYS, flatten
from yisheng.reporting.cv_schema import CrossValidation
from yisheng.reporting.formatting import format_number, is_higher_better, score_name
from yisheng.reporting.history import History, read_history
from yisheng.reporting.search_facts import format_value

DRAWABLE_SUFFIXES: Final = (".html", ".svg", ".png")
DATA_KEY: Final = "data (SHA-256)"
MAX_LABEL_KEYS: Final = 3


def compare(groups: Sequence[Sequence[Path]], *, score: str | None = None, data: Dataset | None = None) -> Comparison:
    """Compare runs, cross-validations, or groups of them over seeds; each with the first.

    Cross-validations over the same folds are compared fold by fold, by the corrected resampled t-test. Groups of runs
    are compared seed by seed if the seeds match, else by Welch's test; if seeds drew different test rows, with the
    same correction. With several comparisons the intervals are widened so that all of them hold together with 95%
    (Bonferroni).

    Args:
        groups: at least two; each one folder, or several that differ in their seed only.
        score: the score to compare; by default the one that chose the weights of the first.
        data: the data set, if the configs cannot name it.

    Raises:
        UsageError: fewer than two are given, a group differs in more than its seed, or there is no such score.
        DataError: a folder is not a finished run, or damaged.
    """
    if len(groups) < 2 or not all(groups):
        raise UsageError(Message("a comparison needs two runs or more"), Message("use yisheng compare RUN RUN"))
    read_groups = tuple(map(_read_group, groups))
    name = _choose_score([run for group in read_groups for run in group.runs], score)
    higher_is_better = is_higher_better(name) is not False
    level = 1 - (1 - LEVEL) / (len(read_groups) - 1)
    tests = [
        compare_groups(read_groups[0], group, name, higher_is_better=higher_is_better, level=level, data=data)
        for group in read_groups[1:]
    ]
    return Comparison(name, higher_is_better, read_groups, _find_differing(read_groups), tuple(tests))


def draw_comparison(comparison: Comparison, out: Path) -> None:
    """Write the curves of the compared runs over the epochs; into a page also the scores and tests.

    Args:
        comparison: the result.
        out: a file that ends in ``.html``, ``.svg`` or ``.png``.

    Raises:
        UsageError: it has another suffix.
        DataError: a log cannot be opened.
        StorageError: the file cannot be written.
    """
    require_drawable(out)
    labels = _make_labels(comparison)
    contenders = [
        comparison_page.Contender(
            group.name,
            Curves(label, tuple(log for run in group.runs for log in _read_logs(run))),
            {part: group.value(part, comparison.score) for part in comparison_page.PARTS},
        )
        for group, label in zip(comparison.groups, labels, strict=True)
    ]
    conclusions = []
    for number, (label, test) in enumerate(zip(labels[1:], comparison.tests, strict=True), 2):
        names = {"number": number, "label": label, "first_label": labels[0]}
        heading = Message("{number} ({label}) against 1 ({first_label})", **names)
        lines = describe_test(test, score_name(comparison.score), format_number)
        conclusions.append(comparison_page.Conclusion(test.outcome, [heading, *lines]))
    comparison_page.write_comparison(out, contenders, comparison.score, comparison.differing, conclusions)


def require_drawable(out: Path) -> None:
    """Refuse a file with a suffix that `draw_comparison` cannot write.

    Raises:
        UsageError: it has such a suffix.
    """
    if out.suffix.lower() not in DRAWABLE_SUFFIXES:
        raise UsageError(
            Message("out= must end in .html, .svg or .png, got {name}", name=f"{out.name!r}"),
            Message("name such a file"),
        )


def _make_labels(comparison: Comparison) -> list[str]:
    """Return a label for each group: the settings in which it differs, with its name if these are not enough."""
    keys = [key for key in comparison.differing if key != DATA_KEY][:MAX_LABEL_KEYS]
    values = comparison.differing
    labels = [
        ", ".join(f"{key}={values[key][index]}" for key in keys if values[key][index] != "none")
        for index in range(len(comparison.groups))
    ]
    if all(labels) and len(set(labels)) == len(labels):
        return labels
    return [f"{Path(group.name).name} {label}".strip() for group, label in zip(comparison.groups, labels, strict=True)]


def _read_logs(run: ComparedRun) -> list[History]:
    """Return the log of a run, or those of all models of a cross-validation."""
    if run.cross_validation is None:
        return [] if run.config.folds else [read_history(run.evaluated_run or run.path)]
    return [read_history(run.path / fold_model.folder) for fold_model in run.cross_validation.models]


def _read_group(paths: Sequence[Path]) -> RunGroup:
    name = ",".join(map(str, paths))
    if len({path.resolve() for path in paths}) < len(paths):
        raise UsageError(Message("{name} names a run twice", name=name), Message("name each once"))
    runs = tuple(map(_read_compared_run, paths))
    if len({run.cross_validation is None for run in runs}) > 1:
        raise UsageError(
            Message("{name} mixes runs with cross-validations", name=name),
            Message("use only runs or only cross-validations"),
        )
    values = [flatten(run.config.to_dict()) for run in runs]
    keys = dict.fromkeys(key for config in values for key in config if key not in ("seed", *IGNORED_KEYS))
    differing = [key for key in keys if len({str(config.get(key)) for config in values}) > 1]
    if differing or len({run.data_sha256 for run in runs}) > 1:
        difference = ", ".join(differing) or Message("their data")
        raise UsageError(
            Message(
                "runs of a group may differ in their seed only; {name} differ in {difference}",
                name=name,
                difference=difference,
            ),
            Message("name them as separate groups"),
        )
    if len({run.config.seed for run in runs}) < len(runs):
        raise UsageError(Message("two runs of {name} have the same seed", name=name), Message("name one of them"))
    return RunGroup(name, runs)


def _read_compared_run(path: Path) -> ComparedRun:
    folder = RunFolder(path)
    if path.resolve().parent.name == RunFolder.EVALUATIONS and not folder.is_begun:
        return _read_evaluation(path)
    scores = read_run(folder).scores
    if not scores:
        raise DataError(Message("{path} has no scores", path=path), Message("use yisheng evaluate {path}", path=path))
    if not folder.is_cross_validation:
        return ComparedRun(path, folder.config, scores, folder.data_sha256, None)
    cv_path = folder.file(RunFolder.CROSS_VALIDATION)
    try:
        cross_validation = CrossValidation.model_validate(files.read_json(cv_path))
    except ValidationError as error:
        problem = describe_invalid(error.errors()[0])
        raise DataError(
            Message("{cv_path} is damaged: {problem}", cv_path=cv_path, problem=problem),
            Message("use yisheng evaluate {path}", path=path),
        ) from None
    return ComparedRun(path, folder.cross_validation_config, scores, folder.data_sha256, cross_validation)


def _read_evaluation(path: Path) -> ComparedRun:
    """Return an evaluation of a run or cross-validation on other data."""
    evaluation = Evaluation(path)
    run = path.resolve().parent.parent
    folder = RunFolder(run)
    config = folder.cross_validation_config if folder.is_cross_validation else folder.config
    try:
        sha256 = str((evaluation.other_data or {})["data"]["sha256"])
    except (KeyError, TypeError):
        raise DataError(
            Message("{path} is damaged: it does not name its data", path=path), Message("evaluate the run again")
        ) from None
    return ComparedRun(path, config, evaluation, sha256, None, run)


def _choose_score(runs: Sequence[ComparedRun], requested: str | None) -> str:
    """Return the score to compare, which all runs must have."""
    by_run = [{name for part in ("test", "validation") for name in run.scores.get(part, {})} for run in runs]
    common = set.intersection(*by_run)
    _, name = parse_score_key(runs[0].config.score if requested is None else requested)
    if requested is None and name not in common:  # with score=loss the loss chose the weights, but is not a score
        measured = [score for part in ("test", "validation") for score in runs[0].scores.get(part, {})]
        name = next((score for score in measured if score in common), name)
    if name not in common:
        remedy = suggest(name, common) if common else Message("compare runs of the same task")
        raise UsageError(Message("not all of the runs have the score {name}", name=f"{name!r}"), remedy)
    return name


def _find_differing(groups: Sequence[RunGroup]) -> dict[str, tuple[str, ...]]:
    """Return the keys of the configs, and the data, that differ between groups, with the value of each group."""
    configs = [[flatten(run.config.to_dict()) for run in group.runs] for group in groups]
    differing = {}
    for key in dict.fromkeys(key for group in configs for config in group for key in config if key not in LABEL_KEYS):
        values = tuple(", ".join(dict.fromkeys(format_value(config.get(key)) for config in group)) for group in configs)
        if len(set(values)) > 1:
            differing[key] = values
    data = tuple((group.runs[0].data_sha256 or "unknown")[:12] for group in groups)
    return {**differing, **({DATA_KEY: data} if len(set(data)) > 1 else {})}
