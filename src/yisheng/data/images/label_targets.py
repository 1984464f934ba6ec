"""What is learned from the labels of images: classes, labels or numbers, by the rules that tables have.

The training images decide the task, the classes and the form of the numbers; those of the other parts, and later lists,
are read by what training decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

import numpy as np

from yisheng.core.columns import Column
from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.spec import Spec
from yisheng.data.class_names import normalize_name
from yisheng.data.images.label_choices import LabelChoices, LabelTargets
from yisheng.data.images.label_words import are_indicators, read_indicators, read_words
from yisheng.data.tables.column_roles import Roles, join_names
from yisheng.data.tables.later_tables import drop_missing_words
from yisheng.data.tables.literals import infer_number_format, is_code, is_missing, is_number
from yisheng.data.tables.number_form import NumberForm, infer_number_form, report_number_form, set_number_form
from yisheng.data.tables.other_targets import add_test_targets, read_values
from yisheng.data.tables.raw_column import RawColumn, merge_categories
from yisheng.data.tables.reading_options import ReadingOptions
from yisheng.data.tables.target_words import settle_test_words, settle_words
from yisheng.data.tables.targets import Target, read_target
from yisheng.data.tables.unicode_forms import normalize_text

NUMBER_NAME = "value"
"""Name of a target of numbers that has no header, or that the folders' names give."""


def read_columns(
    source: str,
    names: Sequence[str],
    numbers: Sequence[int],
    columns: Sequence[Sequence[str]],
    is_training: np.ndarray,
    choices: LabelChoices,
) -> LabelTargets:
    """Return the targets that the columns of a list hold.

    One column is read as the target of a table is: its words, and few different whole numbers, are classes, other
    numbers are a regression. Several columns of yes or no are a label each, several of numbers a regression of several
    targets, and the words of several columns name the labels of each image.

    Args:
        source: the list, for messages.
        names: names of the columns; all empty without a header.
        numbers: number of each in the list, from 1.
        columns: their cells as they are written.
        is_training: whether each image is in the training part, bool ``(N,)``.
        choices: the user's choices.

    Raises:
        DataError: there are no labels, or they are not of one kind, or not what training had.
        UsageError: a column does not exist, or the task does not allow several.
    """
    names, numbers, written = _select_columns(source, names, numbers, columns, choices)
    columns = [list(map(normalize_text, column)) for column in written]
    if not columns or not any(map(any, columns)):
        raise DataError(
            Message("{source} lists images without labels", source=source),
            Message("add a column of labels: file,label"),
        )
    task = choices.task if choices.run is None else choices.run.task
    if task in (None, "multilabel") and are_indicators(columns, task):
        return read_indicators(source, [normalize_name(name, choices.forms) for name in names], columns)
    if task == "regression" and choices.run is not None:
        return _read_later_numbers(source, _make_raws(names, numbers, written, choices), choices.run, choices.reading)
    are_numbers = [_holds_numbers(column) for column in columns]
    if task != "regression" and (task == "multilabel" or len(columns) > 1 or choices.run is not None):
        if len(columns) == 1 or not any(are_numbers):
            return read_words(source, columns, choices, task)
        if task is not None or not all(are_numbers):
            _raise_mixed(source, [name or str(n) for name, n in zip(names, numbers, strict=True)], are_numbers)
    raws = _make_raws(names, numbers, written, choices)
    return read_by_training(source, raws, is_training, replace(choices, task=task))


def read_folder_numbers(
    source: str, names: Sequence[str], folders: np.ndarray, is_training: np.ndarray, choices: LabelChoices
) -> LabelTargets:
    """Return the numbers that class folders are named by.

    Args:
        source: the folder, for messages.
        names: names of the class folders.
        folders: number of each image's folder, int64 ``(N,)``.
        is_training: whether each image is in the training part, bool ``(N,)``.
        choices: the user's choices; the task is a regression.

    Raises:
        DataError: a name is not a number, or all are the same one.
    """
    wrong = [name for name in names if infer_number_format([name]) is None]
    if wrong or infer_number_format(names) is None:
        raise DataError(
            Message(
                "{source}: a regression needs a number as the name of every class folder, got {folder}",
                source=source,
                folder=f"{(wrong or names)[0]!r}",
            ),
            Message("rename the folder, or move it elsewhere; without task=regression the folders are classes"),
        )
    raw = RawColumn(NUMBER_NAME, codes=folders.astype(np.int32), categories=tuple(names))
    if choices.run is not None:
        return _read_later_numbers(source, {NUMBER_NAME: raw}, choices.run, choices.reading)
    return read_by_training(source, {NUMBER_NAME: raw}, is_training, replace(choices, task="regression"))


