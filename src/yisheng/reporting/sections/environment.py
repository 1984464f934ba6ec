"""The environment of the run: versions, machine, data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from yisheng.core.messages import Message
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render

TEMPLATE = """
{% if rows %}
<details class="printed"><summary>{{ message("Versions, machine and data") }}</summary>
{% call table(message("Environment"), message("Software, hardware and data of the run."), "facts") %}
<thead><tr>{{ words(message("Name")) }}{{ words(message("Value")) }}</tr></thead>
<tbody>
{% for name, value in rows %}<tr><th scope="row">{{ name }}</th><td>{{ value }}</td></tr>{% endfor %}
</tbody>
{% endcall %}
</details>
{% else %}
<p class="missing">{{ message("The run folder has no {file}.", file=code("environment.json")) }}</p>
{% endif %}
"""
MAX_ROWS = 200


def environment(facts: RunFacts) -> Section:
    """Return all entries of ``environment.json``, including unknown ones of later versions."""
    rows = [row for row, _ in zip(_flatten(facts.environment), range(MAX_ROWS), strict=False)]
    return Section("environment", Message("Environment"), render(TEMPLATE, rows=rows))


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{name}, ")
        elif isinstance(value, bool):
            yield name, Message("yes") if value else Message("no")
        elif value is not None:
            yield name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)
