"""The report of a learning-rate range test: the curves of all seeds, the suggestion, and when it misleads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from yisheng.core.messages import Message
from yisheng.reporting.figures import plot_range_test
from yisheng.reporting.formatting import format_tick, replace_unprintable
from yisheng.reporting.lr_find_facts import LearningRateTest
from yisheng.reporting.section import Section, render, render_figure, render_page

if TYPE_CHECKING:
    from markupsafe import Markup

SEEDS = """
{% set note %}{{ message("Steepest: the rate at which the smoothed loss falls fastest. Minimum: the rate with the
smallest smoothed loss. Stopped: the rate at which the loss diverged.") }}{% endset %}
{% call table(message("Seeds"), note) %}
<thead><tr>{{ words(message("Seed")) }}{{ numbers(message("Steps")) }}{{ numbers(message("Steepest")) }}
{{ numbers(message("Minimum")) }}{{ numbers(message("A tenth of it")) }}{{ numbers(message("Stopped")) }}</tr></thead>
<tbody>
{% for row in rows %}
<tr><th scope="row">{{ row[0] }}</th>{% for cell in row[1:] %}<td class="n">{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
LIMITS = """<ul>{% for sentence in sentences %}<li>{{ sentence }}</li>{% endfor %}</ul>"""


def render_lr_find_page(test: LearningRateTest) -> str:
    """Return the page as HTML.

    Args:
        test: the result.
    """
    text = render_page(
        "lr_find.html",
        test=test,
        summary_facts=_summary_facts(test),
        headline=test.describe(),
        explanation=Message("A starting point, not a result: see when it misleads, and compare complete trainings."),
        sections=[_curves(test), _seeds(test), _limits(test)],
    )
    return replace_unprintable(text)


def _summary_facts(test: LearningRateTest) -> list[tuple[str, str]]:
    steepest = test.steepest
    facts = {
        Message("Data"): test.data,
        Message("Model"): test.model,
        Message("Optimizer"): Message(
            "{optimizer}, batches of {rows}", optimizer=test.optimizer, rows=f"{test.batch:,}"
        ),
        Message("Steepest descent"): "" if steepest is None else f"lr={format_tick(steepest.lr, 3)}",
        Message("The config's lr"): format_tick(test.current, 3),
        Message("Range test"): Message(
            "{steps} steps from {low} to {high}",
            steps=f"{test.steps:,}",
            low=format_tick(test.low),
            high=format_tick(test.high),
        ),
    }
    return [(name, text) for name, text in facts.items() if text]


def _curves(test: LearningRateTest) -> Section:
    alt = Message(
        "Training loss by learning rate for {seeds} seeds. {result}", seeds=len(test.curves), result=test.describe()
    )
    caption = Message("Thin: the loss of each batch with the first seed. Lines: the smoothed losses of the seeds.")
    figure: Markup = render_figure(plot_range_test(test), alt, caption)
    html = render('<div class="plots">{{ figure }}</div>', figure=figure)
    return Section("test", Message("Loss by learning rate"), html)


def _seeds(test: LearningRateTest) -> Section:
    rows = []
    for curve in test.curves:
        tenth = None if curve.minimum is None else curve.minimum / 10
        rates = [curve.steepest, curve.minimum, tenth, curve.diverged]
        rows.append([str(curve.seed), f"{len(curve.lr):,}", *("–" if r is None else format_tick(r, 3) for r in rates)])
    return Section("seeds", Message("Seeds"), render(SEEDS, rows=rows))


def _limits(test: LearningRateTest) -> Section:
    return Section("limits", Message("When this misleads"), render(LIMITS, sentences=test.caveats))
