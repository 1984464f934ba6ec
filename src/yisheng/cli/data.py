"""Data sets: list them, tell of one, show samples as a picture.

usage: yisheng data list [--json]
       yisheng data info NAME [key=value ...] [--json]
       yisheng data show NAME [key=value ...] [n=40] [seed=0] [out=NAME.png]

Further keys are options of the data set (folder=..., degree=3).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from yisheng.cli._arguments import Arguments

if TYPE_CHECKING:
    from yisheng.core.types import Dataset


def run(arguments: Arguments) -> int:
    """Do it."""
    from yisheng.core.errors import UsageError, closest

    actions = {"list": _list, "info": _info, "show": _show}
    action = arguments.inputs.pop(0) if arguments.inputs else ""
    if action not in actions:
        raise UsageError(
            f"yisheng data wants one of {', '.join(actions)}, got {action or 'nothing'}", closest(action, actions)
        )
    actions[action](arguments)
    return 0


def _list(arguments: Arguments) -> None:
    from yisheng.cli._text import table
    from yisheng.core import registry

    arguments.inputs_only(0, 0, "nothing after list")
    as_json = arguments.flag("json")
    arguments.end({"json"})
    entries = list(registry.entries("data.sets"))
    if as_json:
        print(json.dumps({e.name: e.about for e in entries}))
    else:
        print(table([["data set", "what it is"], *([e.name, e.about] for e in entries)]))


def _info(arguments: Arguments) -> None:
    from yisheng.data.show import info

    as_json = arguments.flag("json")
    found = info(_dataset(arguments))
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    from yisheng.cli._text import table

    for key, value in found.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            print(f"{key}:\n{table([list(value[0]), *([str(v) for v in row.values()] for row in value)])}")
        elif isinstance(value, dict):
            print(f"{key}: {', '.join(f'{k} {v}' for k, v in value.items())}")
        else:
            print(f"{key}: {value}")


def _show(arguments: Arguments) -> None:
    from yisheng.core import files
    from yisheng.data.show import grid

    out, n, seed = arguments.take("out"), arguments.number("n", 40), int(arguments.take("seed", "0") or 0)
    dataset = _dataset(arguments)
    path = Path(out or f"{dataset.name}.png")
    picture = grid(dataset, n=n, seed=seed)
    with files.replacing(path) as temporary:
        picture.save(temporary, format="PNG")
    print(path)


def _dataset(arguments: Arguments) -> Dataset:
    """The data set that the words name, built with its options."""
    from yisheng.core.errors import UsageError, closest
    from yisheng.core.recipe import Setting, resolve
    from yisheng.core.registry import names
    from yisheng.verbs import load

    if len(arguments.inputs) != 1:
        raise UsageError("name one data set", closest("", names("data.sets")))
    settings: list[Setting] = [("data", arguments.inputs[0], "command line")]
    settings += [(f"data.{key}", value, "command line") for key, value in arguments.settings.items()]
    return load.dataset(resolve(settings).recipe)
