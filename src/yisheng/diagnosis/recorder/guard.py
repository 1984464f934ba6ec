"""Keep errors of the doctor away from the program that it watches, and its hooks out of the program's files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from types import TracebackType
from typing import Any

from torch.compiler import is_compiling
from torch.utils.hooks import unserializable_hook

from yisheng.core.messages import Message

MAX_ERROR = 300
"""Characters of an error that are kept."""
Context = contextlib.AbstractContextManager[None]


class Guard:
    """Run functions that only observe a training: an error in one of them ends the observation, not the training.

    A network may compute with tensors of any layout, type and class, and not every operation is defined for them.

    Attributes:
        failure: the first error; nothing is observed after it. Empty without one.

    >>> guard, seen = Guard(), []
    >>> observe = guard.protect(lambda value: seen.append(1 / value))
    >>> for value in (2, 0, 4):
    ...     observe(value)
    >>> seen, str(guard.failure)
    ([0.5], 'ZeroDivisionError: division by zero')
    """

    def __init__(self) -> None:
        self.failure = ""

    def note(self, error: Exception) -> None:
        """Note an error; nothing is observed from now on."""
        text = " ".join(str(error).split())[:MAX_ERROR]
        self.failure = self.failure or Message("{type_name}: {error}", type_name=type(error).__name__, error=text)

    def protect(self, observe: Callable[..., object], *, ends: bool = False) -> ProtectedHook:
        """Return a hook that calls a function until an error was noted, and notes its errors.

        Args:
            observe: what observes.
            ends: whether it undoes what another hook has begun, and is called after an error, too.
        """
        return ProtectedHook(self, observe, ends=ends)

    def run(self, observe: Callable[..., object], *arguments: Any) -> None:
        """Call a function unless an error was noted, and note its error."""
        if not self.failure:
            try:
                observe(*arguments)
            except Exception as error:
                self.note(error)

    def enclose(self, make: Callable[[], Context]) -> Context:
        """Return a context whose own errors are noted; those of the program inside it pass through."""
        return _GuardedContext(self, make)


@unserializable_hook
class ProtectedHook:
    """A hook on a module, tensor or optimizer; see `Guard.protect`.

    A copy of it does nothing, and neither does what a file of the network holds in its place: ``torch.save(model)`` and
    ``copy.deepcopy(model)`` during the training work, and the file is read without this package.

    >>> import copy, pickle
    >>> hook = Guard().protect(print)
    >>> hook("module", "arguments", "output")
    module arguments output
    >>> copy.deepcopy(hook)("module", "arguments", "output")
    >>> pickle.loads(pickle.dumps(hook))("module", "arguments", "output")
    """

    def __init__(self, guard: Guard, observe: Callable[..., object], *, ends: bool = False) -> None:
        self._guard, self._observe, self._ends = guard, observe, ends

    def __call__(self, *arguments: Any) -> None:
        if not is_compiling() and (self._ends or not self._guard.failure):
            try:
                self._observe(*arguments)
            except Exception as error:
                self._guard.note(error)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return getattr, (contextlib.nullcontext(), "__exit__")


class _GuardedContext(contextlib.AbstractContextManager[None]):
    """See `Guard.enclose`."""

    def __init__(self, guard: Guard, make: Callable[[], Context]) -> None:
        self._guard, self._make = guard, make
        self._context: Context | None = None

    def __enter__(self) -> None:
        if not self._guard.failure:
            try:
                context = self._make()
                context.__enter__()
                self._context = context
            except Exception as error:
                self._guard.note(error)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._context is not None:
            try:
                self._context.__exit__(kind, error, trace)
            except Exception as defect:
                if defect is not error:
                    self._guard.note(defect)
