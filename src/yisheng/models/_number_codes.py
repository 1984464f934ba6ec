"""Columns of whole numbers as categories, too: an item's number says nothing by its order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from yisheng.core.columns import Column
from yisheng.core.spec import Spec

NO_CODE = -1


class NumberCodes(nn.Module):
    """Append the codes of the numbers of some columns: ``(B, D)`` to ``(B, D + columns)``; NaN for other numbers.

    The inputs are scaled: a number k is ``start + step * k``. Which numbers have a code is chosen by
    `yisheng.training.portfolio.number_codes`, and belongs to the description of an ensemble.

    Args:
        plain: ``columns``, their positions, and for each of them ``starts``, ``steps`` and ``numbers``, the numbers k
            from 0 that have a code, ascending.

    Raises:
        ValueError: the fields contradict one another.

    >>> codes = NumberCodes({"columns": [0], "starts": [-1.0], "steps": [0.5], "numbers": [[0, 3]]})
    >>> codes(torch.tensor([[-1.0], [0.5], [0.0], [torch.nan]]))[:, 1]
    tensor([0., 1., nan, nan])
    """

    def __init__(self, plain: Mapping[str, Any]) -> None:
        super().__init__()
        self.columns = [int(column) for column in plain["columns"]]
        self.starts, self.steps = ([float(value) for value in plain[name]] for name in ("starts", "steps"))
        numbers = [[int(number) for number in values] for values in plain["numbers"]]
        has_all = len(self.columns) == len(self.starts) == len(self.steps) == len(numbers) > 0
        if not has_all or not all(self.steps) or not all(n and n[0] >= 0 and n == sorted(set(n)) for n in numbers):
            raise ValueError("the codes of an ensemble's numbers contradict one another")
        self.counts = [len(values) for values in numbers]
        for position, values in enumerate(numbers):
            table = torch.full((values[-1] + 1,), NO_CODE)
            table[values] = torch.arange(len(values))
            # Not saved as tensors: they are in the description, from which the model is built.
            self.register_buffer(f"table_{position}", table, persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the rows with the codes appended."""
        blocks = [x]
        for position, (column, start, step) in enumerate(zip(self.columns, self.starts, self.steps, strict=True)):
            table = self.get_buffer(f"table_{position}")
            number = ((x[:, column].double() - start) / step).round()
            is_inside = (number >= 0) & (number < len(table))  # NaN compares false
            code = table[torch.where(is_inside, number, 0.0).long()]
            blocks.append(torch.where(is_inside & (code >= 0), code.to(x.dtype), torch.nan)[:, None])
        return torch.cat(blocks, dim=1)

    def spec(self, spec: Spec) -> Spec:
        """Return the contract of the outputs: further columns of categories, which are named by their codes."""
        added = [
            Column(
                f"{spec.columns[column].name}: number",
                "category",
                tuple(map(str, range(count))),
                source=spec.columns[column].source,
            )
            for column, count in zip(self.columns, self.counts, strict=True)
        ]
        columns = (*spec.columns, *added)
        return replace(spec, shape=(len(columns),), columns=columns)
