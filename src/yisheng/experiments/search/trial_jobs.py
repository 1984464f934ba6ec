"""The jobs of the trials of a search: a training on every fold with every seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yisheng.core.config import AUTO, Config
from yisheng.core.types import Dataset, Split
from yisheng.experiments.cross_validation.folds import fold_config, plan_folds
from yisheng.experiments.load_data import split_dataset
from yisheng.experiments.search.plan import SearchPlan
from yisheng.search.jobs import Job
from yisheng.search.trials import Trial
from yisheng.training.precision import DEFAULT_FORMAT


class TrialJobs:
    """Build the jobs of each trial of a search.

    Args:
        plan: of the search.
        data: the data set.

    Raises:
        UsageError: the folds do not fit the data.
    """

    def __init__(self, plan: SearchPlan, data: Dataset) -> None:
        self._plan = plan
        self._trainings: list[tuple[str, Mapping[str, Any], Split]] = []
        for seed in range(plan.config.seed, plan.config.seed + plan.seeds):
            config = plan.config.model_copy(update={"seed": seed})
            if config.folds is None:
                name = "hold-out" if config.fold is None else f"fold-{config.fold.partition('/')[0]}"
                self._trainings.append((f"{name}/seed-{seed}", {"seed": seed}, split_dataset(config, data)))
                continue
            for fold in plan_folds(config, data):
                single = fold_config(config, fold)
                updates = {key: getattr(single, key) for key in ("seed", "folds", "repeats", "fold", "repeat")}
                self._trainings.append((f"{fold.name}/seed-{seed}", updates, fold.split))

    def __len__(self) -> int:
        """Return the number of jobs of a trial."""
        return len(self._trainings)

    def build(self, trial: Trial) -> list[Job]:
        """Return the jobs of a trial."""
        config = _without_precision_search(self._plan.space.config(trial.setting, trial.epochs))
        return [
            Job(f"{trial.number:04d}/{name}", config.model_copy(update=dict(updates)), split)
            for name, updates, split in self._trainings
        ]

    def build_example(self) -> Job:
        """Return a job of some setting, for everything that does not vary."""
        return self.build(Trial(0, next(self._plan.space.settings_to_check())))[0]


def _without_precision_search(config: Config) -> Config:
    """Return the config with ``auto`` precision and memory format set to torch's default.

    Settings can only be compared if all of them compute alike, even if another format is faster for one of them.
    """
    default = dict(zip(("precision", "memory_format"), DEFAULT_FORMAT, strict=True))
    return config.model_copy(update={key: value for key, value in default.items() if getattr(config, key) == AUTO})
