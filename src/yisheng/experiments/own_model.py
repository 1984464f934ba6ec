"""Give a user's own network to everything that loads a run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yisheng.core import files
from yisheng.core.errors import DataError
from yisheng.core.run_folder import RunFolder
from yisheng.core.supplied_components import supply_components
from yisheng.inference.own_network import explain_registered


@contextlib.contextmanager
def supply_model(folder: Path, model: Any) -> Iterator[None]:
    """Use a network in place of the one that was saved without its code, wherever the block loads the run.

    Args:
        folder: of a run, a cross-validation or a search.
        model: the network, its class, a function that builds it, or its reference, whose code is imported; None for
            the saved one.

    Raises:
        UsageError: the code cannot be imported, or the run's network is a registered one.
    """
    if model is not None:
        _require_own(folder)
    with supply_components(model=model):
        yield


def _require_own(folder: Path) -> None:
    """Refuse a run of a registered network; what is wrong with the folder is reported when it is loaded."""
    try:
        run = RunFolder(folder).model_folder
        description = files.read_json(run.file(RunFolder.MODEL))
        if run.is_cross_validation:
            description = files.read_json(run.path / description["fold_models"][0]["folder"] / RunFolder.MODEL)
        network = description["model"]
        is_own, name = "own" in network, str(network["name"])
    except (DataError, KeyError, TypeError, IndexError):
        return
    if not is_own:
        raise explain_registered(folder, name)
