"""Random generators: every seed is derived from one, and the caller's own generators stay as they were."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from yisheng.core.logging import logger
from yisheng.core.messages import Message

if TYPE_CHECKING:
    import torch

_generators_in_use = threading.RLock()


def derive(seed: int, *names: object) -> int:
    """Return a seed for one use, the same on every machine: 63 bits of BLAKE2b.

    The order of an epoch's samples comes from ``derive(seed, "order", epoch)``, so a run can be resumed in the middle
    of an epoch without the generator that began it.

    >>> derive(0, "order", 3) == derive(0, "order", 3) != derive(0, "order", 4)
    True
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, *names: object) -> torch.Generator:
    """Return a CPU generator seeded with ``derive(seed, *names)``."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators (all devices); use it within `isolated_generators`."""
    import random

    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(derive(seed, "numpy") % 2**32)
    torch.manual_seed(seed)


@contextlib.contextmanager
def isolated_generators(device: torch.device | None = None) -> Iterator[None]:
    """Restore the global generators of Python, NumPy and torch at the end of the block.

    Layers such as dropout draw from torch's global generator, which all threads of a process share. Two trainings at
    once would take each other's numbers, so the second one waits here, with a note, until the first has ended. A
    thread may enter the block again.

    Args:
        device: the GPU whose generator is restored too; None for all of them.

    >>> import random
    >>> state = random.getstate()
    >>> with isolated_generators():
    ...     seed_everything(0)
    >>> random.getstate() == state
    True
    """
    import random

    import numpy as np
    import torch

    if not _generators_in_use.acquire(blocking=False):
        logger.info(Message("another training is running in this process; this one starts when it has ended"))
        _generators_in_use.acquire()
    try:
        python, numpy = random.getstate(), np.random.get_state()
        try:
            with torch.random.fork_rng(_list_gpus() if device is None else [device] if device.type == "cuda" else []):
                yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
    finally:
        _generators_in_use.release()


def _list_gpus() -> list[int]:
    """Return the numbers of all GPUs; torch warns on a machine with several of them if they are not listed."""
    import torch

    return list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
