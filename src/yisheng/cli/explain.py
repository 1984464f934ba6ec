"""Explain a concept: its equation, the code from scratch, the library's call, when to use it.

usage: yisheng explain [--json]                           all concepts, one line each
       yisheng explain NAME [out=NAME.png] [--json]

NAME is a concept (dropout), what a config takes (resnet18, loss.huber, epochs, lr, bf16), or another name of one of
them: of torch (CrossEntropyLoss), an abbreviation (mse), or Chinese (权重衰减).
out= writes the concept's image, if there is one, as .png, .svg or .pdf. Both the code from scratch and the library's
call run as they are printed; docs/equivalence.md says how closely they agree.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message, translate
from yisheng.core.text_tables import format_table


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    arguments.require_inputs(0, 1, Message("at most one name"))
    if not arguments.inputs:
        arguments.require_no_more()
        _list(arguments)
        return 0
    out = arguments.path("out")
    arguments.require_no_more("out")

    from yisheng.experiments.explain import explain

    explanation = explain(arguments.inputs[0])
    if out is not None:
        explanation.draw(out)
    if arguments.json:
        print(json.dumps({**asdict(explanation), "out": None if out is None else str(out)}, ensure_ascii=False))
        return 0
    print(explanation)
    if out is not None:
        print(f"\n{translate(Message('Its image is in {path}', path=out))}")
    elif explanation.image:
        print(f"\n{translate(Message('For its image: yisheng explain {name} out={name}.png', name=explanation.name))}")
    return 0


def _list(arguments: Arguments) -> None:
    from yisheng.core import registry
    from yisheng.experiments.explain import find_page_term
    from yisheng.experiments.explain_names import CONCEPT, Meaning

    entries = list(registry.entries("scratch"))
    if arguments.json:
        print(json.dumps({e.name: e.about for e in entries}, ensure_ascii=False))
        return
    terms = {e.name: find_page_term(Meaning(CONCEPT, e.name)) for e in entries}
    rows = [[e.name, (term.chinese[0] if (term := terms[e.name]) else ""), e.about] for e in entries]
    print(format_table([[Message("concept"), Message("in Chinese"), Message("what it is")], *rows]))
