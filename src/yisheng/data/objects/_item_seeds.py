"""Reading items under seeds of their own, with the caller's generators restored."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from yisheng.core.errors import DataError, YishengError
from yisheng.core.seeds import derive

MAX_ERROR_LENGTH = 300


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
def preserve_generators() -> Iterator[None]:
    """Restore the global generators of Python, NumPy and torch's CPU at the end of the block."""
    states = GeneratorStates()
    try:
        yield
    finally:
        states.restore()


def seed_generators(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch's CPU; those of GPUs stay as they are."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)


def item_seed(seed: int, epoch: int, row: int) -> int:
    """Return the seed under which a row is read in an epoch."""
    return derive(seed, "item", epoch, row)


def read_item(dataset: Any, row: int, name: str) -> Any:
    """Return an item of a map-style data set.

    Raises:
        DataError: its code raised an error.
    """
    try:
        return dataset[row]
    except YishengError:
        raise
    except Exception as error:
        raise item_error(name, row, error) from error


def item_error(name: str, row: int, error: Exception) -> DataError:
    """Return the error about a row that cannot be read."""
    message = " ".join(str(error).split())[:MAX_ERROR_LENGTH]
    return DataError(
        f"row {row} of {name} cannot be read: {type(error).__name__}: {message}",
        f"call data[{row}] to see where",
    )
