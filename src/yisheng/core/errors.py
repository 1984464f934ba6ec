"""Errors of two lines, problem and remedy; each class has its exit code."""

from __future__ import annotations

from collections.abc import Iterable
from signal import Signals

from yisheng.core.messages import Message, translate
from yisheng.core.natural_sort import sort_naturally


class YishengError(Exception):
    """Base class of errors that the user can fix; the command line prints them as two lines, without a traceback.

    Args:
        problem: one line: the value and the rule that it breaks; a `Message` is shown in the user's language.
        remedy: one line: a command or an edit that fixes it, likewise.

    >>> str(UsageError("epochs must be at least 1, got 0", "give epochs=1 or more"))
    'epochs must be at least 1, got 0\\n  give epochs=1 or more'
    """

    code = 1

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{translate(self.problem)}\n  {translate(self.remedy)}"


class UsageError(YishengError):
    """An unknown key or name, or a value that is not allowed (exit code 2).

    >>> UsageError("unknown key 'epohcs'", "did you mean epochs?").remedy
    'did you mean epochs?'
    """

    code = 2


class DataError(YishengError):
    """Data that is missing, damaged or in another format than expected (exit code 3).

    >>> DataError("a.csv is empty", "give a table with a header").code
    3
    """

    code = 3


class NonFiniteError(YishengError):
    """A loss, weight or gradient became NaN or infinite (exit code 4).

    >>> issubclass(NonFiniteError, YishengError), NonFiniteError.code
    (True, 4)
    """

    code = 4


class MissingPartError(YishengError):
    """An optional part (an extra) is not installed (exit code 5)."""

    code = 5


class FindingsError(YishengError):
    """The doctor found something that ``fail_on=`` forbids (exit code 6)."""

    code = 6


class StorageError(YishengError):
    """A file could not be written: disk full, no permission (exit code 1)."""


class ProcessError(YishengError):
    """Another process of the same training ended, or did not come (exit code 1)."""


class StoppedError(YishengError):
    """A signal stopped the command; the exit code is 128 + its number (130 Ctrl-C, 143 SIGTERM, 129 SIGHUP).

    Args:
        signal: its number.
        problem: what was stopped.
        remedy: how to continue.

    >>> error = StoppedError(15, "stopped", "continue")
    >>> error.code, error.signal_name
    (143, 'SIGTERM')
    """

    def __init__(self, signal: int, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.signal = signal
        self.code = 128 + signal

    @property
    def signal_name(self) -> str:
        """Return the signal's name."""
        return Signals(self.signal).name


def show_value(value: object, max_length: int = 120) -> str:
    """Return a value for a message: its representation in one line, shortened.

    >>> show_value("ten"), show_value(list(range(1000)), 20)
    ("'ten'", '[0, 1, 2, 3, 4, 5...')
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= max_length else f"{text[: max_length - 3]}..."


def suggest(word: str, choices: Iterable[str]) -> str:
    """Return the remedy for an unknown name: the nearest choice, if one is near, and the list of them all.

    >>> suggest("lenett", ["lenet", "mlp"])
    'did you mean lenet? Known: lenet, mlp'
    >>> suggest("zzz", ["lenet", "mlp"])
    'known: lenet, mlp'
    """
    import difflib

    names = sort_naturally(choices)
    matches = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    listing = ", ".join(names) or Message("none")
    if matches:
        return Message("did you mean {name}? Known: {names}", name=matches[0], names=listing)
    return Message("known: {names}", names=listing)
