"""Images or rows in a file of arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from yisheng.core.dataset import Dataset
from yisheng.core.paths import parse_path
from yisheng.core.registry import register


def is_array_file(path: Path) -> bool:
    """Return whether a path is a .npy or HDF5 file, or a .npz of images; `table` reads a .npz of rows."""
    from yisheng.data.arrays.array_file import NPZ_SUFFIX, SUFFIXES
    from yisheng.data.arrays.dataset import holds_images

    suffix = path.suffix.lower()
    return path.is_file() and suffix in SUFFIXES and (suffix != NPZ_SUFFIX or holds_images(path))


@register(opens=is_array_file)
def arrays(
    *,
    path: str,
    target: str | None = None,
    test: str | None = None,
    keys: dict[str, str] | tuple[str, ...] = (),
    task: Literal["auto", "classification", "multilabel", "regression"] = "auto",
    names: tuple[str, ...] = (),
    kinds: dict[str, str] | tuple[str, ...] = (),
) -> Dataset:
    """Load images or rows in a file of arrays: .npz, a pair of .npy, or HDF5.

    The arrays are found by their names (x, images, train_x, arr_0; y, labels, train_y, arr_1; x_test, ...) and shapes.
    Images are (N, H, W), (N, H, W, C) or (N, C, H, W); rows (N, D) are read as a table.

    Args:
        path: the file; data=images.npz is short for it.
        target: a second file with the targets of a .npy; y.npy next to x.npy by default.
        test: a file of the same form with the test part.
        keys: the arrays by role, where their names do not show it, as in x:train_set_x,y:train_set_y; the roles are
            x, y, x_validation, y_validation, x_test, y_test and classes.
        task: what to learn; auto depends on the targets: texts and whole numbers are classes.
        names: names of the columns of rows.
        kinds: kinds of the columns of rows, as for a table.

    Raises:
        UsageError: an array does not exist.
        DataError: a file is damaged, holds no inputs or targets, or arrays of different lengths.
        MissingPartError: HDF5 without h5py.
    """
    from yisheng.data.arrays.dataset import load_arrays
    from yisheng.data.arrays.roles import parse_keys
    from yisheng.data.tables.column_roles import parse_kinds

    file = parse_path(path, "path")
    targets = None if target is None else _resolve(file, target, "target")
    return load_arrays(
        file,
        target=targets,
        test=None if test is None else _resolve(file, test, "test"),
        keys=parse_keys(keys),
        task=None if task == "auto" else task,
        names=names,
        kinds=parse_kinds(kinds),
    )


def _resolve(file: Path, text: str, key: str) -> Path:
    """Return a second file's path: as given if it exists, else relative to the folder of the first."""
    from yisheng.data.tables import resolve_test_path

    return resolve_test_path(file, parse_path(text, key))
