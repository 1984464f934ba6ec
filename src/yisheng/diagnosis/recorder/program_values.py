"""Rewards and ends of episodes among the variables of the user's program, by their usual names."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from yisheng.diagnosis.recorder.source_lines import user_frames

REWARDS = re.compile(r"(^|_)(advantages?|advs?|returns?|rets?|rewards?|rews?|gains?)($|_)", re.IGNORECASE)
STEP_REWARDS = re.compile(r"(^|_)(rewards?|rews?)($|_)", re.IGNORECASE)
FINALS = re.compile(r"(^|_)(dones?|terminals?|terminated|terminations?|is_final|finals?|absorbing)($|_)", re.IGNORECASE)
NEGATIONS = re.compile(r"(^|_)(not|non|un|total|sum|mean|count|num|n)($|_)", re.IGNORECASE)
"""Names in other words: the opposite, or a number of all rows."""
MAX_FRAMES, MAX_ROWS = 3, 1 << 14
"""Callers that are searched, and rows of a batch."""
MIN_FINALS = 1


def list_rewards(rows: int) -> list[torch.Tensor]:
    """Return the rewards, returns and advantages ``(rows,)`` of a batch in the callers' variables.

    Args:
        rows: of the batch.
    """
    return [values.double() for _, values in _find(REWARDS, rows)]


def find_finals(targets: torch.Tensor) -> torch.Tensor | None:
    """Return rewards and targets ``(K, 2)`` of the rows at which an episode ends, or None.

    Args:
        targets: of a loss ``(N,)`` or ``(N, 1)``.
    """
    rows = targets.numel()
    if not targets.is_floating_point() or rows != len(targets) or not 1 < rows <= MAX_ROWS:
        return None
    finals = next((values for _, values in _find(FINALS, rows) if bool(((values == 0) | (values == 1)).all())), None)
    rewards = next((values for _, values in _find(STEP_REWARDS, rows)), None)
    if finals is None or rewards is None:
        return None
    is_final = finals == 1
    count = int(is_final.sum())
    if not MIN_FINALS <= count < rows:
        return None
    return torch.stack([rewards[is_final].double(), targets.detach().flatten().cpu().double()[is_final]], 1)


def find_numbers(pattern: re.Pattern[str], excluded: re.Pattern[str], rows: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the variables of the nearest callers that hold one number for each row, by their names.

    Args:
        pattern: of their names.
        excluded: pattern of names that are left out.
        rows: of the batch.
    """
    return ((name, values) for name, values in _find(pattern, rows) if not excluded.search(name))


def _find(pattern: re.Pattern[str], rows: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the variables of the nearest callers whose names match and that hold one number for each row."""
    for frame in itertools.islice(user_frames(), MAX_FRAMES):
        for name, value in _list_variables(frame.f_locals):
            if pattern.search(name) and not NEGATIONS.search(name):
                numbers = _read_numbers(value, rows)
                if numbers is not None:
                    yield name, numbers


def _list_variables(variables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the variables of a function, and the entries of dictionaries and named tuples among them."""
    for name, value in list(variables.items()):
        yield name, value
        if isinstance(value, dict):
            yield from ((key, entry) for key, entry in value.items() if isinstance(key, str))
        elif isinstance(value, tuple) and hasattr(value, "_fields"):
            yield from zip(value._fields, value, strict=True)


def _read_numbers(value: Any, rows: int) -> torch.Tensor | None:
    """Return a variable as numbers ``(rows,)``, or None if it holds something else."""
    if isinstance(value, torch.Tensor):
        return value.detach().flatten().cpu().float() if value.numel() == rows else None
    if isinstance(value, list) and len(value) == rows and all(isinstance(item, int | float) for item in value):
        return torch.tensor(value, dtype=torch.float32)
    return None
