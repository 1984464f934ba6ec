"""Learning curves: loss and score by epoch, loss and learning rate by step, and a table of their values."""

from __future__ import annotations

from markupsafe import Markup

from yisheng.core.messages import Message
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
{% if thinned %}{{ message("Some of the epochs; all are in {file}.", file=code("events.jsonl")) }}
{% else %}{{ message("Every epoch.") }}{% endif %}
{% if best %}{{ message("The weights of epoch {epoch} are used.", epoch=best) }}{% endif %}
{% endset %}
<details><summary>{{ message("Numbers by epoch") }}</summary>
{% call table(message("Losses and scores by epoch"), note) %}
<thead><tr>
{{ numbers(message("Epoch")) }}{{ numbers(message("Training loss")) }}
{% for name in names %}{{ numbers(message("Validation {score}", score=name | score)) }}{% endfor %}
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
        warning = Message("The log contains neither an epoch nor a step, so nothing can be drawn.")
        return Section("curves", Message("Learning curves"), render(TEMPLATE, warning=warning, figures="", rows=()))
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
    return Section("curves", Message("Learning curves"), html)


def _describe_interruption(facts: RunFacts) -> str:
    """Return in which epoch the run stopped, or an empty text for a finished run."""
    epochs_done, epochs_requested = facts.epochs
    if facts.is_finished or not epochs_requested or epochs_done >= epochs_requested:
        return ""
    values = {"epoch": f"{epochs_done + 1:,}", "epochs": f"{epochs_requested:,}"}
    return Message("The run stopped in epoch {epoch} of {epochs}; the curves end there.", **values)


def _draw_figures(facts: RunFacts) -> list[Markup]:
    """Return the figures by epoch, then those by step."""
    history, best, score = facts.history, facts.best_epoch, facts.watched_score
    drawn: list[Markup] = []
    if history.epochs:
        caption = _describe_loss(history.epochs, best)
        about = Message("Loss by epoch. {caption}", caption=caption)
        drawn.append(render_figure(figures.plot_loss_by_epoch(history, best), about, caption))
        key = score if score != "loss" else next((name for name in history.scores() if name != "loss"), "")
        if key in history.scores():
            name = score_name(key)
            chart = figures.plot_score_by_epoch(history, key, name, best, log=is_higher_better(key) is False)
            caption = _describe_score(history.epochs, key, best)
            about = Message("Validation {score} by epoch. {caption}", score=name, caption=caption)
            drawn.append(render_figure(chart, about, caption))
    if len(history.steps) > 1:
        caption = _describe_step_loss(history.steps)
        about = Message("Training loss by step. {caption}", caption=caption)
        drawn.append(render_figure(figures.plot_loss_by_step(history), about, caption))
        caption = _describe_lr(history.steps)
        about = Message("Learning rate by step. {caption}", caption=caption)
        drawn.append(render_figure(figures.plot_lr_by_step(history), about, caption))
    return drawn


def _describe_step_loss(steps: tuple[Step, ...]) -> str:
    return Message(
        "Loss of single batches, from {first} at step {first_step} to {last} at step {last_step}.",
        first=format_number(steps[0].loss),
        first_step=f"{steps[0].step:,}",
        last=format_number(steps[-1].loss),
        last_step=f"{steps[-1].step:,}",
    )


def _describe_lr(steps: tuple[Step, ...]) -> str:
    rates = [step.lr for step in steps]
    if min(rates) < max(rates):
        values = {"largest": format_tick(max(rates), 3), "last": format_tick(rates[-1], 3)}
        return Message("The maximum learning rate was {largest}, the final one {last}.", **values)
    return Message("The learning rate was constant: {lr}.", lr=format_tick(rates[0], 3))


def _describe_loss(epochs: tuple[Epoch, ...], best: int | None) -> str:
    values = {
        "first": format_number(epochs[0].loss),
        "first_epoch": f"{epochs[0].epoch:,}",
        "last": format_number(epochs[-1].loss),
        "last_epoch": f"{epochs[-1].epoch:,}",
    }
    text = Message("Training loss: {first} in epoch {first_epoch}.", **values)
    if len(epochs) > 1:
        text = Message("Training loss: {first} in epoch {first_epoch}, {last} in epoch {last_epoch}.", **values)
    final_scores = epochs[-1].scores
    if "loss" not in final_scores:
        return text
    final = format_number(final_scores["loss"])
    best_epoch = next((e for e in epochs if e.epoch == best and "loss" in e.scores), None)
    if best_epoch is None or best_epoch is epochs[-1]:
        return Message("{training} Validation loss at the end: {final}.", training=text, final=final)
    return Message(
        "{training} Validation loss at the end: {final}; in epoch {epoch}: {best}.",
        training=text,
        final=final,
        epoch=f"{best:,}",
        best=format_number(best_epoch.scores["loss"]),
    )


def _describe_score(epochs: tuple[Epoch, ...], score: str, best: int | None) -> str:
    scored = [e for e in epochs if score in e.scores]
    best_epoch = next((e for e in scored if e.epoch == best), None)
    final = format_number(scored[-1].scores[score])
    if best_epoch is None:
        return Message("At the end: {final}.", final=final)
    value = format_number(best_epoch.scores[score])
    return Message("In epoch {epoch}: {best}; at the end: {final}.", epoch=f"{best:,}", best=value, final=final)
