"""Files of the hub that a model reads besides its own weights."""

from __future__ import annotations

from torch import nn

from yisheng.data import hub


def fetch_hub_files(model: nn.Module) -> None:
    """Fetch the files that a model or a part of it names as ``hub_file``, if they are not in the cache.

    Args:
        model: any model.

    Raises:
        DataError: a file is not in the cache, and cannot be downloaded.
        StorageError: the cache cannot be written to.
    """
    for module in model.modules():
        if (file := getattr(module, "hub_file", None)) is not None:
            hub.fetch_file(*file)
