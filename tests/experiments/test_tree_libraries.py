"""Runs of LightGBM and CatBoost predict where these are not installed, and training is refused there with a remedy."""

import importlib.util
import sys

import numpy as np
import pytest

import yisheng
from tests.experiments.test_ensemble import draw_table, read_leaderboard
from tests.experiments.test_fitted_models import draw_frame
from yisheng.core.errors import MissingPartError

LIBRARIES = [name for name in ("lightgbm", "catboost") if importlib.util.find_spec(name)]

pytestmark = pytest.mark.usefixtures("without_reports")


@pytest.mark.parametrize("library", LIBRARIES)
def test_without_the_library_it_predicts_and_refuses_to_train(tmp_path, monkeypatch, library):
    frame = draw_frame().drop(columns="price")
    settings = {"data": frame, "target": "sold", "model": library, "rounds": 20, "quiet": True}
    run = yisheng.train(out=tmp_path / "with", **settings)
    rows = frame.drop(columns="sold").head(20)
    expected = run.predictor.predict_outputs(rows)
    monkeypatch.setitem(sys.modules, library, None)
    np.testing.assert_array_equal(yisheng.load(run.path).predictor.predict_outputs(rows), expected)
    with pytest.raises(MissingPartError, match=r"pip install 'yisheng\[trees\]'"):
        yisheng.train(out=tmp_path / "without", **settings)
    assert not (tmp_path / "without").exists() or not list((tmp_path / "without").iterdir())


@pytest.mark.skipif("catboost" not in LIBRARIES, reason="needs CatBoost")
def test_an_ensemble_without_catboost_has_no_symmetric_trees(tmp_path, monkeypatch):
    settings = {"data": draw_table("price", 80), "target": "price", "model": "ensemble", "bag_folds": 2, "quiet": True}
    run = yisheng.train(out=tmp_path / "with", candidates=("boosting-symmetric",), **settings)
    assert [candidate["model"] for candidate in read_leaderboard(run)["candidates"]] == ["catboost"]
    monkeypatch.setitem(sys.modules, "catboost", None)
    with pytest.raises(MissingPartError, match="CatBoost"):
        yisheng.train(out=tmp_path / "named", candidates=("boosting-symmetric",), **settings)
    run = yisheng.train(out=tmp_path / "without", seconds=2, **settings)
    assert "boosting-symmetric" not in {candidate["name"] for candidate in read_leaderboard(run)["candidates"]}
