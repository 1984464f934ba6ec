"""What torch says while it records a graph: hidden, or turned into a sentence."""

from __future__ import annotations

import contextlib
import inspect
import io
import linecache
import logging
import sysconfig
import threading
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from yisheng.core.messages import Message

TORCH = str(Path(inspect.getfile(torch)).parent)
PYTHON = sysconfig.get_path("stdlib")
PACKAGE = str(Path(__file__).parents[1])
MAX_REASON = 300


@contextlib.contextmanager
def silence_torch() -> Iterator[None]:
    """Hide warnings, log messages and graphs that torch prints while it records, in this thread."""
    thread = threading.get_ident()

    def is_other_thread(record: logging.LogRecord) -> bool:
        return record.thread != thread

    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "torch"]
    loggers = [logging.getLogger(name) for name in names]
    for torch_logger in loggers:
        torch_logger.addFilter(is_other_thread)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for torch_logger in loggers:
            torch_logger.removeFilter(is_other_thread)


def explain_failure(error: BaseException) -> str:
    """Return why a network could not be called or recorded, with the line of its code, as one sentence.

    >>> try:
    ...     torch.zeros(2, 3) @ torch.zeros(2, 3)
    ... except RuntimeError as error:
    ...     explain_failure(error)
    'mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)'
    """
    text = str(error).strip() or type(error).__name__
    if "data-dependent" in text or "DataDependent" in type(error).__name__:
        reason: str = Message("forward decides by the values of its inputs")
    elif "specialized it to be a constant" in text or "Constraints violated" in text:
        reason = Message("forward turns the number of rows into a fixed number")
    else:
        reason = text.splitlines()[0].rstrip(".:")[:MAX_REASON]
    line = _find_user_line(error)
    return Message("{reason} ({line})", reason=reason, line=line) if line else reason


def explain_conversion_failure(error: BaseException) -> str:
    """Return why torch's converter failed, as one sentence: the message of the first error in the chain.

    >>> error = RuntimeError("Failed to convert")
    >>> error.__cause__ = AssertionError("only 4D inputs are supported")
    >>> explain_conversion_failure(error)
    'only 4D inputs are supported'
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return explain_failure(type(error)(str(error)) if isinstance(error, AssertionError) else error)


def _find_user_line(error: BaseException) -> str:
    """Return the last line of code outside torch and this package in an error's traceback, or an empty text."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((TORCH, PACKAGE, PYTHON, "<"))
    ]
    if not frames:
        return ""
    filename, number = frames[-1].filename, frames[-1].lineno
    code = linecache.getline(filename, number or 0).strip()
    return f"{Path(filename).name}, line {number}" + (f": {code}" if code else "")
