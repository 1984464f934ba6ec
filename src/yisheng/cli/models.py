"""List the networks, or tell of one: its options, its layers and its size.

usage: yisheng models [--json]
       yisheng models NAME [key=value ...] [shape=3,224,224] [classes=10] [--json]

Further keys are options of the network (style=small, ratio=4). The shape is that of one input: channels, rows and
columns of an image, or the number of features of a row. classes=1 stands for regression. Multiply-adds are those
of convolutions and linear layers, for one input. No memory is taken for the weights.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from yisheng.cli._arguments import Arguments

if TYPE_CHECKING:
    from yisheng.core.registry import Entry
    from yisheng.core.types import Spec
    from yisheng.models.summary import Summary

IMAGE, ROW = (3, 224, 224), (8,)
MOST = 10**9


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(0, 1, "at most one name")
    as_json = arguments.flag("json")
    if not arguments.inputs:
        arguments.end({"json"})
        _list(as_json)
        return 0

    from yisheng.core import registry
    from yisheng.models.summary import outline

    entry = registry.find("models", arguments.inputs[0])
    chosen = {key: arguments.settings.pop(key) for key in entry.options if key in arguments.settings}
    spec = _spec(entry, arguments.take("shape"), arguments.number("classes", 10))
    arguments.end({*entry.options, "shape", "classes", "json"})
    found = outline(entry.name, spec, **chosen)
    options = {o.name: {"default": o.default, "help": o.help} for o in entry.options.values()}
    if as_json:
        told = {"name": entry.name, "about": entry.about, "options": options}
        sizes = {"shape": spec.shape, "outputs": spec.outputs, "layers": [asdict(row) for row in found.rows]}
        print(json.dumps({**told, **sizes, "parameters": found.parameters, "multiply_adds": found.multiply_adds}))
        return 0
    _tell(entry, options, chosen, spec, found)
    return 0


def _list(as_json: bool) -> None:
    from yisheng.cli._tables import table
    from yisheng.core import registry

    entries = list(registry.entries("models"))
    if as_json:
        print(json.dumps({e.name: e.about for e in entries}))
    else:
        print(table([["model", "what it is"], *([e.name, e.about] for e in entries)]))


def _tell(entry: Entry, options: dict[str, Any], chosen: dict[str, str], spec: Spec, found: Summary) -> None:
    from yisheng.cli._tables import table

    print(f"{entry.name}: {entry.about}\n")
    rows = [[name, _shown(o["default"]), str(o["help"])] for name, o in options.items()]
    print(table([["option", "default", "what it is"], *rows]) if rows else "It has no options.")
    said = "".join(f", {key}={value}" for key, value in chosen.items())
    print(f"\nOn inputs of {_by(spec.shape)} with {spec.outputs} output{'s' * (spec.outputs != 1)}{said}:\n")
    layers = [
        [row.name, row.kind, _by(row.output), _count(row.parameters), _count(row.multiply_adds)] for row in found.rows
    ]
    total = ["total", "", "", _count(found.parameters), _count(found.multiply_adds)]
    print(table([["layer", "kind", "output", "parameters", "multiply-adds"], *layers, total]))


def _spec(entry: Entry, shape: str | None, classes: int) -> Spec:
    """The contract of some data of that shape: with one class, a number is predicted."""
    from yisheng.core.types import Spec

    def spec(shape: tuple[int, ...]) -> Spec:
        if classes == 1:
            return Spec("regression", shape)
        return Spec("classification", shape, classes=("0", "1"), outputs=classes)  # what counts is how many there are

    if shape is not None:
        return spec(_sizes(shape))
    fits = entry.meta.get("fits", lambda _: True)
    return spec(entry.meta.get("shape") or (ROW if fits(spec(ROW)) else IMAGE))


def _sizes(text: str) -> tuple[int, ...]:
    from yisheng.core.errors import UsageError

    parts = re.split("[,x]", text)
    sizes = tuple(int(part) for part in parts if re.fullmatch("[0-9]{1,10}", part))
    if len(sizes) != len(parts) or len(sizes) not in (1, 3) or not 1 <= math.prod(sizes) <= MOST:
        raise UsageError(
            f"shape must be the features of a row or channels,rows,columns of an image, {MOST:,} values at most, "
            f"got {text!r}",
            "write shape=8 or shape=3,224,224",
        )
    return sizes


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _shown(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
