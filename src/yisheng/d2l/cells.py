"""The code cells of a notebook or script, executed one after another without a kernel."""

from __future__ import annotations

import ast
import linecache
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

from yisheng.core.errors import DataError
from yisheng.core.files import read_json
from yisheng.core.messages import Message
from yisheng.d2l.notices import announce_once

CELL_MARK = re.compile(r"^# ?%%.*$", re.MULTILINE)
"""A line that begins a cell of a script, as editors write it."""
TIMING_MAGIC = re.compile(r"^(\s*)%{1,2}(?:time|timeit|prun)\b(?:\s+-\w+(?:\s+\d+)?)*[ \t]*(.*)$")
OTHER_MAGIC = re.compile(r"^(\s*)[%!](.*)$")


@dataclass(frozen=True)
class CellResult:
    """What became of a cell: its number from 1, its seconds, and its error, None if it ran."""

    number: int
    seconds: float
    error: BaseException | None = None


def read_cells(path: Path) -> list[str]:
    """Return the code cells of a notebook, or of a script whose cells begin with ``# %%``.

    Args:
        path: an ``.ipynb`` or ``.py`` file.

    Raises:
        DataError: it is missing, or of another format.
    """
    if path.suffix != ".ipynb":
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, ValueError) as error:
            raise DataError(
                Message("{path} cannot be read: {error}", path=path, error=error),
                Message("give a notebook (.ipynb) or a script (.py)"),
            ) from None
        return [cell for cell in CELL_MARK.split(text) if cell.strip()]
    content = read_json(path)
    try:
        sheets = content.get("worksheets", [content])
        cells = [cell for sheet in sheets for cell in sheet["cells"] if cell["cell_type"] == "code"]
        sources = [cell["source"] if "source" in cell else cell["input"] for cell in cells]
        return ["".join(source) for source in sources]
    except (AttributeError, KeyError, TypeError) as error:
        raise DataError(
            Message("{path} is not a notebook: {error} in its JSON", path=path, error=f"{error!r}"),
            Message("save it again in Jupyter"),
        ) from None


def run_cells(
    cells: Iterable[str],
    namespace: dict[str, Any],
    *,
    stop_at_error: bool = True,
    after_cell: Callable[[CellResult], None] | None = None,
) -> list[CellResult]:
    """Execute cells in one namespace, as a notebook does: the value of a last expression is printed.

    Magics for figures and timing are understood, and other lines with ``%`` or ``!`` are left out with a message.

    Args:
        cells: code of each cell.
        namespace: the variables.
        stop_at_error: leave the remaining cells out after an error.
        after_cell: called with each result.
    """
    results = []
    for number, source in enumerate(cells, start=1):
        start, error = time.perf_counter(), None
        try:
            for code in _compile_cell(source, f"<cell {number}>"):
                exec(code, namespace)
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as caught:  # SystemExit too: it ends the cell, not this process
            error = caught
        finally:
            _show_figures()
        results.append(CellResult(number, time.perf_counter() - start, error))
        if after_cell is not None:
            after_cell(results[-1])
        if error is not None and stop_at_error:
            break
    return results


def format_error(error: BaseException) -> str:
    """Return the traceback of a cell's error, from the cell on."""
    trace = error.__traceback__
    while trace is not None and not trace.tb_frame.f_code.co_filename.startswith("<cell "):
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _compile_cell(source: str, name: str) -> list[CodeType]:
    """Return the code of a cell: all but a last expression, and that expression, whose value is printed."""
    try:
        tree = ast.parse(source, name)
    except SyntaxError:
        source = "\n".join(map(_replace_magic, source.split("\n")))
        tree = ast.parse(source, name)
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    ends_quietly = source.rstrip().endswith(";")
    codes = []
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr) and not ends_quietly:
        codes.append(compile(ast.Interactive([last]), name, "single"))
        tree.body.pop()
    return [compile(tree, name, "exec"), *codes]


def _replace_magic(line: str) -> str:
    """Return a line without its magic, with the same indentation.

    >>> _replace_magic("%matplotlib inline"), _replace_magic("  %timeit -n 3 f(x)"), _replace_magic("%%time")
    ('pass', '  f(x)', 'pass')
    """
    if match := TIMING_MAGIC.match(line):
        return match[1] + (match[2] or "pass")
    if match := OTHER_MAGIC.match(line):
        if not match[2].startswith("matplotlib"):
            announce_once(Message("left out, as it needs a notebook's kernel: {line}", line=line.strip()))
        return f"{match[1]}pass"
    return line


def _show_figures() -> None:
    """Write the figures that a cell left open, and close them, as a notebook does."""
    from yisheng.d2l import figure_files

    figure_files.flush()
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None and not figure_files.in_notebook():
        for number in pyplot.get_fignums():
            figure_files.save(pyplot.figure(number), "figure")
        pyplot.close("all")
