"""Files of the hub that a model reads besides its own weights."""

from __future__ import annotations

from torch import nn

from yisheng.data import hub
from yisheng.models._fitted_model import FittedModel


def fetch_hub_files(model: nn.Module) -> None:
    """Fetch the files that a model or a part of it reads, if they are not in the cache.

    Args:
        model: any model.

    Raises:
        DataError: a file is not in the cache, and cannot be downloaded.
        StorageError: the cache cannot be written to.
    """
    for module in model.modules():
        if isinstance(module, FittedModel) and module.hub_file is not None:
            hub.fetch_file(*module.hub_file)
