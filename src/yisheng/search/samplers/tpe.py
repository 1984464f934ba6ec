"""Tree-structured Parzen estimator, with Optuna."""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Sequence
from typing import Annotated, Any

from annotated_types import Interval

from yisheng.core.errors import MissingPartError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.seeds import derive
from yisheng.search.axes import Axis
from yisheng.search.trials import Trial, number_trials


@register
def tpe(
    axes: Sequence[Axis], *, n: int, seed: int = 0, at_once: Annotated[int, Interval(ge=1, le=1000)] = 10
) -> Generator[list[Trial], list[float | None], None]:
    """Yield settings of Optuna's tree-structured Parzen estimator, which samples where good settings are dense.

    Args:
        axes: alternatives become categories, ranges stay ranges.
        n: total number of settings. A setting may occur twice.
        seed: seed of the sampler.
        at_once: number of settings per round. 1 learns from every single setting; more can be trained in parallel.

    Raises:
        MissingPartError: Optuna is not installed.

    Source: Bergstra, Bardenet, Bengio and Kégl, "Algorithms for hyper-parameter optimization", NeurIPS 2011; Akiba et
        al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019.
    """
    try:
        import optuna
    except Exception:  # missing, or broken
        raise MissingPartError(
            Message("search=tpe needs Optuna, which is not installed"),
            Message("run pip install 'yisheng[tune]', or use search=random"),
        ) from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna warns about its experimental options
        sampler = optuna.samplers.TPESampler(seed=derive(seed, "tpe") % 2**32, constant_liar=at_once > 1)
    study = optuna.create_study(sampler=sampler)
    space = {axis.name: _to_distribution(optuna.distributions, axis) for axis in axes}
    finished = 0
    while finished < n:
        optuna_trials = [study.ask(space) for _ in range(min(at_once, n - finished))]
        losses = yield number_trials([_to_setting(axes, trial.params) for trial in optuna_trials], finished + 1)
        finished += len(optuna_trials)
        for trial, loss in zip(optuna_trials, losses, strict=True):
            if loss is None or not math.isfinite(loss):
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, loss)


def _to_distribution(distributions: Any, axis: Axis) -> Any:
    """Return Optuna's distribution of an axis."""
    if axis.values is not None:
        return distributions.CategoricalDistribution(range(len(axis.values)))
    distribution = distributions.IntDistribution if axis.is_integer else distributions.FloatDistribution
    return distribution(axis.low, axis.high, log=axis.kind in ("log", "logint"))


def _to_setting(axes: Sequence[Axis], parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the parameters of an Optuna trial as a setting."""
    return {
        axis.name: axis.values[parameters[axis.name]]
        if axis.values is not None
        else axis.round_value(parameters[axis.name])
        for axis in axes
    }
