"""The results of a search: a line for each job, and a row for each trial, compared with NumPy."""

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
from yisheng.search.trial_table import JobLog, JobRecord, TrialRow, summarize_trial
from yisheng.search.trials import Trial

TRIAL = Trial(1, {"lr": 0.1, "hidden": [8, 8]})
scores = st.floats(allow_nan=True, allow_infinity=False)


def outcome(key="0001/a", value=0.5, **fields):
    weights = {"w": torch.zeros(2)}
    return Outcome(key, {"rmse": value, "loss": 0.1}, 3, 0.25, (0.9, 0.5, math.nan), weights=weights, **fields)


@given(st.lists(scores, min_size=1, max_size=6))
def test_written_records_are_read(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("search")
    job_log = JobLog(folder)
    records = [job_log.add(outcome(str(number), value), TRIAL) for number, value in enumerate(values)]
    job_log.close()
    reopened = JobLog(folder)
    reopened.close()
    assert list(reopened.records) == [record.key for record in records]
    assert repr(reopened.records) == repr(
        {record.key: record for record in records}
    )  # repr: NaN is not equal to itself


@pytest.mark.parametrize("cut", [1, 2, 30, 100])
def test_incomplete_last_line_is_dropped(tmp_path, cut):
    job_log = JobLog(tmp_path)
    for number in range(3):
        job_log.add(outcome(str(number)), TRIAL)
    job_log.close()
    path = tmp_path / "jobs.jsonl"
    complete = path.read_bytes()
    path.write_bytes(complete[:-cut])
    reopened = JobLog(tmp_path)
    assert list(reopened.records) == ["0", "1"]
    reopened.add(outcome("2"), TRIAL)
    reopened.close()
    assert path.read_bytes() == complete


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"key": "0"}', "null"])
def test_damaged_line_is_an_error(tmp_path, text):
    job_log = JobLog(tmp_path)
    job_log.add(outcome("0"), TRIAL)
    job_log.close()
    path = tmp_path / "jobs.jsonl"
    path.write_text(text + "\n" + path.read_text())
    with pytest.raises(DataError, match="line 1 is damaged"):
        JobLog(tmp_path)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=12))
def test_row_has_mean_and_standard_deviation(values):
    row = summarize_trial(
        TRIAL,
        [JobRecord(str(n), {}, {"rmse": v}, 1, 0.5) for n, v in enumerate(values)],
        "rmse",
        parameters=3,
        epochs=2,
    )
    assert row.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-9)
    assert (row.low, row.high, row.jobs) == (min(values), max(values), len(values))
    if len(values) == 1:
        assert (row.sd, row.se) == (None, None)
    else:
        assert row.sd == pytest.approx(np.std(values, ddof=1), rel=1e-6, abs=1e-6)
        assert row.se == row.sd / math.sqrt(len(values))
    assert row.seconds == pytest.approx(0.5 * len(values))


def test_one_failure_fails_the_trial():
    records = [
        JobRecord("0", {}, {"rmse": 1.0}, 1, 0.5),
        JobRecord("1", {}, {}, 0, 0.1, failure="the loss is NaN", executor="stacked"),
    ]
    row = summarize_trial(TRIAL, records, "rmse", parameters=3, epochs=2)
    assert (row.mean, row.se, row.failure, row.executor) == (None, None, "the loss is NaN", "serial, stacked")
    undefined = summarize_trial(TRIAL, [JobRecord("0", {}, {"rmse": math.nan}, 1, 0.5)], "rmse", parameters=3, epochs=2)
    assert "not a finite number" in undefined.failure


def test_curve_is_the_mean_over_the_common_epochs():
    records = [
        JobRecord("0", {}, {"rmse": 1.0}, 1, 0, (4.0, 2.0, 1.0)),
        JobRecord("1", {}, {"rmse": 1.0}, 1, 0, (2.0, 1.0)),
    ]
    assert summarize_trial(TRIAL, records, "rmse", parameters=3, epochs=2).curve == (3.0, 1.5)


def test_csv_has_every_digit_and_json_is_plain(tmp_path):
    setting = {"lr": 0.1 + 0.2, "hidden": [64, 32], "epochs": 5, "nesterov": True}
    rows = [
        TrialRow(2, setting, None, None, None, None, None, 1, None, 0.1, "stacked", "the loss is NaN, and more", 5),
        TrialRow(1, setting, 1 / 3, 0.1, 0.05, 0.2, 0.4, 4, 1234, 1.5, "serial", epochs=5, curve=(0.5,)),
    ]
    trial_table.write_csv(tmp_path, rows, list(setting), "rmse")
    with (tmp_path / "trials.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["trial"], float(first["mean"]), float(first["lr"])) == ("1", 1 / 3, 0.1 + 0.2)
    assert (first["hidden"], first["epochs"], first["nesterov"], first["score"]) == ("64,32", "5", "true", "rmse")
    assert (second["mean"], second["sd"], second["parameters"]) == ("", "", "")
    assert second["failure"] == "the loss is NaN, and more"
    plain = json.loads(json.dumps(trial_table.rows_to_plain(rows), allow_nan=False))
    assert [trial["number"] for trial in plain] == [1, 2]
    assert plain[0]["setting"] == setting
    assert plain[0]["curve"] == [0.5]
