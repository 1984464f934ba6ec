"""Results that threads compute ahead of their use, in the order of their inputs."""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_ahead(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Yield ``function(item)`` for each item in order, while threads compute those of the next items.

    At most ``workers`` + 1 results exist at a time. An error is raised where its result would be yielded; what is
    pending when the iteration ends early is cancelled.

    Args:
        function: called in the threads; it should release Python's lock for most of its time.
        items: taken one by one, in the caller's thread.
        workers: number of threads.

    >>> list(map_ahead(abs, [1, -2, 3], workers=2))
    [1, 2, 3]
    """
    pending: collections.deque[Future[R]] = collections.deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > workers:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
