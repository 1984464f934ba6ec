"""The jobs of the trials of a search: a training on every fold with every seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from yisheng.core.choice import AUTO
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.experiments.cross_validation.folds import fold_config, plan_folds
from yisheng.experiments.load_data import split_dataset
from yisheng.experiments.search.plan import SearchPlan
from yisheng.experiments.search.search_data import SearchData
from yisheng.search.jobs import Job
from yisheng.search.trials import Trial
from yisheng.training.precision import DEFAULT_FORMAT

_Training: TypeAlias = tuple[str, Mapping[str, Any], Split]
"""Name of a training within its trial, its changes of the config, and its rows."""


class TrialJobs:
    """Build the jobs of each trial of a search.

    Args:
        plan: of the search.
        data: of the search.

    Raises:
        UsageError: the folds do not fit the data.
    """

    def __init__(self, plan: SearchPlan, data: SearchData) -> None:
        self._plan = plan
        self._data = data
        self._trainings: dict[str, list[_Training]] = {}
        self._count = len(self._list_trainings(plan.config))

    def __len__(self) -> int:
        """Return the number of jobs of a trial."""
        return self._count

    def build(self, trial: Trial) -> list[Job]:
        """Return the jobs of a trial."""
        config = _without_precision_search(self._plan.space.config(trial.setting, trial.epochs))
        return [
            Job(f"{trial.number:04d}/{name}", config.model_copy(update=dict(updates)), split)
            for name, updates, split in self._list_trainings(config)
        ]

    def have_same_rows(self) -> bool:
        """Return whether all data sets that were loaded so far are split into the same rows."""
        if len(self._trainings) == 1:
            return True
        rows = {
            tuple(part.tobytes() for _, _, split in trainings for part in (split.train, split.validation, split.test))
            for trainings in self._trainings.values()
        }
        return len(rows) == 1

    def _list_trainings(self, config: Config) -> list[_Training]:
        """Return the trainings of a setting: the same splits for all settings with the same data."""
        key = self._data.key(config)
        if key not in self._trainings:
            data, first = self._data.load(config), self._plan.config
            self._trainings[key] = list(_plan_trainings(first, data, range(first.seed, first.seed + self._plan.seeds)))
        return self._trainings[key]

    def build_example(self) -> Job:
        """Return a job of some setting, for everything that does not vary."""
        return self.build(Trial(0, next(self._plan.space.settings_to_check())))[0]


def _plan_trainings(config: Config, data: Dataset, seeds: Iterable[int]) -> Iterator[_Training]:
    """Yield name, config updates and split of each training, on every fold with every seed."""
    for seed in seeds:
        seeded = config.model_copy(update={"seed": seed})
        if config.folds is None:
            name = "hold-out" if config.fold is None else f"fold-{config.fold.partition('/')[0]}"
            yield f"{name}/seed-{seed}", {"seed": seed}, split_dataset(seeded, data)
            continue
        for fold in plan_folds(seeded, data):
            single = fold_config(seeded, fold)
            updates = {key: getattr(single, key) for key in ("seed", "folds", "repeats", "fold", "repeat")}
            yield f"{fold.name}/seed-{seed}", updates, fold.split


def _without_precision_search(config: Config) -> Config:
    """Return the config with ``auto`` precision and memory format set to torch's default.

    Settings can only be compared if all of them compute alike, even if another format is faster for one of them.
    """
    default = dict(zip(("precision", "memory_format"), DEFAULT_FORMAT, strict=True))
    return config.model_copy(update={key: value for key, value in default.items() if getattr(config, key) == AUTO})
