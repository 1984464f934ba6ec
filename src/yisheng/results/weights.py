"""The weights of a network by name, read from its file without building the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.natural_sort import sort_naturally
from yisheng.core.notebook_html import render_heading, render_table
from yisheng.core.run_folder import INTACT_COPY, RunFolder
from yisheng.core.text_tables import format_table

if TYPE_CHECKING:
    import numpy as np
    import torch


class Weights(Mapping[str, "np.ndarray | torch.Tensor"]):
    """The parameters and buffers of a network by name; they print as a table of shapes.

    A value is a NumPy array, or a tensor where NumPy has no such type (bfloat16). Changing it does not change the run.

    Args:
        folder: of the run.

    Raises:
        DataError: the file is missing, damaged, or not the one that was saved.

    >>> import tempfile, yisheng
    >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> [(name, values.shape) for name, values in Weights(run.path).items()]
    [('output.bias', (3,)), ('output.weight', (3, 4))]
    """

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        from yisheng.inference.model_files import verify_checksums

        verify_checksums(folder, RunFolder.WEIGHTS)
        try:
            tensors = load_file(folder / RunFolder.WEIGHTS)
        except (OSError, SafetensorError) as error:
            raise DataError(
                Message("{path} cannot be read: {error}", path=folder / RunFolder.WEIGHTS, error=error), INTACT_COPY
            ) from None
        self._tensors = {name: tensors[name] for name in sort_naturally(tensors)}

    def __getitem__(self, name: str) -> np.ndarray | torch.Tensor:
        import torch

        tensor = self._tensors[name]
        return tensor if tensor.dtype is torch.bfloat16 else tensor.numpy()

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def _tabulate(self) -> list[list[str]]:
        rows = [[n, " x ".join(map(str, t.shape)) or "-", f"{t.numel():,}"] for n, t in self._tensors.items()]
        return [["name", "shape", "values"], *rows]

    def __repr__(self) -> str:
        return format_table(self._tabulate())

    def _repr_html_(self) -> str:
        total = sum(tensor.numel() for tensor in self._tensors.values())
        return render_heading(f"{total:,} values") + render_table(self._tabulate(), numeric=(2,))
