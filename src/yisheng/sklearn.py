"""scikit-learn's convention: `Classifier` and `Regressor` work in Pipeline, cross_val_score and GridSearchCV.

    from yisheng.sklearn import Classifier

    GridSearchCV(Classifier(epochs=20), {"hidden": [(64,), (256,)], "lr": [1e-3, 1e-2]}).fit(X, y)

They train as `yisheng.train` does, by the same config and to the same weights, but in memory: no run folder, no
files, and nothing is printed unless ``verbose``.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, check_X_y, validate_data

from yisheng.core import machine
from yisheng.core.config import ALIASES, IN_MEMORY, Config, resolve
from yisheng.core.errors import DataError, UsageError
from yisheng.core.types import Column, Dataset, Spec
from yisheng.estimators import dataframes
from yisheng.transforms import takes_columns
from yisheng.transforms._chunks import require_finite

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Classifier", "ParameterError", "Regressor", "RowsError"]

machine.prepare_threads()  # before the first import of torch, where that is still to come

ELSEWHERE = {
    "data": "rows are given to fit",
    "seed": "say random_state= itself",
    "test": "scikit-learn holds test rows out itself (train_test_split, cross_val_score)",
    "folds": "use cross_val_score",
    "repeats": "use RepeatedKFold",
    "fold": "use cross_val_score",
    "repeat": "use RepeatedKFold",
    "budget": "say epochs=",
    "boosting": "score one of scikit-learn's own beside it",
    "doctor": "use yisheng.diagnose",
    "scratch": "use yisheng.train",
    "tensorboard": "use yisheng.train",
    "visdom": "use yisheng.train",
    "watch": "use yisheng.train",
    "log_every": "nothing is written",
    "checkpoint_every": "nothing is written",
}
"""Keys of the config that have no place in ``settings``, and what to do instead."""


class ParameterError(UsageError, ValueError):
    """A parameter is unknown or has a value that is not allowed."""


class RowsError(DataError, ValueError):
    """The rows cannot be learned from, or not be answered."""


class _Network(BaseEstimator):
    """What both estimators share: parameters in the config's words, rows in, a network out."""

    def __init__(
        self,
        model: Any = "auto",
        *,
        hidden: Sequence[int] | None = None,
        activation: str | None = None,
        dropout: float | None = None,
        loss: Any = "auto",
        optimizer: Any = "auto",
        lr: float | None = None,
        wd: float | None = None,
        schedule: Any = "one-cycle",
        scale: Any = "auto",
        epochs: int | str = "auto",
        batch: int | str = "auto",
        validation: float | str = "auto",
        patience: int = 0,
        device: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.loss = loss
        self.optimizer = optimizer
        self.lr = lr
        self.wd = wd
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

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    @property
    def network_(self) -> nn.Module:
        """The trained network: on the CPU, in evaluation mode and float64."""
        check_is_fitted(self)
        return self._fitted.network

    def _config(self) -> Config:
        """The config that the parameters come to."""
        given = self.get_params(deep=False)
        settings, random_state = given.pop("settings"), given.pop("random_state")
        del given["verbose"]
        if settings is not None and not isinstance(settings, Mapping):
            raise UsageError(f"settings must be a mapping, got {settings!r}", 'write settings={"clip_norm": 1.0}')
        more = {str(key).strip().replace("-", "_"): value for key, value in (settings or {}).items()}
        for key in more:
            name = ALIASES.get(key, key)
            if name in given or name in ELSEWHERE:
                what = ELSEWHERE.get(name, f"say {name}= itself")
                raise UsageError(f"{key} has no place in settings", what)
        seed = _seed(random_state)
        words = {key: value for key, value in given.items() if value is not None} | more
        # The metrics know no weights, and accuracy on few rows is soon as good as it gets, long before the loss is.
        settled = [("score", "loss"), *_written(words), ("data", IN_MEMORY), ("test", 0), ("seed", seed)]
        return resolve((key, value, "command line") for key, value in settled).config

    @np.errstate(over="ignore")  # what is too large for float32 becomes infinite, and is refused as such
    def _opened(self, X: Any, y: Any, **how: Any) -> tuple[np.ndarray, np.ndarray, tuple[Column, ...]]:
        """Checked rows, float32 ``(N, D)``, checked targets, and what the features are."""
        if dataframes.is_mixed(X):
            validate_data(self, X, y, skip_check_array=True)
            _, y = check_X_y(np.zeros((len(X), 1)), y, **how)
            x, columns, self.left_out_ = dataframes.opened(X)
            return x, y, columns
        x, y = validate_data(self, X, y, dtype=np.float32, ensure_all_finite="allow-nan", **how)
        names = getattr(self, "feature_names_in_", [f"x{i + 1}" for i in range(x.shape[1])])
        self.left_out_ = {}
        return x, y, tuple(Column(str(name)) for name in names)

    @np.errstate(over="ignore")
    def _answered(self, X: Any) -> np.ndarray:
        """Checked rows to answer, float32 ``(N, D)``."""
        check_is_fitted(self)
        spec: Spec = self._fitted.spec
        if any(column.source for column in spec.columns):
            if not dataframes.is_frame(X):
                got = type(X).__name__
                raise DataError(f"the model was fitted on a DataFrame, got {got}", "give the columns by name again")
            validate_data(self, X, reset=False, skip_check_array=True)
            return dataframes.answered(X, spec.columns)
        x: np.ndarray = validate_data(self, X, reset=False, dtype=np.float32, ensure_all_finite="allow-nan")
        if not takes_columns(self._fitted.fitted["input"]["name"]):
            require_finite(x, [column.name for column in spec.columns], "given")
        return x

    def _trained(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, spec: Spec) -> Self:
        """Train, and keep what came of it."""
        from yisheng.estimators import fit as in_memory

        dataset = Dataset("rows", spec, x, y, weight=weight)
        result = in_memory.fit(self._config(), dataset, stream=sys.stderr if self.verbose else None)
        self._fitted = result.fitted
        self.config_ = result.config.to_dict()
        self.history_ = list(result.history)
        self.n_iter_ = len(result.history)
        self.best_epoch_ = result.best
        return self


class Classifier(ClassifierMixin, _Network):
    """A neural network that tells classes apart, in scikit-learn's convention.

    What is not said is chosen as `yisheng.train` chooses it, with two differences: nothing is held out where fewer
    than 100 different rows are given, and the best epoch is the one of the smallest validation loss
    (``settings={"score": "accuracy"}`` makes it another).

    Args:
        model: network (see ``yisheng models``); auto is `mlp`. A mapping with ``name`` says options too.
        hidden: units of its hidden layers; None leaves it its own, as for the next two.
        activation: what bends between its layers.
        dropout: share of hidden units set to zero in training.
        loss: loss function.
        optimizer: optimiser.
        lr: learning rate; None leaves the optimiser its own, as for the next one.
        wd: weight decay.
        schedule: learning rate over the run.
        scale: scaling of the inputs, fitted on the training part; auto is ``standard``, and ``columns`` where values
            are missing. Say ``columns`` where they may be missing in prediction only.
        epochs: passes over the rows.
        batch: rows per update.
        validation: rows held out to choose the best epoch: a share, a number, or 0 for none (the last epoch is
            then taken).
        patience: stop after so many epochs without a better validation score; 0: never.
        device: auto, cpu, cuda, ...: where to train. Answers are always computed on the CPU.
        random_state: seed; None draws one from NumPy's global generator.
        verbose: show progress.
        settings: any further key of the config or option of its choices, as in ``{"clip_norm": 1.0}``.

    Attributes:
        classes_: the classes, sorted.
        n_features_in_: columns of X.
        feature_names_in_: their names, if X had any.
        n_iter_: epochs trained.
        best_epoch_: the one whose weights are used, from 1.
        history_: a mapping for each epoch: ``epoch``, ``training_loss``, and of the rows held out ``loss`` and the
            score.
        config_: every choice, as plain data.
        network_: the network.
        left_out_: columns of a DataFrame that are not used, and why.

    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> X, y = load_iris(return_X_y=True)
    >>> scores = cross_val_score(Classifier(epochs=20, lr=0.01, random_state=0), X, y, cv=3)
    >>> bool(scores.mean() > 0.9)
    True
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train.

        Where every update sees all rows (``batch`` not below their number) and none is held out, a row of weight 3
        and one that is given three times come to the same model, to the bit.

        Args:
            X: numbers ``(N, D)``, NaN where missing; or a DataFrame, whose other columns are read as categories,
                dates, yes/no, ...
            y: the class of each row ``(N,)``: numbers or texts.
            sample_weight: how much each row counts in the loss ``(N,)``; rows of weight 0 are left out.

        Raises:
            ParameterError: a parameter is unknown or has a value that is not allowed.
            RowsError: a value is infinite, or no column is left to learn from.
            ValueError: X, y or sample_weight are not of that form, or there is but one class.
            NonFiniteError: the loss or a gradient became NaN or infinite.
        """
        with _as_value_errors():
            x, y, columns = self._opened(X, y)
            check_classification_targets(y)
            x, y, weight = _weighed(x, y, sample_weight)
            self.classes_, numbers = np.unique(y, return_inverse=True)
            if len(self.classes_) < 2:
                raise ValueError(f"Classifier needs rows of at least 2 classes, got 1 class: {self.classes_[0]}")
            spec = Spec("classification", x.shape[1:], tuple(map(str, self.classes_)), columns)
            return self._trained(x, numbers.astype(np.int64), weight, spec)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class ``(N, C)``, in the order of ``classes_``."""
        with _as_value_errors():
            x = self._answered(X)
            return self._fitted.predictions(x)

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits ``(N, C)``; for two classes ``(N,)``, above 0 for the second one."""
        with _as_value_errors():
            x = self._answered(X)
            outputs = self._fitted.outputs(x).numpy()
        if len(self.classes_) > 2:
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each row ``(N,)``."""
        decision = self.decision_function(X)
        found: np.ndarray = self.classes_[decision.argmax(axis=1) if decision.ndim == 2 else (decision > 0).astype(int)]
        return found


class Regressor(RegressorMixin, _Network):
    """A neural network that predicts a number, or several, in scikit-learn's convention.

    Its parameters and attributes are those of `Classifier`, without ``classes_``. The target is scaled for training
    and scaled back in prediction (``settings={"target_scale": ...}``).

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> Regressor(epochs=20, random_state=0).fit(X, y).score(X, y) > 0.4
    True
    """

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train; see `Classifier.fit`.

        Args:
            X: numbers ``(N, D)``, NaN where missing; or a DataFrame.
            y: numbers ``(N,)``, or ``(N, T)`` for several targets.
            sample_weight: how much each row counts in the loss ``(N,)``.

        Raises:
            ParameterError: a parameter is unknown or has a value that is not allowed.
            RowsError: a value is infinite, or no column is left to learn from.
            ValueError: X, y or sample_weight are not of that form.
            NonFiniteError: the loss or a gradient became NaN or infinite.
        """
        with _as_value_errors():
            x, y, columns = self._opened(X, y, multi_output=True, y_numeric=True)
            x, y, weight = _weighed(x, y, sample_weight)
            self._one_target = y.ndim == 1
            with np.errstate(over="ignore"):  # refused with the data set
                targets = np.ascontiguousarray(y.reshape(len(y), -1), dtype=np.float32)
            spec = Spec("regression", x.shape[1:], columns=columns, outputs=targets.shape[1])
            return self._trained(x, targets, weight, spec)

    def predict(self, X: Any) -> np.ndarray:
        """The predicted numbers, of the form that y had: ``(N,)`` or ``(N, T)``."""
        with _as_value_errors():
            x = self._answered(X)
            found = self._fitted.predictions(x)
        return found[:, 0] if self._one_target else found


def _weighed(x: np.ndarray, y: np.ndarray, sample_weight: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The rows that count, and their weights, float32, or None where all are the same."""
    if sample_weight is None:
        return x, y, None
    weight: np.ndarray = _check_sample_weight(sample_weight, x, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError("Negative values in data passed to `sample_weight`.")
    counts = weight > 0
    if not counts.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    x, y, weight = x[counts], y[counts], weight[counts]
    if (weight == weight[0]).all():
        return x, y, None
    # Only their ratios matter. A power of two keeps them to the bit, and brings all into float32's range.
    return x, y, (weight / 2.0 ** np.floor(np.log2(weight.max()))).astype(np.float32)


def _seed(random_state: Any) -> int:
    """A seed for the config: the number itself, or one drawn from the generator."""
    if isinstance(random_state, int | np.integer) and random_state >= 0:
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _written(words: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Settings as the config reads them: NumPy's numbers as Python's, a mapping as a name with options."""
    for key, value in words.items():
        if isinstance(value, np.ndarray | np.generic):
            value = value.tolist()
        if isinstance(value, Mapping):
            if "name" not in value:
                raise UsageError(f"{key} must have a name, got {dict(value)!r}", f'write {key}={{"name": ..., ...}}')
            yield key, value["name"]
            yield from _written({f"{key}.{option}": v for option, v in value.items() if option != "name"})
        else:
            yield key, value


@contextlib.contextmanager
def _as_value_errors() -> Iterator[None]:
    """What the rest of the package raises about values is a ValueError here, too."""
    try:
        yield
    except UsageError as error:
        raise ParameterError(error.problem, error.remedy) from None
    except DataError as error:
        raise RowsError(error.problem, error.remedy) from None
