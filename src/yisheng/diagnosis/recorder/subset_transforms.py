"""Subsets of one data set in the user's program, through one of which its transform is replaced."""

from __future__ import annotations

import dis
import re
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from torch.utils.data import Subset

from yisheng.diagnosis.recorder.source_lines import list_nearby_variables

ATTRIBUTE = re.compile(r"transform|augment", re.IGNORECASE)
"""Names of attributes that change what is read."""


@dataclass(frozen=True)
class SharedTransform:
    """An attribute of a data set that was set through one of its subsets before the first update.

    Args:
        dataset: the data set.
        attribute: its name.
        value: its value then.
        names: the variables of that subset and of another one.
        line: of the program.
        is_contradictory: whether it was also set through the other subset, or taken away.
    """

    dataset: Any
    attribute: str
    value: Any
    names: tuple[str, str]
    line: int
    is_contradictory: bool

    @property
    def is_in_use(self) -> bool:
        """Return whether the attribute still has its value: a loop that changes it for each evaluation does not."""
        return getattr(self.dataset, self.attribute, None) is self.value


def find_shared_transform() -> SharedTransform | None:
    """Return an attribute that the callers have set through a subset whose data set another subset has, or None."""
    for frame, variables in list_nearby_variables():
        subsets = {name: value for name, value in variables.items() if isinstance(value, Subset)}
        if len(subsets) < 2:
            continue
        stores = list(_list_stores(frame))
        for name, attribute, offset, line in stores:
            subset = subsets.get(name)
            partners = [
                n
                for n, partner in subsets.items()
                if subset is not None and n != name and _have_one_dataset(subset, partner)
            ]
            if subset is None or not partners or any(later > frame.f_lasti for _, _, later, _ in stores):
                continue  # what comes after the update may be made for an evaluation
            if offset < frame.f_lasti and hasattr(subset.dataset, attribute):
                value = getattr(subset.dataset, attribute)
                is_set_twice = any(n in partners and a == attribute for n, a, _, _ in stores)
                pair = (name, partners[0])
                return SharedTransform(subset.dataset, attribute, value, pair, line, is_set_twice or value is None)
    return None


def _have_one_dataset(first: Subset[Any], second: Subset[Any]) -> bool:
    """Return whether two subsets have other rows of one data set."""
    return first.dataset is second.dataset and first is not second and list(first.indices) != list(second.indices)


def _list_stores(frame: FrameType) -> Iterator[tuple[str, str, int, int]]:
    """Yield variable, attribute, offset and line of each ``variable.dataset.attribute = ...`` of a function."""
    loads: list[dis.Instruction] = []
    line = frame.f_code.co_firstlineno
    for instruction in dis.get_instructions(frame.f_code):
        if instruction.opname in ("CACHE", "EXTENDED_ARG", "NOP"):
            continue
        is_store = instruction.opname == "STORE_ATTR" and ATTRIBUTE.search(str(instruction.argval))
        if is_store and len(loads) > 1 and loads[-1].opname == "LOAD_ATTR" and loads[-1].argval == "dataset":
            variable = loads[-2].argval
            name = variable[-1] if isinstance(variable, tuple) else variable
            line = (instruction.positions.lineno if instruction.positions else None) or line
            yield str(name), str(instruction.argval), instruction.offset, line
        loads = [*loads[-1:], instruction]
