"""Train again by a run's config, and compare the results.

usage: yisheng reproduce RUN [force=true] [model=FILE.py:CLASS ...] [--json] [--quiet]

Compares the weights (SHA-256), the events without their seconds, and the scores; the run itself is only read. Ends with
code 0 if all are the same, else with 1, and then lists what has changed of what the run depends on: versions,
processor, threads, data, code. force=true trains although the data changed. Components of your own are named again
(model=net.py:Net, also loss, optimizer, schedule, metrics, augment, init), as for `yisheng resume`.
"""

from __future__ import annotations

import json

from yisheng.cli._arguments import Arguments
from yisheng.cli.resume import KEYS


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    force = arguments.flag("force")
    components = {key: arguments.take(key) for key in KEYS}
    folder = arguments.run_folder(("force", *KEYS))

    from yisheng.core.supplied_components import supply_components
    from yisheng.experiments.reproduce import reproduce

    with supply_components(**components):
        reproduction = reproduce(folder, force=force)
    code = 0 if reproduction.identical else 1
    if arguments.json:
        changed = {name: {"then": old, "now": new} for name, (old, new) in reproduction.changed.items()}
        print(json.dumps({"same": reproduction.identical, **reproduction.parts, "changed": changed}))
        return code
    print(str(reproduction).partition("\n")[0] if arguments.quiet else reproduction)
    return code
