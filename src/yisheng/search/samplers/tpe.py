"""Optuna's sampler."""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Sequence
from typing import Annotated, Any

from annotated_types import Interval

from yisheng.core.errors import MissingPartError
from yisheng.core.registry import register
from yisheng.core.seeds import derive
from yisheng.search.axes import Axis
from yisheng.search.trials import Trial, number


@register
def tpe(
    axes: Sequence[Axis], *, n: int, seed: int = 0, at_once: Annotated[int, Interval(ge=1, le=1000)] = 10
) -> Generator[list[Trial], list[float | None], None]:
    """Tree-structured Parzen estimator of Optuna: draws where good settings are dense and bad ones are not.

    Args:
        axes: alternatives are categories to it, ranges are what they are.
        n: settings in all. A setting may come twice.
        seed: of the sampler.
        at_once: settings per round. 1 learns from every single one; more can be trained side by side.

    Raises:
        MissingPartError: Optuna is not installed.

    Source: Bergstra, Bardenet, Bengio and Kégl, "Algorithms for hyper-parameter optimization", NeurIPS 2011; Akiba et
        al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019.
    """
    try:
        import optuna
    except Exception:  # not there, or broken
        raise MissingPartError(
            "search=tpe needs Optuna, which is not installed", "say pip install 'yisheng[tune]', or search=random"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of options that Optuna calls experimental
        sampler = optuna.samplers.TPESampler(seed=derive(seed, "tpe") % 2**32, constant_liar=at_once > 1)
    study = optuna.create_study(sampler=sampler)
    space = {axis.name: _distribution(optuna.distributions, axis) for axis in axes}
    done = 0
    while done < n:
        asked = [study.ask(space) for _ in range(min(at_once, n - done))]
        losses = yield number([_setting(axes, trial.params) for trial in asked], done + 1)
        done += len(asked)
        for trial, loss in zip(asked, losses, strict=True):
            if loss is None or not math.isfinite(loss):
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, loss)


def _distribution(kinds: Any, axis: Axis) -> Any:
    """An axis in Optuna's words."""
    if axis.values is not None:
        return kinds.CategoricalDistribution(range(len(axis.values)))
    kind = kinds.IntDistribution if axis.kind in ("int", "logint") else kinds.FloatDistribution
    return kind(axis.low, axis.high, log=axis.kind in ("log", "logint"))


def _setting(axes: Sequence[Axis], drawn: dict[str, Any]) -> dict[str, Any]:
    """What was drawn, as a setting."""
    return {
        axis.name: axis.values[drawn[axis.name]] if axis.values is not None else axis.rounded(drawn[axis.name])
        for axis in axes
    }
