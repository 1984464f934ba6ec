"""Scores as a mapping that prints as a table, in the interpreter and in a notebook."""

from __future__ import annotations

from collections.abc import Iterable

from yisheng.core.messages import Message, translate
from yisheng.core.notebook_html import render_table
from yisheng.core.score import Score, Scores
from yisheng.core.score_keys import display_score_key
from yisheng.core.text_tables import format_interval, format_number, format_table, tabulate_scores

NO_SCORES = Message("no scores")


def find_as_displayed(names: Iterable[str], name: str) -> str:
    """Return the name that is displayed as `name` is: ``log-rmse`` for ``log_rmse``, ``out of fold`` for a part.

    Raises:
        KeyError: there is none, or not exactly one.

    >>> find_as_displayed(["rmse", "log_rmse"], "log-rmse")
    'log_rmse'
    """
    names = list(names)
    matches = [key for key in names if display_score_key(key) == display_score_key(str(name).replace(" ", "_"))]
    if len(matches) == 1:
        return matches[0]
    shown = ", ".join(map(display_score_key, names))
    raise KeyError(translate(Message("there is no {name} among {names}", name=repr(name), names=shown)))


class PartScores(dict[str, Score]):
    """The scores of one part by name; they print as a table.

    >>> PartScores({"accuracy": Score(0.9, 0.85, 0.94)})
              value   95% interval
    --------  ------  ----------------
    accuracy  0.9000  0.8500 to 0.9400
    """

    def __missing__(self, name: str) -> Score:
        return self[find_as_displayed(self, name)]

    def _tabulate(self) -> list[list[str]]:
        rows = [[display_score_key(name), format_number(s.value), format_interval(s)] for name, s in self.items()]
        return [["", Message("value"), Message("95% interval")], *rows]

    def __repr__(self) -> str:
        return format_table(self._tabulate()) if self else translate(NO_SCORES)

    def _repr_html_(self) -> str:
        return render_table(self._tabulate(), numeric=(1,), muted=(2,))


class ScoreTable(dict[str, PartScores]):
    """Scores by part and name, as in ``scores.json``; they print as a table.

    Args:
        scores: by part (``test``, ``validation``, ``baseline``, ...) and name.

    >>> table = ScoreTable({"test": {"accuracy": Score(0.9)}, "baseline": {"accuracy": Score(0.1)}})
    >>> table
              test    95% interval  baseline
    --------  ------  ------------  --------
    accuracy  0.9000                0.1000
    >>> table["test"]["accuracy"].value
    0.9

    A name may also be written as it is printed: ``scores["out of fold"]["log-rmse"]``.
    """

    def __init__(self, scores: Scores) -> None:
        super().__init__({part: PartScores(by_name) for part, by_name in scores.items()})

    def __missing__(self, name: str) -> PartScores:
        return self[find_as_displayed(self, name)]

    def __repr__(self) -> str:
        rows = tabulate_scores(self)
        return format_table(rows) if rows else translate(NO_SCORES)

    def _repr_html_(self) -> str:
        rows = tabulate_scores(self)
        if not rows:
            return f"<p>{translate(NO_SCORES)}</p>"
        intervals = [column for column, head in enumerate(rows[0]) if head == "95% interval"]
        return render_table(rows, numeric=range(1, len(rows[0])), muted=intervals)
