"""What a model predicts: one prediction, and a list of them that prints as a table."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, SupportsIndex, overload

from yisheng.core.messages import Message, translate
from yisheng.core.notebook_html import MUTED, escape, render_table
from yisheng.core.printable import escape_line
from yisheng.core.text_tables import format_number, format_table

if TYPE_CHECKING:
    import pandas as pd

MAX_PRINTED = 20
"""Predictions that a list prints; a notebook would show thousands otherwise."""
MAX_NAMED_INPUTS = 3
"""Inputs that are named before a note on several of them."""


@dataclass(frozen=True, repr=False)
class Prediction:
    """The prediction of a model for one input.

    Args:
        input: the file, or the row's number.
        prediction: class name, list of labels, or value; of several targets the values by name.
        probabilities: by class name, the most probable first; empty for regression.
        notes: how the input was changed ("inverted: ..."), and a warning if it is out of distribution.
        ood_score: the fraction of held-out rows that were less unusual than this input, from 0 to 1; above 0.995 the
            notes contain a warning. None if the run has no detector.
        interval: with ``interval=``, the lower and upper bound of a value; of several targets by name. Else None.

    >>> Prediction("photo.png", "cat", {"cat": 0.9, "dog": 0.1})
    photo.png: cat (cat 0.900, dog 0.100)
    """

    input: str
    prediction: Any
    probabilities: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    ood_score: float | None = None
    interval: Any = None

    def format_value(self, unit: str = "") -> str:
        """Return the predicted class, labels or values as text.

        >>> Prediction("0", ["cat", "dog"], {"cat": 0.9}).format_value(), Prediction("0", 3.5).format_value("m")
        ('cat, dog', '3.5000 m')
        >>> Prediction("0", {"x": 3.5, "y": 0.25}).format_value()
        'x 3.5000, y 0.2500'
        """
        if isinstance(self.prediction, dict):
            named = ", ".join(f"{name} {format_number(value)}" for name, value in self.prediction.items())
            return f"{named} {unit}".strip()
        values = self.prediction if isinstance(self.prediction, list) else [self.prediction]
        if self.probabilities:
            return ", ".join(map(str, values)) or "(none)"
        return f"{', '.join(map(format_number, values))} {unit}".strip()

    def format_bounds(self) -> str:
        """Return the bounds of the interval as text; empty without one.

        >>> Prediction("0", 3.5, interval=(2.0, 5.0)).format_bounds(), Prediction("0", 3.5).format_bounds()
        ('2.0000 to 5.0000', '')
        >>> Prediction("0", {"x": 3.5, "y": 1.0}, interval={"x": (2.0, 5.0), "y": (0.5, 2.0)}).format_bounds()
        'x 2.0000 to 5.0000, y 0.5000 to 2.0000'
        """
        if isinstance(self.interval, dict):
            return ", ".join(f"{name} {_format_pair(bounds)}" for name, bounds in self.interval.items())
        return "" if self.interval is None else _format_pair(self.interval)

    def format_probabilities(self, top: int = 3, separator: str = "  ") -> str:
        """Return the largest probabilities as text.

        >>> Prediction("a.png", "cat", {"cat": 0.9, "dog": 0.06, "cow": 0.04}).format_probabilities(top=2)
        'cat 0.900  dog 0.060'
        """
        return separator.join(f"{name} {value:.3f}" for name, value in list(self.probabilities.items())[:top])

    def __repr__(self) -> str:
        probabilities = f" ({self.format_probabilities(separator=', ')})" if self.probabilities else ""
        interval = f" ({self.format_bounds()})" if self.interval is not None else ""
        notes = "".join(f"\n  {escape_line(translate(Message('note: {note}', note=note)))}" for note in self.notes)
        return escape_line(f"{self.input}: {self.format_value()}{probabilities}{interval}") + notes

    def _repr_html_(self) -> str:
        return PredictionList([self])._repr_html_()


class PredictionList(list[Prediction]):
    """Predictions in the order of the inputs; they print as a table.

    Args:
        predictions: one for each input.
        unit: unit of a regression's target.
        level: of the intervals, or None if the predictions have none.

    >>> PredictionList([Prediction("a.png", "cat", {"cat": 0.9, "dog": 0.1}, ("resized",))])
    input  prediction  probabilities
    -----  ----------  --------------------
    a.png  cat         cat 0.900  dog 0.100
    note: a.png: resized
    """

    def __init__(self, predictions: Iterable[Prediction] = (), unit: str = "", level: float | None = None) -> None:
        super().__init__(predictions)
        self.unit = unit
        self.level = level

    def format(self, top: int = 3, limit: int | None = None) -> str:
        """Return the predictions as a table, and the notes on their inputs.

        Args:
            top: number of classes whose probabilities are shown.
            limit: number of inputs that are shown; all by default.

        >>> print(PredictionList([Prediction("0", 1.5), Prediction("1", 2.5)], unit="m").format(limit=1))
        input  prediction
        -----  ----------
        0      1.5000 m
        ... and 1 more
        """
        if not self:
            return translate(Message("no predictions"))
        rows = [[escape_line(cell) for cell in row] for row in self._tabulate(top, limit)]
        lines = [format_table(rows)]
        if limit is not None and len(self) > limit:
            lines.append(translate(Message("... and {count} more", count=f"{len(self) - limit:,}")))
        return "\n".join([*lines, *map(escape_line, self._list_notes())])

    def to_frame(self) -> pd.DataFrame:
        """Return a DataFrame with a row for each input: its prediction, and a column for each class's probability.

        Several targets have a column each instead of ``prediction``. Intervals are the columns ``low`` and ``high``, or
        ``NAME low`` and ``NAME high``.

        >>> PredictionList([Prediction("a.png", "cat", {"cat": 0.9, "dog": 0.1})]).to_frame().columns.tolist()
        ['input', 'prediction', 'cat', 'dog', 'ood_score', 'notes']
        >>> PredictionList([Prediction("a.png", {"x": 1.5, "y": 2.0})]).to_frame().columns.tolist()
        ['input', 'x', 'y', 'ood_score', 'notes']
        """
        import pandas as pd

        classes = sorted(self[0].probabilities) if self else []
        return pd.DataFrame(
            [
                {
                    "input": prediction.input,
                    **_to_columns(prediction.prediction),
                    **_to_bound_columns(prediction.interval),
                    **{name: prediction.probabilities[name] for name in classes},
                    "ood_score": prediction.ood_score,
                    "notes": "; ".join(prediction.notes),
                }
                for prediction in self
            ]
        )

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> Prediction: ...

    @overload
    def __getitem__(self, index: slice, /) -> PredictionList: ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> Prediction | PredictionList:
        if isinstance(index, slice):
            return PredictionList(list.__getitem__(self, index), self.unit, self.level)
        return list.__getitem__(self, index)

    def __repr__(self) -> str:
        return self.format(limit=MAX_PRINTED)

    def _repr_html_(self) -> str:
        if not self:
            return f"<p>{escape(Message('no predictions'))}</p>"
        muted = (2,) if self[0].probabilities else ()
        parts = [render_table(self._tabulate(3, MAX_PRINTED, separator=", "), muted=muted)]
        if len(self) > MAX_PRINTED:
            remainder = Message("... and {count} more", count=f"{len(self) - MAX_PRINTED:,}")
            parts.append(f'<p style="{MUTED}">{escape(remainder)}</p>')
        parts += [f'<p style="margin:.2em 0;{MUTED}">{escape(note)}</p>' for note in self._list_notes()]
        return f"<div>{''.join(parts)}</div>"

    def _tabulate(self, top: int, limit: int | None, separator: str = "  ") -> list[list[str]]:
        has_probabilities = bool(self[0].probabilities)
        has_interval = self.level is not None
        interval_head = translate(Message("{level} interval", level=f"{self.level:.4g}")) if has_interval else ""
        heads: list[str] = [Message("input"), Message("prediction"), *[Message("probabilities")] * has_probabilities]
        rows = [[*map(translate, heads), *[interval_head] * has_interval]]
        for prediction in list.__getitem__(self, slice(limit)):
            cells = [prediction.input, prediction.format_value(self.unit)]
            cells += [prediction.format_probabilities(top, separator)] * has_probabilities
            rows.append([*cells, *[prediction.format_bounds()] * has_interval])
        return rows

    def _list_notes(self) -> list[str]:
        """Return each different note once, after the first inputs that it is about, in the user's language."""
        inputs_of_note: dict[str, list[str]] = {}
        for prediction in self:
            for note in prediction.notes:
                inputs_of_note.setdefault(note, []).append(prediction.input)
        return [
            translate(
                Message(
                    "note: {inputs}: {note}",
                    inputs=", ".join(names[:MAX_NAMED_INPUTS]) + " ..." * (len(names) > MAX_NAMED_INPUTS),
                    note=note,
                )
            )
            for note, names in inputs_of_note.items()
        ]


def _to_columns(value: Any) -> dict[str, Any]:
    """Return a prediction as columns: one for each of several targets."""
    if not isinstance(value, dict):
        return {"prediction": value}
    reserved = ("input", "ood_score", "notes")
    return {f"prediction {name}" if name in reserved else name: number for name, number in value.items()}


def _to_bound_columns(interval: Any) -> dict[str, float]:
    """Return an interval as columns."""
    if interval is None:
        return {}
    pairs = interval.items() if isinstance(interval, dict) else [("", interval)]
    return {
        f"{name} {bound}".strip(): value
        for name, bounds in pairs
        for bound, value in zip(("low", "high"), bounds, strict=True)
    }


def _format_pair(bounds: tuple[float, float]) -> str:
    return " to ".join(map(format_number, bounds))
