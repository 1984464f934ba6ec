"""Image sets of the hub, also from a folder that torchvision filled, and without a download unless it is allowed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.data import hub
from yisheng.data.datasets._idx_dataset import FILES, read_pair
from yisheng.data.datasets.cifar10 import cifar10
from yisheng.data.hub import catalog
from yisheng.data.hub.cache import ensure_cached

N_CLASSES = 10


def read_idx_part(
    name: str, part: str, *, folder: Path | None = None, download: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return images uint8 ``(N, 28, 28)`` and labels int64 ``(N,)`` of a part of MNIST or Fashion-MNIST.

    Args:
        name: the hub's set.
        part: ``train`` or ``test``.
        folder: where torchvision would have put the files; used if they are there and intact.
        download: whether the public addresses may be used.

    Raises:
        DataError: a file cannot be had, or is damaged.
    """
    paths = [_find_file(name, file, folder, download) for file in FILES[part]]
    return read_pair(paths[0], paths[1], N_CLASSES)


def read_cifar10(*, download: bool = True) -> Dataset:
    """Return CIFAR-10 in the form that is on this machine or its mirrors, else in the published one.

    Args:
        download: whether the public addresses may be used.

    Raises:
        DataError: the files cannot be had, or are damaged.
    """
    hub_set = catalog.find("cifar10")
    for form in hub_set.forms:
        try:
            for file in hub_set.get_form(form):
                _fetch(hub_set.name, file.name, download=False)
        except DataError:
            continue
        return cifar10(form="jpeg" if form == "jpeg" else "binary")
    if not download:
        raise _make_missing_error("cifar10")
    return cifar10()


def _find_file(name: str, file: str, folder: Path | None, download: bool) -> Path:
    if folder is not None and folder.is_dir():
        try:
            return hub.fetch_file(name, file, folder)
        except DataError:  # not there, or damaged: the hub has its own
            pass
    return _fetch(name, file, download=download)


def _fetch(name: str, file: str, *, download: bool) -> Path:
    hub_set = catalog.find(name)
    try:
        return ensure_cached(hub_set, hub_set.get_file(file), mirrors_only=not download)
    except DataError:
        if download:
            raise
        raise _make_missing_error(name) from None


def _make_missing_error(name: str) -> DataError:
    return DataError(
        Message("the files of {name} are not on this machine", name=name),
        Message(
            "add download=True; or, without a network, run `yisheng data bundle {name} out=FILE.zip` on "
            "another machine",
            name=name,
        ),
    )
