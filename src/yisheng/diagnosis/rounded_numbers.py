"""Numbers of categories that a type of 16 bits has rounded before an embedding looks up their vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from yisheng.core.modes import evaluation_mode
from yisheng.diagnosis.case import Case
from yisheng.diagnosis.probe import REFUSALS

LIMITS = {torch.bfloat16: 256, torch.float16: 2048}
"""By type: the whole number up to which all are exact; above it every second one is, then every fourth, and so on."""
MAX_RECORDS = 24
"""Recorded batches of which the network looks up numbers again."""
MIN_NUMBERS = 16
"""Different numbers above the limit: of 16 numbers all are even at random once in 65,536 cases."""
MIN_ODD_NUMBERS = 8
"""Odd numbers below the limit that show that the numbers are not even on purpose."""


@dataclass(frozen=True)
class RoundedNumbers:
    """An embedding whose numbers were rounded.

    Args:
        embedding: its name.
        dtype: the type that rounds.
        limit: the whole number up to which it is exact.
        numbers: different numbers above the limit that were looked up.
        highest: the highest one of them.
        step: distance of neighboring numbers of the type there.
    """

    embedding: str
    dtype: str
    limit: int
    numbers: int
    highest: int
    step: int


def has_large_embedding(case: Case) -> bool:
    """Return whether a finished training has an embedding with numbers that a type of 16 bits rounds."""
    is_finished = case.is_finished and not case.from_config
    sizes = [module.num_embeddings for module in _list_embeddings(case.model).values()]
    return is_finished and max(sizes, default=0) > min(LIMITS.values()) + MIN_NUMBERS


def find_rounded_numbers(case: Case) -> RoundedNumbers | None:
    """Return an embedding that looks up rounded numbers, or None.

    Rounding shows in three ways: the network's inputs have the type; the numbers are those of an input, rounded; or
    all numbers above the limit are even (above twice the limit multiples of 4), while below it they are odd, too.

    Args:
        case: the finished training, with rows of its batches.
    """
    exact = {(name, dtype) for name in _list_embeddings(case.model) for dtype in LIMITS}
    passes = []
    for inputs in _list_inputs(case):
        passes.append(_look_up(case.model, inputs))
        numbers = passes[-1][1]
        exact -= {(name, dtype) for name, dtype in exact if name in numbers and not _are_exact(numbers[name], dtype)}
        if not exact:  # no type holds all numbers of any embedding
            return None
    return _judge(passes)


Passes = Sequence[tuple[Sequence[torch.Tensor], dict[str, torch.Tensor]]]
"""Inputs of the network, and the numbers that each embedding looks up for them."""


def _judge(passes: Passes) -> RoundedNumbers | None:
    """Return the embedding whose numbers were rounded in some passes, or None."""
    for name in dict.fromkeys(name for _, numbers in passes for name in numbers):
        pairs = [(inputs, numbers[name]) for inputs, numbers in passes if name in numbers]
        numbers = torch.cat([part for _, part in pairs]).unique()
        for dtype, limit in LIMITS.items():
            rounded = numbers[numbers > limit]
            if len(rounded) < MIN_NUMBERS or not _are_exact(rounded, dtype):
                continue
            if _have_type(pairs, dtype) or _were_rounded(pairs, dtype) or _are_even_above(numbers, limit):
                highest = int(rounded.max())
                step = 2 ** (int(math.log2(highest / limit)) + 1)
                return RoundedNumbers(name, str(dtype).removeprefix("torch."), limit, len(rounded), highest, step)
    return None


def _list_inputs(case: Case) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield rows of the inputs of recorded steps: more of them if the network has one input."""
    for record in case.records[:MAX_RECORDS]:
        if record.rows is None:
            continue
        sample = record.sample
        is_complete = sample is not None and len(record.rows) == 1 and sample.shape[1:] == record.rows[0].shape[1:]
        yield (sample,) if is_complete and sample is not None else record.rows


def _list_embeddings(model: nn.Module) -> dict[str, nn.Embedding]:
    return {name: module for name, module in model.named_modules() if isinstance(module, nn.Embedding)}


def _are_exact(numbers: torch.Tensor, dtype: torch.dtype) -> bool:
    """Return whether a type holds all numbers as they are."""
    return bool((numbers.to(dtype).long() == numbers).all())


@torch.no_grad()
def _look_up(
    model: nn.Module, inputs: Sequence[torch.Tensor]
) -> tuple[Sequence[torch.Tensor], dict[str, torch.Tensor]]:
    """Return the inputs, and the numbers that each embedding looks up for them; none if the network refuses them."""
    numbers: dict[str, torch.Tensor] = {}
    handles = [
        module.register_forward_pre_hook(partial(_note_numbers, numbers, name))
        for name, module in _list_embeddings(model).items()
    ]
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    try:
        with evaluation_mode(model), torch.random.fork_rng(enabled=device.type == "cpu", devices=[]):
            model(*(part.to(device) for part in inputs))
    except REFUSALS:
        return inputs, {}
    finally:
        for handle in handles:
            handle.remove()
    return inputs, numbers


def _note_numbers(numbers: dict[str, torch.Tensor], name: str, _module: nn.Module, arguments: tuple[Any, ...]) -> None:
    if arguments and isinstance(arguments[0], torch.Tensor):
        part = arguments[0].detach().flatten().long().cpu()
        numbers[name] = torch.cat([numbers[name], part]) if name in numbers else part


def _have_type(pairs: Sequence[tuple[Sequence[torch.Tensor], torch.Tensor]], dtype: torch.dtype) -> bool:
    """Return whether an input has the type, and no other input is of whole numbers, which may be what is looked up."""
    inputs = [part for parts, _ in pairs for part in parts]
    return any(part.dtype == dtype for part in inputs) and all(part.is_floating_point() for part in inputs)


def _were_rounded(pairs: Sequence[tuple[Sequence[torch.Tensor], torch.Tensor]], dtype: torch.dtype) -> bool:
    """Return whether the numbers are those of an input, or of a column of it, after and not before rounding."""
    position = None
    for inputs, numbers in pairs:
        values = [value for part in inputs for value in _list_values(part, len(numbers))]
        if position is None:
            position = next((i for i, value in enumerate(values) if _is_rounding(value, numbers, dtype)), -1)
        elif position < 0 or position >= len(values) or not bool((values[position].to(dtype) == numbers).all()):
            return False
    return position is not None and position >= 0


def _list_values(x: torch.Tensor, count: int) -> Iterator[torch.Tensor]:
    """Yield the columns of an input, or all of its values, if there are that many."""
    if x.numel() == count:
        yield x.detach().flatten().cpu()
    elif x.ndim == 2 and len(x) == count:
        yield from x.detach().cpu().unbind(1)


def _is_rounding(values: torch.Tensor, numbers: torch.Tensor, dtype: torch.dtype) -> bool:
    return bool((values.to(dtype) == numbers).all()) and not bool((values == numbers).all())


def _are_even_above(numbers: torch.Tensor, limit: int) -> bool:
    """Return whether numbers are odd and even below a limit, and as sparse above it as a type of 16 bits leaves them.

    >>> _are_even_above(torch.arange(100, 600).to(torch.bfloat16).long().unique(), 256)
    True
    >>> _are_even_above(torch.arange(0, 600, 4), 256)
    False
    """
    above = numbers[(numbers > limit) & (numbers < 2 * limit)]
    is_odd_below = int((numbers[numbers < limit] % 2 == 1).sum()) >= MIN_ODD_NUMBERS
    return is_odd_below and len(above) >= MIN_NUMBERS and bool((above % 2 == 0).all())
