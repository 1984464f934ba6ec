"""Words of the command line: ``key=value`` in any order, ``--key value`` means the same."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from typing import TextIO

from yisheng.cli import FLAGS
from yisheng.core.errors import UsageError, closest

TRUE, FALSE = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


class Arguments:
    """The parsed words of one command.

    Args:
        verb: the command's name, for errors.
        inputs: words that are neither key nor value, in order.
        settings: value by key, in order; keys with ``_``.
    """

    def __init__(self, verb: str, inputs: list[str], settings: dict[str, str]) -> None:
        self.verb = verb
        self.inputs = inputs
        self.settings = settings

    @classmethod
    def parse(cls, verb: str, words: list[str]) -> Arguments:
        """Sort the words.

        Raises:
            UsageError: a key is given twice, or has no value, or a word holds a NUL character.

        >>> a = Arguments.parse("train", ["data=digits", "--lr", "0.1", "photo.png", "--json"])
        >>> a.inputs, a.settings
        (['photo.png'], {'data': 'digits', 'lr': '0.1', 'json': 'true'})
        """
        inputs: list[str] = []
        settings: dict[str, str] = {}
        waiting = list(words)
        for word in waiting:
            if "\0" in word:  # no path, name or value can hold one; the system would refuse it deep below
                raise UsageError(f"{word!r} holds a NUL character", "leave it out")
        while waiting:
            word = waiting.pop(0)
            if word == "--":
                inputs += waiting
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
                elif waiting and not waiting[0].startswith("--"):
                    value = waiting.pop(0)
                else:
                    raise UsageError(f"{word} needs a value", f"write {key}=VALUE or {word} VALUE")
            elif word.startswith("-") and len(word) > 1 and not word[1].isdigit():
                raise UsageError(f"unknown option {word!r}", "keys are written key=value or --key value")
            else:
                inputs.append(word)
                continue
            key = key.replace("-", "_")
            if key in settings:
                raise UsageError(f"{key} is given twice: {settings[key]!r} and {value!r}", "leave one of them out")
            settings[key] = value
        return cls(verb, inputs, settings)

    def take(self, key: str, default: str | None = None) -> str | None:
        """Remove a setting and give its value."""
        return self.settings.pop(key, default)

    def flag(self, key: str) -> bool:
        """Remove a yes/no setting and give its value.

        Raises:
            UsageError: the value is neither yes nor no.
        """
        value = self.settings.pop(key, "false").lower()
        if value not in TRUE | FALSE:
            raise UsageError(f"{key} must be true or false, got {value!r}", f"write --{key}, or leave it out")
        return value in TRUE

    def number(self, key: str, default: int, *, least: int = 1) -> int:
        """Remove a whole number of ``least`` or more, and below a thousand million, and give it.

        Raises:
            UsageError: the value is no such number.
        """
        value = self.settings.pop(key, str(default))
        if not re.fullmatch(r"[0-9]{1,9}", value) or int(value) < least:
            raise UsageError(
                f"{key} must be a whole number from {least} to 999999999, got {value!r}", f"write {key}={default}"
            )
        return int(value)

    def end(self, known: Collection[str]) -> None:
        """Everything must have been taken.

        Args:
            known: the keys of this command, for the error.

        Raises:
            UsageError: a key or input is left.
        """
        for key in self.settings:
            raise UsageError(f"unknown key {key!r} for yisheng {self.verb}", closest(key, known))

    def inputs_only(self, least: int, most: int, what: str) -> None:
        """The number of inputs must lie in a range.

        Raises:
            UsageError: it does not.
        """
        if not least <= len(self.inputs) <= most:
            got = " ".join(self.inputs) or "nothing"
            raise UsageError(f"yisheng {self.verb} wants {what}, got {got}", f"see `yisheng {self.verb} --help`")


def streams(as_json: bool, quiet: bool) -> tuple[TextIO, TextIO]:
    """Where results for people and remarks go: with ``--json`` standard output is for the one object."""
    import io

    remarks: TextIO = io.StringIO() if quiet else sys.stderr
    return (remarks if as_json else sys.stdout), remarks
