"""Write a run's report.html again from the files of its folder.

usage: yisheng report RUN [--json]
"""

from __future__ import annotations

import json
from pathlib import Path

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(1, 1, "one run folder")
    as_json = arguments.flag("json")
    arguments.end({"json"})

    from yisheng.core import run_folder
    from yisheng.experiments.evaluate import report
    from yisheng.experiments.search import run_search as tune

    folder = Path(arguments.inputs[0])
    if tune.is_search(folder):
        path = tune.report(folder)
    else:
        run_folder.config(folder)  # is it a run folder at all?
        path = report(folder)
    print(json.dumps({"report": str(path)}) if as_json else path)
    return 0
