"""The confusion matrix as a colored table or, for many classes, the most confused pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from yisheng.core.messages import Message
from yisheng.reporting.evaluation_schema import Evaluation
from yisheng.reporting.formatting import format_count, format_percent, shorten_distinctly
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, explain_missing, render

MAX_MATRIX_CLASSES = 30
"""With more classes, the most confused pairs are shown instead of the matrix."""
MAX_PAIRS = 20
MAX_HEAD_LENGTH, MAX_LABEL_LENGTH = 19, 30
"""Characters of a name at a column, turned by 90 degrees, and at a row."""
MIN_DEEP = 0.85
"""From this color depth, text changes from black to white (from white to black on a dark page)."""

MATRIX = """
{% set note %}
{{ about }}
{% endset %}
{% call table(message("Confusion matrix"), note, kind) %}
<thead><tr>
<th scope="col" class="corner">{{ message("true / predicted") }}</th>
{% for name in names %}
<th scope="col" title="{{ message("predicted {name}", name=name) }}">
<span><bdi>{{ heads[loop.index0]
}}</bdi></span></th>
{% endfor %}
<th scope="col" class="n sum"><span>{{ message("rows") }}</span></th>
</tr></thead>
<tbody>
{% for row in rows %}
<tr>
<th scope="row" title="{{ message("true {name}", name=row.name) }}">
<bdi>{{ labels[loop.index0] | breakable
}}</bdi></th>
{% for cell in row.cells %}
<td class="{{ cell.css_classes }}"{% if cell.depth %} style="--a:{{ cell.depth }}"{% endif %} title="{{ cell.title }}">
{%- if cell.count %}{{ cell.count | count }}{% else %}<span class="zero">0</span>{% endif %}</td>
{% endfor %}
<td class="n sum">{{ row.total | count }}</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
PAIRS_TABLE = """
{% set note %}
{{ message("The {pairs} most confused pairs of {classes} classes; the complete matrix is in {file}.",
    pairs=pairs | length, classes=classes, file=code("evaluation.json")) }}
{% endset %}
{% call table(message("Most confused classes"), note) %}
<thead><tr>
{{ words(message("True class")) }}{{ words(message("Predicted as")) }}{{ numbers(message("Rows")) }}
{{ numbers(message("Fraction of the true class")) }}
</tr></thead>
<tbody>
{% for pair in pairs %}
<tr>
<th scope="row"><bdi>{{ pair.true }}</bdi></th><td><bdi>{{ pair.predicted }}</bdi></td>
<td class="n">{{ pair.count | count }}</td><td class="n">{{ pair.fraction | percent }}</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
NO_MISTAKES = """<p>{{ message("All rows of {part} are predicted correctly.", part=origin) }}</p>"""
ABOUT = Message(
    "Rows are true classes, columns are predicted classes; correct predictions are blue, wrong ones orange. The color "
    "depth is the square root of the fraction of the row, so that rare mistakes are visible. The tooltip of a cell "
    "shows its count and fraction."
)


@dataclass(frozen=True)
class Cell:
    """One count of the matrix, with its tooltip and color depth."""

    count: int
    title: str
    depth: float
    is_correct: bool

    @property
    def css_classes(self) -> str:
        """Return its CSS classes."""
        return ("right" if self.is_correct else "wrong") + (" deep" if self.depth >= MIN_DEEP else "")


@dataclass(frozen=True)
class MatrixRow:
    """The cells of one true class."""

    name: str
    cells: list[Cell]
    total: int


@dataclass(frozen=True)
class Pair:
    """Rows of one class that were predicted as another."""

    true: str
    predicted: str
    count: int
    fraction: float


def confusion(facts: RunFacts) -> Section | None:
    """Return the confusion matrix, or the most confused pairs."""
    evaluation = facts.evaluation
    if evaluation is None or (facts.spec and facts.spec.task != "classification"):
        return None
    if not evaluation.confusion:
        if evaluation.pairs or not evaluation.per_class:
            return None
        missing = explain_missing(facts, Message("The confusion matrix is missing."))
        return Section("confusion", Message("Confusion matrix"), missing)
    names = class_names(facts, evaluation)
    if len(names) <= MAX_MATRIX_CLASSES:
        max_length = max(map(len, names))
        tall = max_length > 16 or max_length * len(names) > 60  # horizontal names would make the columns too wide
        kind = f"confusion{' many' if len(names) > 12 else ''}{' tall' if tall else ''}"
        html = render(
            MATRIX,
            about=ABOUT,
            names=names,
            heads=shorten_distinctly(names, MAX_HEAD_LENGTH if tall else MAX_LABEL_LENGTH),
            labels=shorten_distinctly(names, MAX_LABEL_LENGTH),
            rows=_matrix_rows(evaluation.confusion_matrix, names),
            kind=kind,
        )
        return Section("confusion", Message("Confusion matrix"), html)
    pairs = most_confused(evaluation.confusion_cells, names)[:MAX_PAIRS]
    html = (
        render(PAIRS_TABLE, pairs=pairs, classes=len(names)) if pairs else render(NO_MISTAKES, origin=evaluation.origin)
    )
    return Section("confusion", Message("Most confused classes"), html)


def class_names(facts: RunFacts, evaluation: Evaluation) -> list[str]:
    """Return the names of the matrix's rows: the classes, or numbers if they are unknown."""
    count = evaluation.confusion_classes
    classes = list(facts.spec.classes) if facts.spec else [row.name for row in evaluation.per_class]
    return classes if len(classes) == count else [str(i) for i in range(count)]


def most_confused(cells: Sequence[tuple[int, int, int]], names: list[str]) -> list[Pair]:
    """Return all pairs of different classes that were confused, the most frequent first.

    Args:
        cells: true class, predicted class and rows.
        names: of the classes.
    """
    totals = [0] * len(names)
    for true, _, count in cells:
        totals[true] += count
    mistakes = [(n, i, j) for i, j, n in cells if i != j]
    mistakes.sort(key=lambda mistake: (-mistake[0], totals[mistake[1]]))
    return [Pair(names[i], names[j], n, n / totals[i]) for n, i, j in mistakes]


def _matrix_rows(matrix: list[list[int]], names: list[str]) -> list[MatrixRow]:
    rows = []
    for i, (name, row) in enumerate(zip(names, matrix, strict=True)):
        total = sum(row)
        cells = []
        for j, (predicted, count) in enumerate(zip(names, row, strict=True)):
            fraction = count / total if total else 0.0
            title = Message(
                "true {true}, predicted {predicted}: {count} of {rows} ({percent})",
                true=name,
                predicted=predicted,
                count=f"{count:,}",
                rows=format_count(total, "row"),
                percent=format_percent(fraction),
            )
            cells.append(Cell(count, title, round(math.sqrt(fraction), 2), i == j))
        rows.append(MatrixRow(name, cells, total))
    return rows
