"""Types of the options that several optimizers share."""

from __future__ import annotations

import math
from typing import Annotated, Any

from annotated_types import Interval

Groups = list[dict[str, Any]]
"""torch's parameter groups: ``params``, and the options of the group."""

Rate = Annotated[float, Interval(gt=0, lt=math.inf)]
Decay = Annotated[float, Interval(ge=0, lt=math.inf)]
Average = Annotated[float, Interval(ge=0, lt=1)]
"""Weight of the past in an exponentially weighted average, which covers about 1/(1 - average) steps."""
