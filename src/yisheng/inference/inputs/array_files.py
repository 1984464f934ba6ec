"""Files of arrays as inputs of networks that take neither images nor rows: .npy, .npz, HDF5 and JSON."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from yisheng.core import files
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path
from yisheng.core.spec import Spec
from yisheng.data.arrays.array_file import SUFFIXES, open_arrays

JSON_SUFFIX = ".json"
SINGLE_NAMES = ("x", "inputs", "input", "data", "arr_0")
"""Names of the only input in a file with several arrays, the first that is there."""


def read_array_files(inputs: Any, spec: Spec) -> Any:
    """Return the arrays in a file that was given as the only input, and anything else unchanged.

    Args:
        inputs: anything, or a list of one path of a file with the input, or with one array for each of several inputs
            under its name.
        spec: the contract.

    Raises:
        DataError: the file cannot be read, or lacks an input.
        UsageError: several files are given.
    """
    if not isinstance(inputs, list | tuple) or not all(isinstance(item, str | os.PathLike) for item in inputs):
        return inputs
    if len(inputs) > 1:
        raise UsageError(
            Message("the model takes one file of arrays, got {count} inputs", count=len(inputs)),
            Message("give one at a time"),
        )
    path = parse_path(inputs[0], "an input")
    if path.suffix.lower() == JSON_SUFFIX:
        return files.read_json(path)
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(
            Message("the model takes {description}, which {path} cannot hold", description=spec.description, path=path),
            Message("give a file of arrays: {names}", names=", ".join((*SUFFIXES, JSON_SUFFIX))),
        )
    with open_arrays(path) as stored:
        if not spec.inputs:
            return stored[_choose_single(path, stored)].read()
        names = [item.name for item in spec.inputs]
        if names[0]:
            missing = [name for name in names if name not in stored]
            if missing:
                raise DataError(
                    Message(
                        "{path} has no array {missing}: it holds {stored}",
                        path=path,
                        missing=missing[0],
                        stored=", ".join(stored) or Message("none"),
                    ),
                    Message("save one for each input: {names}", names=", ".join(names)),
                )
            return {name: stored[name].read() for name in names}
        return tuple(array.read() for array in stored.values())


def _choose_single(path: Path, stored: Mapping[str, Any]) -> str:
    """Return the name of the array with the inputs."""
    names = list(stored) if len(stored) == 1 else [name for name in SINGLE_NAMES if name in stored]
    if not names:
        raise DataError(
            Message("{path} holds {stored}", path=path, stored=", ".join(stored) or Message("no array")),
            Message("save the inputs under the name x"),
        )
    return names[0]
