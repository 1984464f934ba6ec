"""Data and split of a recipe."""

from __future__ import annotations

from yisheng.core import registry
from yisheng.core.errors import DataError, UsageError
from yisheng.core.recipe import IN_MEMORY, Recipe
from yisheng.core.types import Dataset, Split
from yisheng.data.split import folds, hold_out
from yisheng.transforms._rows import Gather, require_finite


def dataset(recipe: Recipe) -> Dataset:
    """The data set that a recipe names.

    Raises:
        DataError: it cannot be read, or was given in memory.
    """
    if recipe.data.name == IN_MEMORY:
        raise DataError("this run was trained on data given in memory", "call it from Python and pass the data again")
    found: Dataset = registry.find("data.sets", recipe.data.name).build(**recipe.data.options)
    return found


def split(recipe: Recipe, data: Dataset) -> Split:
    """The parts that a recipe asks for; the same for every model.

    Raises:
        UsageError: sizes or fold do not fit the data or one another.
        DataError: the validation or test part holds values that are not finite (the training part is looked
            at when the scaling is fitted to it).
    """
    found = _split(recipe, data)
    columns = [column.name for column in data.spec.columns]
    for part, rows in (("validation", found.validation), ("test", found.test)):
        if len(rows):
            require_finite(Gather(data.x, rows), columns, part)
    return found


def _split(recipe: Recipe, data: Dataset) -> Split:
    if recipe.fold is None:
        return hold_out(data, validation=recipe.validation, test=recipe.test, seed=recipe.seed)
    if recipe.validation != "auto":
        raise UsageError(
            f"validation={recipe.validation} and fold={recipe.fold} contradict: the fold is the validation part",
            "leave one of them out",
        )
    number, k = map(int, recipe.fold.split("/"))
    if number > k:
        raise UsageError(f"there is no fold {number} of {k}", f"give fold=1/{k} to fold={k}/{k}")
    return folds(data, k, test=recipe.test, seed=recipe.seed)[number - 1]
