"""The states of the global random generators, to draw from several sequences in turn."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

import numpy as np
import torch


class GeneratorStates:
    """The states of the global generators of Python, NumPy and torch's CPU.

    >>> states = GeneratorStates.of_seed(0)
    >>> with states.active():
    ...     first = random.random()
    >>> with states.active():
    ...     second = random.random()
    >>> random.seed(0); first == random.random(), second == random.random()
    (True, True)
    """

    def __init__(self) -> None:
        self._python, self._numpy = random.getstate(), np.random.get_state()
        self._torch = torch.get_rng_state()

    @classmethod
    def of_seed(cls, seed: int) -> GeneratorStates:
        """Return the states after seeding, without changing the present ones."""
        with preserve_generators():
            seed_generators(seed)
            return cls()

    def restore(self) -> None:
        """Make these the present states."""
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._torch)

    def __eq__(self, value: object) -> bool:
        return (
            isinstance(value, GeneratorStates)
            and self._python == value._python
            and all(map(np.array_equal, self._numpy, value._numpy))
            and torch.equal(self._torch, value._torch)
        )

    __hash__ = None  # type: ignore[assignment]  # the states change

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """Draw from these states during the block, and go on from there in the next one."""
        present = GeneratorStates()
        self.restore()
        try:
            yield
        finally:
            self.__init__()  # type: ignore[misc]  # the states after the block
            present.restore()


@contextlib.contextmanager
def preserve_generators(device: torch.device | None = None) -> Iterator[None]:
    """Restore the global generators of Python, NumPy and torch's CPU at the end of the block.

    Args:
        device: a CUDA GPU whose generator is restored, too.
    """
    states = GeneratorStates()
    gpu = torch.cuda.get_rng_state(device) if device is not None and device.type == "cuda" else None
    try:
        yield
    finally:
        states.restore()
        if gpu is not None and device is not None:
            torch.cuda.set_rng_state(gpu, device)


def seed_generators(seed: int, device: torch.device | None = None) -> None:
    """Seed the global generators of Python, NumPy and torch's CPU.

    Args:
        seed: of all of them.
        device: the GPU whose generator is seeded, too; those of others stay as they are.
    """
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    if device is not None and device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)
    elif device is not None and device.type == "mps":
        torch.mps.manual_seed(seed)
