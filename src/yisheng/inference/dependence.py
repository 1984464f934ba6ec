"""The effect of one column on the predictions, as an object that prints as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from yisheng.core.notebook_html import render_table
from yisheng.core.spec import Spec
from yisheng.core.text_tables import format_number, format_table
from yisheng.evaluation.column_values import format_cell, is_number
from yisheng.evaluation.partial_dependence import PartialDependence

if TYPE_CHECKING:
    import pandas as pd

MAX_OUTPUTS = 4
"""Classes or targets that are shown."""


class Dependence:
    """The mean prediction by the value of a column; it prints as a table.

    Args:
        spec: the contract of the model.
        column: its name.
        position: of the input column.
        effect: the predictions.

    >>> import numpy as np
    >>> effect = PartialDependence(np.array([1.0]), *(np.array([[value]]) for value in (2.0, 1.0, 3.0)))
    >>> dependence = Dependence(Spec("regression", (1,), target="price"), "x1", 0, effect)
    >>> dependence
    x1  price   10% to 90% of the rows
    --  ------  ----------------------
    1   2.0000  1.0000 to 3.0000
    >>> dependence.outputs, dependence.to_frame().shape, dependence.to_json()["values"]
    ({'price': 0}, (1, 4), [1.0])
    """

    def __init__(self, spec: Spec, column: str, position: int, effect: PartialDependence) -> None:
        self.spec, self.column, self.effect = spec, column, effect
        self.is_number = is_number(spec, position)
        self.values = tuple(format_cell(spec, position, value) for value in effect.grid)
        """The values of the column as text."""

    @property
    def outputs(self) -> dict[str, int]:
        """Return the number of each output that is shown, by name: of two classes the second one."""
        names = self.spec.classes or self.spec.target_names
        if self.spec.task == "classification" and len(names) == 2:
            return {names[1]: 1}
        return {name: number for number, name in enumerate(names[:MAX_OUTPUTS])}

    def to_frame(self) -> pd.DataFrame:
        """Return a DataFrame with a row for each value of the column."""
        import pandas as pd

        columns: dict[str, Any] = {self.column: self.effect.grid if self.is_number else list(self.values)}
        for name, number in self.outputs.items():
            for label, block in (("mean", self.effect.mean), ("low", self.effect.low), ("high", self.effect.high)):
                columns[f"{name} {label}"] = block[:, number]
        return pd.DataFrame(columns)

    def to_json(self) -> dict[str, Any]:
        """Return everything that is shown as plain data."""
        return {
            "column": self.column,
            "is_number": self.is_number,
            "values": self.effect.grid.tolist() if self.is_number else list(self.values),
            "outputs": [
                {
                    "name": name,
                    "mean": self.effect.mean[:, number].tolist(),
                    "low": self.effect.low[:, number].tolist(),
                    "high": self.effect.high[:, number].tolist(),
                }
                for name, number in self.outputs.items()
            ],
        }

    def __repr__(self) -> str:
        return format_table(self._tabulate())

    def _repr_html_(self) -> str:
        return render_table(self._tabulate(), numeric=range(1, 1 + 2 * len(self.outputs)))

    def _tabulate(self) -> list[list[str]]:
        heads = [head for name in self.outputs for head in (name, "10% to 90% of the rows")]
        rows = [[self.column, *heads]]
        for index, value in enumerate(self.values):
            cells = []
            for number in self.outputs.values():
                mean, low, high = (
                    format_number(float(block[index, number]))
                    for block in (self.effect.mean, self.effect.low, self.effect.high)
                )
                cells += [mean, f"{low} to {high}"]
            rows.append([value, *cells])
        return rows
