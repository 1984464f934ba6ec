"""The form of a proof: what a hand-written concept and its library twin give for the same random input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

Pair = tuple[list[Tensor], list[Tensor]]
Function = Callable[..., Tensor | Sequence[Tensor]]


@dataclass(frozen=True)
class Case:
    """One proof that a hand-written concept equals its library form, in float64.

    Args:
        concept: registered name of the concept (``cross-entropy``).
        library: the library's form, as written in the table (``torch.nn.functional.cross_entropy``).
        compared: what is compared ("output, gradient").
        tolerance: largest difference that still counts as equal, absolute plus relative to the library's value;
            0 means exactly equal.
        make: draws an input from the generator and returns tensors ``(ours, theirs)``, one to one.
    """

    concept: str
    library: str
    compared: str
    tolerance: float
    make: Callable[[Generator], Pair]


def check(case: Case, seed: int) -> None:
    """Draw one input and compare; an AssertionError tells what differs."""
    ours, theirs = case.make(torch.Generator().manual_seed(seed))
    assert ours, "nothing is compared"
    assert len(ours) == len(theirs)
    for mine, known in zip(ours, theirs, strict=True):
        assert mine.dtype in (torch.float64, torch.int64, torch.bool), f"{mine.dtype} is too coarse for a proof"
        assert known.isfinite().all(), "a proof on numbers that are none"
        torch.testing.assert_close(mine.detach(), known.detach(), rtol=case.tolerance, atol=case.tolerance)


def both(ours: Function, theirs: Function, *inputs: Tensor) -> Pair:
    """Outputs of both, and the gradients by each input of the outputs' sum, weighted so that no two count alike."""
    return _results(ours, inputs), _results(theirs, inputs)


def _results(f: Function, inputs: Sequence[Tensor]) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in inputs]
    found = f(*leaves)
    outputs = [found] if isinstance(found, Tensor) else list(found)
    total = sum((o * torch.arange(o.numel(), dtype=o.dtype).cos().view(o.shape)).sum() for o in outputs)
    return [*outputs, *torch.autograd.grad(total, leaves)]