def read_by_training(
    source: str, raws: Mapping[str, RawColumn], is_training: np.ndarray, choices: LabelChoices
) -> LabelTargets:
    """Return targets whose kind the training images decide, as a table's target is read with a test table.

    Args:
        source: of the labels, for messages.
        raws: the columns by name.
        is_training: whether each image is in the training part, bool ``(N,)``.
        choices: the user's choices.

    Raises:
        DataError: there is nothing to learn, or an image of another part has a target of another kind.
        UsageError: the task does not allow several columns.
    """
    form = _infer_form(raws, choices.reading)
    raws = set_number_form(raws, form.format)
    roles = Roles(tuple(raws), task=choices.task, labels=choices.forms)
    missing = choices.reading.missing
    later_raws = {name: _keep(raw, ~is_training).normalize(()) for name, raw in raws.items()}
    raws, findings = settle_words({name: _keep(raw, is_training).normalize(()) for name, raw in raws.items()}, roles)
    raws = {name: raw.mark_missing(missing) for name, raw in raws.items()}
    is_labeled = ~np.any([raw.missing for raw in raws.values()], axis=0)
    try:
        target = read_target(_complete(raws, is_labeled), choices.task, choices.forms)
        count = len(target.y)
        if not is_training.all():
            later_raws = {
                name: raw.mark_missing(missing) for name, raw in settle_test_words(later_raws, raws, roles).items()
            }
            later = ~np.any([raw.missing for raw in later_raws.values()], axis=0)
            if later.any():
                target = _add_later(target, later_raws, later, source)
                is_labeled = is_labeled | later
    except DataError as error:
        if error.problem.startswith(f"{source}: "):
            raise
        problem = Message("{source}: {problem}", source=source, problem=error.problem)
        raise DataError(problem, error.remedy) from None
    y = np.zeros((len(is_training), *target.y.shape[1:]), target.y.dtype)
    y[is_labeled & is_training] = target.y[:count]
    y[is_labeled & ~is_training] = target.y[count:]
    return LabelTargets(
        target.task,
        y,
        target.classes,
        is_labeled,
        target.columns if target.task == "regression" else (),
        (*target.findings, *report_number_form(source, form), *findings),
        has_words=target.task == "classification",
    )


def _infer_form(raws: Mapping[str, RawColumn], reading: ReadingOptions) -> NumberForm:
    """Return the form of the numbers of a list.

    Between commas a decimal comma needs quotes, so only a column with quoted ones raises the question for the others.
    """
    if reading.separator != ",":
        return infer_number_form(raws.values(), reading)
    quoted = [raw for raw in raws.values() if not all(is_number(text) or is_missing(text) for text in raw.categories)]
    form = infer_number_form(quoted, reading)
    return infer_number_form(raws.values(), reading) if form.format.startswith(",") else form


def _add_later(target: Target, raws: Mapping[str, RawColumn], is_labeled: np.ndarray, source: str) -> Target:
    """Return the targets with those of the labeled images of the other parts after them."""
    count = len(target.y)
    added = add_test_targets(target, _complete(raws, is_labeled), source)
    return replace(added, y=np.concatenate([added.y[:count], added.y[count:][is_labeled]]))


def _complete(raws: Mapping[str, RawColumn], is_labeled: np.ndarray) -> list[RawColumn]:
    """Return the columns without the values of images that lack another one, and without unused categories."""
    return [_keep(raw, is_labeled).normalize(()) for raw in raws.values()]


def _keep(raw: RawColumn, mask: np.ndarray) -> RawColumn:
    """Return a column in which the other values are missing, so that row numbers in messages are those of the list."""
    if raw.numbers is None:
        assert raw.codes is not None
        return replace(raw, codes=np.where(mask, raw.codes, -1).astype(np.int32))
    return raw if mask.all() else replace(raw, numbers=np.where(mask, raw.numbers.astype(np.float64), np.nan))


