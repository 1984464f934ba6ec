"""The section on the folds of a cross-validation: the scores of each fold model, their mean and standard deviation."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from markupsafe import Markup

from yisheng.core.messages import Message
from yisheng.reporting.cv_schema import CrossValidation
from yisheng.reporting.formatting import (
    decimal_places,
    format_count,
    format_number,
    format_tick,
    is_higher_better,
    score_name,
)
from yisheng.reporting.run_facts import RunFacts
from yisheng.reporting.section import Section, render, render_figure
from yisheng.reporting.svg import FIRST_COLOR, MUTED, Chart

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEMPLATE = """
<p>{% for sentence in sentences %}{{ sentence }} {% endfor %}</p>
{% if figures %}<div class="plots">{{ figures }}</div>{% endif %}
{% call table(message("Folds"), message("The folder of each model is a run folder with its own report.")) %}
<thead><tr>
{{ words(message("Model")) }}{{ words(message("Fold")) }}
{% if cv.repeats > 1 %}{{ numbers(message("Repeat")) }}{% endif %}
{{ numbers(message("Training rows")) }}{{ numbers(message("Validation rows")) }}
{% for name in names %}{{ numbers(name | score | capital) }}{% endfor %}
{{ numbers(message("Epoch")) }}{{ numbers(message("Seconds")) }}
</tr></thead>
<tbody>
{% for model in models %}
<tr>
<th scope="row"><a href="{{ model.folder }}/report.html"><bdi>{{ model.folder }}</bdi></a></th><td>{{ model.fold }}</td>
{% if cv.repeats > 1 %}<td class="n">{{ model.repeat | count }}</td>{% endif %}
<td class="n">{{ model.rows.train | count }}</td><td class="n">{{ model.rows.validation | count }}</td>
{% for name in names %}<td class="n">{{ (model.scores or {}).get(name) | exact(decimals[name]) }}</td>{% endfor %}
<td class="n">{{ "–" if model.epoch is none else model.epoch | count }}</td>
<td class="n">{{ model.seconds | number(1) }}</td>
</tr>
{% endfor %}
{% for label, values in ((message("Mean"), cv.mean), (message("Standard deviation"), cv.sd)) %}
<tr class="first"><th scope="row">{{ label }}</th><td></td>{% if cv.repeats > 1 %}<td></td>{% endif %}
<td></td><td></td>
{% for name in names %}<td class="n">{{ values.get(name) | exact(decimals[name]) }}</td>{% endfor %}
<td></td><td></td></tr>
{% endfor %}
</tbody>
{% endcall %}
{% if models | length < cv.models | length %}
<p class="note">{{ message("The first {n} of {folds}; all are in {file}.", n=models | length | count,
    folds=cv.models | length | plural("fold"), file=code("cv.json")) }}</p>
{% endif %}
"""
MAX_ROWS = 50
MAX_SCORES = 12
MAX_NAMED_REPEATS = 12


def folds(facts: RunFacts) -> Section | None:
    """Return the section with table and figure of the folds, or None for a single run."""
    cv = facts.cross_validation
    if cv is None:
        return None
    main_score = cv.score if cv.score in cv.mean else next(iter(cv.mean), "")
    names = [main_score, *(name for name in cv.mean if name != main_score)][:MAX_SCORES] if main_score else []
    html = render(
        TEMPLATE,
        cv=cv,
        models=cv.models[:MAX_ROWS],
        sentences=_describe(cv, is_tested=facts.part == "test" and bool(facts.scores.get("test"))),
        names=names,
        decimals={name: _score_decimals(cv, name) for name in names},
        figures=_draw_figure(cv, main_score) if main_score else "",
    )
    return Section("folds", Message("Folds"), html)


def _describe(cv: CrossValidation, *, is_tested: bool) -> list[Message]:
    """Return what was trained, and what the scores are of."""
    values = {
        "trained": format_count(len(cv.trained_models), "model"),
        "models": f"{len(cv.models):,}",
        "repeats": f"{cv.repeats:,}",
    }
    if cv.repeats > 1:
        sentences = [
            Message(
                "{trained} of {models}, each validated on another fold of the rows; the rows were split into folds "
                "{repeats} times.",
                **values,
            )
        ]
    else:
        sentences = [Message("{trained} of {models}, each validated on another fold of the rows.", **values)]
    sentences.append(
        Message(
            "Validation scores are means over the folds; their intervals come from the corrected resampled t-test, "
            "because the folds share training rows."
        )
    )
    if any(fold_model.chosen for fold_model in cv.models):
        sentences.append(
            Message(
                "The best epoch of each fold model was chosen on the same fold that scores it, so the scores are "
                "optimistic, especially for small folds."
            )
        )
    if is_tested:
        sentences.append(Message("Test scores are computed on the mean prediction of all models."))
    else:
        sentences.append(Message("A prediction is the mean of the predictions of all models."))
    return sentences


def plot_folds(cv: CrossValidation, score: str, name: str) -> Chart:
    """Return an SVG with the score of each fold as a dot, one row of dots per repeat, and the mean as a line."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    def paint(axes: Axes) -> None:
        scores = cv.values(score)
        values = [value for _, value in scores]
        repeats = sorted({fold_model.repeat for fold_model, _ in scores})
        axes.axvline(statistics.fmean(values), color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="mean")
        axes.plot(
            values,
            [-repeats.index(fold_model.repeat) for fold_model, _ in scores],
            "o",
            color=FIRST_COLOR,
            alpha=0.7,
            markersize=8 if len(repeats) <= MAX_NAMED_REPEATS else 4,
            label="fold",
        )
        axes.set_ylim(-len(repeats) + 0.4, 0.6)
        axes.set_yticks([-i for i in range(len(repeats))] if 1 < len(repeats) <= MAX_NAMED_REPEATS else [])
        axes.set_yticklabels([str(repeat) for repeat in repeats] if 1 < len(repeats) <= MAX_NAMED_REPEATS else [])
        axes.set_title(f"{name} by fold" if len(repeats) == 1 else f"{name} by fold and repeat", loc="left", x=-0.1)
        axes.set_xlabel(f"validation {name}")
        axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_tick(value)))
        position = {"loc": "lower right", "bbox_to_anchor": (1.01, 0.985), "ncols": 2}
        axes.legend(**position, handlelength=1.7, columnspacing=1.1, handletextpad=0.5, borderaxespad=0)

    return Chart("folds", paint)


def _draw_figure(cv: CrossValidation, score: str) -> Markup:
    """Return the figure with a caption, or empty markup for fewer than two folds."""
    values = [value for _, value in cv.values(score)]
    if len(values) < 2:
        return Markup("")
    name, decimals = score_name(score), _score_decimals(cv, score)
    best, worst = (max, min) if is_higher_better(score) is not False else (min, max)
    caption = Message(
        "Validation {score} of {folds}: mean {mean}, standard deviation {sd}, best {best}, worst {worst}.",
        score=name,
        folds=format_count(len(values), "fold"),
        mean=format_number(statistics.fmean(values), decimals),
        sd=format_number(statistics.stdev(values), decimals),
        best=format_number(best(values), decimals),
        worst=format_number(worst(values), decimals),
    )
    about = Message("{score} by fold. {caption}", score=name, caption=caption)
    return render_figure(plot_folds(cv, score, name), about, caption)


def _score_decimals(cv: CrossValidation, score: str) -> int:
    """Return the number of decimal places for the scores of all folds, chosen by their standard deviation."""
    mean, sd = cv.mean[score], cv.sd.get(score) or 0.0
    return decimal_places(mean, mean - sd, mean + sd)
