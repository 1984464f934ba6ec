"""The loop on an assembly, with the callbacks of every training: its scorer, the best weights, early stopping."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from yisheng.core.types import Event
from yisheng.training import callbacks
from yisheng.training.loop import Scorer, fit
from yisheng.training.setup import Assembly

MakeScorer = Callable[..., Scorer]
"""``(spec, loss, metrics, invert=..., bf16=...) -> scorer``; see `yisheng.evaluation.scorer.make_scorer`."""


def fit_assembly(assembly: Assembly, make_scorer: MakeScorer, *, choose_best: bool = True) -> Iterator[Event]:
    """Train an assembly from its present state to its end, and yield the events.

    Args:
        assembly: the training.
        make_scorer: makes the scorer of the validation part.
        choose_best: whether the score chooses the best epoch; otherwise the last epoch is the best.
    """
    config, state, target = assembly.config, assembly.state, assembly.transforms["target"]
    events = fit(
        state,
        assembly.train,
        assembly.validation,
        loss=assembly.loss,
        score=make_scorer(
            assembly.spec,
            assembly.loss,
            [] if config.score == "loss" else [config.find_metric(config.score)],
            invert=None if target is None else target.invert,
            bf16=assembly.validates_in_bf16,
        ),
        epochs=config.epochs,
        schedule=assembly.schedule,
        step=assembly.step,
    )
    score = assembly.score_key if choose_best else ""
    events = callbacks.keep_best(events, state, score=score, higher_is_better=assembly.higher_is_better)
    return callbacks.stop_early(events, state, config.patience) if config.patience else events
