"""Features of a table's rows: each numeric column embedded as a vector, the other columns unchanged."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from annotated_types import Interval
from torch import nn

from yisheng.core.columns import Column
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.spec import Spec

Embeddings = Literal["piecewise-linear", "periodic", "none"]
Size = Annotated[int, Interval(ge=1, le=1024)]
Frequency = Annotated[float, Interval(gt=0, le=1000)]
DEFAULT_SIZE = 8
DEFAULT_FREQUENCY = 0.1


class TableFeatures(nn.Module):
    """An embedding of each number, followed by the columns that are not numbers: ``(B, D)`` to ``(B, D')``.

    A network is smooth in its inputs and needs large weights to follow a jump; an embedding makes jumps easy.

    - piecewise-linear: how much of each of the number's bins is below it, times learnt weights. The bins are
      those of the column, quantiles of the training part; without them, those of the standard normal distribution. A
      number outside of them counts as the first or last edge, as in a tree.
    - periodic: sines and cosines of learnt frequencies, times learnt weights, ReLU.

    Args:
        spec: its numeric columns are embedded; all columns if the spec does not name them.
        embeddings: which embeddings.
        size: length of a number's vector; 8 if None.
        frequency: standard deviation of the initial frequencies of periodic embeddings, in cycles per unit; 0.1 if
            None.

    Raises:
        UsageError: size or frequency is given, but the embeddings have none.

    Source: Gorishniy, Rubachev and Babenko, "On embeddings for numerical features in tabular deep learning", 2022,
    sections 3.2 and 3.3; version B of the piecewise-linear ones is TabM's (2025).
    """

    number_columns: torch.Tensor
    category_columns: torch.Tensor
    low: torch.Tensor | None
    high: torch.Tensor | None

    def __init__(
        self, spec: Spec, embeddings: Embeddings, *, size: int | None = None, frequency: float | None = None
    ) -> None:
        super().__init__()
        if embeddings == "none" and size is not None:
            raise UsageError(
                Message("embedding_size={size} needs embeddings", size=size), Message("use embeddings=piecewise-linear")
            )
        if embeddings != "periodic" and frequency is not None:
            raise UsageError(
                Message("frequency={frequency} needs periodic embeddings", frequency=frequency),
                Message("use embeddings=periodic"),
            )
        size, frequency = size or DEFAULT_SIZE, frequency or DEFAULT_FREQUENCY
        D = spec.shape[0]
        columns = spec.columns or (Column("x"),) * D
        numbers = [i for i, column in enumerate(columns) if column.kind == "number"]
        categories = [i for i, column in enumerate(columns) if column.kind != "number"]
        # The buffers are not saved, since they follow from the spec.
        self.register_buffer("number_columns", torch.tensor(numbers, dtype=torch.int64), persistent=False)
        self.register_buffer("category_columns", torch.tensor(categories, dtype=torch.int64), persistent=False)
        self.embedding: nn.Module | None = None
        if embeddings == "none" or not numbers:
            self.sizes = [1] * D
            return
        from rtdl_num_embeddings import (  # type: ignore[import-untyped]  # imports scikit-learn: 0.8 s
            PeriodicEmbeddings,
            PiecewiseLinearEmbeddings,
        )

        self.register_buffer("low", None)
        self.register_buffer("high", None)
        if embeddings == "piecewise-linear":
            bins = [_bin_edges(columns[i]) for i in numbers]
            self.register_buffer("low", torch.stack([edges[0] for edges in bins]), persistent=False)
            self.register_buffer("high", torch.stack([edges[-1] for edges in bins]), persistent=False)
            self.embedding = PiecewiseLinearEmbeddings(bins, size, activation=False, version="B")
        else:
            self.embedding = PeriodicEmbeddings(len(numbers), size, frequency_init_scale=frequency, lite=False)
        self.sizes = [size] * len(numbers) + [1] * len(categories)
        """Number of features of each column, in the order of the outputs."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map rows ``(B, D)`` to ``(B, sum of sizes)``."""
        if self.embedding is None:
            return x
        numbers = x.index_select(1, self.number_columns)
        if self.low is not None:
            numbers = numbers.clamp(self.low, self.high)
        return torch.cat([self.embedding(numbers).flatten(1), x.index_select(1, self.category_columns)], dim=1)


def _bin_edges(column: Column) -> torch.Tensor:
    """Return the edges of a number's bins, ascending: the column's, or the standard normal distribution's."""
    if len(column.bins) > 2:
        return torch.tensor(column.bins, dtype=torch.float32)
    probabilities = torch.linspace(0.001, 0.999, 33, dtype=torch.float64)
    return torch.special.ndtri(probabilities).to(torch.float32)
