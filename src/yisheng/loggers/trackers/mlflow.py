"""MLflow: one run of an experiment, at the address that ``MLFLOW_TRACKING_URI`` names."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from yisheng.loggers.trackers.adapter import PROJECT, Values

MAX_METRICS: Final = 1000
MAX_PARAMETERS: Final = 100
MAX_TEXT: Final = 500
"""Limits of a request and of a parameter's text (MLflow's REST API, "Request Limits")."""


class MLflowTracker:
    """A training as a run of MLflow.

    The client is used, not the functions of the package, so an active run of the program is not disturbed.

    Args:
        name: of the run.
        id: of a run that is continued, or None.
        settings: the parameters of a new run.
    """

    def __init__(self, name: str, id: str | None, settings: Mapping[str, Any]) -> None:
        self._client: Any = importlib.import_module("mlflow").MlflowClient()
        self._entities: Any = importlib.import_module("mlflow.entities")
        if id is None:
            id = self._client.create_run(self._find_experiment(), run_name=name).info.run_id
            texts = iter(settings.items())
            while batch := [
                self._entities.Param(key, str(value)[:MAX_TEXT]) for key, value in islice(texts, MAX_PARAMETERS)
            ]:
                self._client.log_batch(id, params=batch)
        else:
            self._client.update_run(id, status="RUNNING")
        self.id = id

    def _find_experiment(self) -> str:
        """Return the id of the user's experiment, which is created if there is none."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self._client.get_experiment_by_name(name)
        id: str = self._client.create_experiment(name) if experiment is None else experiment.experiment_id
        return id

    def log(self, points: Sequence[tuple[int, Values]]) -> None:
        """Add points of curves."""
        milliseconds = int(1000 * time.time())
        metrics = (
            self._entities.Metric(key, value, milliseconds, step)
            for step, values in points
            for key, value in values.items()
        )
        while batch := list(islice(metrics, MAX_METRICS)):
            self._client.log_batch(self.id, metrics=batch)

    def finish(self, *, succeeded: bool) -> None:
        """Mark the run as finished or failed."""
        self._client.set_terminated(self.id, "FINISHED" if succeeded else "FAILED")
