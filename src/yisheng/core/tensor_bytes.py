"""Tensors by name as bytes in the format safetensors, with tied weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from safetensors.torch import save


def serialize_tensors(tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None) -> bytes:
    """Return tensors as the content of a safetensors file.

    Names that share memory (the weights of an embedding and of the layer that is tied to it) are each written with
    their values, so that ``load_state_dict`` and every other reader find all names.

    Args:
        tensors: of any device, layout and memory order.
        metadata: text by key for the file's header.

    >>> from safetensors.torch import load
    >>> weight = torch.arange(3.0)
    >>> load(serialize_tensors({"embed.weight": weight, "decoder.weight": weight}))["decoder.weight"]
    tensor([0., 1., 2.])
    """
    written: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    for name, value in tensors.items():
        tensor = value.detach().cpu().contiguous()
        storage = tensor.untyped_storage()
        if storage.data_ptr() in storages or storage.nbytes() != tensor.nbytes:
            tensor = tensor.clone()
        else:
            storages.add(storage.data_ptr())
        written[name] = tensor
    return save(written, None if metadata is None else dict(metadata))
