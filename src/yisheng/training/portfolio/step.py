"""The update of an ensemble: each trains one fold of a candidate, and the last one chooses the weights."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from yisheng.core.config import Config
from yisheng.core.durations import format_duration
from yisheng.core.errors import NonFiniteError, StoppedError, YishengError
from yisheng.core.logging import logger
from yisheng.core.seeds import derive, isolated_generators
from yisheng.core.types import Batch
from yisheng.models.ensemble import Ensemble
from yisheng.training.loop import Loss, Step
from yisheng.training.portfolio.calibration import choose_offsets, choose_temperature, scale_probabilities
from yisheng.training.portfolio.candidates import Candidate, make_candidate, order_candidates
from yisheng.training.portfolio.fit_member import Fit, Limits, TooSlow, fit_member
from yisheng.training.portfolio.fold_data import FoldData, make_fold_data
from yisheng.training.portfolio.leaderboard import describe_candidate, score_predictions
from yisheng.training.portfolio.row_losses import Problem, make_problem
from yisheng.training.portfolio.weights import choose_weights, select_greedily, take_random_rows
from yisheng.training.setup import Assembly
from yisheng.training.state import State

USED_FRACTION = 0.93
"""Fraction of the time in which candidates are trained; then follow weights, evaluation and report."""
MIN_START_FRACTION = 0.03
"""A candidate is not begun if less than this fraction of the time is left."""
DECISION_SCORES = ("accuracy", "f1")
"""Scores of decisions, for which the classes' offsets are tried."""


def make_portfolio_step(assembly: Assembly, fit: Fit) -> Step:
    """Make what takes the place of an update in the training of an ensemble.

    Args:
        assembly: the training.
        fit: trains an assembly with its validation part.
    """
    portfolio = Portfolio(assembly, fit)

    def step(state: State, batch: Batch, loss: Loss) -> torch.Tensor:  # noqa: ARG001  # all updates have one signature
        ensemble = state.model
        if not isinstance(ensemble, Ensemble):
            raise TypeError(f"{type(ensemble).__name__} is not an ensemble")
        with isolated_generators(batch.y.device):
            value = portfolio.run_stage(ensemble, state)
        return torch.tensor(value, device=batch.y.device)

    return step


