"""Calibrated probabilities: a temperature that is fitted to held-out rows, and kept only if it helps on others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from yisheng.core.spec import Spec
from yisheng.evaluation.outputs import Outputs
from yisheng.evaluation.predictions import apply_link
from yisheng.metrics.bootstrap import Z

FOLDS = 5
MIN_ROWS = 50
"""With fewer held-out rows no temperature is fitted."""
MAX_FACTOR = 20.0
"""Temperatures are searched from 1 / 20 to 20."""


@dataclass(frozen=True)
class Temperature:
    """A fitted temperature, and what it is worth.

    Args:
        value: fitted to all rows.
        gain: by how much it lowers the log loss of rows that it was not fitted to.
        low: lower end of the gain's 95% interval.
        high: its upper end.
        rows: number of rows.
    """

    value: float
    gain: float
    low: float
    high: float
    rows: int

    @property
    def is_better(self) -> bool:
        """Return whether it lowers the log loss beyond chance."""
        return self.low > 0


def choose_temperature(outputs: Outputs, spec: Spec) -> Temperature | None:
    """Fit the temperature T of softmax(z / T), and measure its gain; None for fewer than 50 rows.

    T minimizes the log loss of the rows. Its gain is measured by cross-validation: each fifth of the rows gets the
    temperature that is fitted to the other four.

    Args:
        outputs: logits and targets of rows that the model was not fitted to.
        spec: the contract, with classes or labels.

    Source: Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017, section 4.2.

    >>> logits = 5 * torch.eye(2)[[0, 1] * 50]
    >>> labels = torch.tensor([0, 1] * 40 + [1, 0] * 10)
    >>> temperature = choose_temperature(
    ...     Outputs(logits, labels, torch.arange(100), None), Spec("classification", (1,), classes=("a", "b"))
    ... )
    >>> temperature.is_better, temperature.value > 2
    (True, True)
    """
    logits, y = outputs.output.detach().double().cpu(), outputs.y.cpu()
    n = len(y)
    if n < MIN_ROWS:
        return None
    fold = np.random.default_rng(0).permutation(n) % FOLDS
    gains = np.empty(n)
    for number in range(FOLDS):
        inside = torch.from_numpy(fold == number)
        temperature = _fit(logits[~inside], y[~inside], spec)
        plain, scaled = (_log_losses(logits[inside], y[inside], spec, t) for t in (1.0, temperature))
        gains[fold == number] = (plain - scaled).numpy()
    gain, error = float(gains.mean()), float(gains.std(ddof=1) / np.sqrt(n))
    return Temperature(_fit(logits, y, spec), gain, gain - Z * error, gain + Z * error, n)


def _fit(logits: torch.Tensor, y: torch.Tensor, spec: Spec) -> float:
    from scipy.optimize import minimize_scalar

    def mean_loss(log_temperature: float) -> float:
        return float(_log_losses(logits, y, spec, float(np.exp(log_temperature))).mean())

    bound = float(np.log(MAX_FACTOR))
    return float(np.exp(minimize_scalar(mean_loss, bounds=(-bound, bound), method="bounded").x))


def _log_losses(logits: torch.Tensor, y: torch.Tensor, spec: Spec, temperature: float) -> torch.Tensor:
    """Return the log loss of each row, of labels the mean over them."""
    p = apply_link(logits, replace(spec, temperature=temperature)).clamp_min(1e-300)
    if spec.task == "multilabel":
        return -torch.where(y > 0.5, p, (1 - p).clamp_min(1e-300)).log().mean(dim=1)
    return -p.gather(1, y.long()[:, None])[:, 0].log()
