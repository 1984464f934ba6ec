"""One fold of a candidate, trained in this process or in another one: the same model wherever it is."""

from __future__ import annotations

from dataclasses import replace

import torch

from yisheng.core.config import Config
from yisheng.core.dataset import Split
from yisheng.core.errors import StoppedError, YishengError
from yisheng.core.messages import Message
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec
from yisheng.training.portfolio.candidates import Candidate, count_inputs
from yisheng.training.portfolio.fit_member import Fit, FittedMember, Limits, TooSlow, fit_member
from yisheng.training.portfolio.fold_data import FoldData, draw_rows


class DroppedCandidateError(Exception):
    """A candidate lacks a fold that it needs.

    Args:
        status: why, for the leaderboard.
    """

    def __init__(self, status: Message) -> None:
        super().__init__(status)
        self.status = status


def fit_fold(
    candidate: Candidate,
    rows: FoldData,
    fold: int,
    config: Config,
    spec: Spec,
    device: torch.device,
    fit: Fit,
    limits: Limits,
    seconds: float | None,
) -> FittedMember:
    """Train a fold of a candidate; see `fit_member`.

    Args:
        candidate: what is trained.
        rows: training rows in folds.
        fold: number of the fold.
        config: of the ensemble.
        spec: the contract of the ensemble's inputs.
        device: where to train.
        fit: trains an assembly.
        limits: the time of this fold.
        seconds: time of the whole ensemble, by which the number of training rows is chosen; None for any number.

    Raises:
        DroppedCandidateError: it is too slow, or failed.
        StoppedError: a signal came.
    """
    try:
        return fit_member(
            candidate.make_config(config),
            rows.data,
            limit_rows(candidate, rows, fold, config.seed, seconds),
            spec,
            device,
            fit,
            limits,
            encodes_targets=candidate.encodes_targets,
            whole_numbers=rows.whole_numbers if candidate.codes_numbers else (),
            places=candidate.places,
        )
    except StoppedError:
        raise
    except TooSlow as error:
        raise DroppedCandidateError(describe_skipped(error.args[0])) from None
    except (YishengError, ValueError) as error:  # scikit-learn's solvers raise ValueErrors
        reason = error.problem if isinstance(error, YishengError) else " ".join(str(error).split())[:200]
        raise DroppedCandidateError(Message("failed: {reason}", reason=reason)) from error


def limit_rows(candidate: Candidate, rows: FoldData, fold: int, seed: int, seconds: float | None) -> Split:
    """Return a fold with as many training rows as the candidate can take in the time.

    Args:
        candidate: what is trained.
        rows: training rows in folds.
        fold: number of the fold.
        seed: of the ensemble.
        seconds: see `fit_fold`.
    """
    data, split = rows.data, rows.folds[fold]
    numbers = [column.count for column in rows.whole_numbers] if candidate.codes_numbers else []
    count = candidate.count_rows(data.x.shape[1], count_inputs(data.spec, numbers), seconds)
    if count is None or count >= len(split.train):
        return split
    classes = data.y if data.spec.task == "classification" else None
    return replace(split, train=draw_rows(split.train, count, derive(seed, "rows", candidate.name), classes))


def describe_skipped(reason: str) -> Message:
    """Return the status of a candidate that is not tried."""
    return Message("skipped: {reason}", reason=reason)
