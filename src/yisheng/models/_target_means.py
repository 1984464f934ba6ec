"""The mean target of each category as further columns: for columns of too many categories to learn each by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from yisheng.core.columns import Column
from yisheng.core.spec import Spec

MISSING, UNSEEN = 0, 1
"""Rows of a column's table for missing values and unseen categories; those of the categories follow."""


class TargetMeans(nn.Module):
    """Append the mean targets of the categories of some columns: ``(B, D)`` to ``(B, D + columns * V)``.

    They are fitted by `yisheng.training.portfolio.target_encoding`, and belong to the description of an ensemble.

    Args:
        plain: ``columns``, their positions, and ``means``, a table for each: a row of V values for missing values, one
            for unseen categories, and one for each category.

    Raises:
        ValueError: the fields contradict one another.

    >>> means = TargetMeans({"columns": [0], "means": [[[0.5], [0.4], [0.1], [0.9]]]})
    >>> means(torch.tensor([[1.0], [7.0], [torch.nan]]))[:, 1]
    tensor([0.9000, 0.4000, 0.5000])
    """

    def __init__(self, plain: Mapping[str, Any]) -> None:
        super().__init__()
        self.columns = [int(column) for column in plain["columns"]]
        tables = [torch.tensor(table, dtype=torch.float64) for table in plain["means"]]
        widths = {table.shape[1:] for table in tables}
        is_finite = all(bool(table.isfinite().all()) and len(table) > UNSEEN for table in tables)
        if len(tables) != len(self.columns) or len(widths) != 1 or not is_finite:
            raise ValueError("the mean targets of an ensemble's categories contradict one another")
        self.sizes = [len(table) - 2 for table in tables]
        self.width = tables[0].shape[1]
        for number, table in enumerate(tables):
            # Not saved as tensors: they are in the description, from which the model is built.
            self.register_buffer(f"table_{number}", table, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rows with the mean targets appended."""
        blocks = [x]
        for number, (column, size) in enumerate(zip(self.columns, self.sizes, strict=True)):
            codes = x[:, column]
            entries = torch.where((codes >= 0) & (codes < size), codes, -1.0)
            entries = torch.where(codes.isnan(), -2.0, entries).long() + 2
            blocks.append(self.get_buffer(f"table_{number}")[entries].to(x.dtype))
        return torch.cat(blocks, dim=1)

    def spec(self, spec: Spec) -> Spec:
        """Return the contract of the outputs: further columns of numbers."""
        added = [
            Column(f"{spec.columns[column].name}: mean target {value + 1}", source=spec.columns[column].source)
            for column in self.columns
            for value in range(self.width)
        ]
        columns = (*spec.columns, *added)
        return replace(spec, shape=(len(columns),), columns=columns)
