"""Notes on large batches and few updates."""

from __future__ import annotations

from typing import Any

import pytest

import yisheng


def notes(**settings: Any) -> str:
    return " ".join(yisheng.fit(data="iris", model="mlp", **settings)._assembly.notes)


def test_batch_larger_than_the_training_part_is_capped() -> None:
    fit = yisheng.fit(data="iris", model="mlp", batch=2000, epochs=3)
    rows = len(fit._assembly.train.rows)
    assert fit.config.batch == rows
    assert len(fit._assembly.train) == 1
    assert f"batch=2,000 is more than the {rows:,} training rows" in " ".join(fit._assembly.notes)


@pytest.mark.parametrize(
    ("settings", "is_said"),
    [
        ({"batch": 2000, "epochs": 3}, True),
        ({"batch": 16, "epochs": 2}, True),
        ({"batch": 16, "epochs": 40}, False),
        ({}, False),
    ],
    ids=str,
)
def test_few_updates_are_said(settings: dict[str, Any], is_said: bool) -> None:
    assert ("rarely enough" in notes(**settings)) is is_said


def test_full_batches_of_line_searches_are_enough() -> None:
    assert not yisheng.fit(data="iris", model="linear")._assembly.notes
