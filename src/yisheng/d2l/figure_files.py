"""Where figures appear: in the output of a notebook's cell, elsewhere as PNG files whose path is printed.

The files are in the folder ``d2l-figures`` of the present folder, or in the one that ``YISHENG_D2L_FIGURES`` names.
An existing file is never replaced, except by a later state of the same figure.
"""

from __future__ import annotations

import atexit
import os
import re
import sys
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from yisheng.core.errors import YishengError
from yisheng.core.files import explain_write_error, replace_file
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path
from yisheng.d2l.notices import announce, announce_once

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FOLDER, FOLDER_VARIABLE = "d2l-figures", "YISHENG_D2L_FIGURES"
SECONDS_BETWEEN_FILES = 2.0
"""A figure that grows during a training is written this often at most."""
DPI = 150
_files: weakref.WeakKeyDictionary[Figure, tuple[Path, float]] = weakref.WeakKeyDictionary()
"""The file of each figure, and when it was written (`time.monotonic`)."""
_pending: dict[int, Figure] = {}
"""Figures that have changed since they were written, by id."""


def in_notebook() -> bool:
    """Return whether figures are shown in the output of a notebook's cell."""
    from yisheng.training.progress import detect_display

    return sys.stdout is not None and detect_display(sys.stdout) == "notebook"


def save(figure: Figure, kind: str) -> None:
    """Write a figure to its PNG file, whose path is printed when it is new; in a notebook do nothing.

    Args:
        figure: the figure.
        kind: part of the file's name.
    """
    if in_notebook():
        return
    _pending.pop(id(figure), None)
    try:
        if figure not in _files:
            path = _reserve_file(kind)
            announce(Message("figure: {path}", path=path))
        else:
            path, _ = _files[figure]
        with replace_file(path, sync=False) as temporary:
            figure.savefig(temporary, format="png", dpi=DPI, bbox_inches="tight")
        _files[figure] = path, time.monotonic()
    except YishengError as error:  # a figure that cannot be written must not stop a training
        announce_once(
            Message(
                "figures are not saved: {problem}; set {variable} to a folder that can be written to",
                problem=error.problem,
                variable=FOLDER_VARIABLE,
            )
        )


def save_later(figure: Figure, kind: str) -> None:
    """Write a figure that changes often: now if its file is old enough, else with `flush`."""
    if in_notebook():
        return
    if figure in _files and time.monotonic() - _files[figure][1] < SECONDS_BETWEEN_FILES:
        _pending[id(figure)] = figure
    else:
        save(figure, kind)


def has_file(figure: Figure) -> bool:
    """Return whether a figure has been written to a file."""
    return figure in _files


@atexit.register
def flush() -> None:
    """Write the latest state of all figures that have changed."""
    for figure in list(_pending.values()):
        save(figure, "")


def _reserve_file(kind: str) -> Path:
    """Create the next file of the folder, empty, so that no other process takes its name."""
    folder = parse_path(os.environ.get(FOLDER_VARIABLE, "").strip() or FOLDER, FOLDER_VARIABLE)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        numbers = [int(match[1]) for path in folder.iterdir() if (match := re.match(r"(\d{4,9})-", path.name))]
        number = max(numbers, default=0) + 1
        while True:
            path = folder / f"{number:04d}-{kind}.png"
            try:
                path.touch(exist_ok=False)
            except FileExistsError:
                number += 1
            else:
                return path
    except OSError as error:
        raise explain_write_error(error, folder) from None
