"""Learning curves: loss and score by epoch, loss and learning rate by step, and the numbers behind them."""

from __future__ import annotations

from markupsafe import Markup

from yisheng.reporting import figures
from yisheng.reporting.formatting import format_number, format_tick, is_higher_better, score_name
from yisheng.reporting.history import Epoch
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, figure, fill

TEMPLATE = """
{% if remark %}<p class="missing">{{ remark }}</p>{% endif %}
<div class="plots">{{ figures }}</div>
{% if rows %}
{% set note %}
{% if thinned %}Some of the epochs; all are in <code>events.jsonl</code>.{% else %}Every epoch.{% endif %}
{% if best %}Epoch {{ best }} is the one whose weights are kept.{% endif %}
{% endset %}
<details><summary>The numbers, by epoch</summary>
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
SHOWN = 100


def curves(facts: RunFacts) -> Section | None:
    """Return the learning curves; those of a cross-validation are in the reports of its fold models."""
    if facts.cross_validation is not None:
        return None
    log, best = facts.history, facts.best_epoch
    if not log.epochs and not log.steps:
        remark = "The log holds no epoch and no step, so there is nothing to draw."
        return Section("curves", "Learning curves", fill(TEMPLATE, remark=remark, figures="", rows=()))
    figures_ = -(-len(log.epochs) // SHOWN)
    rows = [e for i, e in enumerate(log.epochs) if i % max(figures_, 1) == 0 or e.epoch == best or e is log.epochs[-1]]
    html = fill(
        TEMPLATE,
        remark=_remark(facts),
        figures=Markup("").join(_figures(facts)),
        rows=rows,
        thinned=len(rows) < len(log.epochs) or log.epochs[-1].epoch > len(log.epochs) if log.epochs else False,
        names=log.scores()[:8],
        best=best,
    )
    return Section("curves", "Learning curves", html)


def _remark(facts: RunFacts) -> str:
    epochs_done, epochs_requested = facts.epochs
    if facts.is_finished or not epochs_requested or epochs_done >= epochs_requested:
        return ""
    return f"The run stopped in epoch {epochs_done + 1:,} of {epochs_requested:,}; the curves end there."


def _figures(facts: RunFacts) -> list[Markup]:
    log, best, score = facts.history, facts.best_epoch, facts.watched_score
    drawn: list[Markup] = []
    if log.epochs:
        words = _loss_words(log.epochs, best)
        drawn.append(figure(figures.plot_loss_by_epoch(log, best), f"Loss by epoch. {words}", words))
        shown = score if score != "loss" else next((name for name in log.scores() if name != "loss"), "")
        if shown in log.scores():
            log_axis = is_higher_better(shown) is False
            svg = figures.plot_score_by_epoch(log, shown, score_name(shown), best, log=log_axis)
            words = _score_words(log.epochs, shown, best)
            drawn.append(figure(svg, f"Validation {score_name(shown)} by epoch. {words}", words))
    if len(log.steps) > 1:
        first, last = log.steps[0], log.steps[-1]
        ends = f"from {format_number(first.loss)} at step {first.step:,} to {format_number(last.loss)} at step {last.step:,}"
        words = f"Loss of single batches, {ends}."
        drawn.append(figure(figures.plot_loss_by_step(log), f"Training loss by step. {words}", words))
        rates = [s.lr for s in log.steps]
        words = f"The learning rate was {format_tick(rates[0], 3)} throughout."
        if min(rates) < max(rates):
            words = f"The learning rate rose to {format_tick(max(rates), 3)} and was {format_tick(rates[-1], 3)} at the end."
        drawn.append(figure(figures.plot_lr_by_step(log), f"Learning rate by step. {words}", words))
    return drawn


def _loss_words(epochs: tuple[Epoch, ...], best: int | None) -> str:
    first, last = epochs[0], epochs[-1]
    text = f"Training loss: {format_number(first.loss)} in epoch {first.epoch:,}, {format_number(last.loss)} in epoch {last.epoch:,}."
    if "loss" in last.scores:
        best_epoch = next((e for e in epochs if e.epoch == best and "loss" in e.scores), None)
        text += f" Validation loss at the end: {format_number(last.scores['loss'])}"
        text += (
            f"; in epoch {best:,}: {format_number(best_epoch.scores['loss'])}."
            if best_epoch and best_epoch is not last
            else "."
        )
    return text


def _score_words(epochs: tuple[Epoch, ...], score: str, best: int | None) -> str:
    scored = [e for e in epochs if score in e.scores]
    best_epoch = next((e for e in scored if e.epoch == best), None)
    text = f"In epoch {best:,}: {format_number(best_epoch.scores[score])}; at" if best_epoch else "At"
    return f"{text} the end: {format_number(scored[-1].scores[score])}."
