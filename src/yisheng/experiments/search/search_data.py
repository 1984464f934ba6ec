"""The data of a search: one data set, or one for each setting of the data's options that the search varies."""

from __future__ import annotations

import functools
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.data.fingerprint import fingerprint
from yisheng.experiments.load_data import load_dataset
from yisheng.experiments.search.plan import SearchPlan
from yisheng.search.executors.serial import Trainer

MAX_LOADED: Final = 8
"""Data sets in memory at once; those that were not used for the longest time are loaded again when needed."""


@dataclass(frozen=True)
class _Loaded:
    """A data set, and the trainer that shares its fitted transforms."""

    data: Dataset
    trainer: Trainer


class SearchData:
    """The data sets of a search, loaded when they are needed.

    Args:
        plan: of the search.
        data: the data set, if the config cannot name it.
    """

    def __init__(self, plan: SearchPlan, data: Dataset | None = None) -> None:
        self._plan = plan
        self._given = data
        self._loaded: OrderedDict[str, _Loaded] = OrderedDict()
        self.first = self.load(plan.config)
        """The data of the first setting, for everything that does not vary."""

    def key(self, config: Config) -> str:
        """Return what tells the data of one config from that of another."""
        return "" if self._given is not None else config.data.model_dump_json()

    def load(self, config: Config) -> Dataset:
        """Return the data set of a config of the search.

        Raises:
            DataError: it cannot be read, or was given in memory to an earlier call.
        """
        return self._entry(config).data

    def loader(self, config: Config) -> Callable[[], Dataset] | None:
        """Return what loads the data of a config in another process; None if it was given in memory."""
        return functools.partial(load_dataset, config) if self._given is None else None

    def trainer(self, config: Config) -> Trainer:
        """Return the trainer of a config's data."""
        return self._entry(config).trainer

    def fingerprint(self) -> str:
        """Compute the fingerprint of the data; of several data sets, with every value of every varied option."""
        if not self._plan.space.data_axes:
            return fingerprint(self.first)
        configs = {self.key(config): config for config in map(self._plan.space.config, self._settings())}
        hashes = [fingerprint(self.load(config)) for config in configs.values()]
        return hashlib.sha256("\n".join(hashes).encode()).hexdigest()

    def _settings(self) -> list[dict[str, object]]:
        return list(self._plan.space.settings_to_check())

    def _entry(self, config: Config) -> _Loaded:
        key = self.key(config)
        if key not in self._loaded:
            data = load_dataset(config) if self._given is None else self._given
            self._loaded[key] = _Loaded(data, Trainer(data))
            if len(self._loaded) > MAX_LOADED:
                self._loaded.popitem(last=False)
        self._loaded.move_to_end(key)
        return self._loaded[key]
