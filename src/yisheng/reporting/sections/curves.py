"""Learning curves: loss and score by epoch, loss and learning rate by step, and a table of their values."""

from __future__ import annotations

from markupsafe import Markup

from yisheng.reporting import figures
from yisheng.reporting.formatting import format_number, format_tick, is_higher_better, score_name
from yisheng.reporting.history import Epoch, Step
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render, render_figure

TEMPLATE = """
{% if warning %}<p class="missing">{{ warning }}</p>{% endif %}
<div class="plots">{{ figures }}</div>
{% if rows %}
{% set note %}
{% if thinned %}Some of the epochs; all are in <code>events.jsonl</code>.{% else %}Every epoch.{% endif %}
{% if best %}The weights of epoch {{ best }} are used.{% endif %}
{% endset %}
<details><summary>Numbers by epoch</summary>
{% call table("Losses and scores by epoch", note) %}
<thead><tr>
{{ numbers("Epoch") }}{{ numbers("Training loss") }}
{% for name in names %}{{ numbers("Validation " ~ (name | score)) }}{% endfor %}
</tr></thead>
<tbody>
{% for row in rows %}
<tr{% if row.epoch == best %} class="first"{% endif %}>
<th scope="row" class="n">{{ row.epoch | count }}</th><td class="n">{{ row.loss | exact }}</td>
{% for name in names %}<td class="n">{{ row.scores.get(name) | exact }}</td>{% endfor %}
</tr>
{% endfor %}
</tbody>
{% endcall %}
</details>
{% endif %}
"""
MAX_TABLE_ROWS = 100
MAX_SCORES = 8


def curves(facts: RunFacts) -> Section | None:
    """Return the learning curves; those of a cross-validation are in the reports of its fold models."""
    if facts.cross_validation is not None or facts.epochs[1] == 0:
        return None
    history, best = facts.history, facts.best_epoch
    epochs = history.epochs
    if not epochs and not history.steps:
        warning = "The log contains neither an epoch nor a step, so nothing can be drawn."
        return Section("curves", "Learning curves", render(TEMPLATE, warning=warning, figures="", rows=()))
    stride = max(1, -(-len(epochs) // MAX_TABLE_ROWS))
    rows = [e for i, e in enumerate(epochs) if i % stride == 0 or e.epoch == best or e is epochs[-1]]
    html = render(
        TEMPLATE,
        warning=_describe_interruption(facts),
        figures=Markup("").join(_draw_figures(facts)),
        rows=rows,
        thinned=bool(epochs) and (len(rows) < len(epochs) or epochs[-1].epoch > len(epochs)),
        names=history.scores()[:MAX_SCORES],
        best=best,
    )
    return Section("curves", "Learning curves", html)


def _describe_interruption(facts: RunFacts) -> str:
    """Return in which epoch the run stopped, or an empty text for a finished run."""
    epochs_done, epochs_requested = facts.epochs
    if facts.is_finished or not epochs_requested or epochs_done >= epochs_requested:
        return ""
    return f"The run stopped in epoch {epochs_done + 1:,} of {epochs_requested:,}; the curves end there."


def _draw_figures(facts: RunFacts) -> list[Markup]:
    """Return the figures by epoch, then those by step."""
    history, best, score = facts.history, facts.best_epoch, facts.watched_score
    drawn: list[Markup] = []
    if history.epochs:
        caption = _describe_loss(history.epochs, best)
        drawn.append(render_figure(figures.plot_loss_by_epoch(history, best), f"Loss by epoch. {caption}", caption))
        key = score if score != "loss" else next((name for name in history.scores() if name != "loss"), "")
        if key in history.scores():
            name = score_name(key)
            chart = figures.plot_score_by_epoch(history, key, name, best, log=is_higher_better(key) is False)
            caption = _describe_score(history.epochs, key, best)
            drawn.append(render_figure(chart, f"Validation {name} by epoch. {caption}", caption))
    if len(history.steps) > 1:
        caption = _describe_step_loss(history.steps)
        drawn.append(render_figure(figures.plot_loss_by_step(history), f"Training loss by step. {caption}", caption))
        caption = _describe_lr(history.steps)
        drawn.append(render_figure(figures.plot_lr_by_step(history), f"Learning rate by step. {caption}", caption))
    return drawn


def _describe_step_loss(steps: tuple[Step, ...]) -> str:
    start, end = (f"{format_number(step.loss)} at step {step.step:,}" for step in (steps[0], steps[-1]))
    return f"Loss of single batches, from {start} to {end}."


def _describe_lr(steps: tuple[Step, ...]) -> str:
    rates = [step.lr for step in steps]
    if min(rates) < max(rates):
        return f"The maximum learning rate was {format_tick(max(rates), 3)}, the final one {format_tick(rates[-1], 3)}."
    return f"The learning rate was constant: {format_tick(rates[0], 3)}."


def _describe_loss(epochs: tuple[Epoch, ...], best: int | None) -> str:
    ends = dict.fromkeys(f"{format_number(epoch.loss)} in epoch {epoch.epoch:,}" for epoch in (epochs[0], epochs[-1]))
    text = f"Training loss: {', '.join(ends)}."
    final_scores = epochs[-1].scores
    if "loss" not in final_scores:
        return text
    text += f" Validation loss at the end: {format_number(final_scores['loss'])}"
    best_epoch = next((e for e in epochs if e.epoch == best and "loss" in e.scores), None)
    if best_epoch and best_epoch is not epochs[-1]:
        text += f"; in epoch {best:,}: {format_number(best_epoch.scores['loss'])}"
    return f"{text}."


def _describe_score(epochs: tuple[Epoch, ...], score: str, best: int | None) -> str:
    scored = [e for e in epochs if score in e.scores]
    best_epoch = next((e for e in scored if e.epoch == best), None)
    text = f"In epoch {best:,}: {format_number(best_epoch.scores[score])}; at" if best_epoch else "At"
    return f"{text} the end: {format_number(scored[-1].scores[score])}."
