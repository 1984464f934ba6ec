"""Our own data sets."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from yisheng.core import nested
from yisheng.core.dataset import Dataset
from yisheng.core.registry import register
from yisheng.data.objects._values import Arrays, Options, Values


def _takes(value: Any) -> bool:
    return isinstance(value, Dataset)


@register(takes=_takes)
def yisheng_dataset(dataset: Dataset, options: Options) -> Values:  # noqa: ARG001  # every reader has this signature
    """Read a `yisheng.Dataset`, as other rows to validate or test on."""
    spec, x = dataset.spec, dataset.x
    inputs: Arrays = x
    if spec.inputs:
        parts = nested.unpack(torch.from_numpy(np.ascontiguousarray(x)), spec.inputs)
        inputs = (
            {key: value.numpy() for key, value in parts.items()}
            if isinstance(parts, dict)
            else tuple(value.numpy() for value in nested.tensors(parts))
        )
    y = np.asarray(spec.classes, object)[dataset.y] if spec.task == "classification" else dataset.y
    return Values(
        dataset.name,
        inputs,
        y,
        classes=spec.classes,
        target=spec.target,
        sample_weight=dataset.weight,
        rows=dataset.rows,
        notes=dataset.findings,
    )
