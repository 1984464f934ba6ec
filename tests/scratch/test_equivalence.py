"""Every from-scratch concept equals its library form."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tests.scratch.case import Case, check
from tests.scratch.cases import CASES

all_cases = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.concept}: {case.library}, {case.compared}")


@pytest.mark.parametrize("seed", range(3))
@all_cases
def test_scratch_equals_library(case: Case, seed: int) -> None:
    check(case, seed)


@all_cases
def test_a_case_depends_on_the_seed_and_detects_a_difference_above_its_tolerance(case: Case) -> None:
    scratch, library = case.make(torch.Generator().manual_seed(0))
    library_of_seed_9 = case.make(torch.Generator().manual_seed(9))[1]
    is_verdict = all(t.dtype == torch.bool for t in library)
    assert (
        is_verdict or len(library) != len(library_of_seed_9) or not all(map(torch.equal, library, library_of_seed_9))
    ), "every seed gives the same input"
    for index in range(len(scratch)):
        wrong = [*scratch[:index], perturb(scratch[index].detach(), case.tolerance), *scratch[index + 1 :]]
        with pytest.raises(AssertionError):
            check(dataclasses.replace(case, make=lambda rng, wrong=wrong: (wrong, library)), 0)


def perturb(tensor: torch.Tensor, tolerance: float) -> torch.Tensor:
    """Return the tensor with its largest number changed by slightly more than the tolerance."""
    if tensor.dtype == torch.bool:
        return ~tensor
    difference = torch.zeros_like(tensor).flatten()
    i = tensor.abs().argmax()
    size = tensor.abs().max()
    difference[i] = 1 if tensor.dtype == torch.int64 else 3 * max(tolerance, 1e-15) * (1 + size)
    return tensor + difference.view(tensor.shape)
