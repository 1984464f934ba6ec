"""Data and split of a config."""

from __future__ import annotations

from yisheng.core import registry
from yisheng.core.config import IN_MEMORY, Config
from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Dataset, Split
from yisheng.data.split import folds, hold_out


def dataset(config: Config) -> Dataset:
    """The data set that a config names.

    Raises:
        DataError: it cannot be read, or was given in memory.
    """
    if config.data.name == IN_MEMORY:
        raise DataError("this run was trained on data given in memory", "call it from Python and pass the data again")
    found: Dataset = registry.find("data.datasets", config.data.name).build(**config.data.options)
    return found


def split(config: Config, data: Dataset) -> Split:
    """The parts that a config asks for; the same for every model.

    Raises:
        UsageError: sizes or fold do not fit the data or one another.
    """
    if config.fold is None:
        return hold_out(data, validation=config.validation, test=config.test, seed=config.seed, how=config.split)
    if config.validation != "auto":
        raise UsageError(
            f"validation={config.validation} and fold={config.fold} contradict: the fold is the validation part",
            "leave one of them out",
        )
    number, k = map(int, config.fold.split("/"))
    if number > k:
        raise UsageError(f"there is no fold {number} of {k}", f"give fold=1/{k} to fold={k}/{k}")
    found = folds(data, k, test=config.test, seed=config.seed, how=config.split, repeats=config.repeat)
    return found[(config.repeat - 1) * k + number - 1]
