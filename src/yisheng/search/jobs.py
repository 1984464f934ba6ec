"""Jobs of a search and their outcomes, the same for all executors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from yisheng.core.config import Config
from yisheng.core.dataset import Split


@dataclass(frozen=True)
class Job:
    """One training of a search: of one setting, on one fold, with one seed.

    Args:
        key: its name within the search, as ``0003/fold-02/seed-1``.
        config: the config, with seed and fold; ``auto`` is resolved in training.
        split: its rows.
    """

    key: str
    config: Config
    split: Split


@dataclass(frozen=True)
class Outcome:
    """The outcome of a job.

    Args:
        key: key of the job.
        scores: of the validation part, by metric's key and ``loss``, at the scored epoch: the last one if the config
            has a fold, else the best one. Empty after a failure.
        epoch: the scored epoch, from 1; 0 after a failure.
        seconds: duration of the training; for K jobs trained at once a K-th of the total.
        history: training loss of each epoch.
        failure: why there is no score (values became non-finite), or empty.
        executor: ``serial`` or ``stacked``.
        weights: state dict of the scored epoch.
    """

    key: str
    scores: Mapping[str, float]
    epoch: int
    seconds: float
    history: tuple[float, ...] = ()
    failure: str = ""
    executor: str = "serial"
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False)
