"""Score a run's best weights again on its data, and rewrite its scores and report.

usage: yisheng evaluate RUN [force=true] [--json]

force=true scores it although the data is not what it was in training.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(1, 1, "one run folder")
    as_json, force = arguments.flag("json"), arguments.flag("force")
    arguments.end({"json", "force"})

    from yisheng.cli._tables import scores
    from yisheng.experiments.evaluate import evaluate

    found = evaluate(Path(arguments.inputs[0]), force=force)
    if as_json:
        print(json.dumps({part: {n: asdict(s) for n, s in named.items()} for part, named in found.items()}))
    else:
        print(scores(found))
    return 0
