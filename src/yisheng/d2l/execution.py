"""A notebook or script of the book, run with `yisheng.d2l.install`: in a kernel if there is one, else cell by cell."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

from yisheng.core.errors import DataError, MissingPartError, UsageError
from yisheng.core.files import replace_file
from yisheng.core.messages import Message, translate
from yisheng.d2l.cells import CellResult, format_error, read_cells, run_cells
from yisheng.d2l.installation import install
from yisheng.d2l.notices import announce

KERNEL_PARTS = ("nbclient", "nbformat", "ipykernel")
SECONDS_BEFORE_PROGRESS = 2
SECONDS_BETWEEN_LINES = 5


def run_file(path: Path, *, out: Path | None, pandas: bool, stop_at_error: bool) -> bool:
    """Run a notebook or script; return whether all cells ran.

    Args:
        path: an ``.ipynb`` or ``.py`` file. A notebook runs in its own folder, a script in the present one.
        out: where the notebook with its outputs is written; by default next to the notebook, under a new name.
        pandas: change pandas back to what the book expects; see `yisheng.d2l.compat`.
        stop_at_error: leave the remaining cells out after an error.

    Raises:
        DataError: the file is missing, or of another format.
        UsageError: ``out`` exists, or belongs to a script.
        MissingPartError: ``out`` requires a kernel, which is not installed.
    """
    if not path.is_file():
        raise DataError(
            Message("{path} does not exist (the present folder is {folder})", path=path, folder=Path.cwd()),
            Message("give the path of a notebook"),
        )
    if path.suffix not in (".ipynb", ".py"):
        raise DataError(
            Message("{path} is neither a notebook nor a script", path=path), Message("give an .ipynb or .py file")
        )
    cells = read_cells(path)
    missing = [name for name in KERNEL_PARTS if importlib.util.find_spec(name) is None]
    if out is not None and out.exists():
        raise UsageError(Message("out={out} exists", out=out), Message("name a new file, or remove it"))
    if path.suffix == ".ipynb" and not missing:
        return _run_in_kernel(path, out or _find_new_name(path), pandas=pandas, stop_at_error=stop_at_error)
    if out is not None and path.suffix == ".py":
        raise UsageError(
            Message("out= is for notebooks, not for scripts"),
            Message("leave out= out; figures are written as PNG files"),
        )
    if out is not None:
        raise MissingPartError(
            Message("out= requires {missing}", missing=", ".join(missing)),
            Message('run pip install "yisheng[notebook]"'),
        )
    return _run_in_process(path, cells, pandas=pandas, stop_at_error=stop_at_error)


def _run_in_process(path: Path, cells: list[str], *, pandas: bool, stop_at_error: bool) -> bool:
    """Run cells in this process, whose main module they become."""
    os.environ.setdefault("MPLBACKEND", "agg")
    install(pandas=pandas)
    main = ModuleType("__main__")
    main.__dict__["__file__"] = str(path.absolute())
    sys.modules["__main__"] = main
    if path.suffix == ".ipynb":
        os.chdir(path.absolute().parent)
    results = run_cells(cells, main.__dict__, stop_at_error=stop_at_error, after_cell=_show_error)
    failed = [result for result in results if result.error is not None]
    seconds = sum(result.seconds for result in results)
    announce(
        Message(
            "{count} of {total} cells ran in {seconds} s",
            count=len(results) - len(failed),
            total=len(cells),
            seconds=f"{seconds:.1f}",
        )
    )
    return not failed


def _show_error(result: CellResult) -> None:
    if result.error is not None:
        label = translate(Message("cell {number}", number=result.number))
        print(f"{label}: {format_error(result.error)}", file=sys.stderr)


def _run_in_kernel(path: Path, out: Path, *, pandas: bool, stop_at_error: bool) -> bool:
    """Run a notebook in a kernel of this Python, and write it with its outputs."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, DeadKernelError

    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # nbformat's own errors, of JSON and of its schema
        raise DataError(
            Message("{path} is not a notebook: {reason}", path=path, reason=str(error).splitlines()[0]),
            Message("save it again in Jupyter"),
        ) from None
    setup = f"import yisheng.d2l\nyisheng.d2l.install(pandas={pandas})"
    notebook.cells.insert(0, nbformat.v4.new_code_cell(setup))
    count = sum(cell.cell_type == "code" for cell in notebook.cells) - 1
    failed: list[int] = []

    def count_failure(*, cell_index: int, execute_reply: Any, **_: Any) -> None:
        if execute_reply["content"]["status"] != "ok":
            failed.append(cell_index)

    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        allow_errors=not stop_at_error,
        resources={"metadata": {"path": str(path.absolute().parent)}},
        on_cell_start=_CellProgress(count),
        on_cell_executed=count_failure,
    )
    problem = ""
    try:
        client.execute()
    except CellExecutionError as error:
        problem = str(error)
    except DeadKernelError:
        problem = translate(Message("the kernel died, perhaps because there was not enough memory"))
    with replace_file(out) as temporary:
        temporary.write_text(nbformat.writes(notebook), encoding="utf-8")
    if problem:
        print(problem, file=sys.stderr)
    if failed:
        announce(Message("{failures} of {count} cells failed", failures=len(failed), count=count))
    print(out)
    return not failed and not problem


class _CellProgress:
    """Says which cell begins, at intervals."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._number = 0  # of the cell that begins; the first one installs the names
        self._next_line_at = time.monotonic() + SECONDS_BEFORE_PROGRESS

    def __call__(self, *, cell: Any, **_: Any) -> None:
        if cell.cell_type != "code":
            return
        if self._number and time.monotonic() >= self._next_line_at:
            self._next_line_at = time.monotonic() + SECONDS_BETWEEN_LINES
            announce(Message("cell {number} of {total}", number=self._number, total=self._total))
        self._number += 1


def _find_new_name(path: Path) -> Path:
    """Return a path next to the notebook that does not exist."""
    number, candidate = 1, path.with_name(f"{path.stem}-run.ipynb")
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.stem}-run-{number}.ipynb")
    return candidate
