"""The verdict says what the numbers say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from yisheng.core.types import Score
from yisheng.reporting.headline import judge_score, write_headline
from yisheng.reporting.run_facts import read_run_facts

Make = Callable[..., Path]


def test_classification(make_run: Make) -> None:
    said = write_headline(read_run_facts(make_run()))
    assert said.result == (
        "Test accuracy 0.911 (95% interval 0.905 to 0.917); guessing the commonest class gives 0.100."
    )
    assert (said.verdict, said.epochs) == ("better", "Best weights: epoch 3 of 5.")
    assert said.meaning == "Better than the baseline: the whole interval lies above it."


def test_regression_reads_the_other_way(make_run: Make) -> None:
    said = write_headline(read_run_facts(make_run("regression")))
    assert said.result == "Test RMSE 5.02 (95% interval 4.61 to 5.50); predicting the mean gives 23.44."
    assert said.meaning == "Better than the baseline: the whole interval lies below it."


def test_multilabel_that_does_not_clear_its_baseline(make_run: Make) -> None:
    said = write_headline(read_run_facts(make_run("multilabel")))
    assert said.verdict == "unclear"
    assert said.meaning == "Not shown to be better than the baseline: the interval includes it."


def test_stopped_early(make_run: Make) -> None:
    folder = make_run()
    config = folder / "config.toml"
    config.write_text(config.read_text().replace("epochs = 5", "epochs = 50"))
    assert (
        write_headline(read_run_facts(folder)).epochs
        == "Best weights: epoch 3 of 5, stopped early (50 were asked for)."
    )


def test_interrupted(interrupted: Path) -> None:
    said = write_headline(read_run_facts(interrupted))
    assert said.verdict == "unknown"
    assert said.result == (
        "Not scored: the run has not come to its end (2 of 5 epochs are done). Best validation accuracy so far: 0.850."
    )
    assert said.epochs == "Best so far: epoch 2 of 2."


def test_without_a_test_part_it_speaks_of_the_validation_part(make_run: Make) -> None:
    folder = make_run()
    scores = {
        "validation": {"accuracy": {"value": 0.8, "low": 0.7, "high": 0.9}},
        "baseline": {"accuracy": {"value": 0.5}},
    }
    (folder / "scores.json").write_text(json.dumps(scores))
    assert write_headline(read_run_facts(folder)).result.startswith(
        "Validation accuracy 0.800 (95% interval 0.700 to 0.900)"
    )


def test_without_baseline_or_interval(make_run: Make) -> None:
    folder = make_run()
    (folder / "scores.json").write_text(json.dumps({"test": {"accuracy": {"value": 0.8}}}))
    said = write_headline(read_run_facts(folder))
    assert (said.result, said.meaning) == ("Test accuracy 0.800.", "There is no baseline to compare with.")


@pytest.mark.parametrize(
    ("measured", "base", "upward", "verdict"),
    [
        (Score(0.6, 0.5, 0.7), Score(0.5), True, "unclear"),  # touching is not clearing
        (Score(0.6, 0.51, 0.7), Score(0.5), True, "better"),
        (Score(0.4, 0.3, 0.49), Score(0.5), True, "worse"),
        (Score(4.0, 3.0, 5.0), Score(6.0), False, "better"),
        (Score(7.0, 6.5, 8.0), Score(6.0), False, "worse"),
        (Score(0.6), Score(0.5), True, "better"),
        (Score(0.6), None, True, "unknown"),
        (Score(0.6), Score(0.5), None, "unknown"),
        (Score(float("inf")), Score(0.5), False, "unknown"),
    ],
)
def test_judge(measured: Score, base: Score | None, upward: bool | None, verdict: str) -> None:
    assert judge_score(measured, base, upward) == verdict
