"""Tell of a concept: its equation, the lines written by hand, the usual call, when to use it.

usage: yisheng explain [--json]                           all concepts, one line each
       yisheng explain NAME [out=NAME.png] [--json]

out= writes the concept's image, where there is one, as .png, .svg or .pdf. Both the hand-written lines and the
usual call run as they are printed; docs/equivalence.md says how closely they agree.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(0, 1, "at most one name")
    as_json = arguments.flag("json")
    if not arguments.inputs:
        arguments.end({"json"})
        _list(as_json)
        return 0
    out = arguments.take("out")
    arguments.end({"out", "json"})

    from yisheng.experiments.explain import explain

    told = explain(arguments.inputs[0])
    if out is not None:
        told.draw(out)
    if as_json:
        print(json.dumps({**asdict(told), "out": out}, ensure_ascii=False))
        return 0
    print(told)
    if out is not None:
        print(f"\nIts image is in {out}")
    elif told.image:
        print(f"\nThere is an image too: yisheng explain {told.name} out={told.name}.png")
    return 0


def _list(as_json: bool) -> None:
    from yisheng.cli._tables import table
    from yisheng.core import registry

    entries = list(registry.entries("scratch"))
    if as_json:
        print(json.dumps({e.name: e.about for e in entries}, ensure_ascii=False))
    else:
        print(table([["concept", "what it is"], *([e.name, e.about] for e in entries)]))
