"""Data sets: list them, look into one, bring the files behind them.

usage: yisheng data list [--json]
       yisheng data info NAME [key=value ...] [--json]
       yisheng data show NAME [key=value ...] [n=40] [seed=0] [out=NAME.png]
       yisheng data show NAME augment=flip,crop [pad=4 ...] [n=10] [seed=0] [out=NAME-augmented.png]
       yisheng data fetch NAME [form=...] [--json]
       yisheng data import FILE [--json]
       yisheng data verify [NAME] [--json]
       yisheng data bundle NAME[:FORM] ... out=FILE.zip [--json]

NAME is a data set, or for info and show the path of a folder, zip or table of your own (photos/). Further keys
of info and show are options of the data set (folder=..., degree=3). show augment=... draws images before and
after augmentation; options are written as for training (pad=4, or augment.crop.pad=4).

Training fetches what it needs by itself; fetch does it beforehand. Without a network: bundle the sets on
a machine that has one, carry the file over, and import it there. import also takes any single file that
you downloaded by hand, under whatever name: it is known by its checksum. verify reads the files again and
ends with code 3 if one is damaged, or if no form of the set that it was asked for is whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.cli._arguments import Arguments

if TYPE_CHECKING:
    from yisheng.core.types import Dataset
    from yisheng.data.show import Change

NOTHING = "There are no files in the cache."


def run(arguments: Arguments) -> int:
    """Do it."""
    from yisheng.core.errors import UsageError, closest

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
            f"yisheng data wants one of {', '.join(actions)}, got {action or 'nothing'}", closest(action, actions)
        )
    arguments.verb = f"data {action}"
    return actions[action](arguments) or 0


def _list(arguments: Arguments) -> None:
    from yisheng.cli._tables import table
    from yisheng.core import registry
    from yisheng.data.hub import catalog
    from yisheng.data.hub import files as hub

    arguments.inputs_only(0, 0, "nothing after list")
    as_json = arguments.flag("json")
    arguments.end({"json"})
    fetched = hub.sets()
    loaded = {
        e.name: {
            "about": e.about,
            "files": "yours" if "opens" in e.meta else "fetched" if e.name in fetched else "built in",
        }
        for e in registry.entries("data.datasets")
    }
    bare = {name: catalog.find(name) for name in fetched if name not in loaded}
    if as_json:
        files_only = {
            name: {"about": owner.about, "forms": list(filter(None, owner.forms))} for name, owner in bare.items()
        }
        print(json.dumps({"sets": loaded, "files_only": files_only}, ensure_ascii=False))
        return
    print(table([["data set", "files", "what it is"], *([n, e["files"], e["about"]] for n, e in loaded.items())]))
    if bare:
        rows = [[name, ", ".join(filter(None, owner.forms)), owner.about] for name, owner in bare.items()]
        print(
            f"\nFiles only: `yisheng data fetch NAME` brings them.\n\n{table([['set', 'forms', 'what it is'], *rows])}"
        )


def _info(arguments: Arguments) -> None:
    from yisheng.data.show import info

    as_json = arguments.flag("json")
    found = info(_chosen(arguments)[0])
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    from yisheng.cli._tables import table

    for key, value in found.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            print(f"{key}:\n{table([list(value[0]), *([str(v) for v in row.values()] for row in value)])}")
        elif isinstance(value, dict):
            print(f"{key}: {', '.join(f'{k} {v}' for k, v in value.items())}")
        else:
            print(f"{key}: {value}")


def _show(arguments: Arguments) -> None:
    from yisheng.core import files
    from yisheng.data import show

    out, augmented = arguments.take("out"), "augment" in arguments.settings
    n, seed = arguments.number("n", 10 if augmented else 40), arguments.number("seed", 0, least=0)
    dataset, changes = _chosen(arguments)
    image = show.before_after(dataset, changes, n=n, seed=seed) if augmented else show.grid(dataset, n=n, seed=seed)
    path = Path(out or f"{dataset.name}{'-augmented' * augmented}.png")
    with files.replacing(path) as temporary:
        image.save(temporary, format="PNG")
    print(path)


def _fetch(arguments: Arguments) -> None:
    from yisheng.data.hub import files as hub

    arguments.inputs_only(1, 1, "the name of one set")
    as_json, form = arguments.flag("json"), arguments.take("form")
    arguments.end({"json", "form"})
    name = _with_files(arguments.inputs[0])
    found = {file: str(path) for file, path in hub.fetch(name, form).items()}
    _say(as_json, {"set": name, "files": found}, found.values())


def _import(arguments: Arguments) -> None:
    from yisheng.data.hub import files as hub

    arguments.inputs_only(1, 1, "one file")
    as_json = arguments.flag("json")
    arguments.end({"json"})
    taken = hub.import_file(arguments.inputs[0])
    plain = [{"set": name, "file": file} for name, file in taken]
    _say(as_json, {"taken": plain}, [f"{name}/{file}" for name, file in taken])


def _verify(arguments: Arguments) -> int:
    from dataclasses import asdict

    from yisheng.cli._tables import table
    from yisheng.data.hub import catalog
    from yisheng.data.hub import files as hub

    arguments.inputs_only(0, 1, "at most one set")
    as_json = arguments.flag("json")
    arguments.end({"json"})
    name = _with_files(arguments.inputs[0]) if arguments.inputs else None
    checked = hub.verify(name)
    good = all(one.state != "damaged" for one in checked)
    if name is not None:
        owner, missing = catalog.find(name), {one.file for one in checked if one.state == "missing"}
        good = good and any(missing.isdisjoint(file.name for file in owner.form(form)) for form in owner.forms)
    said = [table([["set", "file", "state"], *([c.set, c.file, c.state] for c in checked)])] if checked else [NOTHING]
    said += [f"\n{c.set}/{c.file}: {c.detail}" for c in checked if c.detail]
    _say(as_json, {"good": good, "checked": [asdict(one) for one in checked]}, said)
    return 0 if good else 3


def _bundle(arguments: Arguments) -> None:
    from yisheng.core.errors import UsageError
    from yisheng.data.hub import files as hub

    arguments.inputs_only(1, 10**6, "the names of one or more sets")
    as_json, out = arguments.flag("json"), arguments.take("out")
    arguments.end({"json", "out"})
    if not out:
        raise UsageError("yisheng data bundle wants out=, the file to write", f"say out={arguments.inputs[0]}.zip")
    names = [_with_files(name) for name in arguments.inputs]
    path = hub.bundle(names, out)
    _say(as_json, {"bundle": str(path), "sets": names, "bytes": path.stat().st_size}, [str(path)])


def _with_files(word: str) -> str:
    """The name of a set (perhaps ``name:form``) that the hub has files of."""
    from yisheng.core import registry
    from yisheng.core.errors import UsageError
    from yisheng.data.hub import catalog
    from yisheng.data.hub import files as hub

    name = registry.dashed(word.partition(":")[0])
    if name not in hub.sets() and name in registry.names("data.datasets"):
        raise UsageError(f"{name} is built in: there are no files to fetch", f"use it, as in yisheng train data={name}")
    return ":".join([catalog.find(name).name, *word.split(":")[1:]])


def _say(as_json: bool, plain: dict[str, Any], lines: Any) -> None:
    print(json.dumps(plain, ensure_ascii=False) if as_json else "\n".join(lines))


def _chosen(arguments: Arguments) -> tuple[Dataset, list[Change]]:
    """The data set that the words name, built with its options, and the augmentations for it."""
    from yisheng.core import registry
    from yisheng.core.config import Setting, build, resolve
    from yisheng.core.errors import UsageError, closest
    from yisheng.core.paths import is_path
    from yisheng.data.hub import files as hub
    from yisheng.experiments import load_data

    known = registry.names("data.datasets")
    if len(arguments.inputs) != 1:
        raise UsageError("name one data set", closest("", known))
    given, augment = arguments.inputs[0], arguments.take("augment")
    name = registry.dashed(given)
    if name in hub.sets() and name not in known and not is_path(given):
        raise UsageError(
            f"only the files of {name} are known, not how to read them", f"yisheng data fetch {name} brings them"
        )
    settings: list[Setting] = [
        ("data", given, "command line"),
        ("augment", "none" if augment is None else augment, "command line"),
    ]
    chosen = resolve(settings).config
    ours = registry.find("data.datasets", chosen.data.name).options
    theirs = {o for choice in chosen.augment for o in registry.find("transforms.augment", choice.name).options}
    for key, value in arguments.settings.items():
        loose = key in theirs and key not in ours
        settings.append((key if loose or key.startswith("augment.") else f"data.{key}", value, "command line"))
    config = resolve(settings).config
    dataset = load_data.dataset(config)
    settled = config.settle(dataset.spec, len(dataset)) if config.augment else config
    return dataset, [
        build("transforms.augment", choice.name, dataset.spec, **choice.options) for choice in settled.augment
    ]
