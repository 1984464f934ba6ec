"""A user's own metric: a function of targets and predictions, a scorer of scikit-learn, or a metric of torchmetrics."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from yisheng.core.callables import build_instance
from yisheng.core.custom_entry import CustomEntry
from yisheng.core.discovery import hyphenate
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.references import short_name

PROBABILITY_NAMES: Final = ("y_score", "y_scores", "y_prob", "y_probs", "y_proba", "probabilities", "scores", "probs")
"""Names of a function's second parameter that ask for probabilities rather than for the predicted classes."""
LOWER_IS_BETTER: Final = ("error", "loss", "deviance", "distance")
"""Ends of a function's name that say that smaller values are better, as in scikit-learn."""


def make_entry(component: Any, name: str) -> CustomEntry:
    """Return the entry of a user's own metric, called as ``f(y, prediction)`` like every metric.

    - A function ``f(y_true, y_pred)`` gets what scikit-learn's metrics get: class numbers ``(N,)`` and the predicted
      ones, zeros and ones ``(N, L)`` of labels, or numbers ``(N,)`` (``(N, T)`` for several targets). If its second
      parameter is called ``y_score``, ``y_prob`` or alike, it gets probabilities: ``(N, C)``, and ``(N,)`` of the
      second class for two.
    - A scorer of scikit-learn is called with an estimator that returns the predictions.
    - A metric of torchmetrics gets probabilities and targets as tensors.

    Larger values are better unless the component says otherwise (``higher_is_better``) or its name ends in ``error``,
    ``loss``, ``deviance`` or ``distance``.

    Args:
        component: the metric.
        name: its reference.

    >>> def hits(y_true, y_pred):
    ...     return (y_true == y_pred).sum()
    >>> entry = make_entry(hits, "in-memory:hits")
    >>> entry.name, entry.build(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    ('hits', 1.0)
    """
    component = build_instance(component, "metrics")
    compute = _choose_convention(component)

    def metric(y: np.ndarray, prediction: np.ndarray) -> float:
        try:
            value = compute(y, prediction)
        except Exception as error:
            raise UsageError(
                Message(
                    "metric {name} raises {type_name}: {reason}",
                    name=name,
                    type_name=type(error).__name__,
                    reason=" ".join(str(error).split())[:300],
                ),
                Message("it is called with targets and predictions of a whole part, as scikit-learn's metrics"),
            ) from error
        try:
            return float(value)
        except (TypeError, ValueError):
            raise UsageError(
                Message(
                    "metric {name} must return one number, got {type_name}", name=name, type_name=type(value).__name__
                ),
                Message("return a float"),
            ) from None

    higher = _is_higher_better(component, name)
    return CustomEntry("metrics", hyphenate(short_name(name)), metric, {"custom": True, "higher": higher})


def _choose_convention(component: Any) -> Callable[[np.ndarray, np.ndarray], Any]:
    if hasattr(component, "update") and hasattr(component, "compute"):
        return lambda y, prediction: _call_torchmetrics(component, y, prediction)
    parameters = _parameter_names(component)
    if parameters[:2] == ["estimator", "X"]:
        return lambda y, prediction: component(_make_estimator(y, prediction), np.zeros((len(y), 1)), _flatten(y))
    if len(parameters) > 1 and parameters[1] in PROBABILITY_NAMES:
        return lambda y, prediction: component(_flatten(y), _probabilities(y, prediction))
    return lambda y, prediction: component(_flatten(y), _decide(y, prediction))


def _parameter_names(component: Any) -> list[str]:
    try:
        return list(inspect.signature(component).parameters)
    except (ValueError, TypeError):
        return []


def _is_higher_better(component: Any, name: str) -> bool:
    declared = getattr(component, "higher_is_better", None)
    if isinstance(declared, bool):
        return declared
    if _parameter_names(component)[:2] == ["estimator", "X"]:
        return True  # scorers of scikit-learn are negated where smaller is better
    return not short_name(name).lower().endswith(LOWER_IS_BETTER)


def _is_classification(y: np.ndarray) -> bool:
    return y.ndim == 1


def _flatten(y: np.ndarray) -> np.ndarray:
    """Return a single column ``(N, 1)`` as ``(N,)``."""
    return y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y


def _decide(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return the predicted classes ``(N,)``, labels ``(N, L)``, or numbers."""
    if _is_classification(y):
        return prediction.argmax(1)
    is_labels = bool(np.isin(y, (0, 1)).all()) and prediction.min() >= 0 and prediction.max() <= 1
    return (prediction >= 0.5).astype(np.int64) if is_labels and y.shape[1] > 1 else _flatten(prediction)


def _probabilities(y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return probabilities ``(N, C)``, and those of the second class ``(N,)`` for two classes."""
    return prediction[:, 1] if _is_classification(y) and prediction.shape[1] == 2 else _flatten(prediction)


def _make_estimator(y: np.ndarray, prediction: np.ndarray) -> Any:
    """Return an estimator of scikit-learn that returns predictions made before."""
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

    class Predicted(ClassifierMixin if _is_classification(y) else RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
        classes_ = np.arange(prediction.shape[1])

        def fit(self, x: np.ndarray, y: np.ndarray) -> Any:  # noqa: ARG002  # scikit-learn looks for this method
            return self

        def predict(self, x: np.ndarray) -> np.ndarray:  # noqa: ARG002  # scikit-learn's signature
            return _decide(y, prediction)

        def predict_proba(self, x: np.ndarray) -> np.ndarray:  # noqa: ARG002  # as above
            return prediction

        def __sklearn_is_fitted__(self) -> bool:
            return True

    return Predicted()


def _call_torchmetrics(component: Any, y: np.ndarray, prediction: np.ndarray) -> Any:
    import torch

    component.reset()
    target, predicted = torch.from_numpy(_flatten(y).copy()), torch.from_numpy(prediction.copy())
    if _is_classification(y) and "binary" in type(component).__name__.lower():
        predicted = predicted[:, 1]
    elif not _is_classification(y) and predicted.shape[1] == 1:
        predicted = predicted[:, 0]
    component.update(predicted, target)
    value = component.compute()
    component.reset()
    return value
