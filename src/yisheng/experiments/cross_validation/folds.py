"""The folds that a config asks for, and the config of each."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np

from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.resolved_config import ResolvedConfig, resolve_config
from yisheng.data.part_labels import check_part_labels
from yisheng.data.split import make_folds
from yisheng.training.fitted import choose_for_fitting


@dataclass(frozen=True)
class Fold:
    """One fold of a cross-validation.

    Args:
        name: of its run folder, ``fold-02``.
        fold: which of how many, ``2/5``.
        repeat: number of the draw of the folds, from 1.
        split: its parts.
    """

    name: str
    fold: str
    repeat: int
    split: Split

    @functools.cached_property
    def sha256(self) -> str:
        """Return the SHA-256 of the training and validation rows, by which equal folds are recognized."""
        rows = (np.ascontiguousarray(part, "<i8").tobytes() for part in (self.split.train, self.split.validation))
        return hashlib.sha256(b"|".join(rows)).hexdigest()


def plan_folds(config: Config, data: Dataset) -> list[Fold]:
    """Return all folds of all repeats.

    Raises:
        UsageError: they do not fit the data, or another key of the config contradicts them.
        DataError: no label of the official test rows is one of the training rows.
    """
    if data.spec.task == "classification":
        check_part_labels(data.name, data.spec.classes, data.y, data.part, has_forms=False)
    k = config.folds
    assert k is not None
    for key in ("fold", "validation"):
        value = getattr(config, key)
        if value not in (None, "auto"):
            reason = Message("each fold is the validation part once")
            if key == "fold":
                reason = Message("folds= trains all folds, fold= only one")
            raise UsageError(
                Message("folds={k} and {key}={value} contradict: {reason}", k=k, key=key, value=value, reason=reason),
                Message("leave {key} or folds out", key=key),
            )
    splits = make_folds(data, k, test=config.test, seed=config.seed, method=config.split, repeats=config.repeats)
    digits = max(2, len(str(len(splits))))
    return [
        Fold(f"fold-{number + 1:0{digits}d}", f"{number % k + 1}/{k}", number // k + 1, split)
        for number, split in enumerate(splits)
    ]


def fold_config(config: Config, fold: Fold) -> Config:
    """Return the config of a single run on one fold."""
    return config.model_copy(update={"folds": None, "repeats": 1, "fold": fold.fold, "repeat": fold.repeat})


def shared_config(config: Config, first: ResolvedConfig, data: Dataset, folds: list[Fold]) -> Config:
    """Return the config of the cross-validation, with the values that are resolved equally for all of its folds.

    Args:
        config: as the user gave it.
        first: resolved for the first fold.
        data: the data set.
        folds: all folds.
    """
    unresolved = Config(**{**dict(first), "epochs": config.epochs, "batch": config.batch})
    sizes = sorted({len(fold.split.train) for fold in folds})
    by_size = [resolve_config(choose_for_fitting(unresolved, data.spec, size), data.spec, size) for size in sizes]
    equal = {
        key: getattr(first, key) if len({getattr(resolved, key) for resolved in by_size}) == 1 else "auto"
        for key in ("epochs", "batch")
    }
    all_folds = {"folds": config.folds, "repeats": config.repeats, "fold": None, "repeat": 1}
    return Config(**{**dict(first), **equal, **all_folds})
