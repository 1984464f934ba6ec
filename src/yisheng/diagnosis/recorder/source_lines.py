"""Find lines of the user's own program: the callers of a hook that belong neither to torch nor to this package."""

from __future__ import annotations

import functools
import inspect
import itertools
import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import torch

TORCH_FOLDER = f"{Path(torch.__file__).resolve().parent}{os.sep}"
LIBRARY_FOLDERS = tuple(
    f"{Path(folder).resolve()}{os.sep}"
    for folder in (
        str(Path(torch.__file__).parent),
        str(Path(__file__).parents[2]),
        *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
    )
)
"""Folders whose code is not the user's."""
NOTEBOOK_FOLDER = "ipykernel_"
"""Beginning of the folder that a notebook compiles its cells in."""
MAX_FRAMES = 200
MAX_NEARBY_FRAMES, MAX_VARIABLES = 6, 500
"""Callers whose variables are looked at, and variables of each."""


def find_source() -> str:
    """Return file and line of the innermost caller that is the user's own code (``train.py:42``); empty if none is.

    >>> find_source().rpartition(":")[2].isdigit()
    True
    """
    frame = next(user_frames(), None)
    return "" if frame is None else f"{_name_file(frame.f_code.co_filename)}:{frame.f_lineno}"


def find_direct_source() -> str:
    """Return the line that calls the torch function of a ``__torch_function__`` hook, which asks for it.

    It is empty if the nearest caller outside torch is not the user's own code, but a hook of this package.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code.co_name != "__torch_function__":
        frame = frame.f_back
    frame = None if frame is None else frame.f_back
    while frame is not None and is_torch_file(frame.f_code.co_filename):
        frame = frame.f_back
    if frame is None or not is_user_file(frame.f_code.co_filename):
        return ""
    return f"{_name_file(frame.f_code.co_filename)}:{frame.f_lineno}"


def find_call_path() -> tuple[tuple[int, int], ...]:
    """Return an id of the code and the place in it of each caller that is the user's own code, innermost first.

    Two calls of one function from different places have different paths, and the passes of a loop have the same.
    """
    return tuple((id(frame.f_code), frame.f_lasti) for frame in user_frames())


@dataclass(frozen=True)
class Variable:
    """A variable of the user's program that holds an object.

    Args:
        file: of the code that holds it.
        names: of the variable, or of several.
        kind: class of the object.
        line: where the code is at present.
    """

    file: str
    names: frozenset[str]
    kind: str
    line: int

    def find_construction(self) -> str:
        """Return the last line before the present one that assigns the variable a call; empty without such a line.

        Without one it is that of the only call in the file of a class of that name. Parsing the file takes
        milliseconds, so this is for the time after the training.
        """
        import ast
        import linecache

        try:
            nodes = list(ast.walk(ast.parse("".join(linecache.getlines(self.file)))))
        except (SyntaxError, ValueError):
            return ""
        assignments = [
            node.lineno
            for node in nodes
            if isinstance(node, ast.Assign | ast.AnnAssign)
            and isinstance(node.value, ast.Call)
            and self.names & set(map(_last_name, node.targets if isinstance(node, ast.Assign) else [node.target]))
        ]
        previous = [line for line in assignments if line < self.line]
        calls = [node.lineno for node in nodes if isinstance(node, ast.Call) and _last_name(node.func) == self.kind]
        line = max(previous) if previous else calls[0] if len(calls) == 1 else 0
        return f"{_name_file(self.file)}:{line}" if line else ""


def find_variable(value: object) -> Variable | None:
    """Return the variable of the nearest caller that holds an object; None if the user's code does not call."""
    frame = next(user_frames(), None)
    if frame is None:
        return None
    scopes = (frame.f_locals, frame.f_globals)
    names = {name for scope in scopes for name, held in scope.items() if held is value and not name.startswith("__")}
    return Variable(frame.f_code.co_filename, frozenset(names), type(value).__name__, frame.f_lineno)


def find_source_of_error(trace: TracebackType | None) -> str:
    """Return the line of the user's own code in which an error was raised or that called what raised it."""
    source = ""
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if is_user_file(file):
            source = f"{_name_file(file)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return source


def user_frames() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    for _ in range(MAX_FRAMES):
        if frame is None:
            return
        if is_user_file(frame.f_code.co_filename):
            yield frame
        frame = frame.f_back


def list_nearby_variables() -> Iterator[tuple[FrameType, dict[str, Any]]]:
    """Yield the nearest callers that are the user's own code, and their variables."""
    for frame in itertools.islice(user_frames(), MAX_NEARBY_FRAMES):
        yield frame, dict(itertools.islice(list(frame.f_locals.items()), MAX_VARIABLES))


@functools.lru_cache(maxsize=1024)
def is_torch_file(file: str) -> bool:
    return str(Path(file).resolve()).startswith(TORCH_FOLDER)


@functools.lru_cache(maxsize=1024)
def is_user_file(file: str) -> bool:
    if file.startswith("<"):
        return not file.startswith(("<frozen", "<__array_function__", "<eval_with_key>"))
    return not str(Path(file).resolve()).startswith(LIBRARY_FOLDERS)


@functools.lru_cache(maxsize=1024)
def _name_file(file: str) -> str:
    """Return a file as the user knows it: relative to the working directory if it is in there."""
    path = Path(file)
    if path.parent.name.startswith(NOTEBOOK_FOLDER):
        return "notebook cell"
    if file.startswith("<"):
        return file
    try:
        return str(path.resolve().relative_to(Path.cwd().resolve()))
    except (ValueError, OSError):
        return path.name


def _last_name(node: object) -> str:
    """Return the name of a variable, or of the attribute at the end of an expression."""
    return str(getattr(node, "attr", getattr(node, "id", "")))
