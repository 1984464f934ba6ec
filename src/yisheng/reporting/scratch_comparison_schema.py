"""The form of ``scratch_comparison.json``, checked when it is read: how far a run by hand lies from the library's."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Distance = Annotated[float, Field(ge=0)]


class _Part(BaseModel):
    # JSON has no infinity; it is written as text, as in the log.
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class Difference(_Part):
    """The largest difference of two sequences of numbers.

    Args:
        compared: how many numbers of each.
        absolute: the largest difference.
        relative: the largest one relative to the larger of the two numbers; of weights, to the largest of their layer.
        at: where the largest absolute one is: a step, an epoch, the name of a layer's weights.
    """

    compared: Count = 0
    absolute: Distance = 0.0
    relative: Distance = 0.0
    at: int | str | None = None


class ScratchComparison(_Part):
    """A from-scratch run compared with the library's run of the same config.

    Args:
        epochs: trained by hand, and by the library; they differ only where patience ran out at another time.
        steps: of the logged losses of single batches.
        training: of the mean training losses of the epochs.
        validation: of the validation losses; None where nothing is validated.
        weights: after the last update.
    """

    epochs: tuple[Count, Count]
    steps: Difference
    training: Difference
    validation: Difference | None = None
    weights: Difference
