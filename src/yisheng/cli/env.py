"""Show facts about this machine, and what to do about what is missing.

usage: yisheng env [--json]
"""

from __future__ import annotations

import json

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message, translate
from yisheng.core.text_tables import format_fact, format_table


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    arguments.require_inputs(0, 0, Message("no inputs"))
    arguments.require_no_more()

    from yisheng.experiments.environment import advise, collect_facts

    machine = collect_facts()
    lines = advise(machine)
    if arguments.json:
        print(json.dumps({**machine, "advice": lines}))
        return 0
    print(format_table([[key.replace("_", " "), format_fact(value)] for key, value in machine.items()], head=False))
    advice = [f"- {translate(line)}" for line in lines] or [translate(Message("Nothing is missing."))]
    print("\n" + "\n".join(advice))
    return 0
