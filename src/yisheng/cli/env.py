"""Tell what this machine is good for, and what to do about what is missing.

usage: yisheng env [--json]
"""

from __future__ import annotations

import json

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(0, 0, "no inputs")
    as_json = arguments.flag("json")
    arguments.end({"json"})

    from yisheng.cli._tables import table
    from yisheng.experiments.environment import advice, facts

    found = facts()
    said = advice(found)
    if as_json:
        print(json.dumps({**found, "advice": said}))
        return 0
    print(table([[key.replace("_", " "), _shown(value)] for key, value in found.items()], head=False))
    print("\n" + ("\n".join(f"- {line}" for line in said) or "Nothing is missing."))
    return 0


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_shown(v)}" for key, v in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "unknown" if value is None else str(value)
