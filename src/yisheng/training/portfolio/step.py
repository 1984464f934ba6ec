"""The update of an ensemble: each trains one fold of a candidate, and the last one chooses the weights."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from yisheng.core import registry
from yisheng.core.config import Config
from yisheng.core.errors import NonFiniteError
from yisheng.core.events import Batch
from yisheng.core.logging import logger
from yisheng.core.messages import Message, translate
from yisheng.core.seeds import isolated_generators
from yisheng.core.stored_messages import add_messages, restore_messages
from yisheng.models import lightgbm, tabicl
from yisheng.models.ensemble import CANDIDATES, OPTIONAL, Ensemble
from yisheng.training.loop import Loss, Step
from yisheng.training.portfolio.candidates import (
    CODES,
    Candidate,
    has_texts_and_columns,
    make_candidate,
    order_candidates,
)
from yisheng.training.portfolio.distill import Distillation, add_student
from yisheng.training.portfolio.fit_fold import DroppedCandidateError, describe_skipped, fit_fold, limit_rows
from yisheng.training.portfolio.fit_member import Fit, FittedMember
from yisheng.training.portfolio.fold_data import FoldData, make_fold_data
from yisheng.training.portfolio.fold_pool import FoldPlan, FoldPool, TrainedFold
from yisheng.training.portfolio.leaderboard import describe_candidate, score_predictions
from yisheng.training.portfolio.outcome import Outcome
from yisheng.training.portfolio.target_encoding import MIN_CATEGORIES, list_encoded_columns
from yisheng.training.portfolio.timetable import DISTILLATION_FRACTION, Timetable, count_required_folds
from yisheng.training.setup import Assembly
from yisheng.training.state import State

MIN_CODES_GAIN = 0.005
"""Numbers as categories, too, must lower the loss of the first fold by this fraction."""


def make_portfolio_step(assembly: Assembly, fit: Fit, pool: FoldPool | None = None) -> Step:
    """Make what takes the place of an update in the training of an ensemble.

    Args:
        assembly: the training.
        fit: trains an assembly with its validation part.
        pool: folds that other processes train or have trained.
    """
    portfolio = Portfolio(assembly, fit, pool)

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
        pool: folds that other processes train or have trained; what it does not offer is trained here, unless it
            trains itself.
    """

    assembly: Assembly
    fit: Fit
    pool: FoldPool | None = None
    _rows: FoldData | None = field(default=None, init=False)
    _timetable: Timetable | None = field(default=None, init=False)
    _latest: tuple[tuple[str, int], TrainedFold | None] | None = field(default=None, init=False)

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
            if self.pool is not None:
                self.pool.begin(self._plan(ensemble, state.epoch))
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
        return make_candidate(name, self.assembly.spec, len(self.rows.data), lightgbm=lightgbm.PACKAGE.is_installed())

    @staticmethod
    def _list_installed(ensemble: Ensemble) -> list[str]:
        """Return the names of the candidates without those whose package is not installed."""
        return [name for name in ensemble.names if name not in OPTIONAL or OPTIONAL[name].is_installed()]

    def _plan(self, ensemble: Ensemble, stage: int) -> FoldPlan:
        """Return what is to be trained from a stage on."""
        number, fold = divmod(stage, ensemble.folds)
        pending = []
        for position, name in enumerate(self._order(ensemble)[number:]):
            candidate = self._make_candidate(name)
            is_dropped = not position and fold and ensemble.plain["tried"][-1]["status"] != "training"
            if not is_dropped and not self._explain_exclusion(ensemble, candidate):
                pending.append((candidate, 0 if position else fold))
        return FoldPlan(
            self._config,
            self.assembly.spec,
            self.rows,
            pending,
            self._required_folds,
            self.timetable,
            ensemble.seconds,
            is_new=not len(ensemble.candidates),
        )

    def _order(self, ensemble: Ensemble) -> list[str]:
        return order_candidates(self._list_installed(ensemble), len(self.rows.data))

    def _train(self, ensemble: Ensemble, number: int, fold: int) -> None:
        order = self._order(ensemble)
        if number >= len(order):  # more epochs than stages were asked for
            return
        candidate = self._make_candidate(order[number])
        if fold == 0:
            status = self._choose_status(ensemble, candidate)
            tried = {"name": candidate.name, "model": candidate.model, "status": status, "seconds": 0.0}
            previous = [entry for entry in ensemble.plain["tried"] if entry["name"] != candidate.name]
            ensemble.describe({**ensemble.plain, "tried": [*previous, add_messages(tried)]})
        entry = ensemble.plain["tried"][-1]
        if entry["status"] != "training" or fold >= len(self.rows.folds):
            return
        if self._is_trained(entry, candidate, fold):
            start = time.perf_counter()
            trained = self._find(candidate, fold)
            try:
                self._train_fold(ensemble, candidate, fold, trained)
            except DroppedCandidateError as error:
                self._drop(ensemble, error.status)
            else:
                if fold == 0 and candidate.codes_numbers:
                    self._compare_with_plain(ensemble, candidate)
            seconds = time.perf_counter() - start if trained is None else trained.seconds
            self._update_entry(ensemble, seconds=round(ensemble.plain["tried"][-1]["seconds"] + seconds, 3))
        if fold + 1 == len(self.rows.folds) and ensemble.plain["tried"][-1]["status"] == "training":
            self._complete(ensemble)

    def _find(self, candidate: Candidate, fold: int) -> TrainedFold | None:
        """Return a fold that another process has trained, or None."""
        if self.pool is None:
            return None
        key = (candidate.name, fold)
        if self._latest is None or self._latest[0] != key:
            self._latest = (key, self.pool.find(*key))
        return self._latest[1]

    def _is_trained(self, entry: dict[str, Any], candidate: Candidate, fold: int) -> bool:
        """Return whether a fold is trained: one that is required, or further ones without a gap while there is time."""
        if fold < self._required_folds:
            return True
        if entry.get("folds", 0) != fold:
            return False
        if self._find(candidate, fold) is not None:
            return True
        if self.pool is not None and self.pool.trains:
            return False
        return self.timetable.has_time_for_fold(entry["seconds"] / max(1, fold))

    def _explain_exclusion(self, ensemble: Ensemble, candidate: Candidate) -> Message | None:
        """Return why a candidate is not for these data, or None."""
        if candidate.max_rows is not None and len(self.rows.data) > candidate.max_rows:
            return describe_skipped(Message("it is for {count} rows or fewer", count=f"{candidate.max_rows:,}"))
        if candidate.needs_texts and not has_texts_and_columns(self.assembly.spec):
            return describe_skipped(Message("the table has no features of texts next to other columns"))
        if candidate.encodes_targets and not list_encoded_columns(self.assembly.spec):
            return describe_skipped(Message("no column has {count} categories or more", count=MIN_CATEGORIES))
        if candidate.codes_numbers and not self.rows.whole_numbers:
            return describe_skipped(Message("no column has whole numbers that could be codes"))
        if candidate.codes_numbers and _have_codes_failed(ensemble, candidate):
            return describe_skipped(Message("whole numbers as categories helped none of the others"))
        entry = registry.find("models", candidate.model)
        if not entry.meta["fits"](self.assembly.spec):
            return describe_skipped(Message("it needs {requirement}", requirement=entry.requirement))
        if candidate.model == "tabicl" and ensemble.names == CANDIDATES and not tabicl.has_weights(self.assembly.spec):
            return describe_skipped(
                Message("its weights are not in the cache; `yisheng data fetch tabicl` fetches them")
            )
        return None

    def _choose_status(self, ensemble: Ensemble, candidate: Candidate) -> str:
        """Return ``training``, or why a candidate is not tried."""
        if reason := self._explain_exclusion(ensemble, candidate):
            return reason
        if self._find(candidate, 0) is not None:
            return "training"
        trains_here = self.pool is None or not self.pool.trains
        may_begin = trains_here and (not len(ensemble.candidates) or self.timetable.may_begin())
        return "training" if may_begin else describe_skipped(Message("no time was left"))

    def _fit_fold(
        self, ensemble: Ensemble, candidate: Candidate, fold: int, trained: TrainedFold | None
    ) -> FittedMember:
        """Return the model of a fold, which another process has trained or this one trains."""
        if trained is not None:
            if trained.fitted is None:
                assert trained.status is not None
                raise DroppedCandidateError(trained.status)
            return trained.fitted
        if self.pool is not None and self.pool.trains:
            raise DroppedCandidateError(describe_skipped(Message("no time was left")))
        is_first = not len(ensemble.candidates) or (len(ensemble.candidates) == 1 and fold > 0)
        limits = self.timetable.limit_fold(candidate, fold, self._required_folds, is_first=is_first)
        device = self.assembly.train.device
        return fit_fold(
            candidate, self.rows, fold, self._config, self.assembly.spec, device, self.fit, limits, ensemble.seconds
        )

    def _train_fold(self, ensemble: Ensemble, candidate: Candidate, fold: int, trained: TrainedFold | None) -> None:
        rows, is_new = self.rows, fold == 0
        self._log_limited_rows(candidate, fold, ensemble.seconds)
        fitted = self._fit_fold(ensemble, candidate, fold, trained)
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

    def _log_limited_rows(self, candidate: Candidate, fold: int, seconds: float | None) -> None:
        total = len(self.rows.folds[fold].train)
        limited = limit_rows(candidate, self.rows, fold, self._config.seed, seconds)
        if len(limited.train) < total:
            logger.info(
                Message(
                    "{candidate}  trains on {count} random rows of {total}: more take too long",
                    candidate=candidate.name,
                    count=f"{len(limited.train):,}",
                    total=f"{total:,}",
                )
            )

    def _drop(self, ensemble: Ensemble, status: Message) -> None:
        """Remove a candidate that lacks a fold that it needs; one that has enough of them stays."""
        entry = ensemble.plain["tried"][-1]
        if entry.get("folds", 0) >= self._required_folds:
            self._complete(ensemble)
        else:
            self._remove(ensemble, status)

    def _remove(self, ensemble: Ensemble, status: Message) -> None:
        """Remove the latest candidate."""
        entry = ensemble.plain["tried"][-1]
        plain = {**ensemble.plain, "candidates": list(ensemble.plain["candidates"])}
        if plain["candidates"] and plain["candidates"][-1]["name"] == entry["name"]:
            plain["candidates"].pop()
            ensemble.candidates = ensemble.candidates[:-1]
        ensemble.describe(plain)
        self._update_entry(ensemble, status=status)
        logger.info(Message("{candidate}  {status}", candidate=entry["name"], status=status))

    def _compare_with_plain(self, ensemble: Ensemble, candidate: Candidate) -> None:
        """Remove a candidate that takes numbers as categories, too, unless it is clearly better for it on a fold.

        The models are too similar for the weights to gain from both, and further folds would take time from others.
        """
        names = [entry["name"] for entry in ensemble.plain["candidates"]]
        plain_name = candidate.name.removesuffix(CODES)
        if plain_name not in names:
            return
        rows = self.rows.folds[0].validation
        models = [ensemble.fold_models[names.index(name)] for name in (plain_name, candidate.name)]
        problem = self._outcome.make_problem([m.out_of_fold.cpu().numpy()[rows] for m in models], rows)
        without, with_codes = (problem.row_losses(weights).mean() for weights in np.eye(2))
        if with_codes > (1 - MIN_CODES_GAIN) * without:
            reason = Message("it is not better than {name} on the first fold", name=plain_name)
            self._remove(ensemble, describe_skipped(reason))

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
            self._drop(ensemble, describe_skipped(Message("its folds were not all trained")))
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


def _have_codes_failed(ensemble: Ensemble, candidate: Candidate) -> bool:
    """Return whether two candidates or more took whole numbers as categories before, and none was better for it."""
    tried = ensemble.plain["tried"]
    previous = [e["status"] for e in tried if e["name"].endswith(CODES) and e["name"] != candidate.name]
    return len(previous) > 1 and "trained" not in previous
