"""What an exported file says of itself: plain data, the same in every format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from yisheng.core import machine
from yisheng.inference.artifact import Saved
from yisheng.transforms import to_json

INPUT, OUTPUT = "input", "output"


def about(members: Sequence[Saved], dtype: np.dtype[Any]) -> dict[str, Any]:
    """Contract, classes, columns, inputs and outputs, and the members' models with what was fitted for each.

    Args:
        members: of one contract.
        dtype: of the raw inputs, uint8 or float32.
    """
    spec = members[0].spec
    answers = len(spec.classes) or spec.outputs
    kind = "values" if spec.task == "regression" else "probabilities"
    return {
        "format": 1,
        "yisheng": machine.versions()["yisheng"],
        "task": spec.task,
        "target": spec.target,
        "unit": spec.unit,
        "classes": list(spec.classes),
        "columns": spec.to_json()["columns"],
        "input": {"name": INPUT, "dtype": dtype.name, "shape": ["N", *spec.shape]},
        "output": {"name": OUTPUT, "dtype": "float32", "shape": ["N", answers], "is": kind},
        "spec": spec.to_json(),
        "members": [
            {
                "model": one.description.get("model"),
                "best": one.description.get("best"),
                "sha256": one.description.get("sha256"),
                "transforms": {
                    "input": to_json(one.scale),
                    "target": None if one.target_scale is None else to_json(one.target_scale),
                },
            }
            for one in members
        ],
    }
