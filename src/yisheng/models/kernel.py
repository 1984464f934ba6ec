"""Kernel machines: support vector regression, and logistic regression with a Gaussian kernel."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows, FittedModel, apply_to_chunks
from yisheng.models._logistic_solver import solve_logistic

PENALTIES = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.1)
"""By stage, the strongest first; the last one is used in cross-validation, where no score chooses."""
KERNEL_WIDTH = 0.3
"""γ is this, divided by the number of columns and their variance."""
EPSILON = 0.1
"""Errors up to this, in standard deviations of the target, cost nothing."""
MAX_LANDMARKS = 1000
"""Rows that the functions of classes are made of; random ones if there are more."""
MIN_EIGENVALUE = 1e-7
"""Directions of the kernel with a smaller eigenvalue, relative to the largest, are left out: they are rounding."""
MAX_ROWS = 20_000
MAX_STORED_ROWS = 6000
"""Rows up to which the kernel of all pairs is computed once and stored: 288 MB."""
MAX_PAIRS = 1 << 22
"""Pairs of rows whose kernel is computed at once; bounds the memory to some 100 MB."""


@register(
    fits=lambda spec: spec.is_row,
    requires="rows of a table",
    stackable=False,
    fitted="columns",
)
def kernel(
    spec: Spec,
    *,
    l2: Annotated[float, Interval(gt=0, le=1e12)] | None = None,
    gamma: Annotated[float, Interval(gt=0, le=1e12)] | None = None,
) -> FittedModel:
    """Build a kernel machine: f(x) = Σ_i a_i k(x_i, x) + b with the Gaussian kernel k(u, v) = exp(-γ |u - v|²).

    Smooth functions of all columns, for some thousand rows. Numbers: support vector regression, λ/2 |f|² + Σ_i max(0,
    |y_i - f(x_i)| - 0.1), whose absolute errors are robust to outliers. Classes and labels: logistic regression, λ/2
    |f|² + Σ_i log loss, with functions of up to 1,000 random training rows (Nyström). scikit-learn solves both. If λ is
    not given, each epoch takes a smaller one, from 3 to 0.003, and the validation score chooses among them; in
    cross-validation, where it must not, λ is 0.1.

    Args:
        l2: the penalty λ; 1 / C of a support vector machine.
        gamma: the inverse squared width γ of the kernel; if not given, 0.3 divided by the number of columns and by
            the variance of their values.

    Raises:
        UsageError: there are more than 20,000 training rows.

    Source: Drucker et al., "Support vector regression machines", 1996; Zhu and Hastie, "Kernel logistic regression and
    the import vector machine", 2005; Williams and Seeger, "Using the Nyström method to speed up kernel machines", 2000.

    >>> model = kernel(Spec("regression", (1,)), l2=0.01, gamma=1.0)
    >>> x = np.linspace(-2, 2, 50, dtype=np.float32)[:, None]
    >>> model.fit_stage(0, FitRows(x, x**2, None, seed=0))
    >>> model(torch.tensor([[0.0], [1.5]])).round(decimals=0)
    tensor([[0.],
            [2.]])
    """
    return Kernel(spec, PENALTIES if l2 is None else (l2,), gamma)


class Kernel(FittedModel):
    """A kernel machine; the outputs are logits, or numbers in the target's scale.

    Args:
        spec: the contract of the scaled rows.
        penalties: by stage.
        width: γ, or None; see `kernel`.
    """

    x: torch.Tensor
    coefficients: torch.Tensor
    bias: torch.Tensor
    gamma: torch.Tensor

    def __init__(self, spec: Spec, penalties: tuple[float, ...], width: float | None) -> None:
        super().__init__()
        self.spec, self.penalties, self.width = spec, penalties, width
        self.stages = len(penalties)
        self._landmarks: tuple[np.ndarray, np.ndarray] | None = None
        self._pairs: np.ndarray | None = None  # K of all training rows, which all stages share
        self.register_buffer("x", torch.zeros(0, spec.shape[0]))
        self.register_buffer("coefficients", torch.zeros(0, spec.outputs, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(spec.outputs, dtype=torch.float64))
        self.register_buffer("gamma", torch.ones((), dtype=torch.float64))

    def require_size(self, rows: int, device: torch.device) -> None:  # noqa: ARG002  # the rows alone matter
        """Check the number of training rows: the time grows with its square or cube."""
        if rows > MAX_ROWS:
            raise UsageError(
                Message(
                    "model=kernel takes up to {limit} training rows, got {rows}",
                    limit=f"{MAX_ROWS:,}",
                    rows=f"{rows:,}",
                ),
                Message("use model=boosting, or fewer rows"),
            )

    def check_buffers(self) -> None:
        """Check what `forward` relies on."""
        n, outputs = len(self.x), self.spec.outputs
        shapes = ((n, self.spec.shape[0]), (n, outputs), (outputs,))
        tensors = (self.x, self.coefficients, self.bias)
        if tuple(tuple(tensor.shape) for tensor in tensors) != shapes:
            raise ValueError("the training rows of the kernel machine have other shapes than its coefficients")
        if not all(bool(tensor.isfinite().all()) for tensor in (*tensors, self.gamma)) or not float(self.gamma) > 0:
            raise ValueError("the values of the kernel machine must be finite, and its gamma positive")

    def fit_stage(self, stage: int, rows: FitRows) -> None:
        """Solve with the penalty of the stage."""
        penalty = self.penalties[min(stage, len(self.penalties) - 1)]
        x = rows.x.astype(np.float64)
        gamma = self.width or KERNEL_WIDTH / (x.shape[1] * (float(x.var()) or 1.0))
        solve = self._solve_regression if self.spec.task == "regression" else self._solve_classes
        centers, coefficients, bias = solve(x, rows, gamma, penalty)
        self.x = torch.from_numpy(centers).float()
        self.coefficients = torch.from_numpy(np.ascontiguousarray(coefficients))
        self.bias = torch.from_numpy(bias)
        self.gamma = torch.tensor(gamma, dtype=torch.float64)

    def _solve_regression(
        self, x: np.ndarray, rows: FitRows, gamma: float, penalty: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the support vectors of all targets, with their coefficients ``(n, O)`` and biases ``(O,)``."""
        from sklearn.metrics.pairwise import rbf_kernel
        from sklearn.svm import SVR

        y = rows.y.reshape(len(rows.y), -1).astype(np.float64)
        coefficients, bias = np.zeros((len(x), y.shape[1])), np.zeros(y.shape[1])
        if self._pairs is None and len(x) <= MAX_STORED_ROWS:
            self._pairs = rbf_kernel(x, x, gamma)
        # With wide rows the solver's own computation of K, row by row, takes ten times as long.
        inputs, options = (x, {"gamma": gamma}) if self._pairs is None else (self._pairs, {"kernel": "precomputed"})
        for number, target in enumerate(y.T):
            solver = SVR(C=1 / penalty, epsilon=EPSILON, **options).fit(inputs, target, rows.weight)
            coefficients[solver.support_, number] = solver.dual_coef_[0]
            bias[number] = solver.intercept_[0]
        is_support = coefficients.any(axis=1)
        return x[is_support], coefficients[is_support], bias

    def _solve_classes(
        self, x: np.ndarray, rows: FitRows, gamma: float, penalty: float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return landmarks with their coefficients ``(n, O)`` and biases ``(O,)``.

        With K = U S Uᵀ of the landmarks, the functions K(·, landmarks) U S^(-1/2) are orthonormal in the norm |f|.
        """
        from sklearn.metrics.pairwise import rbf_kernel

        if self._landmarks is None:
            centers = x[_draw_landmarks(len(x), rows.seed)]
            values, vectors = np.linalg.eigh(rbf_kernel(centers, centers, gamma))
            is_used = values > MIN_EIGENVALUE * values[-1]
            self._landmarks = centers, vectors[:, is_used] / np.sqrt(values[is_used])
        centers, basis = self._landmarks
        features = rbf_kernel(x, centers, gamma) @ basis
        weight, bias = solve_logistic(self.spec, features, rows.y, rows.weight, penalty)
        return centers, basis @ weight.T, bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map scaled rows ``(B, D)`` to outputs ``(B, O)``."""
        return apply_to_chunks(self._predict, x, max(1, MAX_PAIRS // max(1, len(self.x))))

    def _predict(self, x: torch.Tensor) -> torch.Tensor:
        # |u - v|² = |u|² - 2uv + |v|², in float64, as the terms cancel.
        rows, centers = x.double(), self.x.double()
        distance = rows.square().sum(1, keepdim=True) - 2 * rows @ centers.T + centers.square().sum(1)
        values = (-self.gamma * distance.clamp_min(0)).exp()
        return (values @ self.coefficients + self.bias).to(x.dtype)


def _draw_landmarks(count: int, seed: int) -> np.ndarray:
    """Return the numbers of all rows, or of random ones if there are many, ascending."""
    if count <= MAX_LANDMARKS:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed % 2**32).choice(count, MAX_LANDMARKS, replace=False))
