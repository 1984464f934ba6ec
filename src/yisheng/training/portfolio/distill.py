"""Distillation: one model that imitates an ensemble, and predicts many times as fast."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from yisheng.core.choice import Choice
from yisheng.core.config import Config
from yisheng.core.dataset import Split
from yisheng.core.errors import StoppedError, YishengError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec
from yisheng.models import lightgbm
from yisheng.models.ensemble import Ensemble
from yisheng.training.portfolio.candidates import Candidate, make_candidate
from yisheng.training.portfolio.fit_member import Fit, FittedMember, Limits, fit_member, predict_rows
from yisheng.training.portfolio.outcome import Outcome
from yisheng.training.portfolio.prediction_rate import measure_rate
from yisheng.training.portfolio.student_data import make_student_data, swap_values

MAX_COPIES = 10
"""Altered copies of each row at most."""
MIN_ALTERED_ROWS = 20_000
"""So many altered rows, as far as `MAX_COPIES` allows, and twice the number of rows with many rows."""
HELD_OUT_FRACTION = 0.1
"""Fraction of the altered rows that choose the epoch of the final student."""
SCORING_FRACTIONS = (0.1, 0.45)
"""When a linear student and another must have been trained to be scored on rows that nobody has seen, in fractions of
the time."""
TEACHER_FRACTION = 0.4
"""Fraction of a student's time in which the teacher may predict the altered rows."""
MAX_EPOCHS, PATIENCE = 60, 6
"""Of a network: the targets have little noise and the rows are many, so that fewer epochs are enough."""
MAX_LOSS_RATIO = 1.25
"""With a larger loss on held-out rows, relative to the ensemble, a student does not replace it."""
TABM_OPTIONS = {"k": 8}
"""Half of the usual members, so that it predicts fast."""
MAX_TREES, LEAVES, DEPTH, LEARNING_RATE = 240, 64, 8, 0.15
"""Fewer, larger and less deep trees than usual, so that they predict fast: all rows walk as far as the deepest leaf."""
Teacher = Callable[[np.ndarray], np.ndarray]
"""Predicts rows ``(n, D)``: ``(n, V)``."""


@dataclass(frozen=True)
class Student:
    """A model that imitates an ensemble.

    Args:
        name: of the candidate whose settings it has.
        fitted: the model.
        rows: rows that were held out from a student with the same settings, and from its teacher.
        prediction: that student's, of these rows ``(n, V)``.
    """

    name: str
    fitted: FittedMember
    rows: np.ndarray
    prediction: np.ndarray


