"""The table: a line for each job, whatever happens; a row for each trial, by NumPy's mean and spread."""

import csv
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.errors import DataError
from yisheng.search import trial_table
from yisheng.search.jobs import Outcome
from yisheng.search.trial_table import Journal, Line, Row, row
from yisheng.search.trials import Trial

TRIAL = Trial(1, {"lr": 0.1, "hidden": [8, 8]})
scores = st.floats(allow_nan=True, allow_infinity=False)


def outcome(key="0001/a", value=0.5, **more):
    weights = {"w": torch.zeros(2)}
    return Outcome(key, {"rmse": value, "loss": 0.1}, 3, 0.25, (0.9, 0.5, math.nan), weights=weights, **more)


@given(st.lists(scores, min_size=1, max_size=6))
def test_what_is_written_is_read(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("study")
    journal = Journal(folder)
    lines = [journal.add(outcome(str(number), value), TRIAL) for number, value in enumerate(values)]
    journal.close()
    again = Journal(folder)
    again.close()
    assert list(again.lines) == [line.key for line in lines]
    assert repr(again.lines) == repr({line.key: line for line in lines})  # repr: NaN is not equal to itself


@pytest.mark.parametrize("cut", [1, 2, 30, 100])
def test_a_torn_last_line_is_dropped(tmp_path, cut):
    journal = Journal(tmp_path)
    for number in range(3):
        journal.add(outcome(str(number)), TRIAL)
    journal.close()
    path = tmp_path / "jobs.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = Journal(tmp_path)
    assert list(again.lines) == ["0", "1"]
    again.add(outcome("2"), TRIAL)
    again.close()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key": "0"}', "null"])
def test_a_damaged_line_is_told_of(tmp_path, text):
    journal = Journal(tmp_path)
    journal.add(outcome("0"), TRIAL)
    journal.close()
    path = tmp_path / "jobs.jsonl"
    path.write_text(text + "\n" + path.read_text())
    with pytest.raises(DataError, match="line 1 is damaged"):
        Journal(tmp_path)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12))
def test_a_row_is_mean_and_spread(values):
    found = row(
        TRIAL, [Line(str(n), {}, {"rmse": v}, 1, 0.5) for n, v in enumerate(values)], "rmse", parameters=3, epochs=2
    )
    assert found.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    assert (found.low, found.high, found.jobs) == (min(values), max(values), len(values))
    if len(values) == 1:
        assert (found.sd, found.se) == (None, None)
    else:
        assert found.sd == pytest.approx(np.std(values, ddof=1), rel=1e-6, abs=1e-6)
        assert found.se == found.sd / math.sqrt(len(values))
    assert found.seconds == pytest.approx(0.5 * len(values))


def test_one_failure_fails_the_trial():
    lines = [Line("0", {}, {"rmse": 1.0}, 1, 0.5), Line("1", {}, {}, 0, 0.1, failure="the loss is NaN", how="stacked")]
    found = row(TRIAL, lines, "rmse", parameters=3, epochs=2)
    assert (found.mean, found.se, found.failure, found.how) == (None, None, "the loss is NaN", "serial, stacked")
    undefined = row(TRIAL, [Line("0", {}, {"rmse": math.nan}, 1, 0.5)], "rmse", parameters=3, epochs=2)
    assert "not a finite number" in undefined.failure


def test_the_curve_is_the_mean_over_the_epochs_that_all_have():
    lines = [Line("0", {}, {"rmse": 1.0}, 1, 0, (4.0, 2.0, 1.0)), Line("1", {}, {"rmse": 1.0}, 1, 0, (2.0, 1.0))]
    assert row(TRIAL, lines, "rmse", parameters=3, epochs=2).curve == (3.0, 1.5)


def test_the_csv_has_every_digit_and_the_json_its_form(tmp_path):
    setting = {"lr": 0.1 + 0.2, "hidden": [64, 32], "epochs": 5, "nesterov": True}
    rows = [
        Row(2, setting, None, None, None, None, None, 1, None, 0.1, "stacked", "the loss is NaN, alas", 5),
        Row(1, setting, 1 / 3, 0.1, 0.05, 0.2, 0.4, 4, 1234, 1.5, "serial", epochs=5, curve=(0.5,)),
    ]
    trial_table.write_csv(tmp_path, rows, list(setting), "rmse")
    with (tmp_path / "trials.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["trial"], float(first["mean"]), float(first["lr"])) == ("1", 1 / 3, 0.1 + 0.2)
    assert (first["hidden"], first["epochs"], first["nesterov"], first["score"]) == ("64,32", "5", "true", "rmse")
    assert (second["mean"], second["sd"], second["parameters"]) == ("", "", "")
    assert second["failure"] == "the loss is NaN, alas"
    plain = json.loads(json.dumps(trial_table.plain(rows), allow_nan=False))
    assert [trial["number"] for trial in plain] == [1, 2]
    assert plain[0]["setting"] == setting
    assert plain[0]["curve"] == [0.5]