@dataclass
class Portfolio:
    """The training of an ensemble in this process; what is to survive it is in the ensemble itself.

    Args:
        assembly: the training.
        fit: trains an assembly with its validation part.
    """

    assembly: Assembly
    fit: Fit
    _rows: FoldData | None = field(default=None, init=False)
    _start: float | None = field(default=None, init=False)
    _end: float = field(default=math.inf, init=False)

    def run_stage(self, ensemble: Ensemble, state: State) -> float:
        """Train the fold of a stage, and at the last stage choose the weights; return the ensemble's loss so far.

        Raises:
            NonFiniteError: all candidates failed.
        """
        if self._start is None:
            self._start = time.perf_counter() - state.seconds  # a resumed run has used some of its time
        if not ensemble.plain["finished"]:
            number, fold = divmod(state.epoch, ensemble.folds)
            self._train(ensemble, number, fold)
            if state.epoch + 1 >= self.assembly.config.epochs:
                self._finish(ensemble)
        return float(ensemble.plain["loss"] if "loss" in ensemble.plain else self._baseline_loss())

    @property
    def rows(self) -> FoldData:
        """Return the training rows in folds."""
        if self._rows is None:
            ensemble = self.assembly.state.model
            assert isinstance(ensemble, Ensemble)
            self._rows = make_fold_data(self.assembly, ensemble.folds)
        return self._rows

    @property
    def _config(self) -> Config:
        return self.assembly.config

    def _elapsed(self) -> float:
        assert self._start is not None
        return time.perf_counter() - self._start

    # Candidates

    def _train(self, ensemble: Ensemble, number: int, fold: int) -> None:
        plain = dict(ensemble.plain)
        order = order_candidates(ensemble.names, len(self.rows.data))
        if number >= len(order):  # more epochs than stages were asked for
            return
        if fold == 0:
            tried = {"name": order[number], "status": self._choose_status(ensemble, order[number]), "seconds": 0.0}
            ensemble.describe({**plain, "tried": [*plain["tried"], tried]})
        entry = ensemble.plain["tried"][-1]
        if entry["status"] != "training" or fold >= len(self.rows.folds):
            return
        start = time.perf_counter()
        try:
            self._train_fold(ensemble, order[number], fold)
        except StoppedError:
            raise
        except (TooSlow, YishengError, ValueError) as error:  # scikit-learn's solvers raise ValueErrors
            reason = error.problem if isinstance(error, YishengError) else " ".join(str(error).split())[:200]
            self._drop(ensemble, "skipped" if isinstance(error, TooSlow) else "failed", reason)
        seconds = time.perf_counter() - start
        self._update_entry(ensemble, seconds=round(ensemble.plain["tried"][-1]["seconds"] + seconds, 3))
        if fold + 1 == len(self.rows.folds) and ensemble.plain["tried"][-1]["status"] == "training":
            self._complete(ensemble)

    def _choose_status(self, ensemble: Ensemble, name: str) -> str:
        """Return ``training``, or why a candidate is not tried."""
        candidate = make_candidate(name, self.assembly.spec, len(self.rows.data))
        if candidate.max_rows is not None and len(self.rows.data) > candidate.max_rows:
            return f"skipped: it is for {candidate.max_rows:,} rows or fewer"
        if ensemble.seconds is None or not len(ensemble.candidates):
            return "training"
        remaining = USED_FRACTION * ensemble.seconds - self._elapsed()
        return "training" if remaining > MIN_START_FRACTION * ensemble.seconds else "skipped: no time was left"

    def _train_fold(self, ensemble: Ensemble, name: str, fold: int) -> None:
        rows, spec = self.rows, self.assembly.spec
        candidate = make_candidate(name, spec, len(rows.data))
        is_new = fold == 0
        is_first = not len(ensemble.candidates) or (len(ensemble.candidates) == 1 and not is_new)
        fitted = fit_member(
            candidate.make_config(self._config),
            rows.data,
            rows.folds[fold],
            spec,
            self.assembly.train.device,
            self.fit,
            self._limit(ensemble, candidate, fold, is_first=is_first),
        )
        plain = {**ensemble.plain, "candidates": [dict(entry) for entry in ensemble.plain["candidates"]]}
        if is_new:
            plain["candidates"].append({"name": name, "weight": 0.0, "members": []})
        entry = plain["candidates"][-1]
        entry["members"] = [*entry["members"], dict(fitted.plain)]
        ensemble.describe(plain)
        number = len(plain["candidates"]) - 1
        ensemble.add_member(number, fitted.member)
        models = ensemble.fold_models[number]
        if is_new:
            models.out_of_fold = torch.full((len(rows.data), ensemble.width), math.nan)
        index = torch.from_numpy(rows.folds[fold].validation)
        models.out_of_fold[index] = fitted.out_of_fold.to(models.out_of_fold.device)

    def _limit(self, ensemble: Ensemble, candidate: Candidate, fold: int, *, is_first: bool) -> Limits:
        """Return the time of a fold: its part of what is left; the first candidate ends in any case."""
        if ensemble.seconds is None:
            return Limits(math.inf, candidate.min_epochs, math.inf, 1)
        folds = len(self.rows.folds) - fold
        assert self._start is not None
        seconds, end = time.perf_counter(), self._start + USED_FRACTION * ensemble.seconds
        if fold == 0:
            self._end = seconds + candidate.max_fraction * max(0.0, end - seconds)
        end = min(end, self._end)
        deadline = seconds + max(0.0, end - seconds) / folds
        is_bound = fold == 0 and not is_first
        return Limits(deadline, candidate.min_epochs, end if is_bound else math.inf, folds)

    def _drop(self, ensemble: Ensemble, status: str, reason: str) -> None:
        """Remove a candidate whose folds are not all trained."""
        name = ensemble.plain["tried"][-1]["name"]
        plain = {**ensemble.plain, "candidates": list(ensemble.plain["candidates"])}
        if plain["candidates"] and plain["candidates"][-1]["name"] == name:
            plain["candidates"].pop()
            ensemble.candidates = ensemble.candidates[:-1]
        ensemble.describe(plain)
        self._update_entry(ensemble, status=f"{status}: {reason}")
        logger.info(f"{name}  {status}: {reason}")

    def _update_entry(self, ensemble: Ensemble, **values: Any) -> None:
        tried = [*ensemble.plain["tried"][:-1], {**ensemble.plain["tried"][-1], **values}]
        ensemble.describe({**ensemble.plain, "tried": tried})

    def _complete(self, ensemble: Ensemble) -> None:
        """Score a candidate whose folds are all trained, and weight all candidates so far."""
        predictions = self._read_out_of_fold(ensemble)
        value, low, high = score_predictions(self._config, self._truth, predictions[-1])
        self._update_entry(ensemble, status="trained", value=value, low=low, high=high)
        weights = select_greedily(take_random_rows(self._make_problem(predictions), self._config.seed)[0])
        self._set_weights(ensemble, weights, predictions)
        entry = ensemble.plain["tried"][-1]
        logger.info(describe_candidate(entry, self._config.score, ensemble.plain["score"]))

    # Weights

    @property
    def _scored_rows(self) -> np.ndarray:
        """Return the rows that are in a fold: in time, the first ones are in none."""
        return np.sort(np.concatenate(self.rows.validation_rows))

    @property
    def _truth(self) -> np.ndarray:
        truth: np.ndarray = self.rows.data.y[self._scored_rows]
        return truth

    def _read_out_of_fold(self, ensemble: Ensemble) -> list[np.ndarray]:
        rows = self._scored_rows
        return [candidate.out_of_fold.cpu().numpy()[rows] for candidate in ensemble.fold_models]

    def _make_problem(self, predictions: list[np.ndarray]) -> Problem:
        weight = self.rows.data.weight
        weight = None if weight is None else weight[self._scored_rows]
        return make_problem(self.assembly.spec, predictions, self._truth, weight, self._config.score)

    def _baseline_loss(self) -> float:
        """Return the loss of the same prediction for all rows, which every candidate should beat."""
        y, spec = self._truth, self.assembly.spec
        if spec.task == "classification":
            constant = np.bincount(y, minlength=max(2, len(spec.classes))) / len(y)
        else:
            constant = y.reshape(len(y), -1).mean(0)
        mean = np.broadcast_to(constant, (len(y), len(constant)))
        return float(self._make_problem([mean]).row_losses(np.ones(1)).mean())

    def _set_weights(self, ensemble: Ensemble, weights: np.ndarray, predictions: list[np.ndarray]) -> np.ndarray:
        """Record weights, and score and loss of the weighted mean; return its predictions."""
        candidates = [
            {**candidate, "weight": float(weight)}
            for candidate, weight in zip(ensemble.plain["candidates"], weights, strict=True)
        ]
        mean: np.ndarray = sum(w * p.astype(np.float64) for w, p in zip(weights, predictions, strict=True))
        value, low, high = score_predictions(self._config, self._truth, mean)
        loss = float(self._make_problem([mean]).row_losses(np.ones(1)).mean())
        score = {"value": value, "low": low, "high": high}
        ensemble.describe({**ensemble.plain, "candidates": candidates, "score": score, "loss": loss})
        return mean

    def _finish(self, ensemble: Ensemble) -> None:
        """Choose the final weights, calibrate, and drop what is not needed for prediction."""
        if ensemble.plain["tried"][-1]["status"] == "training":  # fewer epochs than stages were asked for
            self._drop(ensemble, "skipped", "its folds were not all trained")
        if not len(ensemble.candidates):
            reasons = "; ".join(f"{entry['name']} {entry['status']}" for entry in ensemble.plain["tried"])
            raise NonFiniteError(f"no candidate of the ensemble could be trained: {reasons}", "name one with model=")
        predictions = self._read_out_of_fold(ensemble)
        rows = self._scored_rows
        folds = [np.searchsorted(rows, np.sort(fold)) for fold in self.rows.validation_rows]
        weights = choose_weights(self._make_problem(predictions), folds, derive(self._config.seed, "weights"))
        mean = self._set_weights(ensemble, weights, predictions)
        if self.assembly.spec.task == "regression":
            errors = np.sort(np.abs(self._truth.reshape(mean.shape) - mean), axis=0)
            ensemble.out_of_fold_errors = torch.from_numpy(errors).to(ensemble.description.device)
        calibration = self._calibrate(mean, folds)
        by_name = {entry["name"]: entry["weight"] for entry in ensemble.plain["candidates"]}
        tried = [{**entry, "weight": by_name.get(entry["name"], 0.0)} for entry in ensemble.plain["tried"]]
        used = [number for number, weight in enumerate(weights) if weight > 0]
        ensemble.candidates = torch.nn.ModuleList([ensemble.candidates[number] for number in used])
        for candidate in ensemble.fold_models:
            candidate.out_of_fold = torch.zeros(0, ensemble.width)
        candidates = [ensemble.plain["candidates"][number] for number in used]
        ensemble.describe({**ensemble.plain, **calibration, "candidates": candidates, "tried": tried, "finished": True})
        logger.info(
            f"ensemble of {len(used)} of {len(tried)} candidates in {format_duration(self._elapsed())}: "
            + ", ".join(f"{entry['name']} {entry['weight']:.2f}" for entry in candidates)
        )

    def _calibrate(self, mean: np.ndarray, folds: list[np.ndarray]) -> Mapping[str, Any]:
        """Return temperature and offsets for the mean predictions, and the score with them."""
        spec, y = self.assembly.spec, self._truth
        if spec.task == "regression":
            return {}
        temperature = choose_temperature(mean, y, folds)
        offsets: list[float] = []
        probabilities = scale_probabilities(mean, temperature, exclusive=y.ndim == 1)
        if spec.task == "classification" and self._config.score in DECISION_SCORES:
            metric = self._config.find_metric(self._config.score)
            offsets = choose_offsets(probabilities, y, folds, lambda y, p: float(metric.build(y, p)))
            if offsets:
                logits = np.log(probabilities.clip(1e-9)) + np.array(offsets)
                probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        value, low, high = score_predictions(self._config, y, probabilities)
        score = {"value": value, "low": low, "high": high}
        return {"temperature": temperature, "offsets": offsets, "score": score}
