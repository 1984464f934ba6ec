"""All equivalence cases."""

from __future__ import annotations

from tests.scratch import data_cases, layer_cases, loss_cases, model_cases, optimizer_cases, training_cases
from tests.scratch.case import Case

CASES: list[Case] = [
    *model_cases.CASES,
    *loss_cases.CASES,
    *data_cases.CASES,
    *layer_cases.CASES,
    *optimizer_cases.CASES,
    *training_cases.CASES,
]
