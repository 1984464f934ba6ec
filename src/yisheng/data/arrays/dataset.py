"""A data set of the arrays in files: images, or rows that are read as a table."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, YishengError
from yisheng.core.findings import Finding
from yisheng.core.messages import Message
from yisheng.core.spec import Spec, Task
from yisheng.data.arrays import array_file, image_arrays
from yisheng.data.arrays.array_file import open_arrays
from yisheng.data.arrays.roles import PARTS, find_roles, list_arrays
from yisheng.data.arrays.rows import table_from_arrays
from yisheng.data.arrays.stored_array import StoredArray
from yisheng.data.objects._targets import TargetEncoder
from yisheng.data.part_labels import check_part_labels
from yisheng.data.tables import table_dataset
from yisheng.data.tables.column_roles import Roles
from yisheng.data.tables.files import dataset_name
from yisheng.data.tables.later_tables import TestTable

_PAIRED_WORDS = (("x", "y"), ("images", "labels"), ("image", "label"), ("data", "labels"), ("inputs", "targets"))
"""Words in the names of two files of NumPy's that belong together."""


@dataclass(frozen=True)
class Part:
    """The arrays of one part.

    Args:
        name: train, validation or test.
        x: inputs ``(N, ...)``.
        y: targets ``(N, ...)``, or None.
        label: of the inputs, for messages.
    """

    name: str
    x: np.ndarray
    y: np.ndarray | None
    label: str


def load_arrays(
    path: Path,
    *,
    target: Path | None = None,
    test: Path | None = None,
    test_target: Path | None = None,
    keys: Mapping[str, str] | None = None,
    task: Task | None = None,
    names: Sequence[str] = (),
    kinds: Mapping[str, str] | None = None,
) -> Dataset:
    """Return the data set of a file of arrays.

    Args:
        path: .npz, .npy, .h5 or .hdf5.
        target: a second file with the targets, for .npy; found by its name by default.
        test: a file with the test part.
        test_target: the targets of a .npy of the test part; found by its name by default.
        keys: names of arrays by role; see `yisheng.data.arrays.roles`.
        task: what is learned; inferred from the targets by default.
        names: names of the columns of rows.
        kinds: kinds of columns of rows by name.

    Raises:
        UsageError: an array or role does not exist.
        DataError: a file cannot be read, or its arrays do not fit one another.
        MissingPartError: HDF5 without h5py.
    """
    with _open(path, target) as arrays:
        roles = find_roles(str(path), arrays, keys or {})
        parts = [_read_part(path, arrays, part, roles.x[part], roles.y.get(part)) for part in PARTS if part in roles.x]
        classes = _read_texts(arrays[roles.classes]) if roles.classes else ()
        listed = list_arrays(arrays)
    if test is not None:
        with _open(test, test_target) as arrays:
            roles = find_roles(str(test), arrays, {})
            source = "test" if "test" in roles.x else "train"
            parts.append(_read_part(test, arrays, "test", roles.x[source], roles.y.get(source)))
    for part in parts:
        if part.y is None:
            raise DataError(
                Message(
                    "{path} holds no targets for {label}: it holds {listed}", path=path, label=part.label, listed=listed
                ),
                Message("name them with keys=x:NAME,y:NAME, or for a .npy with target=y.npy"),
            )
    if parts[0].x.ndim <= 2:
        return _build_rows(path, parts, classes, task, names, kinds or {})
    return _build_images(path, parts, classes, task)


def holds_images(path: Path) -> bool:
    """Return whether the inputs in a file of arrays are images rather than rows; False for a damaged file."""
    try:
        with open_arrays(path) as arrays:
            try:
                roles = find_roles(str(path), arrays, {})
            except YishengError:  # keys= will name them
                return any(len(array.shape) > 2 for array in arrays.values())
            return len(arrays[roles.x.get("train", next(iter(roles.x.values())))].shape) > 2
    except YishengError:
        return False


def find_target_file(path: Path) -> Path | None:
    """Return the file of targets next to a .npy of inputs, as ``y_train.npy`` for ``X_train.npy``, or None."""
    for inputs, targets in _PAIRED_WORDS:
        pattern = re.compile(rf"(?<![A-Za-z]){inputs}(?![A-Za-z])", re.IGNORECASE)
        for word in (targets, targets.capitalize(), targets.upper()):
            candidate = path.with_name(pattern.sub(word, path.name))
            if candidate != path and candidate.is_file() and not (candidate.exists() and candidate.samefile(path)):
                return candidate
    return None


@contextlib.contextmanager
def _open(path: Path, target: Path | None) -> Iterator[Mapping[str, StoredArray]]:
    """Open the arrays of a file; those of a .npy and of its targets are called x and y."""
    if path.suffix.lower() != array_file.NPY_SUFFIX:
        with open_arrays(path) as arrays:
            yield arrays
        return
    target = find_target_file(path) if target is None else target
    with contextlib.ExitStack() as stack:
        arrays = {"x": next(iter(stack.enter_context(open_arrays(path)).values()))}
        if target is not None:
            arrays["y"] = next(iter(stack.enter_context(open_arrays(target)).values()))
        yield arrays


