"""What train and resume say at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

from yisheng.cli import _text
from yisheng.core import files
from yisheng.verbs import cross, folders


def show(folder: Path, *, as_json: bool, stream: TextIO, quiet: bool) -> None:
    """Tell of a finished run; the folder's path comes last.

    Args:
        folder: the run folder.
        as_json: print one object instead.
        stream: where the text for people goes.
        quiet: print the path only.
    """
    if cross.is_study(folder):
        _show_study(folder, as_json=as_json, stream=stream, quiet=quiet)
        return
    trained = folders.run(folder)
    if as_json:
        scores = json.loads((folder / folders.SCORES).read_text(encoding="utf-8"))
        print(json.dumps({"run": str(folder), "best": dict(trained.best), "scores": scores}))
        return
    best = trained.best
    score = str(best["score"]).replace("_", "-")
    value = "" if best["value"] is None else f" (validation {score} {_text.number(best['value'])})"
    if not quiet:
        print(f"\nbest weights: epoch {best['epoch']}{value}\n\n{_text.scores(trained.scores)}\n", file=stream)
        print(f"report: {folder / 'report.html'}", file=stream)
    print(folder)


def _show_study(folder: Path, *, as_json: bool, stream: TextIO, quiet: bool) -> None:
    """Tell of a finished study of k folds."""
    trained = cross.run(folder)
    if as_json:
        scores, about = (files.read_json(folder / name) for name in (folders.SCORES, cross.STUDY))
        print(json.dumps({"run": str(folder), "folds": about, "scores": scores}))
        return
    if not quiet:
        about = files.read_json(folder / cross.STUDY)
        models = f"{len(about['each'])} models, {about['folds']} folds"
        print(f"\n{models}: validation is the mean over the folds, test the mean of the models", file=stream)
        print(f"\n{_text.scores(trained.scores)}\n\nreport: {folder / 'report.html'}", file=stream)
    print(folder)
