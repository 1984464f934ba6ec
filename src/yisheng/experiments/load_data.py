"""Load the data set of a config, and split it."""

from __future__ import annotations

import numpy as np

from yisheng.core import registry
from yisheng.core.choice import IN_MEMORY
from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.data.part_labels import check_part_labels
from yisheng.data.split import hold_out, make_folds


def load_dataset(config: Config) -> Dataset:
    """Return the data set that a config names.

    Raises:
        DataError: it cannot be read, or was given in memory.
    """
    if config.data.name == IN_MEMORY:
        raise DataError(
            Message("this run was trained on data given in memory"),
            Message("call it from Python, and give the data again, as in data=(x, y)"),
        )
    dataset: Dataset = registry.find("data.datasets", config.data.name).build(**config.data.options)
    return dataset


def split_dataset(config: Config, data: Dataset) -> Split:
    """Return the parts that a config asks for; they do not depend on the model.

    A network of the user's own that is not trained here (``epochs=0``) has seen none of the rows: without official
    parts and sizes, all rows are its test part, and also what baseline and out-of-distribution detector are fitted on.

    Raises:
        UsageError: sizes or fold do not fit the data or one another.
        DataError: no label of the official test or validation rows is one of the training rows.
    """
    if data.spec.task == "classification":
        check_part_labels(data.name, data.spec.classes, data.y, data.part, has_forms=False)
    if config.fold is None and _scores_all_rows(config, data):
        rows = np.arange(len(data))
        return Split(rows, rows[:0], rows)
    if config.fold is None:
        return hold_out(data, validation=config.validation, test=config.test, seed=config.seed, method=config.split)
    if config.validation != "auto":
        raise UsageError(
            Message(
                "validation={validation} and fold={fold} contradict: the fold is the validation part",
                validation=config.validation,
                fold=config.fold,
            ),
            Message("leave one of them out"),
        )
    number, k = map(int, config.fold.split("/"))
    if number > k:
        raise UsageError(
            Message("there is no fold {number} of {k}", number=number, k=k),
            Message("use fold=1/{k} to fold={k}/{k}", k=k),
        )
    splits = make_folds(data, k, test=config.test, seed=config.seed, method=config.split, repeats=config.repeat)
    return splits[(config.repeat - 1) * k + number - 1]


def _scores_all_rows(config: Config, data: Dataset) -> bool:
    """Return whether all rows are scored: nothing is trained, and nobody asks for parts."""
    if config.epochs != 0 or not is_custom(config.model):
        return False
    return config.test == "auto" and config.validation == "auto" and (data.part is None or not data.part.any())
