"""List the networks, or tell of one: its options and its size.

usage: yisheng models [NAME] [--json]
"""

from __future__ import annotations

import json

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(0, 1, "at most one name")
    as_json = arguments.flag("json")
    arguments.end({"json"})

    from yisheng.cli._text import table
    from yisheng.core import registry

    if not arguments.inputs:
        entries = list(registry.entries("models"))
        if as_json:
            print(json.dumps({e.name: e.about for e in entries}))
        else:
            print(table([["model", "what it is"], *([e.name, e.about] for e in entries)]))
        return 0
    entry = registry.find("models", arguments.inputs[0])
    options = {o.name: {"default": o.default, "help": o.help} for o in entry.options.values()}
    if as_json:
        print(json.dumps({"name": entry.name, "about": entry.about, "options": options}))
        return 0
    print(f"{entry.name}: {entry.about}\n")
    rows = [[name, _shown(o["default"]), str(o["help"])] for name, o in options.items()]
    print(table([["option", "default", "what it is"], *rows]) if rows else "It has no options.")
    return 0


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