@dataclass
class Distillation:
    """The distillation of a weighted ensemble whose out-of-fold predictions are still there.

    The student is trained on the training rows, with their out-of-fold predictions as targets (the ensemble's where
    there are none), and on altered copies of them, in which some values are those of other rows, with the ensemble's
    predictions as targets. Classes are imitated by their logits. A first student knows nothing of one fold: its teacher
    are the models of that fold. Its score on the fold is what the final student's is expected to be.

    Args:
        outcome: weights and scores of the ensemble.
        ensemble: the ensemble.
        fit: trains an assembly.
        end: the clock's value at which it must have ended; infinite without a limit.

    Source: Bucila, Caruana and Niculescu-Mizil, "Model compression", 2006; Fakoor et al., "Fast, accurate, and simple
    models for tabular data via augmented distillation", 2020.
    """

    outcome: Outcome
    ensemble: Ensemble
    fit: Fit
    end: float

    def train_student(self) -> Student:
        """Return the student: scored on one fold, then trained on all rows.

        Raises:
            YishengError: its loss or predictions became infinite.
        """
        start = time.perf_counter()
        fold = self.outcome.rows.folds[0]
        mean = self.average_out_of_fold()
        teacher = self._make_fold_teacher(0)
        best: tuple[float, Candidate, np.ndarray] | None = None
        for candidate, fraction in zip(self._choose_candidates(), SCORING_FRACTIONS, strict=True):
            deadline = start + fraction * (self.end - start)
            scored = self._train(candidate, fold.train, mean, teacher, deadline, fold.validation)
            prediction = scored.out_of_fold.numpy()
            loss = self.measure_loss(prediction, fold.validation)
            if best is None or loss < best[0]:
                best = loss, candidate, prediction
        assert best is not None
        _, candidate, prediction = best
        rows = np.arange(len(self.outcome.rows.data))
        final = self._train(candidate, rows, mean, self._predict_all, self.end, None)
        return Student(candidate.name, final, fold.validation, prediction)

    def measure_loss(self, prediction: np.ndarray, rows: np.ndarray) -> float:
        """Return the mean loss of predictions ``(n, V)`` of some rows."""
        return float(self.outcome.make_problem([prediction], rows).row_losses(np.ones(1)).mean())

    def _choose_candidates(self) -> tuple[Candidate, Candidate]:
        """Return the settings of a linear model, and of the better family of boosted trees and networks."""
        spec, rows = self.outcome.spec, self.outcome.rows.data
        losses: dict[str, float] = {}
        predictions, index = self.outcome.read_out_of_fold(self.ensemble)
        for entry, prediction in zip(self.ensemble.plain["candidates"], predictions, strict=True):
            family = "tabm" if entry["name"] in ("tabm", "tabm-2", "embedded-mlp") else "boosting"
            losses[family] = min(losses.get(family, math.inf), self.measure_loss(prediction, index))
        name = min(losses, key=lambda family: losses[family])
        candidate = make_candidate(name, spec, len(rows), lightgbm=lightgbm.PACKAGE.is_installed())
        linear = replace(make_candidate("linear", spec, len(rows)), model="ridge")  # logits are numbers, too
        return linear, replace(candidate, options=TABM_OPTIONS if name == "tabm" else _make_tree_options(spec))

    def average_out_of_fold(self) -> np.ndarray:
        """Return the ensemble's out-of-fold predictions ``(N, V)``, NaN where a candidate has none."""
        weights = self.ensemble.candidate_weights
        parts = [
            weight * models.out_of_fold.cpu().numpy().astype(np.float64)
            for weight, models in zip(weights, self.ensemble.fold_models, strict=True)
            if weight > 0
        ]
        return np.sum(parts, axis=0)

    def _make_fold_teacher(self, fold: int) -> Teacher:
        """Return the ensemble of the models that were trained without a fold."""
        weights = self.ensemble.candidate_weights
        members = [models.members[fold] for models in self.ensemble.fold_models]
        return lambda x: self._average(members, weights, x)

    def _predict_all(self, x: np.ndarray) -> np.ndarray:
        return self._average(self.ensemble.fold_models, self.ensemble.candidate_weights, x)

    def _average(self, models: Sequence[torch.nn.Module], weights: Sequence[float], x: np.ndarray) -> np.ndarray:
        """Return the weighted mean prediction ``(n, V)`` of several models, float64."""
        rows, device = np.arange(len(x)), self.ensemble.description.device
        parts = [
            weight * predict_rows(model, x, rows, device).numpy().astype(np.float64)
            for model, weight in zip(models, weights, strict=True)
            if weight > 0
        ]
        return np.sum(parts, axis=0)

    def _train(
        self,
        candidate: Candidate,
        rows: np.ndarray,
        mean: np.ndarray,
        teacher: Teacher,
        deadline: float,
        held_out: np.ndarray | None,
    ) -> FittedMember:
        """Train a student on rows and altered copies of them.

        Args:
            candidate: its settings.
            rows: of the training part.
            mean: out-of-fold predictions of the training part.
            teacher: predicts the altered rows.
            deadline: the clock's value at which it is stopped.
            held_out: rows that choose its epoch; a part of the altered rows if None.
        """
        x, spec = self.outcome.rows.data.x, self.outcome.spec
        rng = np.random.default_rng(derive(self.outcome.config.seed, "altered", held_out is None) % 2**32)
        is_predicted = np.isfinite(mean).all(1)[rows]
        limit = self._count_predictable(teacher, x, deadline)
        # With many rows not all folds are trained, and the teacher predicts the others, as far as there is time.
        unpredicted = np.sort(rng.permutation(rows[~is_predicted])[: limit // 2])
        rows = np.concatenate([rows[is_predicted], unpredicted])
        count = min(MAX_COPIES * len(rows), max(MIN_ALTERED_ROWS - len(rows), 2 * len(rows)), limit - len(unpredicted))
        altered = swap_values(x[rows], count, rng) if count else x[:0]
        targets = np.concatenate([mean, teacher(altered) if count else mean[:0]])
        targets[unpredicted] = teacher(x[unpredicted])
        data = make_student_data(spec, np.concatenate([x, altered]), targets)
        numbers = np.arange(len(x), len(data))
        if held_out is None:
            split_at = int(len(numbers) * HELD_OUT_FRACTION)
            held_out, numbers = (numbers[:split_at], numbers[split_at:]) if split_at else (rows, numbers)
        split = Split(np.concatenate([rows, numbers]), held_out, np.zeros(0, np.int64))
        config = self._make_config(candidate, len(split.train))
        limits = Limits(deadline, 1, math.inf, 1)
        device = self.ensemble.description.device
        return fit_member(config, data, split, spec, device, self.fit, limits, places=candidate.places)

    def _make_config(self, candidate: Candidate, rows: int) -> Config:
        """Return the config of a student: of numbers, also if it imitates logits."""
        settings = dict(candidate.settings)
        if "batch" in settings:
            settings |= {"batch": 256 if rows > 1000 else 64, "epochs": MAX_EPOCHS, "patience": PATIENCE}
        if self.outcome.spec.task != "regression":
            settings["target_scale"] = Choice(name="none")
        base = self.outcome.config.model_copy(update={"loss": Choice(name="mse")})
        return replace(candidate, name=f"student {candidate.name}", settings=settings).make_config(base)

    def _count_predictable(self, teacher: Teacher, x: np.ndarray, deadline: float) -> int:
        """Return the number of rows that the teacher may predict in a part of the time until the deadline."""
        if math.isinf(deadline):
            return (MAX_COPIES + 2) * max(len(x), MIN_ALTERED_ROWS)
        return int(TEACHER_FRACTION * max(0.0, deadline - time.perf_counter()) * measure_rate(teacher, x))


def _make_tree_options(spec: Spec) -> dict[str, Any]:
    """Return the options of boosted trees that predict fast; there is a tree for each output in each round."""
    outputs = spec.outputs if spec.task != "classification" or len(spec.classes) > 2 else 1
    return {"rounds": max(40, MAX_TREES // outputs), "learning_rate": LEARNING_RATE, "leaves": LEAVES, "depth": DEPTH}


def _compare_losses(distillation: Distillation, student: Student) -> float:
    """Return the student's loss on the rows that were held out, divided by that of the ensemble."""
    ensemble = distillation.average_out_of_fold()[student.rows]
    losses = [distillation.measure_loss(prediction, student.rows) for prediction in (student.prediction, ensemble)]
    return losses[0] / max(losses[1], 1e-12)


def add_student(distillation: Distillation) -> None:
    """Train a student, and make it what the ensemble predicts by; the ensemble stays as it is if that fails."""
    ensemble, outcome = distillation.ensemble, distillation.outcome
    try:
        student = distillation.train_student()
    except StoppedError:
        raise
    except (YishengError, ValueError) as error:
        reason = error.problem if isinstance(error, YishengError) else " ".join(str(error).split())[:200]
        logger.warning(Message("the ensemble was not distilled: {reason}", reason=reason))
        return
    ratio = _compare_losses(distillation, student)
    if not ratio <= MAX_LOSS_RATIO:
        logger.warning(
            Message(
                "the ensemble was not distilled: on rows that it does not know the loss of a single model is {ratio} "
                "times as large; use a larger budget=",
                ratio=f"{ratio:.2f}",
            )
        )
        return
    score = outcome.score(student.rows, student.prediction.astype(np.float64))
    x = outcome.rows.data.x

    def predict_with_student(rows: np.ndarray) -> np.ndarray:
        return predict_rows(student.fitted.member, rows, np.arange(len(rows)), ensemble.description.device).numpy()

    rate = measure_rate(predict_with_student, x)
    if outcome.spec.task == "regression":
        errors = np.sort(
            np.abs(outcome.rows.data.y[student.rows].reshape(student.prediction.shape) - student.prediction), 0
        )
        ensemble.out_of_fold_errors = torch.from_numpy(errors.astype(np.float64)).to(ensemble.description.device)
    about: dict[str, Any] = {"name": student.name, "rows_per_second": round(rate), **score}
    ensemble.set_student(student.fitted.member, {**student.fitted.plain, "about": about})
    logger.info(
        Message(
            "distilled into one model ({name}): {rate} rows a second, the ensemble {ensemble_rate}",
            name=student.fitted.plain["model"]["name"],
            rate=f"{rate:,.0f}",
            ensemble_rate=f"{ensemble.plain['rows_per_second']:,.0f}",
        )
    )
