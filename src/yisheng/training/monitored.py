"""The loop with what every training listens with: the score, the best weights, early stopping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from yisheng.core import machine, registry
from yisheng.core.types import Event
from yisheng.training import callbacks
from yisheng.training.loop import Scorer, fit
from yisheng.training.setup import Assembly

MakeScorer = Callable[..., Scorer]
"""``(spec, loss, metrics, invert=..., half=...) -> scorer``; see `yisheng.evaluation.scorer.make_scorer`."""


def threads_worth(assembly: Assembly) -> int:
    """As many threads as one forward pass can use."""
    assert isinstance(assembly.config.batch, int)  # settled
    batch, weights = assembly.config.batch, sum(p.numel() for p in assembly.state.model.parameters())
    return machine.threads_worth(batch * math.prod(assembly.spec.shape), batch * weights)


def threads_now(assembly: Assembly, taken: Callable[[], float] | None = None) -> tuple[int, str]:
    """As many threads as one forward pass can use of the cores that are free; and what to tell the user of it.

    A thread on a core that is busy with something else holds up all the others at the end of every operation.

    Args:
        assembly: what is trained.
        taken: how many cores others keep busy; looked at now if not given.
    """
    worth = threads_worth(assembly)
    if worth == 1 or machine.threads_said() or assembly.train.device.type != "cpu":
        return worth, ""
    others = (taken or machine.taken)()
    free = max(1, min(worth, machine.cores() - round(others)))
    if free == worth:
        return worth, ""
    return free, f"other programs keep {others:.1f} of {machine.cores()} cores busy: {free} left to train on"


def score_of(assembly: Assembly) -> str:
    """What the score that chooses the best epoch is called in events."""
    name = assembly.config.score
    return name if name == "loss" else registry.find("metrics", name).key


def listened(assembly: Assembly, make_scorer: MakeScorer, *, choose: bool = True) -> Iterator[Event]:
    """The events of a training up to its end; on the way the best weights are kept, and patience may run out.

    Args:
        assembly: what is trained, from where it stands.
        make_scorer: makes what scores the validation part after each epoch.
        choose: whether the score chooses the best epoch; otherwise it is the last one.
    """
    config, state, target = assembly.config, assembly.state, assembly.transforms["target"]
    assert isinstance(config.epochs, int)  # settled
    entry = None if config.score == "loss" else registry.find("metrics", config.score)
    events = fit(
        state,
        assembly.train,
        assembly.validation,
        loss=assembly.loss,
        score=make_scorer(
            assembly.spec,
            assembly.loss,
            [entry.key] if entry else [],
            invert=None if target is None else target.invert,
            half=assembly.half,
        ),
        epochs=config.epochs,
        schedule=assembly.schedule,
        step=assembly.step,
    )
    chooses = score_of(assembly) if choose else ""
    events = callbacks.keep_best(events, state, score=chooses, higher=bool(entry and entry.meta.get("higher", True)))
    return callbacks.stop_early(events, state, config.patience) if config.patience else events
