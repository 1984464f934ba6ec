"""Rows of a table in many files as inputs of a run: adapted file by file, so that they need not fit in memory."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core.spec import Spec
from yisheng.data.objects._blocks import GrowingBlock
from yisheng.experiments.other_data.matching import count_classes
from yisheng.experiments.other_data.rows import OtherRows
from yisheng.experiments.other_data.table_rows import TableRoles, adapt_tables, read_table_files


def adapt_shards(
    name: str, paths: Sequence[Path], spec: Spec, roles: TableRoles, reading: Mapping[str, Any], forms: Sequence[str]
) -> OtherRows:
    """Return the rows of all files, in their order, as a run takes them.

    Args:
        name: of the data.
        paths: the files; each of them fits in memory.
        spec: the contract of the run.
        roles: the columns that are not inputs.
        reading: how the files are read.
        forms: forms of the labels.

    Raises:
        DataError: a file cannot be read, or does not fit the run.
    """
    block, digest = GrowingBlock(name, keeps_double=spec.is_double), hashlib.sha256()
    targets, index, unknown = list[np.ndarray](), list[np.ndarray](), collections.Counter[str]()
    notes: dict[str, str] = {}
    total = 0
    for path in paths:
        tables = read_table_files(path, None, spec, roles, reading)
        rows = adapt_tables(path.name, tables, spec, roles, part=None, forms=forms)
        block.append(rows.read(rows.index))
        targets.append(rows.targets.y)
        index.append(rows.index + total)
        total += tables[0].row_count
        digest.update(rows.sha256.encode())
        unknown.update(rows.targets.classes.unknown if rows.targets.classes is not None else {})
        notes |= {str(note): note for note in rows.notes}
    x, y, numbers = block.finish(), np.concatenate(targets), np.concatenate(index)
    matched = replace(rows.targets, y=y)
    if spec.task == "classification":
        matched = replace(matched, classes=count_classes(y, spec, dict(unknown)))

    def read(row_numbers: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x[np.searchsorted(numbers, row_numbers)])

    return OtherRows(name, read, numbers, matched, digest.hexdigest(), None, tuple(notes.values()))
