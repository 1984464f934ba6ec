"""scikit-learn estimators: `Classifier` and `Regressor` work in Pipeline, cross_val_score and GridSearchCV.

    from yisheng.sklearn import Classifier

    GridSearchCV(Classifier(epochs=20), {"hidden": [(64,), (256,)], "lr": [1e-3, 1e-2]}).fit(X, y)

They train as `yisheng.train` does, by the same config and to the same weights, but in memory: they write no files, and
print nothing unless ``verbose``.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets

from yisheng.core.spec import Spec
from yisheng.estimators.base import NetworkEstimator, apply_sample_weight
from yisheng.estimators.errors import ParameterError, RowsError, as_value_errors

__all__ = ["Classifier", "ParameterError", "Regressor", "RowsError"]


class Classifier(ClassifierMixin, NetworkEstimator):
    """A neural network classifier with scikit-learn's interface.

    Parameters that are not given are chosen as `yisheng.train` chooses them, with two differences: no rows are held
    out if there are fewer than 100 different ones, and the best epoch is the one with the smallest validation loss
    (``settings={"score": "accuracy"}`` changes that).

    Args:
        model: network (see ``yisheng models``); auto is `mlp`. A mapping with ``name`` may have options.
        hidden: units of its hidden layers; None is the network's own default, as for the next two.
        activation: activation function between its layers.
        dropout: fraction of hidden units set to zero in training, for all layers or a list with one for each.
        loss: loss function.
        optimizer: optimizer.
        lr: learning rate; None is the optimizer's own default, as for the next one.
        weight_decay: weight decay.
        schedule: learning rate over the run.
        scale: scaling of the inputs, fitted on the training part; auto is ``standard``, or ``columns`` if values are
            missing. Use ``columns`` if values may be missing in prediction only.
        epochs: passes over the rows.
        batch: rows per update.
        validation: rows held out to choose the best epoch: a fraction, a number, or 0 for none (then the last epoch is
            used).
        patience: stop after this number of epochs without a better validation score; 0: never.
        device: where to train: auto, cpu, cuda, ... Predictions are always computed on the CPU.
        random_state: seed; None draws one from NumPy's global generator.
        verbose: show messages and progress.
        settings: any further key of the config or option of its choices, as in ``{"clip_norm": 1.0}``.

    Attributes:
        classes_: the classes, sorted.
        n_features_in_: columns of X.
        feature_names_in_: their names, if X had any.
        n_iter_: epochs trained.
        best_epoch_: the epoch whose weights are used, from 1.
        history_: a mapping for each epoch: ``epoch``, ``training_loss``, and of the validation rows ``loss`` and the
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
        """Train the network.

        If every update sees all rows (``batch`` is at least their number) and none are held out, a row of weight 3 and
        one that occurs three times give the same model, to the bit.

        Args:
            X: numbers ``(N, D)``, NaN where missing; or a DataFrame, whose other columns are read as categories,
                dates, yes/no, ...
            y: the class of each row ``(N,)``: numbers or texts.
            sample_weight: weight of each row in the loss ``(N,)``; rows of weight 0 are left out.

        Raises:
            ParameterError: a parameter is unknown or has a value that is not allowed.
            RowsError: a value is infinite, or no column is left to learn from.
            ValueError: X, y or sample_weight have another form, or there is only one class.
            NonFiniteError: the loss or a gradient became NaN or infinite.
        """
        with as_value_errors():
            x, y, columns = self._check_training_rows(X, y)
            check_classification_targets(y)
            x, y, weight = apply_sample_weight(x, y, sample_weight)
            self.classes_, numbers = np.unique(y, return_inverse=True)
            if len(self.classes_) < 2:
                raise ValueError(f"Classifier needs rows of at least 2 classes, got 1 class: {self.classes_[0]}")
            spec = Spec("classification", x.shape[1:], tuple(map(str, self.classes_)), columns)
            return self._train(x, numbers.astype(np.int64), weight, spec)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class ``(N, C)``, in the order of ``classes_``."""
        with as_value_errors():
            x = self._check_rows(X)
            probabilities: np.ndarray = self._fitted.predictions(x)
        return probabilities

    def decision_function(self, X: Any) -> np.ndarray:
        """Return logits ``(N, C)``; for two classes ``(N,)``, above 0 for the second one."""
        with as_value_errors():
            x = self._check_rows(X)
            outputs = self._fitted.outputs(x).numpy()
        if len(self.classes_) > 2:
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable class of each row ``(N,)``."""
        decision = self.decision_function(X)
        numbers = decision.argmax(axis=1) if decision.ndim == 2 else (decision > 0).astype(int)
        classes: np.ndarray = self.classes_[numbers]
        return classes


class Regressor(RegressorMixin, NetworkEstimator):
    """A neural network that predicts one number or several, with scikit-learn's interface.

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
        """Train the network; see `Classifier.fit`.

        Args:
            X: numbers ``(N, D)``, NaN where missing; or a DataFrame.
            y: numbers ``(N,)``, or ``(N, T)`` for several targets.
            sample_weight: weight of each row in the loss ``(N,)``.

        Raises:
            ParameterError: a parameter is unknown or has a value that is not allowed.
            RowsError: a value is infinite, or no column is left to learn from.
            ValueError: X, y or sample_weight have another form.
            NonFiniteError: the loss or a gradient became NaN or infinite.
        """
        with as_value_errors():
            x, y, columns = self._check_training_rows(X, y, multi_output=True, y_numeric=True)
            x, y, weight = apply_sample_weight(x, y, sample_weight)
            self._one_target = y.ndim == 1
            targets = np.ascontiguousarray(y.reshape(len(y), -1), dtype=np.float64)
            spec = Spec("regression", x.shape[1:], columns=columns, outputs=targets.shape[1])
            return self._train(x, targets, weight, spec)

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted numbers in the form of y: ``(N,)`` or ``(N, T)``."""
        with as_value_errors():
            x = self._check_rows(X)
            values: np.ndarray = self._fitted.predictions(x)
        return values[:, 0] if self._one_target else values
