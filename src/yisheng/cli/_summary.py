"""What train, resume and tune print at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yisheng.cli._arguments import Arguments
from yisheng.cli._values import format_value
from yisheng.core import files
from yisheng.core.messages import Message, translate
from yisheng.core.remote.sessions import name_address
from yisheng.core.run_contents import read_run
from yisheng.core.run_folder import RunFolder
from yisheng.core.score import Score
from yisheng.core.stored_messages import restore_messages
from yisheng.core.text_tables import format_interval, format_number, format_scores, format_table

MAX_TRIALS = 10


def print_summary(folder: Path, arguments: Arguments) -> None:
    """Print the results of a finished run, cross-validation or search; the folder's path comes last.

    Args:
        folder: the folder.
        arguments: with ``json`` one object is printed instead, with ``quiet`` only the path.
    """
    run = RunFolder(folder)
    summarize = _summarize_run
    if run.is_search:
        summarize = _summarize_search
    elif run.is_cross_validation:
        summarize = _summarize_cross_validation
    results, text = summarize(run)
    if arguments.json:
        print(json.dumps({"run": name_address(folder), **results}))
        return
    if not arguments.quiet:
        report = translate(Message("report: {path}", path=folder / RunFolder.REPORT))
        print(f"\n{text}\n{report}")
    print(name_address(folder))


def _summarize_run(run: RunFolder) -> tuple[dict[str, Any], str]:
    trained = read_run(run)
    best = trained.best
    score = str(best["score"]).replace("_", "-")
    values = {"epoch": best["epoch"], "score": score}
    if not best["epoch"]:
        weights = Message("not trained here (epochs=0)")
    elif best["value"] is None:
        weights = Message("best weights: epoch {epoch}", **values)
    else:
        value = format_number(best["value"])
        weights = Message("best weights: epoch {epoch} (validation {score} {value})", **values, value=value)
    text = f"{translate(weights)}\n\n{format_scores(trained.scores)}\n"
    results = {"best": dict(best), "scores": files.read_json(run.file(RunFolder.SCORES))}
    if run.file(RunFolder.LEADERBOARD).is_file():
        board = files.read_json(run.file(RunFolder.LEADERBOARD))
        results["leaderboard"] = board
        text = f"{_format_leaderboard(board)}\n\n{format_scores(trained.scores)}\n"
    return results, text


def _format_leaderboard(board: Mapping[str, Any]) -> str:
    """Return what an ensemble tried, in the order of the trials."""
    score = Message("{score} out of fold", score=board["score"].replace("_", "-"))
    model, interval = Message("model"), Message("95% interval")
    rows: list[list[str]] = [[Message("candidate"), model, score, interval, Message("seconds"), Message("weight")]]
    tried = map(restore_messages, board["candidates"])
    for candidate in [*tried, {"name": "ensemble", "seconds": None, **(board["ensemble"] or {})}]:
        value, low, high = (candidate.get(key) for key in ("value", "low", "high"))
        seconds, weight = candidate.get("seconds"), candidate.get("weight")
        status = candidate.get("status", "trained")
        rows.append(
            [
                candidate["name"],
                candidate.get("model", ""),
                format_number(value) if value is not None else "" if status == "trained" else status,
                format_interval(Score(value or 0.0, low, high)),
                "" if seconds is None else f"{seconds:.1f}",
                "" if not weight else f"{weight:.2f}",
            ]
        )
    return f"{format_table(rows)}\n\n{_describe_rates(board)}".rstrip()


def _describe_rates(board: Mapping[str, Any]) -> str:
    """Return how many rows the ensemble predicts in a second, and what is known of a model that imitates it."""
    rate, student = board.get("rows_per_second"), board.get("student")
    lines = [translate(Message("the ensemble predicts {rate} rows a second", rate=f"{rate:,}"))] if rate else []
    if student:
        values = {"name": student["name"], "rate": f"{student['rows_per_second']:,}"}
        lines.append(translate(Message("distilled into {name}: {rate} rows a second", **values)))
        if student["value"] is not None:
            score, value = board["score"].replace("_", "-"), format_number(student["value"])
            lines.append(
                translate(Message("its {score} on a fold that it does not know: {value}", score=score, value=value))
            )
    return "\n".join(lines)


def _summarize_cross_validation(run: RunFolder) -> tuple[dict[str, Any], str]:
    trained = read_run(run)
    folds = files.read_json(run.file(RunFolder.CROSS_VALIDATION))
    about = Message(
        "{models} models, {folds} folds: validation is the mean over the folds, test the mean of the models",
        models=len(folds["models"]),
        folds=folds["folds"],
    )
    text = f"{translate(about)}\n\n{format_scores(trained.scores)}\n"
    return {"folds": folds, "scores": files.read_json(run.file(RunFolder.SCORES))}, text


def _summarize_search(run: RunFolder) -> tuple[dict[str, Any], str]:
    table = files.read_json(run.file(RunFolder.TRIALS))
    trials = {trial["number"]: trial for trial in table["trials"]}
    chosen_run = run.model_folder
    results = {
        "score": table["score"],
        "trials": len(trials),
        "best": trials[table["best"]],
        "chosen": trials[table["chosen"]],
        "scores": files.read_json(chosen_run.file(RunFolder.SCORES)),
    }
    head = translate(Message("the chosen setting's model:"))
    trials_table = translate(Message("all trials: {path}", path=run.file(RunFolder.TRIALS_TABLE)))
    scores = format_scores(read_run(chosen_run).scores)
    text = f"{_format_trials(table)}\n\n{head}\n\n{scores}\n\n{trials_table}"
    return results, text


def _format_trials(table: Mapping[str, Any]) -> str:
    """Return the best trials and the chosen one as a table."""
    sign = -1 if table["higher"] else 1
    trials = sorted((t for t in table["trials"] if t["mean"] is not None), key=lambda t: sign * t["mean"])
    marks = {table["best"]: Message("best"), table["chosen"]: Message("chosen")}
    if table["best"] == table["chosen"]:
        marks = {table["best"]: Message("best, chosen")}
    axes = [axis["name"] for axis in table["axes"]]
    score = table["score"].replace("_", "-")
    rows = [[Message("trial"), *axes, score, Message("± sd"), Message("parameters"), ""]]
    for rank, trial in enumerate(trials):
        if rank >= MAX_TRIALS and trial["number"] not in marks:
            continue
        rows.append(
            [
                str(trial["number"]),
                *(_format_setting(trial["setting"][axis]) for axis in axes),
                format_number(trial["mean"]),
                "" if trial["sd"] is None else format_number(trial["sd"]),
                f"{trial['parameters']:,}",
                marks.get(trial["number"], ""),
            ]
        )
    return format_table(rows)


def _format_setting(value: object) -> str:
    if isinstance(value, list | tuple):
        return ",".join(map(_format_setting, value))
    return f"{value:.4g}" if isinstance(value, float) else format_value(value)
