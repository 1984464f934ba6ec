"""Show every value of a config and where it came from, without training.

usage: yisheng config [config=FILE.toml] [key=value ...] [--json] [toml=true]

toml=true prints a config file with these values.
"""

from __future__ import annotations

import json

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(0, 0, "keys and values only")
    as_json, as_toml = arguments.flag("json"), arguments.flag("toml")

    from yisheng.cli._config import resolved
    from yisheng.cli._tables import table
    from yisheng.core import registry
    from yisheng.core.config import AUGMENT, AUTO, Choice, Config, kind_of

    found = resolved(arguments)
    if as_toml:
        print(found.config.to_toml(), end="")
        return 0
    values: dict[str, object] = {}
    for key in type(found.config).model_fields:
        value = getattr(found.config, key)
        chosen = {f"{key}.{c.name}": c for c in value} if key == AUGMENT else {key: value}
        if key == AUGMENT:
            values[key] = AUTO if value == Config.model_fields[key].default else [c.name for c in value] or None
        else:
            values[key] = value.name if isinstance(value, Choice) else value
        for where, choice in chosen.items():
            if not isinstance(choice, Choice):
                continue
            options = {}
            if choice.name != AUTO:
                entry = registry.find(kind_of(where), choice.name)
                options = {o.name: o.default for o in entry.options.values() if o.default is not registry.REQUIRED}
            values |= {f"{where}.{name}": option for name, option in {**options, **choice.options}.items()}
    rows = [["key", "value", "from"]]
    for key, value in values.items():
        origin = found.origins.get(key, "default")
        rows.append([key, _shown(value), "chosen for the data" if value == AUTO and key != "device" else origin])
    if as_json:
        print(json.dumps({row[0]: {"value": _plain(values[row[0]]), "from": row[2]} for row in rows[1:]}))
    else:
        print(table(rows))
    return 0


def _shown(value: object) -> str:
    if isinstance(value, tuple | list):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value is None else str(value)


def _plain(value: object) -> object:
    return value if isinstance(value, int | float | str | bool | type(None)) else _shown(value)
