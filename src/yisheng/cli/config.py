"""Show every value of a config and its origin, without training.

usage: yisheng config [config=FILE.toml] [key=value ...] [--json] [toml=true]
       yisheng config schema [out=FILE.json]

toml=true prints a config file with these values. schema prints the JSON schema of config files (draft 2020-12), with
which an editor completes and checks them; out= writes it to a file.
"""

from __future__ import annotations

import json

from yisheng.cli._arguments import Arguments
from yisheng.cli._values import format_value
from yisheng.core.messages import Message, translate
from yisheng.core.text_tables import format_table


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    if arguments.inputs == ["schema"]:
        return _print_schema(arguments)
    arguments.require_inputs(0, 0, Message("keys and values only, or the word schema"))
    as_toml = arguments.flag("toml")

    from yisheng.cli._config import parse_config
    from yisheng.core.config_listing import list_values

    merged = parse_config(arguments)
    if as_toml:
        print(merged.config.to_toml(), end="")
        return 0
    values = list_values(merged)
    if arguments.json:
        print(json.dumps({key: {"value": _to_json(value), "from": origin} for key, (value, origin) in values.items()}))
    else:
        rows = [[key, format_value(value), origin] for key, (value, origin) in values.items()]
        print(format_table([["key", "value", "from"], *rows]))
    return 0


def _print_schema(arguments: Arguments) -> int:
    """Print the schema of config files, or write it to the file of ``out=``."""
    out = arguments.path("out")
    arguments.require_no_more("out")

    from yisheng.core import files
    from yisheng.core.config_schema import make_config_schema

    schema = make_config_schema()
    if out is None:
        print(json.dumps(schema, indent=None if arguments.json else 2, ensure_ascii=False))
        return 0
    files.write_json(out, schema)
    if arguments.json:
        print(json.dumps({"out": str(out)}))
    elif not arguments.quiet:
        print(translate(Message("The schema is in {path}", path=out)))
    return 0


def _to_json(value: object) -> object:
    return value if isinstance(value, int | float | str | bool | type(None)) else format_value(value)


def more_help(width: int) -> str:
    """Return the keys of the config, wrapped to a width."""
    from yisheng.cli._config import keys_help

    return keys_help(width)
