"""The headline of a run's report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.reporting.pages import MakeRun
from yisheng.core.score import Score
from yisheng.reporting.headline import describe_result, judge_score
from yisheng.reporting.run_facts import read_run_facts


def test_headline_of_classification(make_run: MakeRun) -> None:
    headline = describe_result(read_run_facts(make_run()))
    assert headline.result == (
        "Test accuracy 0.911 (95% interval 0.905 to 0.917); guessing the most frequent class gives 0.100."
    )
    assert (headline.verdict, headline.epochs) == ("better", "Best weights: epoch 3 of 5.")
    assert headline.meaning == "Better than the baseline: the whole interval is above it."


def test_headline_of_regression_is_better_below_the_baseline(make_run: MakeRun) -> None:
    headline = describe_result(read_run_facts(make_run("regression")))
    assert headline.result == "Test RMSE 5.02 (95% interval 4.61 to 5.50); predicting the mean gives 23.44."
    assert headline.meaning == "Better than the baseline: the whole interval is below it."


def test_headline_is_unclear_if_the_interval_includes_the_baseline(make_run: MakeRun) -> None:
    headline = describe_result(read_run_facts(make_run("multilabel")))
    assert headline.verdict == "unclear"
    assert headline.meaning == "Not shown to be better than the baseline: the interval includes it."


def test_headline_mentions_early_stopping(make_run: MakeRun) -> None:
    folder = make_run()
    config = folder / "config.toml"
    config.write_text(config.read_text().replace("epochs = 5", "epochs = 50"))
    assert (
        describe_result(read_run_facts(folder)).epochs
        == "Best weights: epoch 3 of 5, stopped early (50 were requested)."
    )


def test_headline_of_interrupted_run(interrupted_run: Path) -> None:
    headline = describe_result(read_run_facts(interrupted_run))
    assert headline.verdict == "unknown"
    assert headline.result == (
        "Not scored: the run is not finished (2 of 5 epochs are done). Best validation accuracy so far: 0.850."
    )
    assert headline.epochs == "Best so far: epoch 2 of 2."


def test_headline_without_test_part_shows_validation_score(make_run: MakeRun) -> None:
    folder = make_run()
    scores = {
        "validation": {"accuracy": {"value": 0.8, "low": 0.7, "high": 0.9}},
        "baseline": {"accuracy": {"value": 0.5}},
    }
    (folder / "scores.json").write_text(json.dumps(scores))
    assert describe_result(read_run_facts(folder)).result.startswith(
        "Validation accuracy 0.800 (95% interval 0.700 to 0.900)"
    )


def test_headline_without_baseline_or_interval(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "scores.json").write_text(json.dumps({"test": {"accuracy": {"value": 0.8}}}))
    headline = describe_result(read_run_facts(folder))
    assert (headline.result, headline.meaning) == ("Test accuracy 0.800.", "No baseline to compare with.")


@pytest.mark.parametrize(
    ("measured", "base", "upward", "verdict"),
    [
        (Score(0.6, 0.5, 0.7), Score(0.5), True, "unclear"),  # the interval includes its ends
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
def test_judge_score(measured: Score, base: Score | None, upward: bool | None, verdict: str) -> None:
    assert judge_score(measured, base, upward) == verdict
