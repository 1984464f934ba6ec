"""Sections of a report, and rendering of HTML in which every value is escaped.

A section is a function ``facts -> Section | None`` in its own file in ``sections/``. It returns None if it does not
apply to a run, as a confusion matrix does not apply to a regression.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from yisheng.core.durations import format_duration
from yisheng.core.messages import Message, as_message, current_language, translate
from yisheng.reporting.formatting import (
    capitalize,
    decimal_places,
    format_count,
    format_number,
    format_percent,
    score_name,
)
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.svg import NAMESPACE, Chart

TEMPLATES = Path(__file__).parent / "templates"
PARTS = {"train": Message("training"), "validation": Message("validation"), "test": Message("test")}
"""Name of a part -> how it is called."""
MAX_UNBROKEN = 20
"""Characters of a word that needs no place to break."""
_SEPARATOR = re.compile(r"(?<=[/\\_,=-])(?=\w)")


@dataclass(frozen=True)
class Section:
    """A section of the page: the id to link to, its title, and its HTML."""

    id: str
    title: str
    html: Markup


def render(template: str, **values: Any) -> Markup:
    """Return HTML from a template; values are escaped unless they are `Markup`.

    >>> render("<b>{{ name }}</b>", name="<script>")
    Markup('<b>&lt;script&gt;</b>')
    """
    return Markup(_compile(template).render(**values))


def render_page(name: str, *, styles: Sequence[str] = ("style.css",), **values: Any) -> str:
    """Return HTML from a template file in ``templates/``, with the style sheets of that folder inlined.

    It is in the current language; so are the texts of its sections, which are rendered before.
    """
    style = "".join((TEMPLATES / sheet).read_text(encoding="utf-8") for sheet in styles)
    return _make_environment().get_template(name).render(**values, style=Markup(style), language=current_language())


def render_figure(chart: Chart, alt: str, caption: str = "") -> Markup:
    """Return a figure with a text alternative for screen readers.

    Args:
        chart: a chart of `yisheng.reporting.figures`.
        alt: description of the figure, with its important numbers.
        caption: text below the figure.
    """
    inline = Markup(str(chart).replace(f'<svg xmlns="{NAMESPACE}"', "<svg", 1))
    return render(
        """<figure class="plot"><div role="img" aria-label="{{ alt }}">{{ svg }}</div>
{% if caption %}<figcaption>{{ caption }}</figcaption>{% endif %}</figure>""",
        svg=inline,
        alt=alt,
        caption=caption,
    )


def explain_missing(facts: RunFacts, problem: str) -> Markup:
    """Return a paragraph that says what is missing and which command makes it."""
    return render(
        """<p class="missing">{{ problem }} {% if trained %}
{{ message("Run {command}.", command=code("yisheng evaluate " ~ run)) }}
{%- else %}{{ message("Training is not finished.") }}{% endif %}</p>""",
        problem=problem,
        trained=facts.is_finished,
        run=facts.shell_path,
    )


def format_message(template: str, /, **values: Any) -> Message | Markup:
    """Return a text of a template in HTML; values that are `Markup` stay HTML, and everything else is escaped.

    >>> format_message("the file {file} of {run}", file=format_code("a<b"), run="<r>")
    Markup('the file <code>a&lt;b</code> of &lt;r&gt;')
    """
    template = " ".join(template.split())  # in a template file it may have several lines
    if not any(isinstance(value, Markup) for value in values.values()):
        return as_message(template, **values)
    shown = {name: translate(value) if isinstance(value, Message) else value for name, value in values.items()}
    return escape(translate(as_message(template))).format(**shown)


def _format_plural(count: int, singular: str, plural: str, /, **values: Any) -> Message | Markup:
    return format_message(singular if count == 1 else plural, **values)


def format_code(text: str) -> Markup:
    """Return text as code."""
    return Markup("<code>{}</code>").format(text)


def isolate(text: str) -> Markup:
    """Return text that a user may have written, in its own writing direction."""
    return Markup("<bdi>{}</bdi>").format(translate(text))


def format_label(label: Any, classes: tuple[str, ...] = (), decimals: int | None = None) -> str:
    """Return a class's name (an integer is an index into ``classes``), several names joined, or a number.

    >>> format_label(1, ("cat", "dog")), format_label(["cat", "dog"]), format_label([])
    ('dog', 'cat, dog', 'none')
    >>> format_label(2.5), format_label(None)
    ('2.50', '–')
    """
    if isinstance(label, list):
        return ", ".join(format_label(name, classes, decimals) for name in label) or Message("none")
    if isinstance(label, int) and 0 <= label < len(classes):
        return classes[label]
    return label if isinstance(label, str) else format_number(label, decimals)


def format_targets(values: Any, names: Sequence[str], decimals: Sequence[int | None]) -> str:
    """Return the value of a target, or several with their names, as text.

    Args:
        values: a number, or a list of one of each target.
        names: of the targets.
        decimals: decimal places of each; None for as many as fit.

    >>> format_targets(2.5, ["age"], [1]), format_targets([0.5, 3.25], ["x", "y"], [1, 2])
    ('2.5', 'x 0.5, y 3.25')
    """
    if not isinstance(values, list) or len(values) != len(names) or len(decimals) != len(names):
        return format_label(values, decimals=decimals[0] if len(decimals) == 1 else None)
    if len(values) == 1:
        return format_label(values[0], decimals=decimals[0])
    numbers = (format_label(value, decimals=places) for value, places in zip(values, decimals, strict=True))
    return ", ".join(f"{name} {number}" for name, number in zip(names, numbers, strict=True))


def breakable(text: str) -> Markup:
    """Return text in which a browser may break long names and paths after their separators, not inside a word.

    >>> breakable("photos/daisy/5547758_eea9edfc54_n.jpg")
    Markup('photos/<wbr>daisy/<wbr>5547758_<wbr>eea9edfc54_<wbr>n.jpg')
    >>> breakable("a daisy")
    Markup('a daisy')
    """
    words = re.split(r"(\s+)", translate(text) if isinstance(text, str) else str(text))
    return Markup("").join(
        Markup("<wbr>").join(_SEPARATOR.split(word)) if len(word) > MAX_UNBROKEN else escape(word) for word in words
    )


def _format_exact(value: float | None, decimals: int | None = None) -> Markup:
    """Return a rounded number as an element that also contains the exact value."""
    if value is None:
        return Markup("<span>{}</span>").format(format_number(None))
    return Markup('<data value="{}">{}</data>').format(repr(value), translate(format_number(value, decimals)))


@functools.cache
def _make_environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_translate_value,
    )
    filters: Mapping[str, Any] = {
        "breakable": breakable,
        "capital": capitalize,
        "count": "{:,}".format,
        "duration": format_duration,
        "exact": _format_exact,
        "number": format_number,
        "percent": format_percent,
        "places": decimal_places,
        "plural": format_count,
        "score": score_name,
    }
    environment.filters.update(filters)
    functions: Mapping[str, Any] = {
        "bdi": isolate,
        "code": format_code,
        "message": format_message,
        "plural_message": _format_plural,
    }
    environment.globals.update(functions)
    macros = environment.get_template("macros.html").module
    environment.globals.update({name: getattr(macros, name) for name in ("table", "words", "numbers", "score_cells")})
    return environment


def _translate_value(value: Any) -> Any:
    """Return what a template shows of a value: messages in the current language."""
    return translate(value) if isinstance(value, Message) else value


@functools.cache
def _compile(template: str) -> Template:
    return _make_environment().from_string(template)
