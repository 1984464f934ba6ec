"""Nearest neighbors."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval

from yisheng.core.registry import register
from yisheng.core.spec import Spec
from yisheng.models._fitted_model import FitRows, FittedModel, apply_to_chunks, to_outputs

COUNTS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 10)
"""Numbers of neighbors by stage; the last one is used in cross-validation, where no score chooses."""
MAX_PAIRS = 1 << 22
"""Pairs of rows whose distance is computed at once; bounds the memory to some 100 MB."""

TIE = 1e-9
"""Rows as far away as the last neighbor, up to this relative difference, count too: no order decides among them."""


@register(
    fits=lambda spec: spec.is_row,
    requires="rows of a table",
    stackable=False,
    fitted="columns",
)
def neighbors(spec: Spec, *, k: Annotated[int, Interval(ge=1, le=10**6)] | None = None) -> FittedModel:
    """Build k nearest neighbors: the mean target of the k training rows with the smallest Euclidean distance.

    The model is the training rows themselves. If k is not given, each epoch takes another one, from 1 to 55, and the
    validation score chooses among them; in cross-validation, where it must not, k is 10.

    Args:
        k: number of neighbors; all rows if there are fewer. Rows that are as far away as the last one count too.

    Source: Cover and Hart, "Nearest neighbor pattern classification", 1967.

    >>> model = neighbors(Spec("regression", (1,)), k=2)
    >>> x = torch.tensor([[0.0], [1.0], [5.0]])
    >>> model.fit_stage(0, FitRows(x.numpy(), 10 * x.numpy(), None, seed=0))
    >>> model(torch.tensor([[0.4]]))
    tensor([[5.]])
    """
    return Neighbors(spec, COUNTS if k is None else (k,))


class Neighbors(FittedModel):
    """Nearest neighbors; the outputs are logits of weighted votes, or means in the target's scale.

    Args:
        spec: the contract of the scaled rows.
        counts: numbers of neighbors by stage.
    """

    x: torch.Tensor
    values: torch.Tensor
    weight: torch.Tensor
    k: torch.Tensor

    def __init__(self, spec: Spec, counts: tuple[int, ...]) -> None:
        super().__init__()
        self.spec, self.counts, self.stages = spec, counts, len(counts)
        self.width = max(2, len(spec.classes)) if spec.task == "classification" else spec.outputs
        self.register_buffer("x", torch.zeros(0, spec.shape[0]))
        self.register_buffer("values", torch.zeros(0, self.width))
        self.register_buffer("weight", torch.zeros(0))
        self.register_buffer("k", torch.ones((), dtype=torch.int64))
        self._count = 1  # k as a plain number, which an exported graph needs

    def check_buffers(self) -> None:
        """Check what `forward` relies on."""
        n = len(self.x)
        if self.x.shape != (n, self.spec.shape[0]) or self.values.shape != (n, self.width) or len(self.weight) != n:
            raise ValueError("the training rows of the nearest neighbors have other shapes than the columns")
        if not 1 <= int(self.k) <= n or not all(bool(t.isfinite().all()) for t in (self.x, self.values, self.weight)):
            raise ValueError(f"k must be from 1 to {n} training rows, which must be finite, got k={int(self.k)}")
        self._count = int(self.k)

    def fit_stage(self, stage: int, rows: FitRows) -> None:
        """Keep the rows, and the number of neighbors of the stage."""
        y = torch.from_numpy(rows.y)
        is_classes = self.spec.task == "classification"
        values = torch.nn.functional.one_hot(y.long(), self.width) if is_classes else y.reshape(len(y), -1)
        self.x, self.values = torch.from_numpy(rows.x).float().clone(), values.float()
        weight = None if rows.weight is None else torch.from_numpy(rows.weight)
        self.weight = torch.ones(len(y)) if weight is None else weight.float().clamp_min(1e-12)
        self._count = min(self.counts[min(stage, len(self.counts) - 1)], len(y))
        self.k = torch.tensor(self._count)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map scaled rows ``(B, D)`` to outputs ``(B, O)``."""
        return apply_to_chunks(self._predict, x, max(1, MAX_PAIRS // max(1, len(self.x))))

    def _predict(self, x: torch.Tensor) -> torch.Tensor:
        k = self._count
        # |a - b|² = |a|² - 2ab + |b|², where |a|² does not change the order; in float64, as the terms cancel.
        training_rows = self.x.double()
        distance = training_rows.square().sum(1) - 2 * x.double() @ training_rows.T
        limit = distance.topk(k, dim=1, largest=False).values[:, -1:]
        weight = (distance <= limit + TIE * (1 + limit.abs())) * self.weight.double()
        mean = weight @ self.values.double() / weight.sum(1, keepdim=True)
        return to_outputs(mean, self.spec, votes=k + 1).to(x.dtype)
