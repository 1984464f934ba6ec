"""Every hand-written concept gives what its library form gives."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from case import Case, check
from cases import CASES

each = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.concept}: {case.library}, {case.compared}")


@pytest.mark.parametrize("seed", range(3))
@each
def test_ours_equals_theirs(case: Case, seed: int) -> None:
    check(case, seed)


@each
def test_a_proof_can_fail(case: Case) -> None:
    """It draws another input for another seed, and sees a small error in any one of the tensors."""
    ours, theirs = case.make(torch.Generator().manual_seed(0))
    others = case.make(torch.Generator().manual_seed(9))[1]
    verdicts = all(t.dtype == torch.bool for t in theirs)
    assert verdicts or len(theirs) != len(others) or not all(map(torch.equal, theirs, others)), "always the same"
    for place in range(len(ours)):
        wrong = [*ours[:place], spoilt(ours[place].detach(), case.tolerance), *ours[place + 1 :]]
        with pytest.raises(AssertionError):
            check(dataclasses.replace(case, make=lambda rng, wrong=wrong: (wrong, theirs)), 0)


def spoilt(tensor: torch.Tensor, tolerance: float) -> torch.Tensor:
    """The same, but for its largest number: that is off by a little more than the tolerance."""
    if tensor.dtype == torch.bool:
        return ~tensor
    off = torch.zeros_like(tensor).flatten()
    i = tensor.abs().argmax()
    size = tensor.abs().max()
    off[i] = 1 if tensor.dtype == torch.int64 else 3 * max(tolerance, 1e-15) * (1 + size)
    return tensor + off.view(tensor.shape)
