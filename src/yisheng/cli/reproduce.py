"""Train again by a run's config, and say whether it came out the same.

usage: yisheng reproduce RUN [force=true] [--json] [--quiet]

Compares the weights (SHA-256), the events but for their seconds, and the scores; the run itself is only
read. Ends with code 0 if all are the same, with 1 if not, and then tells what has changed of what the run
depends on: versions, processor, threads, data, code. force=true trains although the data changed.
"""

from __future__ import annotations

import json
from pathlib import Path

from yisheng.cli._arguments import Arguments, streams


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(1, 1, "one run folder")
    as_json, quiet, force = arguments.flag("json"), arguments.flag("quiet"), arguments.flag("force")
    arguments.end({"json", "quiet", "force"})
    _, remarks = streams(as_json, quiet)

    from yisheng.cli._tables import table
    from yisheng.experiments.reproduce import reproduce

    found = reproduce(Path(arguments.inputs[0]), force=force, stream=remarks)
    if as_json:
        changed = {name: {"then": then, "now": now} for name, (then, now) in found.changed.items()}
        print(json.dumps({"same": found.same, **found.parts, "changed": changed}))
        return 0 if found.same else 1
    differ = [name for name, same in found.parts.items() if not same]
    print(f"different: {', '.join(differ)}" if differ else "the same: weights, events and scores")
    if differ and not quiet:
        rows = [[name, *map(_shown, values)] for name, values in found.changed.items()]
        print("\n" + (table([["changed", "then", "now"], *rows]) if rows else UNKNOWN))
    return 0 if found.same else 1


UNKNOWN = (
    "Nothing that the run recorded has changed. On a GPU, sums may come out in another order each time. A run that\n"
    "was made longer after its end began with another schedule. Or its files were changed: `yisheng evaluate RUN`\n"
    "checks the weights against their hash."
)


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {v}" for key, v in value.items())
    return "unknown" if value is None else str(value)
