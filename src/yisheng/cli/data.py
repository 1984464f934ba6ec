"""Data sets: list them, look into one, fetch the files behind them.

usage: yisheng data list [--json]
       yisheng data info NAME [key=value ...] [--json]
       yisheng data show NAME [key=value ...] [n=40] [seed=0] [out=NAME.png]
       yisheng data show NAME augment=flip,crop [pad=4 ...] [n=10] [seed=0] [out=NAME-augmented.png]
       yisheng data fetch NAME [form=...] [--json]
       yisheng data import FILE [--json]
       yisheng data verify [NAME] [--json]
       yisheng data bundle NAME[:FORM] ... out=FILE.zip [--json]

NAME is a data set, or for info and show the path of your own folder, zip, table or arrays (photos/). Further keys of
info and show are options of the data set (folder=..., degree=3). info of a table without target= shows its columns, and
which of them may be the target. show augment=... draws images before and after augmentation;
its options are written as for training (pad=4, or augment.crop.pad=4).

Training fetches the files that it needs; fetch does it in advance. Without a network: bundle the sets on a machine that
has one, copy the file, and import it. import also takes any single file that you downloaded yourself, under any name:
it is identified by its checksum. verify reads the files again and ends with code 3 if one is damaged, or if no form of
the given set is complete.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message, translate
from yisheng.core.printable import escape_line
from yisheng.core.text_tables import format_table


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    from yisheng.core.errors import UsageError, suggest

    actions: dict[str, Callable[[Arguments], int | None]] = {
        "list": _list,
        "info": _info,
        "show": _show,
        "fetch": _fetch,
        "import": _import,
        "verify": _verify,
        "bundle": _bundle,
    }
    action = arguments.inputs.pop(0) if arguments.inputs else ""
    if action not in actions:
        raise UsageError(
            Message(
                "yisheng data needs one of {actions}, got {action}",
                actions=", ".join(actions),
                action=action or Message("none"),
            ),
            suggest(action, actions),
        )
    arguments.command = f"data {action}"
    return actions[action](arguments) or 0


def _list(arguments: Arguments) -> None:
    from yisheng.experiments.data_sets import list_data_sets, list_file_sets

    arguments.require_inputs(0, 0, Message("nothing after list"))
    arguments.require_no_more()
    sets, file_sets = list_data_sets(), list_file_sets()
    if arguments.json:
        print(json.dumps({"sets": sets, "files_only": file_sets}, ensure_ascii=False))
        return
    rows = [[name, facts["files"], facts["about"]] for name, facts in sets.items()]
    print(format_table([["data set", "files", "what it is"], *rows]))
    if file_sets:
        rows = [[name, ", ".join(facts["forms"]), facts["about"]] for name, facts in file_sets.items()]
        table = format_table([["set", "forms", "what it is"], *rows])
        print(f"\n{translate(Message('Files only, for `yisheng data fetch NAME`:'))}\n\n{table}")


def _info(arguments: Arguments) -> None:
    from yisheng.experiments.data_sets import describe_data_set

    facts = describe_data_set(_one_data_set(arguments), arguments.settings)
    if arguments.json:
        print(json.dumps(facts, ensure_ascii=False))
        return
    for key, value in facts.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            print(f"{key}:\n{format_table([list(value[0]), *([str(v) for v in row.values()] for row in value)])}")
        elif isinstance(value, dict):
            print(f"{key}: {escape_line(', '.join(f'{k} {v}' for k, v in value.items()))}")
        else:
            print(f"{key}: {escape_line(str(value))}")


def _show(arguments: Arguments) -> None:
    from yisheng.experiments.data_sets import draw_data_set

    out, augment = arguments.path("out"), arguments.take("augment")
    n = arguments.number("n", 40) if "n" in arguments.settings else None
    seed = arguments.number("seed", 0, minimum=0)
    name = _one_data_set(arguments)
    print(escape_line(str(draw_data_set(name, arguments.settings, augment=augment, n=n, seed=seed, out=out))))


def _fetch(arguments: Arguments) -> None:
    from yisheng.experiments.data_sets import fetch_files

    arguments.require_inputs(1, 1, Message("the name of one set"))
    form = arguments.take("form")
    arguments.require_no_more("form")
    name, paths = fetch_files(arguments.inputs[0], form)
    files = {file: str(path) for file, path in paths.items()}
    _print(arguments, {"set": name, "files": files}, files.values())


def _import(arguments: Arguments) -> None:
    from yisheng.experiments.data_sets import import_files

    arguments.require_inputs(1, 1, Message("one file"))
    arguments.require_no_more()
    imported = import_files(arguments.input_paths("the file")[0])
    plain = [{"set": name, "file": file} for name, file in imported]
    _print(arguments, {"taken": plain}, [f"{name}/{file}" for name, file in imported])


def _verify(arguments: Arguments) -> int:
    from yisheng.experiments.data_sets import describe_status, verify_files

    arguments.require_inputs(0, 1, Message("at most one set"))
    arguments.require_no_more()
    all_good, statuses = verify_files(arguments.inputs[0] if arguments.inputs else None)
    rows = [["set", "file", "state"], *([status.set, status.file, status.state] for status in statuses)]
    lines = [format_table(rows) if statuses else translate(Message("There are no files in the cache."))]
    lines += [f"\n{status.set}/{status.file}: {status.detail}" for status in statuses if status.detail]
    _print(arguments, {"good": all_good, "checked": [describe_status(status) for status in statuses]}, lines)
    return 0 if all_good else 3


def _bundle(arguments: Arguments) -> None:
    from yisheng.core.errors import UsageError
    from yisheng.experiments.data_sets import bundle_files

    arguments.require_inputs(1, 10**6, Message("the names of one or more sets"))
    out = arguments.path("out")
    arguments.require_no_more("out")
    if out is None:
        raise UsageError(
            Message("yisheng data bundle needs out=, the file to write"),
            Message("use out={inputs}.zip", inputs=arguments.inputs[0]),
        )
    names, path = bundle_files(arguments.inputs, out)
    _print(arguments, {"bundle": str(path), "sets": names, "bytes": path.stat().st_size}, [str(path)])


def _one_data_set(arguments: Arguments) -> str:
    """Return the only input, a data set's name or path."""
    from yisheng.core import registry
    from yisheng.core.errors import UsageError, suggest

    if len(arguments.inputs) != 1:
        raise UsageError(Message("name one data set"), suggest("", registry.names("data.datasets")))
    return arguments.inputs[0]


def _print(arguments: Arguments, plain: dict[str, Any], lines: Iterable[str]) -> None:
    print(json.dumps(plain, ensure_ascii=False) if arguments.json else "\n".join(lines))
