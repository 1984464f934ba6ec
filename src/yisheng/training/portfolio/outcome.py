"""What follows from the out-of-fold predictions of the candidates: weights, scores, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from yisheng.core.config import Config
from yisheng.core.durations import format_duration
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec
from yisheng.models.ensemble import Ensemble
from yisheng.training.portfolio.calibration import choose_offsets, choose_temperature, scale_probabilities
from yisheng.training.portfolio.fold_data import FoldData
from yisheng.training.portfolio.leaderboard import score_predictions
from yisheng.training.portfolio.prune import prune
from yisheng.training.portfolio.row_losses import Problem, make_problem
from yisheng.training.portfolio.timetable import Timetable
from yisheng.training.portfolio.weights import choose_weights, select_greedily, take_random_rows

DECISION_SCORES = ("accuracy", "f1")
"""Scores of decisions, for which the classes' offsets are tried."""
GUARD_PARTS = 5
"""Random parts of the rows where there is one fold: weights are checked on each of them."""


@dataclass(frozen=True)
class Outcome:
    """Weights and scores of an ensemble.

    Args:
        config: of the ensemble.
        spec: the contract of its inputs.
        rows: training rows in folds.
    """

    config: Config
    spec: Spec
    rows: FoldData

    def list_common_folds(self, ensemble: Ensemble) -> list[np.ndarray]:
        """Return the rows of each fold that all candidates have predicted; without candidates of all folds."""
        count = min((len(models.members) for models in ensemble.fold_models), default=len(self.rows.folds))
        return self.rows.validation_rows[:count]

    def read_out_of_fold(self, ensemble: Ensemble) -> tuple[list[np.ndarray], np.ndarray]:
        """Return the predictions of each candidate for the rows that all have predicted, and those rows, ascending."""
        rows = np.sort(np.concatenate(self.list_common_folds(ensemble)))
        return [models.out_of_fold.cpu().numpy()[rows] for models in ensemble.fold_models], rows

    def make_problem(self, predictions: list[np.ndarray], rows: np.ndarray) -> Problem:
        """Return what the weights minimize."""
        weight = self.rows.data.weight
        weight = None if weight is None else weight[rows]
        return make_problem(self.spec, predictions, self.rows.data.y[rows], weight, self.config.score)

    def compute_baseline_loss(self) -> float:
        """Return the loss of the same prediction for all rows, which every candidate should beat."""
        rows = np.sort(np.concatenate(self.rows.validation_rows))
        y = self.rows.data.y[rows]
        if self.spec.task == "classification":
            constant = np.bincount(y, minlength=max(2, len(self.spec.classes))) / len(y)
        else:
            constant = y.reshape(len(y), -1).mean(0)
        mean = np.broadcast_to(constant, (len(y), len(constant)))
        return float(self.make_problem([mean], rows).row_losses(np.ones(1)).mean())

    def weight_greedily(self, ensemble: Ensemble, predictions: list[np.ndarray], rows: np.ndarray) -> None:
        """Record weights for the candidates so far."""
        problem = take_random_rows(self.make_problem(predictions, rows), self.config.seed)[0]
        self._set_weights(ensemble, select_greedily(problem), predictions, rows)

    def _set_weights(
        self, ensemble: Ensemble, weights: np.ndarray, predictions: list[np.ndarray], rows: np.ndarray
    ) -> np.ndarray:
        """Record weights, and score and loss of the weighted mean; return its predictions."""
        candidates = [
            {**candidate, "weight": float(weight)}
            for candidate, weight in zip(ensemble.plain["candidates"], weights, strict=True)
        ]
        mean: np.ndarray = sum(w * p.astype(np.float64) for w, p in zip(weights, predictions, strict=True))
        score = self.score(rows, mean)
        loss = float(self.make_problem([mean], rows).row_losses(np.ones(1)).mean())
        ensemble.describe({**ensemble.plain, "candidates": candidates, "score": score, "loss": loss})
        return mean

    def score(self, rows: np.ndarray, prediction: np.ndarray) -> dict[str, float | None]:
        value, low, high = score_predictions(self.config, self.rows.data.y[rows], prediction)
        return {"value": value, "low": low, "high": high}

    def choose(self, ensemble: Ensemble, evaluated: int, timetable: Timetable) -> None:
        """Choose the final weights, and calibrate.

        Args:
            ensemble: all its candidates are trained.
            evaluated: number of rows that will be predicted to score the ensemble.
            timetable: of the training.
        """
        predictions, rows = self.read_out_of_fold(ensemble)
        folds = self._list_guard_folds(ensemble, rows)
        seed = derive(self.config.seed, "weights")
        weights = choose_weights(self.make_problem(predictions, rows), folds, seed)
        weights, rate = prune(ensemble, weights, self.rows.data.x, evaluated)
        mean = self._set_weights(ensemble, weights, predictions, rows)
        if self.spec.task == "regression":
            errors = np.sort(np.abs(self.rows.data.y[rows].reshape(mean.shape) - mean), axis=0)
            ensemble.out_of_fold_errors = torch.from_numpy(errors).to(ensemble.description.device)
        calibration = self._calibrate(mean, rows, folds)
        self._record_trials(ensemble, predictions, rows)
        ensemble.describe({**ensemble.plain, **calibration, "rows_per_second": round(rate)})
        used = [entry for entry in ensemble.plain["candidates"] if entry["weight"] > 0]
        logger.info(
            Message(
                "ensemble of {used} of {tried} candidates in {duration}, {rate} rows a second: {weights}",
                used=len(used),
                tried=len(ensemble.plain["tried"]),
                duration=format_duration(timetable.elapsed),
                rate=f"{rate:,.0f}",
                weights=", ".join(f"{entry['name']} {entry['weight']:.2f}" for entry in used),
            )
        )

    def release(self, ensemble: Ensemble) -> None:
        """Drop what is not needed for prediction: candidates without weight, and out-of-fold predictions."""
        numbers = [number for number, weight in enumerate(ensemble.candidate_weights) if weight > 0]
        if ensemble.student is not None:
            numbers = []
        ensemble.candidates = torch.nn.ModuleList([ensemble.candidates[number] for number in numbers])
        for models in ensemble.fold_models:
            models.out_of_fold = torch.zeros(0, ensemble.width)
        candidates = [ensemble.plain["candidates"][number] for number in numbers]
        ensemble.describe({**ensemble.plain, "candidates": candidates, "finished": True})

    def _list_guard_folds(self, ensemble: Ensemble, rows: np.ndarray) -> list[np.ndarray]:
        """Return positions in the rows: of each fold, or of random parts if there is only one fold."""
        folds = self.list_common_folds(ensemble)
        if len(folds) > 1:
            return [np.searchsorted(rows, np.sort(fold)) for fold in folds]
        order = np.random.default_rng(derive(self.config.seed, "guard") % 2**32).permutation(len(rows))
        return [np.sort(part) for part in np.array_split(order, GUARD_PARTS) if len(part)]

    def _record_trials(self, ensemble: Ensemble, predictions: list[np.ndarray], rows: np.ndarray) -> None:
        """Record the final weights in the leaderboard, and all scores on the same rows."""
        by_name = {
            entry["name"]: {"weight": entry["weight"], **self.score(rows, prediction)}
            for entry, prediction in zip(ensemble.plain["candidates"], predictions, strict=True)
        }
        tried = [{**entry, "weight": 0.0, **by_name.get(entry["name"], {})} for entry in ensemble.plain["tried"]]
        ensemble.describe({**ensemble.plain, "tried": tried})

    def _calibrate(self, mean: np.ndarray, rows: np.ndarray, folds: list[np.ndarray]) -> Mapping[str, Any]:
        """Return temperature and offsets for the mean predictions, and the score with them."""
        y = self.rows.data.y[rows]
        if self.spec.task == "regression":
            return {}
        temperature = choose_temperature(mean, y, folds)
        offsets: list[float] = []
        probabilities = scale_probabilities(mean, temperature, exclusive=y.ndim == 1)
        if self.spec.task == "classification" and self.config.score in DECISION_SCORES:
            metric = self.config.find_metric(self.config.score)
            offsets = choose_offsets(probabilities, y, folds, lambda y, p: float(metric.build(y, p)))
            if offsets:
                logits = np.log(probabilities.clip(1e-9)) + np.array(offsets)
                probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        return {"temperature": temperature, "offsets": offsets, "score": self.score(rows, probabilities)}
