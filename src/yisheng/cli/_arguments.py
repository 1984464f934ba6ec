"""Words of the command line: ``key=value`` in any order; ``--key value`` means the same."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message

FLAGS = {"json", "quiet", "help", "version", "yes"}
"""Keys that may be written without a value: ``--json``."""
TRUE, FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


class Arguments:
    """The parsed words of one command.

    Args:
        command: name of the command, for errors.
        inputs: words that are neither key nor value, in order.
        settings: value by key, in order; keys with ``_``.

    Raises:
        UsageError: ``json``, ``quiet`` or ``help`` is neither true nor false.
    """

    def __init__(self, command: str, inputs: list[str], settings: dict[str, str]) -> None:
        self.command = command
        self.inputs = inputs
        self.settings = settings
        self.json = self.flag("json")
        """Whether to print one JSON object."""
        self.quiet = self.flag("quiet")
        """Whether to show no messages and no progress."""
        self.help = self.flag("help")

    @classmethod
    def parse(cls, command: str, words: list[str]) -> Arguments:
        """Return the words as inputs and settings.

        Raises:
            UsageError: a key is given twice, or has no value, or a word has a NUL character.

        >>> a = Arguments.parse("train", ["data=digits", "--lr", "0.1", "photo.png", "--json"])
        >>> a.inputs, a.settings, a.json
        (['photo.png'], {'data': 'digits', 'lr': '0.1'}, True)
        """
        inputs: list[str] = []
        settings: dict[str, str] = {}
        remaining = list(words)
        for word in remaining:
            if "\0" in word:  # no path, name or value can have one; the system would refuse it later
                raise UsageError(Message("{word} has a NUL character", word=f"{word!r}"), Message("remove it"))
        while remaining:
            word = remaining.pop(0)
            if word == "--":
                inputs += remaining
                break
            match = re.match(r"(?:--)?([A-Za-z_][\w.-]*)=(.*)", word, re.DOTALL)
            if match:
                key, value = match[1], match[2]
            elif word in ("-h", "--help"):
                key, value = "help", "true"
            elif word.startswith("--") and len(word) > 2:
                key = word[2:]
                if key in FLAGS:
                    value = "true"
                elif remaining and not remaining[0].startswith("--"):
                    value = remaining.pop(0)
                else:
                    raise UsageError(
                        Message("{word} needs a value", word=word),
                        Message("write {key}=VALUE or {word} VALUE", key=key, word=word),
                    )
            elif word.startswith("-") and len(word) > 1 and word[1] not in "0123456789":
                raise UsageError(
                    Message("unknown option {word}", word=f"{word!r}"),
                    Message("write keys as key=value or --key value"),
                )
            else:
                inputs.append(word)
                continue
            key = key.replace("-", "_")
            if key in settings:
                raise UsageError(
                    Message(
                        "{key} is given twice: {settings} and {value}",
                        key=key,
                        settings=f"{settings[key]!r}",
                        value=f"{value!r}",
                    ),
                    Message("leave one of them out"),
                )
            settings[key] = value
        return cls(command, inputs, settings)

    def take(self, key: str) -> str | None:
        """Remove a setting; return its value, or None if it was not given."""
        return self.settings.pop(key, None)

    def path(self, key: str) -> Path | None:
        """Remove a setting that is a path; return it, or None if it was not given.

        Raises:
            UsageError: no file can have this path.
        """
        from yisheng.core.paths import parse_out_path, parse_path  # with what reads addresses: 0.04 s

        value = self.take(key)
        if value is None:
            return None
        return parse_out_path(value) if key == "out" else parse_path(value, key)

    def runs_path(self) -> Path:
        """Remove ``out``, the folder for new runs; return it, or ``runs`` if it was not given.

        Raises:
            UsageError: no folder can have this path, or the address is that of a run.
            DataError: the store of the address cannot be read.
        """
        from yisheng.core.paths import parse_runs_path

        return parse_runs_path(self.settings.pop("out", "runs"))

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Remove a yes/no setting; return its value.

        Raises:
            UsageError: the value is neither yes nor no.
        """
        value = self.settings.pop(key, str(default)).lower()
        if value not in TRUE | FALSE:
            raise UsageError(
                Message("{key} must be true or false, got {value}", key=key, value=f"{value!r}"),
                Message("write --{key}, or leave it out", key=key),
            )
        return value in TRUE

    def number(self, key: str, default: int, *, minimum: int = 1) -> int:
        """Remove a whole number of ``minimum`` or more, and below a thousand million; return it.

        Raises:
            UsageError: the value is not such a number.
        """
        value = self.settings.pop(key, str(default))
        if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) < minimum:
            raise UsageError(
                Message(
                    "{key} must be a whole number from {minimum} to 999999999, got {value}",
                    key=key,
                    minimum=minimum,
                    value=f"{value!r}",
                ),
                Message("write {key}={default}", key=key, default=default),
            )
        return int(value)

    def process_count(self) -> int | Literal["auto"] | None:
        """Remove ``processes``; return the number, ``auto``, or None without it.

        Raises:
            UsageError: it is neither a number nor ``auto``.
        """
        if self.settings.get("processes") == "auto":
            del self.settings["processes"]
            return "auto"
        return self.number("processes", 1) if "processes" in self.settings else None

    def decimal(self, key: str, default: float) -> float:
        """Remove a positive finite number; return it.

        Raises:
            UsageError: the value is not such a number.
        """
        text = self.settings.pop(key, repr(default))
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not 0 < value < math.inf:
            raise UsageError(
                Message("{key} must be a number above 0, got {text}", key=key, text=f"{text!r}"),
                Message("write {key}={default}", key=key, default=f"{default:g}"),
            )
        return value

    def require_no_more(self, *keys: str) -> None:
        """Raise an error if a setting was not taken.

        Args:
            *keys: the keys of this command, for the error.

        Raises:
            UsageError: a setting is left.
        """
        for key in self.settings:
            raise UsageError(
                Message("unknown key {key} for yisheng {command}", key=f"{key!r}", command=self.command),
                suggest(key, {*keys, "json", "quiet"}),
            )

    def require_inputs(self, minimum: int, maximum: int, description: str) -> None:
        """Raise an error unless the number of inputs is in a range.

        Raises:
            UsageError: it is not.
        """
        if not minimum <= len(self.inputs) <= maximum:
            inputs = " ".join(self.inputs) or Message("none")
            raise UsageError(
                Message(
                    "yisheng {command} needs {description}, got {inputs}",
                    command=self.command,
                    description=description,
                    inputs=inputs,
                ),
                Message("see `yisheng {command} --help`", command=self.command),
            )

    def input_paths(self, label: str) -> list[Path]:
        """Return all inputs as paths.

        Args:
            label: what an input is, for the error.

        Raises:
            UsageError: no file can have such a path.
        """
        from yisheng.core.paths import parse_path

        return [parse_path(word, label) for word in self.inputs]

    def run_folder(self, keys: Collection[str] = (), *, writes: bool = False) -> Path:
        """Return the only input, a run folder, after all settings have been taken.

        Args:
            keys: the keys of this command, for the error.

        Raises:
            UsageError: there are other inputs, or a setting is left.
        """
        self.require_inputs(1, 1, Message("one run folder"))
        self.require_no_more(*keys)
        from yisheng.core.paths import parse_run_path

        return parse_run_path(self.inputs[0], writes=writes)
