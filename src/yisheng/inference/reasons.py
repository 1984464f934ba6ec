"""The reasons of one prediction: what each column of the row contributes, as an object that prints as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from yisheng.core.notebook_html import render_heading, render_table
from yisheng.core.spec import Spec
from yisheng.core.text_tables import format_number, format_table
from yisheng.evaluation.column_values import format_cell, group_columns
from yisheng.evaluation.shapley import ShapleyValues

if TYPE_CHECKING:
    import pandas as pd


class Reasons:
    """What the columns of a row contribute to its prediction, the largest contribution first; it prints as a table.

    Args:
        spec: the contract of the model.
        name: of the row.
        x: the raw row ``(D,)``.
        shapley: the contributions to all outputs.

    >>> shapley = ShapleyValues(("x1",), np.array([[2.0]]), np.array([[0.5]]), np.array([1.0]), np.array([3.0]), 9)
    >>> reasons = Reasons(Spec("regression", (1,)), "row 7", np.array([4.0]), shapley)
    >>> reasons
    row 7: target 3.0000, 1.0000 on average
    column  value  contribution  standard error
    ------  -----  ------------  --------------
    x1      4      +2.0000       0.5000
    >>> reasons.outputs, reasons.output, reasons.to_frame().shape, sorted(reasons.to_json())
    (('target',), 'target', (1, 4), ['output', 'outputs', 'pairs', 'row'])
    >>> reasons.format(limit=1) == repr(reasons)
    True
    """

    def __init__(self, spec: Spec, name: str, x: np.ndarray, shapley: ShapleyValues) -> None:
        self.spec, self.name, self.shapley = spec, name, shapley
        groups = group_columns(spec)
        self.values = tuple(" ".join(format_cell(spec, i, x[i]) for i in groups[column]) for column in shapley.columns)
        """The value of each column, as text."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Return the names of the outputs: classes, labels or targets."""
        return self.spec.classes or self.spec.target_names

    @property
    def output(self) -> str:
        """Return the output that is explained if none is named: the predicted class, or the first target."""
        return self.outputs[int(np.argmax(self.shapley.output))] if self.spec.classes else self.outputs[0]

    def to_frame(self, output: str | None = None) -> pd.DataFrame:
        """Return a DataFrame with a row for each column.

        Args:
            output: the class, label or target; by default the predicted class, or the first target.

        Raises:
            ValueError: there is no such output.
        """
        import pandas as pd

        number = self.outputs.index(output or self.output)
        order = self._order(number)
        return pd.DataFrame(
            {
                "column": [self.shapley.columns[i] for i in order],
                "value": [self.values[i] for i in order],
                "contribution": self.shapley.values[order, number],
                "standard_error": self.shapley.standard_errors[order, number],
            }
        )

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain data, for all outputs."""
        s = self.shapley
        return {
            "row": self.name,
            "output": self.output,
            "pairs": s.pairs,
            "outputs": {
                name: {
                    "prediction": float(s.output[n]),
                    "base": float(s.base[n]),
                    "columns": [
                        {
                            "column": s.columns[i],
                            "value": self.values[i],
                            "contribution": float(s.values[i, n]),
                            "standard_error": _to_plain(s.standard_errors[i, n]),
                        }
                        for i in self._order(n)
                    ],
                }
                for n, name in enumerate(self.outputs)
            },
        }

    def format(self, limit: int | None = None) -> str:
        """Return the table of the default output as text, with at most ``limit`` columns."""
        rows = self._tabulate()
        lines = [self._describe(), format_table(rows[: None if limit is None else limit + 1])]
        if limit is not None and len(rows) - 1 > limit:
            lines.append(f"... and {len(rows) - 1 - limit:,} more columns")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return self.format()

    def _repr_html_(self) -> str:
        return render_heading(self._describe()) + render_table(self._tabulate(), numeric=(2, 3))

    def _order(self, number: int) -> list[int]:
        order: list[int] = np.argsort(-np.abs(self.shapley.values[:, number]), kind="stable").tolist()
        return order

    def _describe(self) -> str:
        number = self.outputs.index(self.output)
        subject = f"probability of {self.output}" if self.spec.classes else self.output
        prediction, base = (format_number(float(v[number])) for v in (self.shapley.output, self.shapley.base))
        return f"{self.name}: {subject} {prediction}, {base} on average"

    def _tabulate(self) -> list[list[str]]:
        number = self.outputs.index(self.output)
        rows = [["column", "value", "contribution", "standard error"]]
        for i in self._order(number):
            value, error = self.shapley.values[i, number], self.shapley.standard_errors[i, number]
            sign = "+" if value > 0 else ""
            rows.append([self.shapley.columns[i], self.values[i], sign + format_number(value), format_number(error)])
        return rows


def _to_plain(error: float) -> float | None:
    """Return a standard error as JSON has it: a single pair of orders has none."""
    return None if np.isnan(error) else float(error)
