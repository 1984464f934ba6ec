"""The common part of the scikit-learn estimators: parameters, rows, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, check_X_y, validate_data

from yisheng.core.choice import IN_MEMORY
from yisheng.core.columns import Column
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.logging import show_on_stderr
from yisheng.core.messages import Message
from yisheng.core.settings import ALIASES, keyword_settings, merge_settings
from yisheng.core.spec import Spec
from yisheng.estimators import dataframes
from yisheng.transforms import takes_columns
from yisheng.transforms._row_chunks import require_finite

if TYPE_CHECKING:
    from torch import nn

    from yisheng.core.setting_types import Loss, Model, Optimizer, Scale, Schedule, Settings

UNUSED_KEYS = {
    "data": "pass the rows to fit",
    "seed": "use random_state=",
    "test": "let scikit-learn hold test rows out (train_test_split, cross_val_score)",
    "folds": "use cross_val_score",
    "repeats": "use RepeatedKFold",
    "fold": "use cross_val_score",
    "repeat": "use RepeatedKFold",
    "budget": "use epochs=",
    "boosting": "compare with an estimator of scikit-learn",
    "importance": "use sklearn.inspection.permutation_importance",
    "groups": "compute the scores of each group, as by sklearn.metrics",
    "calibrate": "use sklearn.calibration.CalibratedClassifierCV",
    "doctor": "use yisheng.diagnose",
    "ood": "leave it out: no detector is fitted",
    "scratch": "use yisheng.train",
    "tensorboard": "use yisheng.train",
    "visdom": "use yisheng.train",
    "tracker": "use yisheng.train",
    "watch": "use yisheng.train",
    "metrics": "compute them from the predictions, as by sklearn.metrics",
    "name": "leave it out: no run folder is written",
    "notes": "leave it out: no run folder is written",
    "log_every": "leave it out: no log is written",
    "checkpoint_every": "leave it out: no checkpoint is written",
}
"""Keys of the config that are not allowed in ``settings``, and what to do instead."""

CHOICES = ("model", "loss", "optimizer", "schedule", "scale")
"""Parameters that name a component, whose options may be set as ``model__width``."""


class NetworkEstimator(BaseEstimator):
    """A network with scikit-learn's parameters: their names are those of the config."""

    def __init__(
        self,
        model: Model = "auto",
        *,
        hidden: Sequence[int] | None = None,
        activation: str | None = None,
        dropout: float | Sequence[float] | None = None,
        loss: Loss = "auto",
        optimizer: Optimizer = "auto",
        lr: float | None = None,
        weight_decay: float | None = None,
        schedule: Schedule = "one-cycle",
        scale: Scale = "auto",
        epochs: int | str = "auto",
        batch: int | str = "auto",
        validation: float | str = "auto",
        patience: int = 0,
        device: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
        settings: Settings | None = None,
    ) -> None:
        self.model = model
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.scale = scale
        self.epochs = epochs
        self.batch = batch
        self.validation = validation
        self.patience = patience
        self.device = device
        self.random_state = random_state
        self.verbose = verbose
        self.settings = settings

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name; with ``deep`` also the options of choices that are mappings.

        Args:
            deep: whether to list ``model={"name": Net, "width": 8}`` as ``model__name`` and ``model__width``, too.

        >>> NetworkEstimator({"name": "mlp", "hidden": [8]}).get_params()["model__hidden"]
        [8]
        """
        parameters: dict[str, Any] = super().get_params(deep=deep)
        choices = {key: parameters[key] for key in CHOICES if deep and isinstance(parameters[key], Mapping)}
        return parameters | {
            f"{key}__{name}": value for key, choice in choices.items() for name, value in choice.items()
        }

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters; ``model__width=64`` sets an option of ``model``, and likewise of the other choices.

        Raises:
            ValueError: there is no such parameter.

        >>> NetworkEstimator("mlp").set_params(model__hidden=[8]).model
        {'name': 'mlp', 'hidden': [8]}
        """
        options = {key: value for key, value in parameters.items() if key.partition("__")[0] in CHOICES and "__" in key}
        super().set_params(**{key: value for key, value in parameters.items() if key not in options})
        for key, value in options.items():
            choice, _, option = key.partition("__")
            current = getattr(self, choice)
            mapping = current if isinstance(current, Mapping) else {"name": current}
            setattr(self, choice, {**mapping, option: value})
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    @property
    def network_(self) -> nn.Module:
        """Return the trained network: on the CPU, in evaluation mode and float64."""
        check_is_fitted(self)
        return self._fitted.network

    def _build_config(self) -> Config:
        parameters = self.get_params(deep=False)
        settings, random_state = parameters.pop("settings"), parameters.pop("random_state")
        del parameters["verbose"]
        if settings is not None and not isinstance(settings, Mapping):
            raise UsageError(
                Message("settings must be a mapping, got {settings}", settings=f"{settings!r}"),
                Message('write settings={"clip_norm": 1.0}'),
            )
        further = {str(key).strip().replace("-", "_"): value for key, value in (settings or {}).items()}
        for key in further:
            name = ALIASES.get(key, key)
            if name in parameters or name in UNUSED_KEYS:
                raise UsageError(
                    Message("{key} is not allowed in settings", key=key),
                    UNUSED_KEYS.get(name, f"use the parameter {name}="),
                )
        keywords = {
            # Metrics ignore weights, and the accuracy of few rows is soon constant, long before the loss is.
            "score": "loss",
            **{key: value for key, value in parameters.items() if value is not None},
            **further,
            "data": IN_MEMORY,
            "test": 0,
            "seed": _draw_seed(random_state),
        }
        return merge_settings(keyword_settings(keywords)).config

    @np.errstate(over="ignore")  # values beyond float32 become infinite, which is an error
    def _check_training_rows(self, X: Any, y: Any, **checks: Any) -> tuple[np.ndarray, np.ndarray, tuple[Column, ...]]:
        """Return checked rows, float32 ``(N, D)``, checked targets, and the features."""
        if dataframes.is_mixed(X):
            validate_data(self, X, y, skip_check_array=True)
            _, y = check_X_y(np.zeros((len(X), 1)), y, **checks)
            x, columns, self.left_out_ = dataframes.encode_training_frame(X)
            return x, y, columns
        x, y = validate_data(self, X, y, dtype=np.float32, ensure_all_finite="allow-nan", **checks)
        names = getattr(self, "feature_names_in_", [f"x{i + 1}" for i in range(x.shape[1])])
        self.left_out_ = {}
        return x, y, tuple(Column(str(name)) for name in names)

    @np.errstate(over="ignore")
    def _check_rows(self, X: Any) -> np.ndarray:
        """Return checked rows to predict for, float32 ``(N, D)``."""
        check_is_fitted(self)
        spec: Spec = self._fitted.spec
        if any(column.source for column in spec.columns):
            if not dataframes.is_frame(X):
                raise DataError(
                    Message("the model was fitted on a DataFrame, got {type_name}", type_name=type(X).__name__),
                    Message("pass a DataFrame with its columns"),
                )
            validate_data(self, X, reset=False, skip_check_array=True)
            return dataframes.encode_frame(X, spec.columns)
        x: np.ndarray = validate_data(self, X, reset=False, dtype=np.float32, ensure_all_finite="allow-nan")
        if not takes_columns(self._fitted.transforms["input"]["name"]):
            require_finite(x, [column.name for column in spec.columns], "given")
        return x

    def _train(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, spec: Spec) -> Self:
        from yisheng.estimators import fit as in_memory

        with show_on_stderr(quiet=not self.verbose):
            result = in_memory.fit(self._build_config(), Dataset("rows", spec, x, y, weight=weight))
        self._fitted = result.network
        self.config_ = result.config.to_dict()
        self.history_ = list(result.history)
        self.n_iter_ = len(result.history)
        self.best_epoch_ = result.best_epoch
        return self


def apply_sample_weight(
    x: np.ndarray, y: np.ndarray, sample_weight: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return the rows with a weight above 0, and their weights, float32, or None if all are equal.

    Raises:
        ValueError: a weight is negative, or all of them are 0.
    """
    if sample_weight is None:
        return x, y, None
    weight: np.ndarray = _check_sample_weight(sample_weight, x, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`.")
    is_positive = weight > 0
    if not is_positive.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    x, y, weight = x[is_positive], y[is_positive], weight[is_positive]
    if (weight == weight[0]).all():
        return x, y, None
    # Only their ratios matter. Division by a power of two is exact, and brings all of them into float32's range.
    return x, y, (weight / 2.0 ** np.floor(np.log2(weight.max()))).astype(np.float32)


def _draw_seed(random_state: Any) -> int:
    """Return a seed for the config: the number itself, or one drawn from the generator."""
    if isinstance(random_state, int | np.integer) and random_state >= 0:
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))
