"""Load the data set of a config, and split it."""

from __future__ import annotations

from yisheng.core import registry
from yisheng.core.config import IN_MEMORY, Config
from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Dataset, Split
from yisheng.data.split import hold_out, make_folds


def load_dataset(config: Config) -> Dataset:
    """Return the data set that a config names.

    Raises:
        DataError: it cannot be read, or was given in memory.
    """
    if config.data.name == IN_MEMORY:
        raise DataError("this run was trained on data given in memory", "call it from Python and pass the data again")
    dataset: Dataset = registry.find("data.datasets", config.data.name).build(**config.data.options)
    return dataset


def split_dataset(config: Config, data: Dataset) -> Split:
    """Return the parts that a config asks for; they do not depend on the model.

    Raises:
        UsageError: sizes or fold do not fit the data or one another.
    """
    if config.fold is None:
        return hold_out(data, validation=config.validation, test=config.test, seed=config.seed, method=config.split)
    if config.validation != "auto":
        raise UsageError(
            f"validation={config.validation} and fold={config.fold} contradict: the fold is the validation part",
            "leave one of them out",
        )
    number, k = map(int, config.fold.split("/"))
    if number > k:
        raise UsageError(f"there is no fold {number} of {k}", f"use fold=1/{k} to fold={k}/{k}")
    splits = make_folds(data, k, test=config.test, seed=config.seed, method=config.split, repeats=config.repeat)
    return splits[(config.repeat - 1) * k + number - 1]
