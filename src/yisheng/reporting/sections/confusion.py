"""The confusion matrix: as a coloured table, or, of many classes, the pairs that are confused most."""

from __future__ import annotations

import math
from dataclasses import dataclass

from yisheng.reporting.evaluation_schema import Evaluation
from yisheng.reporting.formatting import format_count, format_percent
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, fill, missing

MOST = 30
"""Up to so many classes the whole matrix is shown."""
PAIRS = 20
STRONG = 0.85
"""From this depth of colour on, the writing on it changes from black to white (the other way on a dark page)."""

MATRIX = """
{% set note %}
Rows are true classes, columns what the model says; blue is right, orange wrong. The deeper the colour, the larger the
share of the row, on a square-root scale so that rare mistakes can be seen. Each cell's count and share appear when it
is pointed at.
{% endset %}
{% call table("Confusion matrix", note, kind) %}
<thead><tr>
<th scope="col" class="corner">true \\ predicted</th>
{% for name in names %}<th scope="col" title="predicted {{ name }}"><span><bdi>{{ name }}</bdi></span></th>{% endfor %}
<th scope="col" class="n sum"><span>rows</span></th>
</tr></thead>
<tbody>
{% for row in rows %}
<tr>
<th scope="row"><bdi>{{ row.name }}</bdi></th>
{% for cell in row.cells %}
<td class="{{ cell.look }}"{% if cell.depth %} style="--a:{{ cell.depth }}"{% endif %} title="{{ cell.title }}">
{%- if cell.count %}{{ cell.count | count }}{% else %}<span class="zero">0</span>{% endif %}</td>
{% endfor %}
<td class="n sum">{{ row.total | count }}</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
LIST = """
{% set note %}
Of {{ classes }} classes, the {{ pairs | length }} pairs that are confused most; the whole matrix is in
<code>evaluation.json</code>.
{% endset %}
{% call table("Most confused classes", note) %}
<thead><tr>
{{ words("True class") }}{{ words("Predicted as") }}{{ numbers("Rows") }}{{ numbers("Share of the true class") }}
</tr></thead>
<tbody>
{% for pair in pairs %}
<tr>
<th scope="row"><bdi>{{ pair.true }}</bdi></th><td><bdi>{{ pair.predicted }}</bdi></td>
<td class="n">{{ pair.count | count }}</td><td class="n">{{ pair.share | percent }}</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
NONE = """<p>No row of the {{ part }} part was put into a wrong class.</p>"""


@dataclass(frozen=True)
class Cell:
    """One count of the matrix, with its CSS classes and its tooltip."""

    count: int
    title: str
    depth: float
    right: bool

    @property
    def look(self) -> str:
        """Return its CSS classes."""
        return ("right" if self.right else "wrong") + (" deep" if self.depth >= STRONG else "")


@dataclass(frozen=True)
class Line:
    """One true class."""

    name: str
    cells: list[Cell]
    total: int


@dataclass(frozen=True)
class Pair:
    """Rows of one class that were predicted as another."""

    true: str
    predicted: str
    count: int
    share: float


def confusion(facts: RunFacts) -> Section | None:
    """Return the confusion matrix, or the most confused pairs."""
    about = facts.evaluation
    if about is None or (facts.spec and facts.spec.task != "classification"):
        return None
    if not about.confusion:
        if about.pairs or not about.per_class:
            return None
        return Section("confusion", "Confusion matrix", missing(facts, "There is no confusion matrix."))
    names = class_names(facts, about)
    if len(names) <= MOST:
        longest = max(map(len, names))
        tall = longest > 16 or longest * len(names) > 60  # names side by side would pull the columns apart
        kind = f"confusion{' many' if len(names) > 12 else ''}{' tall' if tall else ''}"
        html = fill(MATRIX, names=names, rows=_lines(about.confusion, names), kind=kind)
        return Section("confusion", "Confusion matrix", html)
    pairs = most_confused(about.confusion, names)[:PAIRS]
    html = fill(LIST, pairs=pairs, classes=len(names)) if pairs else fill(NONE, part=about.part)
    return Section("confusion", "Most confused classes", html)


def class_names(facts: RunFacts, about: Evaluation) -> list[str]:
    """Return the names of the matrix's rows: the classes of the spec, else numbers."""
    matrix = about.confusion or []
    classes = list(facts.spec.classes) if facts.spec else [row.name for row in about.per_class]
    return classes if len(classes) == len(matrix) else [str(i) for i in range(len(matrix))]


def most_confused(matrix: list[list[int]], names: list[str]) -> list[Pair]:
    """Return all pairs of different classes with rows in them, the largest first."""
    totals = [sum(row) for row in matrix]
    wrong = [(n, i, j) for i, row in enumerate(matrix) for j, n in enumerate(row) if n and i != j]
    wrong.sort(key=lambda pairs: (-pairs[0], totals[pairs[1]]))
    return [Pair(names[i], names[j], n, n / totals[i]) for n, i, j in wrong]


def _lines(matrix: list[list[int]], names: list[str]) -> list[Line]:
    lines = []
    for i, (name, row) in enumerate(zip(names, matrix, strict=True)):
        total = sum(row)
        cells = []
        for j, (predicted, count) in enumerate(zip(names, row, strict=True)):
            fraction = count / total if total else 0.0
            title = f"true {name}, predicted {predicted}: {count:,} of {format_count(total, 'row')} ({format_percent(fraction)})"
            cells.append(Cell(count, title, round(math.sqrt(fraction), 2), i == j))
        lines.append(Line(name, cells, total))
    return lines
