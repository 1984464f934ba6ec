"""The kinds of components."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from yisheng.core.messages import Message

KIND_LABELS: Final[Mapping[str, Message]] = {
    "data.datasets": Message("data set"),
    "data.objects": Message("data in memory"),
    "models": Message("model"),
    "init": Message("initialization"),
    "losses": Message("loss"),
    "metrics": Message("metric"),
    "optim": Message("optimizer"),
    "optim.schedules": Message("schedule"),
    "transforms": Message("scaling"),
    "transforms.augment": Message("augmentation"),
    "scratch": Message("concept"),
    "search.samplers": Message("search"),
    "diagnosis.training_checks": Message("training check"),
    "diagnosis.data_checks": Message("data check"),
    "diagnosis.history_checks": Message("history check"),
}
"""The kinds, and what a component of each is called in messages."""
