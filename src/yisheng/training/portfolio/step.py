"""The update of an ensemble: each trains one fold of a candidate, and the last one chooses the weights."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from yisheng.core import registry
from yisheng.core.config import Config
from yisheng.core.errors import NonFiniteError, StoppedError, YishengError
from yisheng.core.logging import logger
from yisheng.core.messages import Message, translate
from yisheng.core.seeds import derive, isolated_generators
from yisheng.core.stored_messages import add_messages, restore_messages
from yisheng.core.types import Batch, Split
from yisheng.models import lightgbm, tabicl
from yisheng.models.ensemble import CANDIDATES, Ensemble
from yisheng.training.loop import Loss, Step
from yisheng.training.portfolio.candidates import Candidate, make_candidate, order_candidates
from yisheng.training.portfolio.distill import Distillation, add_student
from yisheng.training.portfolio.fit_member import Fit, TooSlow, fit_member
from yisheng.training.portfolio.fold_data import FoldData, draw_rows, make_fold_data
from yisheng.training.portfolio.leaderboard import describe_candidate, score_predictions
from yisheng.training.portfolio.outcome import Outcome
from yisheng.training.portfolio.target_encoding import MIN_CATEGORIES, list_encoded_columns
from yisheng.training.portfolio.timetable import DISTILLATION_FRACTION, Timetable, count_required_folds
from yisheng.training.setup import Assembly
from yisheng.training.state import State


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
    _timetable: Timetable | None = field(default=None, init=False)

    def run_stage(self, ensemble: Ensemble, state: State) -> float:
        """Train the fold of a stage, and at the last stage choose the weights; return the ensemble's loss so far.

        Raises:
            NonFiniteError: all candidates failed.
        """
        if self._timetable is None:  # a resumed run has used some of its time
            self._timetable = Timetable(
                ensemble.seconds,
                time.perf_counter() - state.seconds,
                DISTILLATION_FRACTION if ensemble.distill else 0.0,
            )
        if not ensemble.plain["finished"]:
            number, fold = divmod(state.epoch, ensemble.folds)
            self._train(ensemble, number, fold)
            if state.epoch + 1 >= self.assembly.config.epochs:
                self._finish(ensemble)
        return float(ensemble.plain["loss"] if "loss" in ensemble.plain else self._outcome.compute_baseline_loss())

    @property
    def rows(self) -> FoldData:
        """Return the training rows in folds."""
        if self._rows is None:
            ensemble = self.assembly.state.model
            assert isinstance(ensemble, Ensemble)
            self._rows = make_fold_data(self.assembly, ensemble.folds)
        return self._rows

    @property
    def timetable(self) -> Timetable:
        """Return how the time is divided."""
        assert self._timetable is not None
        return self._timetable

    @property
    def _config(self) -> Config:
        return self.assembly.config

    @property
    def _outcome(self) -> Outcome:
        return Outcome(self._config, self.assembly.spec, self.rows)

    @property
    def _required_folds(self) -> int:
        return count_required_folds([len(rows) for rows in self.rows.validation_rows])

    def _make_candidate(self, name: str) -> Candidate:
        return make_candidate(name, self.assembly.spec, len(self.rows.data), lightgbm=lightgbm.is_installed())

    @staticmethod
    def _list_installed(ensemble: Ensemble) -> list[str]:
        """Return the names of the candidates without those whose package is not installed."""
        return [name for name in ensemble.names if name != "tabicl" or tabicl.is_installed()]

    def _train(self, ensemble: Ensemble, number: int, fold: int) -> None:
        order = order_candidates(self._list_installed(ensemble), len(self.rows.data))
        if number >= len(order):  # more epochs than stages were asked for
            return
        candidate = self._make_candidate(order[number])
        if fold == 0:
            status = self._choose_status(ensemble, candidate)
            tried = {"name": candidate.name, "model": candidate.model, "status": status, "seconds": 0.0}
            ensemble.describe({**ensemble.plain, "tried": [*ensemble.plain["tried"], add_messages(tried)]})
        entry = ensemble.plain["tried"][-1]
        if entry["status"] != "training" or fold >= len(self.rows.folds):
            return
        if self._is_trained(entry, fold):
            start = time.perf_counter()
            try:
                self._train_fold(ensemble, candidate, fold)
            except StoppedError:
                raise
            except (TooSlow, YishengError, ValueError) as error:  # scikit-learn's solvers raise ValueErrors
                reason = error.problem if isinstance(error, YishengError) else " ".join(str(error).split())[:200]
                reason = error.args[0] if isinstance(error, TooSlow) else reason
                self._drop(ensemble, _skipped(reason) if isinstance(error, TooSlow) else _failed(reason))
            seconds = ensemble.plain["tried"][-1]["seconds"] + time.perf_counter() - start
            self._update_entry(ensemble, seconds=round(seconds, 3))
        if fold + 1 == len(self.rows.folds) and ensemble.plain["tried"][-1]["status"] == "training":
            self._complete(ensemble)

    def _is_trained(self, entry: dict[str, Any], fold: int) -> bool:
        """Return whether a fold is trained: one that is required, or further ones without a gap while there is time."""
        if fold < self._required_folds:
            return True
        trained = entry.get("folds", 0)
        return bool(trained == fold and self.timetable.has_time_for_fold(entry["seconds"] / max(1, fold)))

    def _choose_status(self, ensemble: Ensemble, candidate: Candidate) -> str:
        """Return ``training``, or why a candidate is not tried."""
        if candidate.max_rows is not None and len(self.rows.data) > candidate.max_rows:
            return _skipped(Message("it is for {count} rows or fewer", count=f"{candidate.max_rows:,}"))
        if candidate.encodes_targets and not list_encoded_columns(self.assembly.spec):
            return _skipped(Message("no column has {count} categories or more", count=MIN_CATEGORIES))
        entry = registry.find("models", candidate.model)
        if not entry.meta["fits"](self.assembly.spec):
            return _skipped(Message("it needs {requirement}", requirement=entry.requirement))
        if candidate.model == "tabicl" and ensemble.names == CANDIDATES and not tabicl.has_weights(self.assembly.spec):
            return _skipped(Message("its weights are not in the cache; `yisheng data fetch tabicl` fetches them"))
        may_begin = not len(ensemble.candidates) or self.timetable.may_begin()
        return "training" if may_begin else _skipped(Message("no time was left"))

    def _train_fold(self, ensemble: Ensemble, candidate: Candidate, fold: int) -> None:
        rows, spec = self.rows, self.assembly.spec
        is_new = fold == 0
        is_first = not len(ensemble.candidates) or (len(ensemble.candidates) == 1 and not is_new)
        limits = self.timetable.limit_fold(candidate, fold, self._required_folds, is_first=is_first)
        fitted = fit_member(
            candidate.make_config(self._config),
            rows.data,
            self._limit_rows(candidate, rows.folds[fold], ensemble.seconds),
            spec,
            self.assembly.train.device,
            self.fit,
            limits,
            encodes_targets=candidate.encodes_targets,
        )
        plain = {**ensemble.plain, "candidates": [dict(entry) for entry in ensemble.plain["candidates"]]}
        if is_new:
            plain["candidates"].append({"name": candidate.name, "weight": 0.0, "members": []})
        entry = plain["candidates"][-1]
        entry["members"] = [*entry["members"], dict(fitted.plain)]
        ensemble.describe(plain)
        self._update_entry(ensemble, folds=fold + 1)
        number = len(plain["candidates"]) - 1
        ensemble.add_member(number, fitted.member)
        models = ensemble.fold_models[number]
        if is_new:
            models.out_of_fold = torch.full((len(rows.data), ensemble.width), math.nan)
        index = torch.from_numpy(rows.folds[fold].validation)
        models.out_of_fold[index] = fitted.out_of_fold.to(models.out_of_fold.device)

    def _limit_rows(self, candidate: Candidate, fold: Split, seconds: float | None) -> Split:
        """Return a fold with as many training rows as the candidate can take in the time."""
        data = self.rows.data
        count = candidate.count_rows(data.x.shape[1], seconds)
        if count is None or count >= len(fold.train):
            return fold
        classes = data.y if data.spec.task == "classification" else None
        rows = draw_rows(fold.train, count, derive(self._config.seed, "rows", candidate.name), classes)
        logger.info(
            Message(
                "{candidate}  trains on {count} random rows of {total}: more take too long",
                candidate=candidate.name,
                count=f"{count:,}",
                total=f"{len(fold.train):,}",
            )
        )
        return replace(fold, train=rows)

    def _drop(self, ensemble: Ensemble, status: Message) -> None:
        """Remove a candidate that lacks a fold that it needs; one that has enough of them stays."""
        entry = ensemble.plain["tried"][-1]
        if entry.get("folds", 0) >= self._required_folds:
            self._complete(ensemble)
            return
        plain = {**ensemble.plain, "candidates": list(ensemble.plain["candidates"])}
        if plain["candidates"] and plain["candidates"][-1]["name"] == entry["name"]:
            plain["candidates"].pop()
            ensemble.candidates = ensemble.candidates[:-1]
        ensemble.describe(plain)
        self._update_entry(ensemble, status=status)
        logger.info(Message("{candidate}  {status}", candidate=entry["name"], status=status))

    def _update_entry(self, ensemble: Ensemble, **values: Any) -> None:
        *previous, last = ensemble.plain["tried"]
        updated = add_messages({**restore_messages(last), **values})
        ensemble.describe({**ensemble.plain, "tried": [*previous, updated]})

    def _complete(self, ensemble: Ensemble) -> None:
        """Score a candidate whose folds are all trained, and weight all candidates so far."""
        outcome = self._outcome
        predictions, rows = outcome.read_out_of_fold(ensemble)
        truth: np.ndarray = self.rows.data.y[rows]
        value, low, high = score_predictions(self._config, truth, predictions[-1])
        self._update_entry(ensemble, status="trained", value=value, low=low, high=high)
        outcome.weight_greedily(ensemble, predictions, rows)
        entry = ensemble.plain["tried"][-1]
        logger.info(describe_candidate(entry, self._config.score, ensemble.plain["score"]))

    def _finish(self, ensemble: Ensemble) -> None:
        """Choose the final weights, calibrate, and drop what is not needed for prediction."""
        if ensemble.plain["tried"][-1]["status"] == "training":  # fewer epochs than stages were asked for
            self._drop(ensemble, _skipped(Message("its folds were not all trained")))
        if not len(ensemble.candidates):
            reasons = "; ".join(f"{entry['name']} {translate(entry['status'])}" for entry in ensemble.plain["tried"])
            raise NonFiniteError(
                Message("no candidate of the ensemble could be trained: {reasons}", reasons=reasons),
                Message("name one with model="),
            )
        evaluated = len(self.assembly.test.rows) + len(self.assembly.validation.rows)
        outcome = self._outcome
        outcome.choose(ensemble, evaluated, self.timetable)
        if ensemble.distill:
            add_student(Distillation(outcome, ensemble, self.fit, self.timetable.last_end))
        outcome.release(ensemble)


def _skipped(reason: str) -> Message:
    return Message("skipped: {reason}", reason=reason)


def _failed(reason: str) -> Message:
    return Message("failed: {reason}", reason=reason)
