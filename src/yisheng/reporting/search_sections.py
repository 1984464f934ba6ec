"""The sections of a search's page; each returns None if it has nothing to show."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from yisheng.reporting import parallel_coordinates, search_figures
from yisheng.reporting.formatting import capitalize, format_count, format_duration, format_number, score_name
from yisheng.reporting.search_facts import Search, Trial, format_value
from yisheng.reporting.search_headline import describe_setting
from yisheng.reporting.section import Section, figure, fill

SHOWN = 300
PARAMETERS = 12
NUMBERS = 20
REASONS = 20
COORDINATES = """
<p class="note">Each line is a trial: where it crosses an axis is its value there. The better a trial, the higher it
ends on the right (one far beyond the others at the axis's end), and the bluer its line (by rank, in fifths).
{{- left_out }}</p>
<p class="legend"><span class="key"><i class="k-ramp"></i>worst to best</span>
{% if best %}<span class="key"><i class="k-best"></i>{{ best }}</span>{% endif %}
{% if chosen %}<span class="key"><i class="k-chosen"></i>{{ chosen }}</span>{% endif %}</p>
<figure class="parallel"><div class="scroll" role="region" aria-label="Parallel coordinates" tabindex="0">
<div role="img" aria-label="{{ alt }}">{{ svg }}</div></div></figure>
"""
TRIALS = """
{% set note %}
Best first. Score: mean validation {{ score | score }} over the trainings of a trial; {{ "larger" if of.higher else
"smaller" }} is better. {% if more %}The best {{ shown | length | count }} of {{ total | count }}; all are in
<code>trials.csv</code>.{% endif %}
{% endset %}
{% call table("Trials", note) %}
<thead><tr>
{{ words("Trial") }}{% for axis in of.axes %}{{ numbers(axis.name) }}{% endfor %}
{{ numbers(score | score | capital) }}{{ numbers("Standard deviation") }}{{ numbers("Standard error") }}
{{ numbers("Trainings") }}{% if of.has_rungs %}{{ numbers("Epochs") }}{% endif %}{{ numbers("Parameters") }}
{{ numbers("Seconds") }}
</tr></thead>
<tbody>
{% for one in shown %}
<tr{% if one in marked %} class="first"{% endif %}>
<th scope="row">{{ one.number | count }}{% if one is sameas of.best_trial %}<span class="tag">best</span>{% endif %}
{% if one is sameas of.chosen_trial %}<span class="tag">chosen</span>{% endif %}</th>
{% for axis in of.axes %}
<td class="n"><bdi>{{ word(one.setting[axis.name]) if axis.name in one.setting else "–" }}</bdi></td>
{% endfor %}
<td class="n strong">{{ one.score | exact(of.decimals) }}</td><td class="n">{{ one.sd | exact(of.decimals) }}</td>
<td class="n">{{ one.se | exact(of.decimals) }}</td><td class="n">{{ one.jobs | count }}</td>
{% if of.has_rungs %}<td class="n">{{ "–" if one.epochs is none else one.epochs | count }}</td>{% endif %}
<td class="n">{{ "–" if one.parameters is none else one.parameters | count }}</td>
<td class="n">{{ one.seconds | exact(2) }}</td>
</tr>
{% endfor %}
</tbody>
{% endcall %}
"""
IMPORTANCE = """
{% call table("Importance of the parameters", note, "meters") %}
<thead><tr>{{ words("Parameter") }}{{ numbers("Share of the variance") }}
<th scope="col" class="wide" aria-hidden="true"></th></tr></thead>
<tbody>
{% for name, share in rows %}
<tr><th scope="row"><bdi>{{ name }}</bdi></th><td class="n strong">{{ share | percent }}</td>
<td class="wide" aria-hidden="true">
<span class="meter"><i style="width:{{ (100 * share) | round(1) }}%"></i></span></td></tr>
{% endfor %}
</tbody>
{% endcall %}
"""
IMPORTANCE_NOTE = (
    "The share of the score's variance over the searched space that a parameter explains by itself, estimated by a "
    "random forest. What is missing to 100% is the interplay of parameters, chance between trainings, and what so "
    "few trials cannot tell. It speaks of these ranges only: of narrower ones it may be another."
)
FAILURES = """
<p>{{ count | plural("trial") }} of {{ total | count }} ended without a score.</p>
<ul>
{% for reason, which, example in rows %}
<li><bdi>{{ reason }}</bdi>: {{ which }}
{% if example %}<br><small>for example <code>{{ example }}</code></small>{% endif %}</li>
{% endfor %}
</ul>
{% if more %}<p class="note">And {{ more | plural("other reason") }}; all are in <code>trials.csv</code>.</p>{% endif %}
"""
TIME = """
{% call table("Time by the way of training", note) %}
<thead><tr>{{ words("Trained") }}{{ numbers("Trials") }}{{ numbers("Trainings") }}{{ numbers("Time of all") }}
{{ numbers("Median per training") }}</tr></thead>
<tbody>
{% for row in rows %}
<tr><th scope="row"><bdi>{{ row.how }}</bdi></th><td class="n">{{ row.trials | count }}</td>
<td class="n">{{ row.jobs | count }}</td><td class="n">{{ row.seconds | duration }}</td>
<td class="n">{{ row.median }}</td></tr>
{% endfor %}
</tbody>
{% endcall %}
"""
WAYS = {"serial": "one after the other", "stacked": "many models in one pass"}


def coordinates(search: Search) -> Section | None:
    """Return the section with parallel coordinates."""
    best, pick = search.best_trial, search.chosen_trial
    if best is None:
        return None
    shown, axes = (
        min(len(search.ranked), parallel_coordinates.MAX_LINES),
        min(len(search.axes), parallel_coordinates.MAX_AXES),
    )
    left_out = ""
    if shown < len(search.ranked):
        left_out = f" Drawn are {shown:,} of {len(search.ranked):,}: the best, and of the others every so many."
    if axes < len(search.axes):
        left_out += f" The first {axes} of {len(search.axes)} parameters have an axis."
    is_same = pick is best
    alt = f"Parallel coordinates of {format_count(shown, 'trial')}. Best: {_said(search, best)}."
    html = fill(
        COORDINATES,
        left_out=left_out,
        best=f"{'best and chosen' if is_same else 'best'}: trial {best.number:,}",
        chosen=f"chosen: trial {pick.number:,}" if pick and not is_same else "",
        alt=alt if is_same or pick is None else f"{alt} Chosen: {_said(search, pick)}.",
        svg=Markup(parallel_coordinates.draw_parallel_coordinates(search)),  # built by ElementTree, which escapes
    )
    return Section("coordinates", "All trials at a glance", html)


def parameters(search: Search) -> Section | None:
    """Return the section with the score against each parameter."""
    best = search.best_trial
    axes = [a for a in search.axes if any(a.name in t.setting for t in search.ranked)][:PARAMETERS]
    if best is None or not axes:
        return None
    drawn = []
    for i, axis in enumerate(axes, 1):
        held = f"; the best has {format_value(best.setting[axis.name])}" if axis.name in best.setting else ""
        words = f"{capitalize(score_name(search.score))} by {axis.name}{held}."
        drawn.append(figure(search_figures.plot_score_by_parameter(search, axis, i), words, words))
    notes = ["A dot is a trial's mean."]
    if min(len(search.ranked), search_figures.MAX_DOTS) <= search_figures.MAX_ERROR_BARS and any(
        t.known_sd for t in search.ranked
    ):
        notes.append("Its upright line is one standard deviation over folds and seeds to both sides.")
    if any(axis.kind == "choice" for axis in axes):
        notes.append("A level line is the median of an alternative.")
    if search.has_rungs:
        notes.append("Grey ones were trained for fewer epochs.")
    notes.append("A cross at the edge is a score far beyond it.")
    if len(search.ranked) > search_figures.MAX_DOTS:
        notes.append(f"Drawn are {search_figures.MAX_DOTS} of {len(search.ranked):,} trials.")
    html = fill(
        '<p class="note">{{ note }}</p><div class="plots">{{ drawn }}</div>',
        note=" ".join(notes),
        drawn=Markup("").join(drawn),
    )
    return Section("parameters", "Score by parameter", html)


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
        html = fill(IMPORTANCE, rows=rows, note=IMPORTANCE_NOTE)
    else:
        html = fill('<p class="missing">{{ text }}</p>', text="These trials are too few, or too alike, to tell.")
    return Section("importance", "Importance of each parameter", html)


def trials(search: Search) -> Section:
    """Return the table of the trials with a score."""
    if not search.ranked:
        return Section("trials", "Trials", fill('<p class="missing">No trial has a score.</p>'))
    shown = search.ranked[:SHOWN]
    if search.chosen_trial and search.chosen_trial not in shown:
        shown = [*shown, search.chosen_trial]
    html = fill(
        TRIALS,
        of=search,
        score=search.score,
        shown=shown,
        marked=[t for t in (search.best_trial, search.chosen_trial) if t],
        total=len(search.ranked),
        more=len(shown) < len(search.ranked),
        word=format_value,
    )
    return Section("trials", "Trials", html)


def curves(search: Search) -> Section | None:
    """Return the training-loss curves of the best trials."""
    with_curve = [t for t in search.ranked if len(t.curve) > 1]
    selected = [t for t in (search.best_trial, search.chosen_trial) if t in with_curve]
    selected = list({t.number: t for t in [*selected, *with_curve]}.values())[: len(search_figures.CURVE_STYLES)]
    if not selected:
        return None
    ends = ", ".join(f"trial {t.number:,} {format_number(t.curve[-1])}" for t in selected)
    words = f"Training loss, mean over each trial's trainings; at the end: {ends}."
    html = fill(
        '<div class="plots">{{ one }}</div>', one=figure(search_figures.plot_training_loss(selected), words, words)
    )
    return Section("curves", "Training loss of the best", html)


def failures(search: Search) -> Section | None:
    """Return the section on failed trials and their reasons."""
    if not search.failed:
        return None
    by_reason: dict[str, list[Trial]] = defaultdict(list)
    for trial in search.failed:
        by_reason[trial.failure or "no score that one can reckon with"].append(trial)
    rows = []
    for reason, trials_of_reason in sorted(by_reason.items(), key=lambda item: -len(item[1]))[:REASONS]:
        listed = ", ".join(f"{t.number:,}" for t in trials_of_reason[:NUMBERS])
        suffix = f" and {len(trials_of_reason) - NUMBERS:,} more" if len(trials_of_reason) > NUMBERS else ""
        rows.append(
            (
                reason,
                f"{'trial' if len(trials_of_reason) == 1 else 'trials'} {listed}{suffix}",
                describe_setting(trials_of_reason[0]),
            )
        )
    other_reasons = max(0, len(by_reason) - REASONS)
    html = fill(FAILURES, count=len(search.failed), total=len(search.trials), rows=rows, more=other_reasons)
    return Section("failures", "Failures", html)


def time(search: Search) -> Section | None:
    """Return the section on training time and executors."""
    by_way: dict[str, list[Trial]] = defaultdict(list)
    for trial in search.trials:
        if trial.jobs and trial.seconds is not None and 0 <= trial.seconds < math.inf:
            by_way[trial.executor].append(trial)
    if not by_way:
        return None
    note = "Of a model among K trained in one pass, a K-th of the whole time is counted."
    html = fill(TIME, rows=[_way(how, group) for how, group in sorted(by_way.items())], note=note)
    return Section("time", "Time", html)


def _way(how: str, group: list[Trial]) -> Mapping[str, Any]:
    seconds = [(t.seconds or 0.0) / t.jobs for t in group]
    median = statistics.median(seconds)
    return {
        "how": f"{how}: {WAYS[how]}" if how in WAYS else how or "not told",
        "trials": len(group),
        "jobs": sum(t.jobs for t in group),
        "seconds": sum(t.seconds or 0.0 for t in group),
        "median": format_duration(median) if median >= 1 else f"{1000 * median:.3g} ms",
    }


def _said(search: Search, trial: Trial) -> str:
    setting = ", ".join(f"{name} {format_value(value)}" for name, value in trial.setting.items())
    score = f"{score_name(search.score)} {format_number(trial.score, search.decimals)}"
    return f"trial {trial.number:,}{f' with {setting}' if setting else ''}, {score}"