def _read_later_numbers(source: str, raws: Mapping[str, RawColumn], run: Spec, reading: ReadingOptions) -> LabelTargets:
    """Return the numbers of another list, read as a run reads them: its targets by name, or else by position."""
    names = [column.name for column in run.target_columns]
    if names and set(names) <= set(raws):
        raws = {name: raws[name] for name in names}
    if len(raws) != run.outputs:
        raise DataError(
            Message(
                "{source} has {count} columns of numbers ({columns}), the run predicts {outputs}: {target_names}",
                source=source,
                count=len(raws),
                columns=", ".join(raws),
                outputs=run.outputs,
                target_names=", ".join(run.target_names),
            ),
            Message("name them with target=, in the order of the run"),
        )
    columns = run.target_columns or tuple(
        Column(name, format=infer_number_format(raw.categories) or "", source=name) for name, raw in raws.items()
    )
    if reading.number_format:
        columns = tuple(replace(column, format=reading.number_format) for column in columns)
    complete = [drop_missing_words(raw, ()).mark_missing(reading.missing) for raw in raws.values()]
    is_labeled = ~np.any([raw.missing for raw in complete], axis=0)
    if not is_labeled.any():
        raise DataError(
            Message("{source}: the target {target} is missing in every row", source=source, target=", ".join(raws)),
            Message("name another with target="),
        )
    target = Target("regression", np.empty((0, run.outputs)), (), columns)
    values = read_values([_keep(raw, is_labeled) for raw in complete], target, source)
    return LabelTargets("regression", np.where(is_labeled[:, None], values, 0.0), (), is_labeled, columns)


def _select_columns(
    source: str,
    names: Sequence[str],
    numbers: Sequence[int],
    columns: Sequence[Sequence[str]],
    choices: LabelChoices,
) -> tuple[list[str], list[int], list[Sequence[str]]]:
    """Return names, numbers and cells of the columns that the user names, or of all that are not empty."""
    chosen = [n for n, column in enumerate(columns) if any(column)]
    if choices.target:
        chosen = []
        for name in join_names(choices.target, names):
            if name in names:
                chosen.append(list(names).index(name))
            elif name == "last" and columns:
                chosen.append(len(columns) - 1)
            elif name.isdecimal() and len(name) < 6 and int(name) in numbers:
                chosen.append(list(numbers).index(int(name)))
            else:
                raise UsageError(
                    Message("target={name}: {source} has no such column", name=name, source=source),
                    suggest(name, [*filter(None, names)]),
                )
        if len(set(chosen)) < len(chosen):
            raise UsageError(
                Message("target= names a column twice: {columns}", columns=", ".join(choices.target)),
                Message("name each column once"),
            )
    return [names[n] for n in chosen], [numbers[n] for n in chosen], [columns[n] for n in chosen]


def _make_raws(
    names: Sequence[str], numbers: Sequence[int], columns: Sequence[Sequence[str]], choices: LabelChoices
) -> dict[str, RawColumn]:
    """Return the columns as a table has them, with names of their own."""
    default = [NUMBER_NAME] if len(names) == 1 else [f"column-{number}" for number in numbers]
    full = [name or default[n] for n, name in enumerate(names)]
    repeated = [name for name in full if full.count(name) > 1]
    if repeated:
        raise DataError(
            Message("the list has two columns named {name}", name=repeated[0]),
            Message("give every column another name"),
        )
    raws = {}
    for name, column in zip(full, columns, strict=True):
        distinct = {text: code for code, text in enumerate(dict.fromkeys(column))}
        codes = np.array([distinct[text] for text in column], np.int32)
        raws[name] = merge_categories(name, codes, list(distinct)).normalize(choices.reading.missing)
    return raws


def _holds_numbers(column: Sequence[str]) -> bool:
    texts = [text for text in dict.fromkeys(column) if not is_missing(text)]
    return bool(texts) and infer_number_format(texts) is not None and not any(map(is_code, texts))


def _raise_mixed(source: str, names: Sequence[str], are_numbers: Sequence[bool]) -> NoReturn:
    """Raise the error about columns of numbers where labels are expected, next to columns of words or alone."""
    number = names[are_numbers.index(True)]
    if all(are_numbers):
        raise DataError(
            Message(
                "{source} holds numbers, not labels, in its columns {names}", source=source, names=", ".join(names)
            ),
            Message("use task=regression for numbers, or name a column with target="),
        )
    word = names[are_numbers.index(False)]
    raise DataError(
        Message(
            "{source} holds numbers, not labels, in the column {number}, and words in {word}",
            source=source,
            number=number,
            word=word,
        ),
        Message("name the column to predict with target={word} or target={number}", word=word, number=number),
    )
