"""Write the report.html of a run, a cross-validation or a search again from the files of its folder.

usage: yisheng report RUN [--json]
"""

from __future__ import annotations

import json

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    folder = arguments.run_folder(writes=True)

    from yisheng.experiments.dispatch import write_report

    path = write_report(folder)
    print(json.dumps({"report": str(path)}) if arguments.json else path)
    return 0
