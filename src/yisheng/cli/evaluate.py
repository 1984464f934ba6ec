"""Score a run's best weights again on its data; write its scores and report again.

usage: yisheng evaluate RUN [force=true] [--json]

force=true scores it although the data differs from the data of the training.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from yisheng.cli._arguments import Arguments
from yisheng.core.text_tables import format_scores


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    force = arguments.flag("force")
    folder = arguments.run_folder({"force"})

    from yisheng.experiments.dispatch import evaluate

    scores = evaluate(folder, force=force)
    if arguments.json:
        print(json.dumps({part: {n: asdict(s) for n, s in named.items()} for part, named in scores.items()}))
    else:
        print(format_scores(scores))
    return 0
