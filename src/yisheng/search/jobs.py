"""One training of a search, and what came of it: the same for those who train one by one and all at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from yisheng.core.config import Config
from yisheng.core.types import Split


@dataclass(frozen=True)
class Job:
    """One training: of one setting, on one fold, with one seed.

    Args:
        key: names it within the search, as ``0003/fold-02/seed-1``.
        config: every choice, its seed and its fold included; ``auto`` is settled in training.
        split: its rows.
    """

    key: str
    config: Config
    split: Split


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Args:
        key: the job's.
        scores: of the validation part, by metric's key and ``loss``, at the epoch that counts: the last one where the
            config names a fold, else the best. Empty for a failure.
        epoch: that epoch, from 1; 0 for a failure.
        seconds: of training; of a job among K trained at once a K-th of the whole.
        history: training loss of each epoch that was trained.
        failure: why there is no score (the numbers went non-finite), else empty.
        how: ``serial`` or ``stacked``.
        weights: state dict of that epoch.
    """

    key: str
    scores: Mapping[str, float]
    epoch: int
    seconds: float
    history: tuple[float, ...] = ()
    failure: str = ""
    how: str = "serial"
    weights: Mapping[str, torch.Tensor] = field(default_factory=dict, repr=False)