def _read_part(path: Path, arrays: Mapping[str, StoredArray], part: str, x: str, y: str | None) -> Part:
    inputs = arrays[x].read()
    targets = None if y is None else _squeeze(arrays[y].read())
    if targets is not None and len(targets) != len(inputs) and not _is_last_axis(inputs, targets):
        raise DataError(
            Message(
                "{path}: {x} has {x_rows} rows, {y} has {y_rows}",
                path=path,
                x=x,
                x_rows=len(inputs),
                y=y,
                y_rows=len(targets),
            ),
            Message("name others with keys=x:NAME,y:NAME"),
        )
    return Part(part, inputs, targets, x)


def _is_last_axis(x: np.ndarray, y: np.ndarray) -> bool:
    """Return whether images are along the last axis, as MATLAB stores them."""
    return x.ndim == 4 and x.shape[3] == len(y)


def _squeeze(y: np.ndarray) -> np.ndarray:
    """Return targets ``(1, N)`` as ``(N,)``: some files store a row."""
    return y.reshape(-1) if y.ndim == 2 and 1 in y.shape else y


def _read_texts(array: StoredArray) -> tuple[str, ...]:
    values = array.read().reshape(-1).tolist()
    return tuple(value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value) for value in values)


def _build_images(path: Path, parts: Sequence[Part], classes: Sequence[str], task: Task | None) -> Dataset:
    blocks, findings = [], list[Finding]()
    for part in parts:
        assert part.y is not None
        block, note = image_arrays.to_block(part.x, f"{path.name}: {part.label}", len(part.y))
        blocks.append(block)
        findings.append(
            Finding("arrays", "note", {"shape": list(part.x.shape)}, note, Message("name others with keys=x:NAME"))
        )
    shapes = {block.shape[1:] for block in blocks}
    if len(shapes) > 1:
        raise DataError(
            Message("{path}: the parts hold images of different shapes: {shapes}", path=path, shapes=shapes),
            Message("save them in one shape"),
        )
    first = parts[0].y
    assert first is not None
    encoder, notes = TargetEncoder.fit(_to_texts(first), task=task, classes=tuple(classes), name=parts[0].label)
    targets = [encoder.encode(_to_texts(part.y), part.label) for part in parts if part.y is not None]
    y = np.concatenate(targets)
    part_numbers = _number_parts(parts)
    if encoder.task == "classification":
        findings += check_part_labels(str(path), encoder.classes, y, part_numbers, has_forms=False)
    target_name = "class" if encoder.task == "classification" else "labels" if encoder.task == "multilabel" else "y"
    outputs = y.shape[1] if encoder.task == "regression" else 0
    x = blocks[0] if len(blocks) == 1 else np.concatenate([block.astype(_common_type(blocks)) for block in blocks])
    return Dataset(
        dataset_name(path),
        Spec(encoder.task, x.shape[1:], encoder.classes, target=target_name, outputs=outputs),
        x,
        y,
        part_numbers,
        findings=(*findings, *notes),
        about=f"Images in {path.name}.",
        source=str(path),
    )


def _common_type(blocks: Sequence[np.ndarray]) -> np.dtype[np.generic]:
    return np.result_type(*(block.dtype for block in blocks))


def _to_texts(y: np.ndarray) -> np.ndarray:
    """Return texts in bytes as texts."""
    return np.char.decode(y, "utf-8", "replace") if y.dtype.kind == "S" else y


def _number_parts(parts: Sequence[Part]) -> np.ndarray | None:
    if len(parts) == 1:
        return None
    counts = [len(part.y) if part.y is not None else 0 for part in parts]
    return np.repeat(np.array([PARTS.index(part.name) for part in parts], np.int8), counts)


def _build_rows(
    path: Path,
    parts: Sequence[Part],
    classes: Sequence[str],
    task: Task | None,
    names: Sequence[str],
    kinds: Mapping[str, str],
) -> Dataset:
    """Return the data set of rows; a validation part is a part of the training rows."""
    if [part.name for part in parts] not in (["train"], ["train", "test"]):
        raise DataError(
            Message("{path} holds rows of the parts {parts}", path=path, parts=", ".join(part.name for part in parts)),
            Message("name those to learn from and to test on, as in keys=x:NAME,y:NAME,x_test:NAME,y_test:NAME"),
        )
    tables = [table_from_arrays(str(path), part.x, _name_classes(part.y, classes), names) for part in parts]
    targets = tuple(name for name in tables[0].columns if name == "y" or name.startswith("y-"))
    roles = Roles(targets, kinds=dict(kinds), task=task)
    test = None
    if len(tables) > 1:
        test = TestTable(tuple(tables[1].columns), lambda _, __: tables[1])
    dataset = table_dataset.build_dataset(dataset_name(path), tables[0], roles, test)
    return replace(dataset, about=f"Rows in {path.name}.", source=str(path))


def _name_classes(y: np.ndarray | None, classes: Sequence[str]) -> np.ndarray | None:
    """Return class numbers as the names that the file holds."""
    if y is None or not classes or y.dtype.kind not in "iu" or not ((y >= 0) & (y < len(classes))).all():
        return y
    return np.array(classes)[y]
