"""A section of the report, and how its HTML is made: every value that goes in is escaped.

A section is a function ``facts -> Section | None`` in a file of its own in ``sections/``; None where it has
nothing to say about such a run (a confusion matrix of a regression).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

from yisheng.reporting.formatting import (
    capitalize,
    decimal_places,
    format_count,
    format_duration,
    format_number,
    format_percent,
    score_name,
)
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.svg import NAMESPACE

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Section:
    """A section of the page: the id to link to, its title, and its HTML."""

    id: str
    title: str
    html: Markup


def fill(template: str, **values: Any) -> Markup:
    """Return HTML from a template; values are escaped unless they are `Markup`.

    >>> fill("<b>{{ name }}</b>", name="<script>")
    Markup('<b>&lt;script&gt;</b>')
    """
    return Markup(_compiled(template).render(**values))


def page(name: str, *, styles: Sequence[str] = ("style.css",), **values: Any) -> str:
    """Return HTML from a template file in ``templates/``, with the style sheets of that folder inlined."""
    style = "".join((TEMPLATES / sheet).read_text(encoding="utf-8") for sheet in styles)
    return _environment().get_template(name).render(**values, style=Markup(style))


def figure(svg: str, alt: str, caption: str = "") -> Markup:
    """Return a figure with a text alternative for people who cannot see it.

    Args:
        svg: from `yisheng.reporting.figures`.
        alt: what it shows, with the numbers that matter.
        caption: what stands below it.
    """
    inline = Markup(svg.replace(f'<svg xmlns="{NAMESPACE}"', "<svg", 1))
    return fill(
        """<figure class="plot"><div role="img" aria-label="{{ alt }}">{{ svg }}</div>
{% if caption %}<figcaption>{{ caption }}</figcaption>{% endif %}</figure>""",
        svg=inline,
        alt=alt,
        caption=caption,
    )


def missing(facts: RunFacts, thing_missing: str) -> Markup:
    """Return a paragraph that says what is missing and how to get it."""
    return fill(
        """<p class="missing">{{ what }}
{%- if trained %} Make it with <code>yisheng evaluate {{ run }}</code>.{% else %} Training has not come to its end.
{% endif %}</p>""",
        what=thing_missing,
        trained=facts.is_finished,
        run=facts.shell_path,
    )


def name_of(label: Any, classes: tuple[str, ...] = (), decimals: int | None = None) -> str:
    """Return a class's name (an integer is an index into ``classes``), several names joined, or a number.

    >>> name_of(1, ("cat", "dog")), name_of(["cat", "dog"]), name_of([]), name_of(2.5), name_of(None)
    ('dog', 'cat, dog', 'none', '2.50', '–')
    """
    if isinstance(label, list):
        return ", ".join(name_of(name, classes, decimals) for name in label) or "none"
    if isinstance(label, int) and 0 <= label < len(classes):
        return classes[label]
    return label if isinstance(label, str) else format_number(label, decimals)


def _exact(value: float | None, decimals: int | None = None) -> Markup:
    """Return a number rounded for reading, with its exact value for copying."""
    if value is None:
        return Markup("<span>{}</span>").format(format_number(None))
    return Markup('<data value="{}">{}</data>').format(repr(value), format_number(value, decimals))


@functools.cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Mapping[str, Any] = {
        "capital": capitalize,
        "count": "{:,}".format,
        "duration": format_duration,
        "exact": _exact,
        "number": format_number,
        "percent": format_percent,
        "places": decimal_places,
        "plural": format_count,
        "score": score_name,
    }
    environment.filters.update(filters)
    macros = environment.get_template("macros.html").module
    environment.globals.update({name: getattr(macros, name) for name in ("table", "words", "numbers")})
    return environment


@functools.cache
def _compiled(template: str) -> Template:
    return _environment().from_string(template)
