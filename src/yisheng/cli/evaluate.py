"""Score a run again on its own data, or on all rows of other data.

usage: yisheng evaluate RUN [groups=COLUMN] [model=FILE.py:CLASS] [--json]
       yisheng evaluate RUN data=OTHER [part=train|validation|test] [labels=FORM,...] [name=NAME] [predictions=true]
                        [groups=COLUMN] [key=value ...] [model=FILE.py:CLASS] [--json]

Without data= the run's best weights are scored again on its own parts, and its scores and report are written again.
With data= (a data set, or a folder, zip or table of yours) all its rows are scored, or those of one official part, by
the run's own transforms, columns and class names. Classes are matched by name; what does not match is said first, and
rows of classes that the run does not know are not scored. labels=strip-dot,casefold,blanks,... removes differences of
spelling, labels=0:healthy,1:ill renames. Scores and a report are in RUN/evaluations/NAME/; the run's own files stay as
they are. Further keys are options of the data set (target=income). A network or metrics of your own that the folder
does not hold are named again (model=net.py:Net): code is imported only when you name it.

groups=sex also scores the rows by their value in a column that the model uses, each group with its intervals; numbers
are divided at their quartiles.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message, translate
from yisheng.core.paths import parse_run_path
from yisheng.core.score import Score
from yisheng.core.score_keys import display_score_key
from yisheng.core.text_tables import format_interval, format_number, format_scores, format_table

if TYPE_CHECKING:
    from yisheng.experiments.other_data.result import Evaluation

KEYS = ("part", "labels", "name", "predictions")
"""Keys that need ``data=``."""
OWN_KEYS = ("model", "metrics")
"""Keys that name components of the user's own."""
MAX_GROUP_SCORES = 2
"""Scores of each group that are printed; evaluation.json has all."""


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    data = arguments.take("data")
    components, groups = {key: arguments.take(key) for key in OWN_KEYS}, arguments.take("groups")
    if data is None:
        require_data(arguments)
        folder = arguments.run_folder({"data", "groups", *KEYS, *OWN_KEYS}, writes=True)

    from yisheng.core.supplied_components import supply_components
    from yisheng.experiments.dispatch import evaluate

    with supply_components(**components):
        evaluation = evaluate(folder, groups=groups) if data is None else _evaluate_on(arguments, data, groups)
    if arguments.json:
        print(json.dumps(_to_json(evaluation), ensure_ascii=False))
    else:
        print(_format(evaluation))
    return 0


def require_data(arguments: Arguments) -> None:
    """Refuse keys about other data where none is named.

    Raises:
        UsageError: there are such keys.
    """
    from yisheng.core.errors import UsageError

    misplaced = [key for key in KEYS if key in arguments.settings]
    if misplaced:
        raise UsageError(
            Message("{misplaced}= is about other data, and none is named", misplaced=misplaced[0]),
            Message("use data=NAME or data=PATH too"),
        )


def _evaluate_on(arguments: Arguments, data: str, groups: str | None) -> Evaluation:
    arguments.require_inputs(1, 1, Message("one run folder"))
    folder = parse_run_path(arguments.inputs[0], writes=True)
    part, labels, name = (arguments.take(key) for key in ("part", "labels", "name"))
    write_predictions = arguments.flag("predictions")
    options, arguments.settings = arguments.settings, {}

    from yisheng.experiments.dispatch import evaluate_on
    from yisheng.experiments.other_data.load import Request

    request = Request(data, options, part, None if labels is None else labels.split(","))
    return evaluate_on(folder, request, name=name, write_predictions=write_predictions, groups=groups)


def _to_json(evaluation: Evaluation) -> dict[str, Any]:
    scores = {part: {n: asdict(score) for n, score in named.items()} for part, named in evaluation.items()}
    groups = {} if evaluation.groups is None else {"groups": evaluation.groups}
    return {"evaluation": str(evaluation.path), "scores": scores, **groups, **(evaluation.other_data or {})}


def _format(evaluation: Evaluation) -> str:
    about = evaluation.other_data
    if about is None:
        return "\n\n".join([format_scores(evaluation), *_format_groups(evaluation)])
    run_scores = about["run"]["scores"]
    own_name = Message(
        "run's own {part}", part=Message("test") if about["run"]["part"] == "test" else Message("validation")
    )
    head = [about["data"]["name"], Message("95% interval"), own_name, Message("difference"), Message("baseline")]
    rows = [["", *head]]
    for name, score in evaluation["test"].items():
        difference = f"{score.value - run_scores[name]:+.4f}" if name in run_scores else "-"
        baseline = evaluation["baseline"].get(name)
        rows.append(
            [
                display_score_key(name),
                format_number(score.value),
                format_interval(score),
                format_number(run_scores[name]) if name in run_scores else "-",
                difference,
                format_number(baseline.value) if baseline else "-",
            ]
        )
    scored, total = about["data"]["scored"], about["data"]["rows"]
    count = Message("{n} rows", n=f"{scored:,}")
    if scored < total:
        count = Message("{n} rows of {total}", n=f"{scored:,}", total=f"{total:,}")
    lines = [translate(count), "", format_table(rows), ""]
    lines += [line for text in _format_groups(evaluation) for line in (text, "")]
    ood = about["out_of_distribution"]
    if ood is not None:
        lines.append(
            translate(
                Message(
                    "out of distribution: {fraction} of the rows ({expected} expected)",
                    fraction=f"{100 * ood['fraction']:.1f}%",
                    expected=f"{100 * ood['expected']:.1f}%",
                )
            )
        )
    report = translate(Message("report: {path}", path=evaluation.report))
    return "\n".join([*lines, report, str(evaluation.path)])


def _format_groups(evaluation: Evaluation) -> list[str]:
    """Return the table of the scores by group; nothing without groups."""
    groups = evaluation.groups
    if not groups:
        return []
    names = list(dict.fromkeys(name for group in groups["groups"] for name in group["scores"]))[:MAX_GROUP_SCORES]
    interval = Message("95% interval")
    head = [cell for name in names for cell in (display_score_key(name), interval)]
    rows = [[groups["column"], Message("rows"), *head]]
    for group in groups["groups"]:
        scores = [Score(**group["scores"][name]) if name in group["scores"] else None for name in names]
        cells = [c for s in scores for c in ((format_number(s.value), format_interval(s)) if s else ("-", ""))]
        rows.append([group["group"], f"{group['rows']:,}", *cells])
    small_groups = [group["group"] for group in groups["groups"] if group["rows"] < groups["few_rows"]]
    notes = []
    if small_groups:
        names_of_groups = ", ".join(small_groups)
        notes.append(
            Message(
                "note: fewer than {n} rows, little is known: {groups}", n=groups["few_rows"], groups=names_of_groups
            )
        )
    if groups["omitted"]:
        notes.append(Message("note: {n} smaller groups are left out", n=f"{groups['omitted']:,}"))
    return ["\n".join([format_table(rows), *map(translate, notes)])]
