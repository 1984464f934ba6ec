"""The loop on an assembly, with the callbacks of every training: its scorer, the best weights, early stopping."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from yisheng.core.events import Event
from yisheng.core.modes import evaluation_mode
from yisheng.data.batches import Batches
from yisheng.models.ensemble import Ensemble
from yisheng.training import callbacks
from yisheng.training.cached_features import cache_frozen_layers
from yisheng.training.loop import Scorer, fit
from yisheng.training.portfolio.fold_pool import FoldPool
from yisheng.training.portfolio.step import make_portfolio_step
from yisheng.training.setup import Assembly
from yisheng.training.state import Best
from yisheng.training.update import mean_loss

MAX_SHOWN_ROWS = 2048
"""Rows of a batch that the callbacks of an ensemble's training see."""
MakeScorer = Callable[..., Scorer]
"""``(spec, loss, metrics, invert=..., bf16=...) -> scorer``; see `yisheng.evaluation.scorer.make_scorer`."""


def fit_assembly(
    assembly: Assembly, make_scorer: MakeScorer, *, choose_best: bool = True, pool: FoldPool | None = None
) -> Iterator[Event]:
    """Train an assembly from its present state to its end, and yield the events.

    With ``epochs=0`` nothing is trained: there are no events, and the weights that the network has are the best ones.

    Args:
        assembly: the training.
        make_scorer: makes the scorer of the validation part.
        choose_best: whether the score chooses the best epoch; otherwise the last epoch is the best, as it always is
            for an ensemble, which has its weights then.
        pool: for an ensemble, folds that other processes train or have trained.
    """
    config, state, target = assembly.config, assembly.state, assembly.transforms["target"]
    scorer = make_scorer(
        assembly.spec,
        assembly.loss,
        [] if config.score == "loss" else [config.find_metric(config.score)],
        invert=None if target is None else target.invert,
        bf16=assembly.validates_in_bf16,
    )
    if config.epochs == 0:
        return _score_untrained(assembly, scorer)
    train, step, scorer = cache_frozen_layers(assembly, scorer)
    if isinstance(state.model, Ensemble):
        train = _take_evenly(train)
        step = make_portfolio_step(assembly, functools.partial(fit_assembly, make_scorer=make_scorer), pool)
        choose_best = False
    events = fit(
        state,
        train,
        assembly.validation,
        loss=assembly.loss,
        score=scorer,
        epochs=config.epochs,
        schedule=assembly.schedule,
        step=step,
    )
    score = assembly.score_key if choose_best else ""
    events = callbacks.keep_best(events, state, score=score, higher_is_better=assembly.higher_is_better)
    return callbacks.stop_early(events, state, config.patience) if config.patience else events


def _take_evenly(train: Batches) -> Batches:
    """Return batches of some rows: an ensemble reads the training part itself, once and not in every stage."""
    if len(train.rows) <= MAX_SHOWN_ROWS:
        return train
    places = torch.linspace(0, len(train.rows) - 1, MAX_SHOWN_ROWS, dtype=torch.float64).round().long()
    return replace(train, rows=train.rows[places.to(train.rows.device)])


def _score_untrained(assembly: Assembly, scorer: Scorer) -> Iterator[Event]:
    """Yield nothing; make the weights that the network has the best ones, with their validation score.

    The doctor, if it watches, is shown one batch of training rows, in eval mode, without an update.
    """
    state = assembly.state
    if state.observe_loss is not None:
        _show_batch(assembly, state.observe_loss)
    scores = scorer(state.model, assembly.validation) if len(assembly.validation.rows) else {}
    value = scores.get(assembly.score_key)
    weights = {name: tensor.detach().clone() for name, tensor in state.model.state_dict().items()}
    state.best = Best(0, None if value is None or math.isnan(value) else value, weights, scores.get("loss", math.inf))
    yield from ()


def _show_batch(assembly: Assembly, observe_loss: Callable[[torch.Tensor], None]) -> None:
    model = assembly.state.model
    with evaluation_mode(model):
        try:
            loss = mean_loss(model, next(iter(assembly.train)), assembly.loss, assembly.config.precision)
            if loss.requires_grad and bool(loss.isfinite()):
                observe_loss(loss)
                loss.backward()
        finally:
            model.zero_grad(set_to_none=True)
