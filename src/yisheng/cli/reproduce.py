"""Train again by a run's config, and compare the results.

usage: yisheng reproduce RUN [force=true] [--json] [--quiet]

Compares the weights (SHA-256), the events without their seconds, and the scores; the run itself is only read. Ends with
code 0 if all are the same, else with 1, and then lists what has changed of what the run depends on: versions,
processor, threads, data, code. force=true trains although the data changed.
"""

from __future__ import annotations

import json

from yisheng.cli._arguments import Arguments
from yisheng.cli._values import format_fact
from yisheng.core.text_tables import format_table

NOTHING_CHANGED = (
    "Nothing that the run recorded has changed. On a GPU, sums may be computed in another order each time. A run that\n"
    "was resumed with more epochs began with another schedule. Or its files were changed: `yisheng evaluate RUN`\n"
    "checks the weights against their hash."
)


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    force = arguments.flag("force")
    folder = arguments.run_folder({"force"})

    from yisheng.experiments.reproduce import reproduce

    reproduction = reproduce(folder, force=force)
    code = 0 if reproduction.identical else 1
    if arguments.json:
        changed = {name: {"then": old, "now": new} for name, (old, new) in reproduction.changed.items()}
        print(json.dumps({"same": reproduction.identical, **reproduction.parts, "changed": changed}))
        return code
    different = [name for name, is_same in reproduction.parts.items() if not is_same]
    print(f"different: {', '.join(different)}" if different else "the same: weights, events and scores")
    if different and not arguments.quiet:
        rows = [[name, *map(format_fact, values)] for name, values in reproduction.changed.items()]
        print("\n" + (format_table([["changed", "then", "now"], *rows]) if rows else NOTHING_CHANGED))
    return code
