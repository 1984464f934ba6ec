"""Train one fold of a candidate, and predict the rows that it was not trained on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from yisheng import transforms
from yisheng.core.choice import plain_value
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.durations import format_duration
from yisheng.core.errors import NonFiniteError
from yisheng.core.events import EpochEnd, Event
from yisheng.core.messages import Message
from yisheng.core.modes import evaluation_mode
from yisheng.core.spec import Spec
from yisheng.models.ensemble import Member
from yisheng.training.portfolio.number_codes import WholeNumbers, add_number_codes
from yisheng.training.portfolio.places import rotate_places
from yisheng.training.portfolio.target_encoding import encode_targets
from yisheng.training.setup import Assembly, assemble

Fit = Callable[[Assembly], Iterator[Event]]
"""Trains an assembly to its end, with the best epoch by its validation part."""
ROWS_PER_PASS = 4096
REPEATED_FRACTION = 0.05
"""After a first epoch of at most this fraction of the time a second one tells how long the others will take."""


@dataclass(frozen=True)
class Limits:
    """The time of a training.

    Args:
        deadline: the clock's value at which it is stopped; an epoch that would end after it is not begun.
        min_epochs: epochs that must fit before ``end``, or `TooSlow` is raised after the first one.
        end: the clock's value at which all folds of the candidate must have ended.
        folds: number of folds that are to be trained, with this one.
        clock: returns the time in seconds.
    """

    deadline: float
    min_epochs: int
    end: float
    folds: int
    clock: Callable[[], float] = time.perf_counter


class TooSlow(Exception):  # noqa: N818  # not an error: the candidate is left out
    """The epochs of a candidate take too long for the time that is left."""


@dataclass(frozen=True)
class FittedMember:
    """A trained fold.

    Args:
        plain: what `Member` is built from.
        member: the model.
        out_of_fold: predictions of the fold's validation rows ``(n, V)``, float32.
        epoch: the epoch of the weights.
    """

    plain: Mapping[str, Any]
    member: Member
    out_of_fold: torch.Tensor
    epoch: int


def fit_member(
    config: Config,
    data: Dataset,
    split: Split,
    spec: Spec,
    device: torch.device,
    fit: Fit,
    limits: Limits,
    *,
    encodes_targets: bool = False,
    whole_numbers: Sequence[WholeNumbers] = (),
    places: tuple[tuple[int, int], ...] = (),
) -> FittedMember:
    """Train a fold until its last epoch, its patience or its deadline ends it.

    The best epoch is kept. If not even the first one ended before the deadline, the weights at that time are.

    Args:
        config: of the candidate.
        data: all training rows, scaled.
        split: training and validation rows of the fold.
        spec: the contract of the ensemble's inputs.
        device: where to train.
        fit: trains an assembly.
        limits: the time.
        encodes_targets: whether it gets the mean targets of categories; see `list_encoded_columns`.
        whole_numbers: columns that it gets as categories, too.
        places: pairs of columns that it gets along turned axes, too.

    Raises:
        TooSlow: see `Limits`.
        NonFiniteError: a loss, a gradient or a prediction became NaN or infinite.
        UsageError: the candidate does not fit the data.
    """
    prepared, encoding = data, dict[str, Any]()
    if whole_numbers:
        prepared, encoding["number_codes"] = add_number_codes(prepared, split.train, whole_numbers)
    if places:
        prepared, encoding["rotated_places"] = rotate_places(prepared, places)
    if encodes_targets:
        prepared, encoding["target_means"] = encode_targets(prepared, split.train, config.seed)
    assembly = assemble(config, prepared, split, device)
    state = assembly.state
    start = limits.clock()
    for event in fit(assembly):
        seconds = limits.clock()
        if not isinstance(event, EpochEnd):
            if seconds > limits.deadline:  # in the middle of an epoch
                break
            continue
        if is_telling(event.epoch, seconds - start, limits.end - seconds):
            _require_speed(seconds - start, seconds, assembly.config.epochs, limits)
        if 2 * seconds - start > limits.deadline:  # the next epoch takes about as long as this one
            break
        start = seconds
    weights = state.best.weights or state.model.state_dict()
    choice = assembly.config.model
    target = assembly.transforms["target"]
    plain = {
        "model": {"name": choice.name, "options": {key: plain_value(value) for key, value in choice.options.items()}},
        "input": transforms.to_json(assembly.transforms["input"]),
        "target": None if target is None else transforms.to_json(target),
        "outputs": assembly.spec.outputs,
        "weight": float(len(split.train)),
        **encoding,
    }
    member = Member(spec, plain)  # built as it will be read, without what the training keeps
    member.model.load_state_dict(weights)
    member.to(device)
    out_of_fold = predict_rows(member, data.x, split.validation, device)
    if not bool(out_of_fold.isfinite().all()):
        raise NonFiniteError(Message("its predictions are not finite"), Message("leave the candidate out"))
    return FittedMember(plain, member, out_of_fold, state.best.epoch)


def predict_rows(member: torch.nn.Module, x: np.ndarray, rows: np.ndarray, device: torch.device) -> torch.Tensor:
    """Return a module's outputs for some rows ``(n, V)``, float32, on the CPU."""
    with evaluation_mode(member), torch.no_grad():
        blocks = [
            member(torch.from_numpy(x[part]).to(device)).float().cpu()
            for part in np.split(rows, range(ROWS_PER_PASS, len(rows), ROWS_PER_PASS))
        ]
    return torch.cat(blocks)


def is_telling(epoch: int, epoch_seconds: float, remaining: float) -> bool:
    """Return whether it is to be judged after an epoch whether the others will end in time.

    A short first one may have imported a package, which the others do not.

    Args:
        epoch: its number, from 1 on.
        epoch_seconds: what it took.
        remaining: seconds that are left for all.

    >>> is_telling(1, 0.2, remaining=8.0), is_telling(2, 0.01, remaining=7.8), is_telling(1, 2.0, remaining=8.0)
    (False, True, True)
    """
    return epoch == 2 or (epoch == 1 and epoch_seconds > REPEATED_FRACTION * remaining)


def _require_speed(epoch_seconds: float, seconds: float, epochs: int, limits: Limits) -> None:
    """Stop before much time is spent on what will not be finished."""
    needed = epoch_seconds * (min(limits.min_epochs, epochs) * limits.folds - 1)
    if seconds + needed > limits.end:
        raise TooSlow(
            Message(
                "an epoch takes {duration}: {epochs} of them for each of {folds} folds do not fit into the {limit} it "
                "may use",
                duration=format_duration(epoch_seconds),
                epochs=min(limits.min_epochs, epochs),
                folds=limits.folds,
                limit=format_duration(max(0.0, limits.end - seconds)),
            )
        )
