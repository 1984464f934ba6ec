"""List the networks, or describe one: its options, its layers and its size.

usage: yisheng models [--json]
       yisheng models NAME [key=value ...] [shape=3,224,224] [classes=10] [--json]

Further keys are options of the network (style=small, ratio=4). The shape is that of one input: channels, rows and
columns of an image, or the number of features of a row. classes=1 means regression. Multiply-adds are those of
convolutions and linear layers, for one input. No memory is allocated for the weights.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message, plural_message, translate
from yisheng.core.text_tables import format_table

if TYPE_CHECKING:
    from yisheng.core.entry import Entry


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    arguments.require_inputs(0, 1, Message("at most one name"))
    if not arguments.inputs:
        arguments.require_no_more()
        _list(arguments)
        return 0

    from yisheng.core import registry
    from yisheng.experiments.model_outline import outline_model

    entry = registry.find("models", arguments.inputs[0])
    chosen = {key: arguments.settings.pop(key) for key in entry.options if key in arguments.settings}
    shape, classes = arguments.take("shape"), arguments.number("classes", 10)
    arguments.require_no_more(*entry.options, "shape", "classes")
    spec, outline = outline_model(entry.name, chosen, shape=shape, classes=classes)
    if arguments.json:
        facts = {
            "name": entry.name,
            "about": entry.about,
            "options": {o.name: {"default": o.default, "help": o.help} for o in entry.options.values()},
            "shape": spec.shape,
            "outputs": spec.outputs,
            "layers": [asdict(row) for row in outline.rows],
            "parameters": outline.parameters,
            "multiply_adds": outline.multiply_adds,
        }
        print(json.dumps(facts))
        return 0
    _print_options(entry)
    settings = "".join(f", {key}={value}" for key, value in chosen.items())
    values = {"shape": _format_shape(spec.shape), "outputs": spec.outputs, "settings": settings}
    about = plural_message(
        spec.outputs,
        "On inputs of {shape} with {outputs} output{settings}:",
        "On inputs of {shape} with {outputs} outputs{settings}:",
        **values,
    )
    print(f"\n{translate(about)}\n")
    layers = [
        [
            row.name,
            row.kind,
            _format_shape(row.output),
            _format_count(row.parameters),
            _format_count(row.multiply_adds),
        ]
        for row in outline.rows
    ]
    total = [Message("total"), "", "", _format_count(outline.parameters), _format_count(outline.multiply_adds)]
    head = [
        Message("layer"),
        Message("kind"),
        Message("output"),
        Message("parameters"),
        Message("multiply-adds"),
    ]
    print(format_table([head, *layers, total]))
    return 0


def _list(arguments: Arguments) -> None:
    from yisheng.core import registry

    entries = list(registry.entries("models"))
    if arguments.json:
        print(json.dumps({e.name: e.about for e in entries}))
    else:
        print(format_table([[Message("model"), Message("what it is")], *([e.name, e.about] for e in entries)]))


def _print_options(entry: Entry) -> None:
    print(translate(Message("{name}: {description}", name=entry.name, description=entry.about)), end="\n\n")
    head = [Message("option"), Message("default"), Message("what it is")]
    rows = [[o.name, _format_default(o.default), o.help] for o in entry.options.values()]
    print(format_table([head, *rows]) if rows else translate(Message("It has no options.")))


def _format_shape(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _format_count(number: int) -> str:
    return f"{number:,}" if number else ""


def _format_default(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
