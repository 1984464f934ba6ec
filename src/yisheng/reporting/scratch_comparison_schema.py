"""The schema of ``scratch_comparison.json``: differences between a from-scratch run and the library's run."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Distance = Annotated[float, Field(ge=0)]


class _Schema(BaseModel):
    # JSON has no infinity; it is stored as text, as in the log.
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class Difference(_Schema):
    """The largest difference between two sequences of numbers.

    Args:
        compared: length of the sequences.
        absolute: the largest absolute difference.
        relative: the largest difference divided by the larger of both numbers; for weights, by the largest one of
            their tensor.
        at: position of the largest absolute difference: a step, an epoch or the name of a weight tensor; None if both
            sequences are equal.
    """

    compared: Count = 0
    absolute: Distance = 0.0
    relative: Distance = 0.0
    at: int | str | None = None


class ScratchComparison(_Schema):
    """A from-scratch run compared with the library's run of the same config.

    Args:
        epochs: number of epochs from scratch and in the library's run; early stopping can make them differ.
        steps: difference of the logged batch losses.
        training: difference of the epochs' mean training losses.
        validation: difference of the validation losses; None without a validation part.
        weights: difference of the weights after the last update.
    """

    epochs: tuple[Count, Count]
    steps: Difference
    training: Difference
    validation: Difference | None = None
    weights: Difference
