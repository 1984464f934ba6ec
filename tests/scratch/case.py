"""One equivalence: the outputs of a from-scratch concept and of its library form for the same random input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

Pair = tuple[list[Tensor], list[Tensor]]
"""Tensors of the from-scratch form and of the library form, in the same order."""
Function = Callable[..., Tensor | Sequence[Tensor]]


@dataclass(frozen=True)
class Case:
    """One comparison of a from-scratch concept with its library form, in float64.

    Args:
        concept: registered name of the concept (``cross-entropy``).
        library: the library's form, as written in the table (``torch.nn.functional.cross_entropy``).
        compared: what is compared ("output, gradient").
        tolerance: largest difference that counts as equal, absolute plus relative to the library's value;
            0 means exactly equal.
        make: draws an input from the generator and returns the tensors of both forms.
    """

    concept: str
    library: str
    compared: str
    tolerance: float
    make: Callable[[Generator], Pair]


def check(case: Case, seed: int) -> None:
    """Draw one input and compare; an AssertionError describes the difference."""
    scratch, library = case.make(torch.Generator().manual_seed(seed))
    assert scratch, "nothing is compared"
    assert len(scratch) == len(library)
    for value, expected in zip(scratch, library, strict=True):
        assert value.dtype in (torch.float64, torch.int64, torch.bool), f"{value.dtype} has too few digits"
        assert expected.isfinite().all(), "the library's values are not finite"
        torch.testing.assert_close(value.detach(), expected.detach(), rtol=case.tolerance, atol=case.tolerance)


def run_both(scratch: Function, library: Function, *inputs: Tensor) -> Pair:
    """Return the outputs of both forms, and the gradients by each input of a weighted sum of the outputs."""
    return _run(scratch, inputs), _run(library, inputs)


def _run(function: Function, inputs: Sequence[Tensor]) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in inputs]
    result = function(*leaves)
    outputs = [result] if isinstance(result, Tensor) else list(result)
    total = sum((o * torch.arange(o.numel(), dtype=o.dtype).cos().view(o.shape)).sum() for o in outputs)
    return [*outputs, *torch.autograd.grad(total, leaves)]
