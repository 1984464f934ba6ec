"""Types of the values of config keys, with the limits that pydantic checks."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field


def _parse_seconds(value: Any) -> Any:
    """Return ``90``, ``90s``, ``5m`` and ``1.5h`` in seconds, and values that are not text unchanged."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*", value)
    if match is None:
        raise ValueError("a time such as 90s, 5m or 1.5h")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def _require_power_of_two(value: int) -> int:
    if value & (value - 1):
        raise ValueError("a power of two (1, 2, 4, 8, ...)")
    return value


Auto = Literal["auto"]
Count = Annotated[int, Field(ge=1, le=10**9)]
Epochs = Annotated[int, Field(ge=0, le=10**9)]
Shards = Annotated[int, Field(ge=1, le=1024), AfterValidator(_require_power_of_two)]
Size = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, BeforeValidator(_parse_seconds), Field(ge=1, le=10**7, allow_inf_nan=False)]
