"""Data and split of a recipe."""

from __future__ import annotations

from yisheng.core import registry
from yisheng.core.config import IN_MEMORY, Recipe
from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Dataset, Split
from yisheng.data.split import folds, hold_out


def dataset(recipe: Recipe) -> Dataset:
    """The data set that a recipe names.

    Raises:
        DataError: it cannot be read, or was given in memory.
    """
    if recipe.data.name == IN_MEMORY:
        raise DataError("this run was trained on data given in memory", "call it from Python and pass the data again")
    found: Dataset = registry.find("data.datasets", recipe.data.name).build(**recipe.data.options)
    return found


def split(recipe: Recipe, data: Dataset) -> Split:
    """The parts that a recipe asks for; the same for every model.

    Raises:
        UsageError: sizes or fold do not fit the data or one another.
    """
    if recipe.fold is None:
        return hold_out(data, validation=recipe.validation, test=recipe.test, seed=recipe.seed, how=recipe.split)
    if recipe.validation != "auto":
        raise UsageError(
            f"validation={recipe.validation} and fold={recipe.fold} contradict: the fold is the validation part",
            "leave one of them out",
        )
    number, k = map(int, recipe.fold.split("/"))
    if number > k:
        raise UsageError(f"there is no fold {number} of {k}", f"give fold=1/{k} to fold={k}/{k}")
    found = folds(data, k, test=recipe.test, seed=recipe.seed, how=recipe.split, repeats=recipe.repeat)
    return found[(recipe.repeat - 1) * k + number - 1]
