"""Times of repeated work."""

from __future__ import annotations

import time
from types import TracebackType

import numpy as np

from yisheng.core.errors import UsageError
from yisheng.core.messages import Message


class Timer:
    """A stopwatch that keeps the times of all its laps, in seconds. It runs from its creation.

    Yisheng's own: ``run.history`` has the time of each epoch.

    >>> timer = Timer()
    >>> timer.stop() >= 0, len(timer.times)
    (True, 1)
    """

    def __init__(self) -> None:
        self.times: list[float] = []
        self.start()

    def start(self) -> None:
        """Begin a lap."""
        self.tik = time.perf_counter()

    def stop(self) -> float:
        """End the lap; return its seconds."""
        self.times.append(time.perf_counter() - self.tik)
        return self.times[-1]

    def avg(self) -> float:
        """Return the mean of the laps, in seconds.

        Raises:
            UsageError: no lap has ended.
        """
        if not self.times:
            raise UsageError(
                Message("the timer has no lap to average"), Message("call timer.stop() before timer.avg()")
            )
        return self.sum() / len(self.times)

    def sum(self) -> float:
        """Return the sum of the laps, in seconds."""
        return float(sum(self.times))

    def cumsum(self) -> list[float]:
        """Return the time up to the end of each lap, in seconds."""
        return list(np.cumsum(self.times).tolist())


class Benchmark:
    """Print how long the block takes.

    Args:
        description: what is printed before the seconds.

    >>> with Benchmark("adding"):
    ...     _ = 1 + 1  # doctest: +ELLIPSIS
    adding: 0... sec
    """

    def __init__(self, description: str = "Done") -> None:
        self.description = description

    def __enter__(self) -> Benchmark:
        self.timer = Timer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        print(f"{self.description}: {self.timer.stop():.4f} sec")
