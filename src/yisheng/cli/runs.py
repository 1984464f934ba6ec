"""List, rename, delete and export runs.

usage: yisheng runs [FOLDER ...] [data=GLOB] [model=GLOB] [name=GLOB] [state=GLOB]
                    [kind=GLOB] ["accuracy>0.9" ...] [sort=KEY] [n=20] [--json]
       yisheng runs rename RUN NEW [--json]
       yisheng runs delete RUN [RUN ...] [--yes] [--json]
       yisheng runs export RUN out=FILE.zip [model=true] [force=true] [--json]

Without FOLDER the runs in runs/ are listed, the newest first: runs, cross-validations and searches. Of a run folder the
folder itself and the runs in it are listed.

data=, model=, name=, state= (running, stopped, finished, failed) and kind= (run, cross-validation, search) are
patterns: data=fashion* or state=stopped,failed. A comparison of a score or number keeps the runs for which it is true;
it needs quotes in a shell.

sort= is a score, the best first (accuracy, validation.rmse, or score for the one that chose the epoch), or a column
(number, name, data, model, kind, state, completed, total, seconds, date). With - before it the order is the other way
round: sort=-accuracy. n= lists that number of runs at most.

delete asks before it deletes, or needs --yes. It refuses folders that are not run folders, and those in which a process
is training. export writes the whole folder as one zip file, with model=true only the files that prediction needs;
force=true replaces an existing file.

With --json each run is an object: path, number, name, kind, data, model, completed, total, unit, state, score, part,
value, low, high, seconds, started, notes, scores, problems.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message, translate
from yisheng.core.paths import parse_run_path
from yisheng.core.remote.sessions import name_address

FILTER_KEYS = ("data", "model", "name", "state", "kind")


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    actions: dict[str, Callable[[Arguments], None]] = {"rename": _rename, "delete": _delete, "export": _export}
    if arguments.inputs and arguments.inputs[0] in actions:
        action = arguments.inputs.pop(0)
        arguments.command = f"runs {action}"
        actions[action](arguments)
    else:
        _list(arguments)
    return 0


def _list(arguments: Arguments) -> None:
    patterns = {key: value for key in FILTER_KEYS if (value := arguments.take(key)) is not None}
    n = arguments.number("n", 20) if "n" in arguments.settings else None
    sort = arguments.take("sort")
    arguments.require_no_more(*FILTER_KEYS, "sort", "n")
    conditions = [word for word in arguments.inputs if re.search(r"[<>]", word)]
    arguments.inputs = [word for word in arguments.inputs if word not in conditions]
    folders = arguments.input_paths("a folder of runs")

    from yisheng.cli._terminal import terminal_width
    from yisheng.core.logging import logger
    from yisheng.experiments.run_folders.table import list_runs

    table = list_runs(folders, patterns=patterns, conditions=conditions, sort=sort, n=n)
    if arguments.json:
        print(json.dumps({"runs": table.to_json()}, ensure_ascii=False))
        return
    print(table.format(terminal_width() if sys.stdout.isatty() else None))
    for entry in table:
        for problem in entry.problems:
            logger.warning(f"{entry.path}: {problem}")


def _rename(arguments: Arguments) -> None:
    arguments.require_inputs(2, 2, Message("a run folder and its new name"))
    arguments.require_no_more()
    name = arguments.inputs.pop()
    (folder,) = arguments.input_paths("the run folder")

    from yisheng.experiments.run_folders.manage import rename_run

    path = rename_run(folder, name)
    print(json.dumps({"run": str(path), "name": name}, ensure_ascii=False) if arguments.json else path)


def _delete(arguments: Arguments) -> None:
    arguments.require_inputs(1, 10**9, Message("one or more run folders"))
    is_confirmed = arguments.flag("yes")
    arguments.require_no_more("yes")
    folders = [parse_run_path(word, writes=True) for word in arguments.inputs]

    from yisheng.experiments.run_folders.manage import delete_runs, require_deletable

    require_deletable(folders)
    if not is_confirmed:
        _confirm(folders)
    deleted = [name_address(folder) for folder in folders]
    delete_runs(folders)
    print(json.dumps({"deleted": deleted}, ensure_ascii=False) if arguments.json else "\n".join(deleted))


def _confirm(folders: list[Path]) -> None:
    """Ask on a terminal whether to delete; raise an error without an answer."""
    from yisheng.core.errors import UsageError
    from yisheng.experiments.run_folders.manage import measure_bytes

    size = sum(map(measure_bytes, folders)) / 1e6
    subject = str(folders[0]) if len(folders) == 1 else Message("{count} run folders", count=len(folders))
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError(
            Message(
                "{subject} ({size} MB) would be deleted, and nobody can be asked", subject=subject, size=f"{size:,.1f}"
            ),
            Message("use --yes to delete"),
        )
    question = Message("Delete {subject} ({size} MB)?", subject=subject, size=f"{size:,.1f}")
    print(f"{translate(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise UsageError(Message("nothing was deleted"), Message("answer y, or use --yes, to delete"))


def _export(arguments: Arguments) -> None:
    model, force, out = arguments.flag("model"), arguments.flag("force"), arguments.path("out")
    folder = arguments.run_folder(("model", "force", "out"))

    from yisheng.core.errors import UsageError
    from yisheng.experiments.run_folders.archive import export_run

    if out is None:
        raise UsageError(
            Message("yisheng runs export needs out=, the file to write"),
            Message("use out={name}.zip", name=folder.resolve().name),
        )
    archive = export_run(folder, out, model=model, force=force)
    if arguments.json:
        print(json.dumps({**asdict(archive), "path": str(archive.path)}, ensure_ascii=False))
    else:
        files = Message("{count} files, {size} MB:", count=archive.count, size=f"{archive.size / 1e6:,.2f}")
        print(f"{translate(files)}\n{archive.path}")
