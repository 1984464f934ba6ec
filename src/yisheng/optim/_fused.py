"""One pass over the memory instead of one per operation, where torch has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

DTYPES = frozenset({torch.float64, torch.float32, torch.float16, torch.bfloat16})
DEVICES = frozenset({"cpu", "cuda"})


def fusable(groups: Iterable[Mapping[str, Any]]) -> bool:
    """Whether torch's fused kernels can update every parameter of the groups.

    They do the same arithmetic in one kernel; on small nets the update is a large part of a step.

    >>> fusable([{"params": [torch.zeros(2)]}]), fusable([{"params": [torch.zeros(2, dtype=torch.complex64)]}])
    (True, False)
    """
    return all(p.dtype in DTYPES and p.device.type in DEVICES for group in groups for p in group["params"])
