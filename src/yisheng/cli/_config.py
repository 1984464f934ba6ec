"""The config on the command line: reading it from the words, and telling of its keys."""

from __future__ import annotations

from pathlib import Path

from yisheng.cli._arguments import Arguments
from yisheng.cli._tables import table
from yisheng.core import registry
from yisheng.core.config import KINDS, Choice, Config, Resolved, read, resolve


def resolved(arguments: Arguments) -> Resolved:
    """The config of ``config=`` and the remaining settings.

    Raises:
        UsageError: a key, name or value is wrong.
    """
    file = arguments.take("config")
    settings = read(Path(file)) if file is not None else []
    return resolve([*settings, *((key, value, "command line") for key, value in arguments.settings.items())])


def keys_help() -> str:
    """All keys of the config with their defaults, and the options of the default choices."""
    rows = [["key", "default", "what it is"]]
    for key, info in Config.model_fields.items():
        default = info.default[0] if isinstance(info.default, tuple) else info.default
        default = default.name if isinstance(default, Choice) else default
        rows.append([key, "none" if default is None else str(default), info.description or ""])
    options = [["option", "default", "what it is"]]
    for key, kind in KINDS.items():
        choice = Config.model_fields[key].default
        for entry in registry.entries(kind) if choice else ():
            if choice.name in ("auto", entry.name) and (choice.name != "auto" or "default_for" in entry.meta):
                options += [[f"{key}={entry.name} {o.name}", str(o.default), o.help] for o in entry.options.values()]
    return (
        f"\n{table(rows)}\n\nOptions of the default choices (`yisheng models NAME` and "
        f"`yisheng config optimizer=NAME` tell of the others):\n\n{table(options)}"
    )
