"""Finding the adapter of an experiment tracker, and the tracker's package."""

from __future__ import annotations

import importlib
from types import ModuleType

from yisheng.core.errors import MissingPartError
from yisheng.core.messages import Message
from yisheng.loggers.trackers.adapter import OpenTracker
from yisheng.loggers.trackers.mlflow import MLflowTracker
from yisheng.loggers.trackers.wandb import open_trackio, open_wandb


def load_package(name: str) -> ModuleType:
    """Return the package of a tracker.

    Args:
        name: of the package, which is that of the tracker.

    Raises:
        MissingPartError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPartError(
            Message("tracker={name} requires the package {name}", name=name),
            Message("run: pip install {name}; or leave out tracker={name}", name=name),
        ) from error


def load_adapter(name: str) -> OpenTracker:
    """Return what opens a training in a tracker.

    Args:
        name: mlflow, wandb or trackio.

    Raises:
        MissingPartError: its package is not installed.
    """
    package = load_package(name)
    if name == "mlflow":
        return MLflowTracker
    return open_wandb(package) if name == "wandb" else open_trackio(package)
