"""What train and resume say at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from yisheng.cli import _tables
from yisheng.core import files, run_folder
from yisheng.experiments.cross_validation import train_folds
from yisheng.experiments.search import run_search
from yisheng.inference.ensemble import BEST
from yisheng.reporting.search_facts import word
from yisheng.search.trial_table import TABLE, TRIALS


def show(folder: Path, *, as_json: bool, stream: TextIO, quiet: bool) -> None:
    """Tell of a finished run; the folder's path comes last.

    Args:
        folder: the run folder.
        as_json: print one object instead.
        stream: where the text for people goes.
        quiet: print the path only.
    """
    if run_search.is_search(folder):
        _show_search(folder, as_json=as_json, stream=stream, quiet=quiet)
        return
    if train_folds.is_study(folder):
        _show_study(folder, as_json=as_json, stream=stream, quiet=quiet)
        return
    trained = run_folder.run(folder)
    if as_json:
        scores = json.loads((folder / run_folder.SCORES).read_text(encoding="utf-8"))
        print(json.dumps({"run": str(folder), "best": dict(trained.best), "scores": scores}))
        return
    best = trained.best
    score = str(best["score"]).replace("_", "-")
    value = "" if best["value"] is None else f" (validation {score} {_tables.number(best['value'])})"
    if not quiet:
        print(f"\nbest weights: epoch {best['epoch']}{value}\n\n{_tables.scores(trained.scores)}\n", file=stream)
        print(f"report: {folder / 'report.html'}", file=stream)
    print(folder)


def _show_study(folder: Path, *, as_json: bool, stream: TextIO, quiet: bool) -> None:
    """Tell of a finished study of k folds."""
    trained = train_folds.run(folder)
    if as_json:
        scores, about = (files.read_json(folder / name) for name in (run_folder.SCORES, train_folds.STUDY))
        print(json.dumps({"run": str(folder), "folds": about, "scores": scores}))
        return
    if not quiet:
        about = files.read_json(folder / train_folds.STUDY)
        models = f"{len(about['each'])} models, {about['folds']} folds"
        print(f"\n{models}: validation is the mean over the folds, test the mean of the models", file=stream)
        print(f"\n{_tables.scores(trained.scores)}\n\nreport: {folder / 'report.html'}", file=stream)
    print(folder)


def _show_search(folder: Path, *, as_json: bool, stream: TextIO, quiet: bool) -> None:
    """Tell of a finished search: of its trials, and of the chosen setting's run."""
    about = files.read_json(folder / TRIALS)
    trials = {trial["number"]: trial for trial in about["trials"]}
    best, chosen = (trials[about[which]] for which in ("best", "chosen"))
    trained = run_folder.run(folder / BEST)
    if as_json:
        scores = json.loads((folder / BEST / run_folder.SCORES).read_text(encoding="utf-8"))
        found = {"score": about["score"], "trials": len(trials), "best": best, "chosen": chosen, "scores": scores}
        print(json.dumps({"run": str(folder), **found}))
        return
    if not quiet:
        print(f"\n{_table(about)}\n\nthe chosen setting's model:\n\n{_tables.scores(trained.scores)}\n", file=stream)
        print(f"all trials: {folder / TABLE}\nreport: {folder / 'report.html'}", file=stream)
    print(folder)


def _table(about: Mapping[str, Any], most: int = 10) -> str:
    """The best trials, and the chosen one."""
    sign = -1 if about["higher"] else 1
    scored = sorted((t for t in about["trials"] if t["mean"] is not None), key=lambda t: sign * t["mean"])
    marks = {about["best"]: "best", about["chosen"]: "chosen"}
    if about["best"] == about["chosen"]:
        marks = {about["best"]: "best, chosen"}
    shown = [t for place, t in enumerate(scored) if place < most or t["number"] in marks]
    names = [axis["name"] for axis in about["axes"]]
    rows = [["trial", *names, about["score"].replace("_", "-"), "± sd", "parameters", ""]]
    for trial in shown:
        values = [word(trial["setting"][name]) for name in names]
        spread = "" if trial["sd"] is None else _tables.number(trial["sd"])
        size = f"{trial['parameters']:,}"
        mark = marks.get(trial["number"], "")
        rows.append([str(trial["number"]), *values, _tables.number(trial["mean"]), spread, size, mark])
    return _tables.table(rows)
