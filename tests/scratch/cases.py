"""All equivalence cases."""

from __future__ import annotations

from tests.scratch import (
    convolution_cases,
    data_cases,
    fit_cases,
    graph_cases,
    layer_cases,
    loss_cases,
    model_cases,
    optimizer_cases,
    tensor_cases,
    training_cases,
)
from tests.scratch.case import Case

CASES: list[Case] = [
    *model_cases.CASES,
    *loss_cases.CASES,
    *data_cases.CASES,
    *layer_cases.CASES,
    *optimizer_cases.CASES,
    *training_cases.CASES,
    *tensor_cases.CASES,
    *graph_cases.CASES,
    *convolution_cases.CASES,
    *fit_cases.CASES,
]
