"""Errors that say what was wanted, what came, and what to do; each kind has its exit code."""

from __future__ import annotations

from collections.abc import Iterable


class YishengError(Exception):
    """Something that the user can mend; printed as two lines, never as a traceback.

    Args:
        problem: one line: what was wanted and what came instead.
        remedy: one line: what to do about it.

    >>> str(UsageError("epochs must be at least 1, got 0", "give epochs=1 or more"))
    'epochs must be at least 1, got 0\\n  give epochs=1 or more'
    """

    code = 1

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem}\n  {self.remedy}"


class UsageError(YishengError):
    """An unknown key or name, or a value that is not allowed (exit code 2)."""

    code = 2


class DataError(YishengError):
    """Data that is missing, damaged or not of the form that was promised (exit code 3)."""

    code = 3


class NonFiniteError(YishengError):
    """A loss, weight or gradient became NaN or infinite (exit code 4)."""

    code = 4


class MissingPartError(YishengError):
    """An optional part (an extra) is not installed (exit code 5)."""

    code = 5


class FindingsError(YishengError):
    """The doctor found what ``fail_on=`` does not allow (exit code 6)."""

    code = 6


class StorageError(YishengError):
    """A file could not be written: disk full, no permission (exit code 1)."""


class StoppedError(YishengError):
    """A signal asked to stop; the exit code is 128 + its number (130 for Ctrl-C, 143 for SIGTERM)."""

    def __init__(self, signal: int, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.code = 128 + signal


def closest(word: str, known: Iterable[str]) -> str:
    """The tail of an error about an unknown name: a guess if there is one, then what is known.

    >>> closest("lenett", ["lenet", "mlp"])
    'did you mean lenet? Known: lenet, mlp'
    >>> closest("zzz", ["lenet", "mlp"])
    'known: lenet, mlp'
    """
    import difflib

    names = sorted(known)
    guess = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    listing = ", ".join(names) or "none"
    return f"did you mean {guess[0]}? Known: {listing}" if guess else f"known: {listing}"
