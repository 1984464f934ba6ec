"""The config on the command line: parsed from the words, and its keys as help."""

from __future__ import annotations

from yisheng.cli._arguments import Arguments
from yisheng.cli._terminal import wrap_table, wrap_text
from yisheng.cli._values import format_value
from yisheng.core import registry
from yisheng.core.choice import AUTO, KINDS, Choice
from yisheng.core.config import Config
from yisheng.core.messages import Message, as_message, translate
from yisheng.core.option_owners import AUTO_SCALES
from yisheng.core.settings import MergedSettings, Setting, merge_settings, read_settings


def parse_settings(arguments: Arguments) -> list[Setting]:
    """Return the settings of ``config=``, then all that are left on the command line.

    Raises:
        UsageError: the file cannot be read.
    """
    file = arguments.path("config")
    from_file = [] if file is None else read_settings(file)
    return [*from_file, *((key, value, "command line") for key, value in arguments.settings.items())]


def parse_config(arguments: Arguments) -> MergedSettings:
    """Return the config of ``config=`` and all settings that are left.

    Raises:
        UsageError: a key, name or value is wrong.
    """
    return merge_settings(parse_settings(arguments))


def keys_help(width: int) -> str:
    """Return all keys of the config with their defaults, and the options of the default choices.

    Args:
        width: of the terminal.
    """
    keys: list[list[str]] = [[Message("key"), Message("default"), Message("what it is")]]
    for key, info in Config.model_fields.items():
        default = next(iter(info.default), None) if isinstance(info.default, tuple) else info.default
        default = default.name if isinstance(default, Choice) else default
        keys.append([key, format_value(default), as_message(info.description or "")])
    options: list[list[str]] = [[Message("option"), Message("default"), Message("what it is")]]
    for key, kind in KINDS.items():
        choice = Config.model_fields[key].default
        for entry in registry.entries(kind) if choice else ():
            is_default = entry.name in AUTO_SCALES if key == "scale" else "default_for" in entry.meta
            if choice.name == entry.name or (choice.name == AUTO and is_default):
                rows = [[f"{key}={entry.name} {o.name}", str(o.default), o.help] for o in entry.options.values()]
                options += rows
    text = Message(
        "Options of the default choices (for others see `yisheng models NAME` and `yisheng config optimizer=NAME`):"
    )
    return "\n\n".join([wrap_table(keys, width), wrap_text(translate(text), width), wrap_table(options, width)])
