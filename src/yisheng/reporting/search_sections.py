"""Sections of the page of a search; each function returns None if it has nothing to show."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from yisheng.core.durations import format_duration
from yisheng.core.messages import Message, plural_message, translate
from yisheng.reporting import parallel_coordinates, search_figures
from yisheng.reporting.formatting import capitalize, format_count, format_number, score_name
from yisheng.reporting.search_facts import Search, Trial, format_value
from yisheng.reporting.search_headline import describe_setting
from yisheng.reporting.section import Section, render, render_figure

MAX_TRIALS = 300
MAX_PARAMETERS = 12
MAX_LISTED_TRIALS = 20
MAX_REASONS = 20
COORDINATES = """
<p class="note">{{ message("Each line is a trial; it crosses each axis at the trial's value. Better trials end higher
on the right (far outliers at the end of the axis) and have bluer lines (by rank, in fifths).") }}
{% for sentence in left_out %} {{ sentence }}{% endfor %}</p>
<p class="legend"><span class="key"><i class="k-ramp"></i>{{ message("worst to best") }}</span>
{% if best %}<span class="key"><i class="k-best"></i>{{ best }}</span>{% endif %}
{% if chosen %}<span class="key"><i class="k-chosen"></i>{{ chosen }}</span>{% endif %}</p>
<figure class="parallel">
<div class="scroll" role="region" aria-label="{{ message("Parallel coordinates") }}" tabindex="0">
<div role="img" aria-label="{{ alt }}">{{ svg }}</div></div></figure>
"""
TRIALS = """
{% set note %}
{% if search.higher %}
{{ message("Best first. Score: mean validation {score} over the trainings of a trial; larger is better.",
    score=search.score | score) }}
{% else %}
{{ message("Best first. Score: mean validation {score} over the trainings of a trial; smaller is better.",
    score=search.score | score) }}
{% endif %}
{% if trials | length < total %}
{{ message("The best {shown} of {total}; all are in {file}.", shown=trials | length | count, total=total | count,
    file=code("trials.csv")) }}
{% endif %}
{% endset %}
{% call table(message("Trials"), note) %}
<thead><tr>
{{ words(message("Trial")) }}{% for axis in search.axes %}{{ numbers(axis.name) }}{% endfor %}
{{ numbers(search.score | score | capital) }}{{ numbers(message("Standard deviation")) }}
{{ numbers(message("Standard error")) }}
{{ numbers(message("Trainings")) }}{% if search.has_rungs %}{{ numbers(message("Epochs")) }}{% endif %}
{{ numbers(message("Parameters")) }}{{ numbers(message("Seconds")) }}
</tr></thead>
<tbody>
{% for trial in trials %}
<tr{% if trial in marked %} class="first"{% endif %}>
<th scope="row">{{ trial.number | count }}
{% if trial is sameas search.best_trial %}<span class="tag">{{ message("best") }}</span>{% endif %}
{% if trial is sameas search.chosen_trial %}<span class="tag">{{ message("chosen") }}</span>{% endif %}</th>
{% for axis in search.axes %}
<td class="n"><bdi>{{ format_value(trial.setting[axis.name]) if axis.name in trial.setting else "–" }}</bdi></td>
{% endfor %}
<td class="n strong">{{ trial.score | exact(search.decimals) }}</td>
<td class="n">{{ trial.sd | exact(search.decimals) }}</td>
<td class="n">{{ trial.se | exact(search.decimals) }}</td><td class="n">{{ trial.jobs | count }}</td>
{% if search.has_rungs %}<td class="n">{{ "–" if trial.epochs is none else trial.epochs | count }}</td>{% endif %}
<td class="n">{{ "–" if trial.parameters is none else trial.parameters | count }}</td>
<td class="n">{{ trial.seconds | exact(2) }}</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
IMPORTANCE = """
{% call table(message("Importance of the parameters"), note, "meters") %}
<thead><tr>{{ words(message("Parameter")) }}{{ numbers(message("Fraction of the variance")) }}
<th scope="col" class="wide" aria-hidden="true"></th></tr></thead>
<tbody>
{% for name, fraction in rows %}
<tr><th scope="row"><bdi>{{ name }}</bdi></th><td class="n strong">{{ fraction | percent }}</td>
<td class="wide" aria-hidden="true">
<span class="meter"><i style="width:{{ (100 * fraction) | round(1) }}%"></i></span></td></tr>
{% endfor %}
</tbody>
{% endcall %}
"""
IMPORTANCE_NOTE = Message(
    "The fraction of the score's variance over the searched space that a parameter explains by itself, estimated by a "
    "random forest. The remainder up to 100% is due to interactions of parameters, to random differences between "
    "trainings, and to the limited number of trials. It holds for these ranges; other ranges may have other fractions."
)
FAILURES = """
<p>{{ message("{trials} of {total} ended without a score.", trials=count | plural("trial"), total=total | count) }}</p>
<ul>
{% for reason, trials, example in rows %}
<li>{{ message("{reason}: {trials}", reason=bdi(reason), trials=trials) }}
{% if example %}<br><small>{{ message("for example {setting}", setting=code(example)) }}</small>{% endif %}</li>
{% endfor %}
</ul>
{% if other_reasons %}
<p class="note">{{ plural_message(other_reasons, "And {n} other reason; all are in {file}.",
    "And {n} other reasons; all are in {file}.", n=other_reasons | count, file=code("trials.csv")) }}</p>
{% endif %}
"""
TIME = """
{% call table(message("Time by executor"), note) %}
<thead><tr>{{ words(message("Executor")) }}{{ numbers(message("Trials")) }}{{ numbers(message("Trainings")) }}
{{ numbers(message("Total time")) }}{{ numbers(message("Median per training")) }}</tr></thead>
<tbody>
{% for row in rows %}
<tr><th scope="row"><bdi>{{ row.executor }}</bdi></th><td class="n">{{ row.trials | count }}</td>
<td class="n">{{ row.jobs | count }}</td><td class="n">{{ row.seconds | duration }}</td>
<td class="n">{{ row.median }}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
"""
EXECUTOR_DESCRIPTIONS = {
    "serial": Message("serial: one after the other"),
    "stacked": Message("stacked: many models in one pass"),
    "cluster": Message("cluster: on a cluster"),
}


def coordinates(search: Search) -> Section | None:
    """Return the section with parallel coordinates."""
    best, chosen = search.best_trial, search.chosen_trial
    if best is None:
        return None
    line_count = min(len(search.ranked), parallel_coordinates.MAX_LINES)
    axis_count = min(len(search.axes), parallel_coordinates.MAX_AXES)
    left_out = []
    if line_count < len(search.ranked):
        drawn, total = f"{line_count:,}", f"{len(search.ranked):,}"
        left_out.append(
            Message(
                "{drawn} of {total} trials are drawn: the best, and a sample of the others.", drawn=drawn, total=total
            )
        )
    if axis_count < len(search.axes):
        left_out.append(
            Message("The first {drawn} of {total} parameters have an axis.", drawn=axis_count, total=len(search.axes))
        )
    is_same = chosen is best
    number = f"{best.number:,}"
    alt = Message(
        "Parallel coordinates of {trials}. Best: {best}.",
        trials=format_count(line_count, "trial"),
        best=_describe_trial(search, best),
    )
    if chosen is not None and not is_same:
        alt = Message("{figure} Chosen: {chosen}.", figure=alt, chosen=_describe_trial(search, chosen))
    html = render(
        COORDINATES,
        left_out=left_out,
        best=Message("best and chosen: trial {number}", number=number)
        if is_same
        else Message("best: trial {number}", number=number),
        chosen=Message("chosen: trial {number}", number=f"{chosen.number:,}") if chosen and not is_same else "",
        alt=alt,
        svg=Markup(parallel_coordinates.draw_parallel_coordinates(search)),  # built by ElementTree, which escapes
    )
    return Section("coordinates", Message("All trials at a glance"), html)


def parameters(search: Search) -> Section | None:
    """Return the section with the score against each parameter."""
    best = search.best_trial
    axes = [a for a in search.axes if any(a.name in t.setting for t in search.ranked)][:MAX_PARAMETERS]
    if best is None or not axes:
        return None
    figures = []
    for i, axis in enumerate(axes, 1):
        values = {"score": capitalize(score_name(search.score)), "parameter": axis.name}
        caption = Message("{score} by {parameter}.", **values)
        if axis.name in best.setting:
            best_value = format_value(best.setting[axis.name])
            caption = Message("{score} by {parameter}; the best has {value}.", value=best_value, **values)
        figures.append(render_figure(search_figures.plot_score_by_parameter(search, axis, i), caption, caption))
    notes = [Message("A dot is the mean score of a trial.")]
    if min(len(search.ranked), search_figures.MAX_DOTS) <= search_figures.MAX_ERROR_BARS and any(
        t.known_sd for t in search.ranked
    ):
        notes.append(
            Message(
                "Its vertical line is one standard deviation over folds and seeds to both sides; a triangle at its end "
                "means that it is longer."
            )
        )
    if any(axis.kind == "choice" for axis in axes):
        notes.append(Message("A horizontal line is the median of an alternative."))
    if search.has_rungs:
        notes.append(Message("Gray dots were trained for fewer epochs."))
    notes.append(Message("A cross at the edge is a score far outside the figure."))
    if len(search.ranked) > search_figures.MAX_DOTS:
        total = f"{len(search.ranked):,}"
        notes.append(Message("{drawn} of {total} trials are drawn.", drawn=search_figures.MAX_DOTS, total=total))
    html = render(
        '<p class="note">{{ note }}</p><div class="plots">{{ figures }}</div>',
        note=" ".join(map(translate, notes)),
        figures=Markup("").join(figures),
    )
    return Section("parameters", Message("Score by parameter"), html)


def importance(search: Search) -> Section | None:
    """Return the section on how much each parameter matters."""
    if not search.axes or search.best_trial is None:
        return None
    names = {axis.name for axis in search.axes}
    fractions = {
        n: min(max(s, 0.0), 1.0) for n, s in (search.importance or {}).items() if n in names and math.isfinite(s)
    }
    if fractions:
        rows = sorted(fractions.items(), key=lambda row: -row[1])
        html = render(IMPORTANCE, rows=rows, note=IMPORTANCE_NOTE)
    else:
        html = render(
            '<p class="missing">{{ text }}</p>',
            text=Message("The trials are too few or too similar for an estimate."),
        )
    return Section("importance", Message("Importance of each parameter"), html)


def trials(search: Search) -> Section:
    """Return the table of the trials with a score."""
    if not search.ranked:
        html = render('<p class="missing">{{ message("No trial has a score.") }}</p>')
        return Section("trials", Message("Trials"), html)
    listed = search.ranked[:MAX_TRIALS]
    if search.chosen_trial and search.chosen_trial not in listed:
        listed = [*listed, search.chosen_trial]
    html = render(
        TRIALS,
        search=search,
        trials=listed,
        marked=[t for t in (search.best_trial, search.chosen_trial) if t],
        total=len(search.ranked),
        format_value=format_value,
    )
    return Section("trials", Message("Trials"), html)


def curves(search: Search) -> Section | None:
    """Return the training-loss curves of the best trials."""
    selected = search_figures.select_curves(search)
    if not selected:
        return None
    ends = ", ".join(
        translate(Message("trial {number} {loss}", number=f"{t.number:,}", loss=format_number(t.curve[-1])))
        for t in selected
    )
    caption = Message("Training loss, mean over each trial's trainings; at the end: {ends}.", ends=ends)
    html = render(
        '<div class="plots">{{ figure }}</div>',
        figure=render_figure(search_figures.plot_training_loss(selected), caption, caption),
    )
    return Section("curves", Message("Training loss of the best trials"), html)


def failures(search: Search) -> Section | None:
    """Return the section on failed trials and their reasons."""
    if not search.failed:
        return None
    by_reason: dict[str, list[Trial]] = defaultdict(list)
    for trial in search.failed:
        by_reason[trial.failure or Message("the score is not a finite number")].append(trial)
    rows = []
    for reason, trials_of_reason in sorted(by_reason.items(), key=lambda item: -len(item[1]))[:MAX_REASONS]:
        listed = ", ".join(f"{t.number:,}" for t in trials_of_reason[:MAX_LISTED_TRIALS])
        omitted = len(trials_of_reason) - MAX_LISTED_TRIALS
        numbers = plural_message(len(trials_of_reason), "trial {numbers}", "trials {numbers}", numbers=listed)
        if omitted > 0:
            numbers = Message("{trials} and {count} more", trials=numbers, count=f"{omitted:,}")
        rows.append((reason, numbers, describe_setting(trials_of_reason[0])))
    other_reasons = max(0, len(by_reason) - MAX_REASONS)
    html = render(FAILURES, count=len(search.failed), total=len(search.trials), rows=rows, other_reasons=other_reasons)
    return Section("failures", Message("Failures"), html)


def time(search: Search) -> Section | None:
    """Return the section on training time and executors."""
    by_executor: dict[str, list[Trial]] = defaultdict(list)
    for trial in search.trials:
        if trial.jobs and trial.seconds is not None and 0 <= trial.seconds < math.inf:
            by_executor[trial.executor].append(trial)
    if not by_executor:
        return None
    note = Message("For K models trained in one pass, each is counted with a K-th of the total time.")
    html = render(
        TIME, rows=[_summarize_time(executor, group) for executor, group in sorted(by_executor.items())], note=note
    )
    return Section("time", Message("Time"), html)


def _summarize_time(executor: str, group: list[Trial]) -> Mapping[str, Any]:
    """Return the cells of an executor's row."""
    seconds = [(t.seconds or 0.0) / t.jobs for t in group]
    median = statistics.median(seconds)
    return {
        "executor": EXECUTOR_DESCRIPTIONS.get(executor, executor) or Message("unknown"),
        "trials": len(group),
        "jobs": sum(t.jobs for t in group),
        "seconds": sum(t.seconds or 0.0 for t in group),
        "median": format_duration(median) if median >= 1 else f"{1000 * median:.3g} ms",
    }


def _describe_trial(search: Search, trial: Trial) -> Message:
    setting = ", ".join(f"{name} {format_value(value)}" for name, value in trial.setting.items())
    values = {
        "number": f"{trial.number:,}",
        "score": score_name(search.score),
        "value": format_number(trial.score, search.decimals),
    }
    if setting:
        return Message("trial {number} with {setting}, {score} {value}", setting=setting, **values)
    return Message("trial {number}, {score} {value}", **values)
