"""torch's fused kernels: one pass over the memory instead of one per operation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

FUSED_DTYPES = frozenset({torch.float64, torch.float32, torch.float16, torch.bfloat16})
FUSED_DEVICES = frozenset({"cpu", "cuda"})


def can_fuse(groups: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether torch's fused kernels can update every parameter of the groups.

    They do the same arithmetic in one kernel; in small networks the update is a large part of a step.

    >>> can_fuse([{"params": [torch.zeros(2)]}]), can_fuse([{"params": [torch.zeros(2, dtype=torch.complex64)]}])
    (True, False)
    """
    return all(p.dtype in FUSED_DTYPES and p.device.type in FUSED_DEVICES for group in groups for p in group["params"])
