"""Which folds a config asks for, and the config of each."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np

from yisheng.core.config import Config
from yisheng.core.errors import UsageError
from yisheng.core.types import Dataset, Split
from yisheng.data.split import folds


@dataclass(frozen=True)
class Fold:
    """One member of a study: its folder's name, which fold of which draw it is validated on, and its parts."""

    name: str
    of: str
    repeat: int
    split: Split

    @functools.cached_property
    def sha256(self) -> str:
        """Of the training and validation rows: whether another study has the same fold."""
        rows = (np.ascontiguousarray(part, "<i8").tobytes() for part in (self.split.train, self.split.validation))
        return hashlib.sha256(b"|".join(rows)).hexdigest()


def plan(config: Config, data: Dataset) -> list[Fold]:
    """All folds of all repeats.

    Raises:
        UsageError: they do not fit the data, or the config also says otherwise.
    """
    k = config.folds
    assert k is not None
    for key in ("fold", "validation"):
        value = getattr(config, key)
        if value not in (None, "auto"):
            why = "each fold is the validation part once" if key == "validation" else "one asks for all folds"
            raise UsageError(f"folds={k} and {key}={value} contradict: {why}", f"leave {key} or folds out")
    splits = folds(data, k, test=config.test, seed=config.seed, how=config.split, repeats=config.repeats)
    digits = max(2, len(str(len(splits))))
    return [
        Fold(f"fold-{number + 1:0{digits}d}", f"{number % k + 1}/{k}", number // k + 1, split)
        for number, split in enumerate(splits)
    ]


def of_fold(config: Config, fold: Fold) -> Config:
    """The config of a member: that of a single run on one fold."""
    return config.model_copy(update={"folds": None, "repeats": 1, "fold": fold.of, "repeat": fold.repeat})


def settled(config: Config, first: Config, data: Dataset, each: list[Fold]) -> Config:
    """The study's config with what was settled for the first fold, where it holds for all of them."""
    bare = first.model_copy(update={"epochs": config.epochs, "batch": config.batch})
    all_of_them = [bare.settle(data.spec, n) for n in sorted({len(fold.split.train) for fold in each})]
    same = {
        key: getattr(first, key) if len({getattr(one, key) for one in all_of_them}) == 1 else "auto"
        for key in ("epochs", "batch")
    }
    whole = {"folds": config.folds, "repeats": config.repeats, "fold": None, "repeat": 1}
    return first.model_copy(update={**same, **whole})
