"""A search over options of the data: each setting has its data, and all have the same rows where that is possible."""

import json

import pytest

import yisheng
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.experiments.search import search_data
from yisheng.reporting.search_page import render_search_page

SETTINGS = {"data": "polynomial", "model": "linear", "epochs": 2, "optimizer": "sgd", "lr": 0.01, "quiet": True}


@pytest.fixture(scope="module")
def degrees(tmp_path_factory):
    out = tmp_path_factory.mktemp("degrees")
    return yisheng.tune(**SETTINGS, degree=[1, 3, 19], seeds=2, out=out)


def test_each_setting_is_trained_on_its_data(degrees, tmp_path):
    trials = degrees.trials
    assert trials["degree"].tolist() == [1, 3, 19]
    assert trials["parameters"].tolist() == [2, 4, 20]
    for degree, mean in zip(trials["degree"], trials["mean"], strict=True):
        runs = [yisheng.train(**SETTINGS, degree=degree, seed=seed, out=tmp_path) for seed in (0, 1)]
        values = [run.scores["validation"]["rmse"].value for run in runs]
        assert mean == pytest.approx(sum(values) / 2, rel=1e-5)


def test_the_chosen_model_has_the_data_of_its_setting(degrees):
    config = RunFolder(degrees.path / "best").config
    assert config.data.options["degree"] == degrees.chosen["setting"]["degree"]
    inputs = RunFolder(degrees.path / "best").description["spec"]["shape"][0]
    assert inputs == degrees.chosen["setting"]["degree"]
    assert len(degrees.predict([[0.5] * inputs])) == 1


def test_report_names_the_options_of_the_data(degrees):
    content = json.loads((degrees.path / "trials.json").read_text())
    assert (content["data_axes"], content["same_rows"]) == (["degree"], True)
    assert "degree (the same rows for all)" in render_search_page(degrees.path)


def test_other_rows_are_reported(tmp_path, caplog):
    result = yisheng.tune(**SETTINGS, **{"data.n": "40,60"}, out=tmp_path)
    assert json.loads((result.path / "trials.json").read_text())["same_rows"] is False
    assert "with other rows" in caplog.text
    assert "part of a difference may be due to them" in render_search_page(result.path)


def test_options_of_the_data_with_folds_and_other_axes(tmp_path):
    settings = {**SETTINGS, "lr": [0.01, 0.1]}
    result = yisheng.tune(**settings, degree="2,3", folds=2, out=tmp_path)
    assert len(result.trials) == 4
    assert sorted(result.trials["jobs"]) == [2, 2, 2, 2]
    ranges = yisheng.tune(**SETTINGS, noise="uniform(0,1)", n=10, out=tmp_path)
    assert ranges.trials["noise"].nunique() == 10


def test_data_is_loaded_once_for_each_setting(tmp_path, monkeypatch):
    loaded = []

    def load(config):
        loaded.append(config.data.options["degree"])
        return search_data_load(config)

    search_data_load = search_data.load_dataset
    monkeypatch.setattr(search_data, "load_dataset", load)
    yisheng.tune(**{**SETTINGS, "lr": [0.01, 0.1]}, degree="1,2", seeds=2, out=tmp_path)
    assert sorted(loaded) == [1, 2]


def test_interrupted_search_is_resumed(degrees, tmp_path):
    import shutil

    copy = shutil.copytree(degrees.path, tmp_path / "copy")
    folder = RunFolder(copy)
    folder.update_environment(finished=False)
    lines = (copy / "jobs.jsonl").read_text().splitlines()
    (copy / "jobs.jsonl").write_text("\n".join(lines[:3]) + "\n")
    shutil.rmtree(copy / "best")
    yisheng.resume(copy, quiet=True)
    again = yisheng.SearchResult(copy)
    assert again.trials["mean"].tolist() == pytest.approx(degrees.trials["mean"].tolist(), rel=1e-12)
    folder.update_environment(finished=False, data={**folder.environment["data"], "sha256": "0" * 64})
    with pytest.raises(DataError, match="the data is not what it was"):
        yisheng.resume(copy, quiet=True)


def test_data_that_cannot_be_compared_is_refused(tmp_path, monkeypatch):
    def load(config):
        data = yisheng.data.load("wine")
        if config.data.options["degree"] == 1:
            return data
        y = (data.y > 0).astype(data.y.dtype)
        return Dataset("two", type(data.spec)("classification", data.spec.shape, ("a", "b")), data.x, y)

    monkeypatch.setattr(search_data, "load_dataset", load)
    with pytest.raises(UsageError, match="degree=2: its classes differs"):
        yisheng.tune(**SETTINGS, degree="1,2", out=tmp_path)
    assert not list(tmp_path.iterdir())


def test_data_in_memory_has_no_options(tmp_path):
    data = yisheng.data.load("polynomial")
    with pytest.raises(UsageError, match="degree"):
        yisheng.tune(**{**SETTINGS, "data": data}, degree=[1, 2], out=tmp_path)
