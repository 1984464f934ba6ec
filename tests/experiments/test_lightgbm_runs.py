"""Runs of LightGBM predict where it is not installed, and training is refused there with a remedy."""

import sys

import numpy as np
import pytest

import yisheng
from tests.experiments.test_fitted_models import draw_frame
from yisheng.core.errors import MissingPartError

pytest.importorskip("lightgbm")


@pytest.mark.usefixtures("without_reports")
def test_without_the_library_it_predicts_and_refuses_to_train(tmp_path, monkeypatch):
    frame = draw_frame().drop(columns="price")
    settings = {"data": frame, "target": "sold", "model": "lightgbm", "rounds": 20, "quiet": True}
    run = yisheng.train(out=tmp_path / "with", **settings)
    rows = frame.drop(columns="sold").head(20)
    expected = run.predictor.predict_outputs(rows)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    np.testing.assert_array_equal(yisheng.load(run.path).predictor.predict_outputs(rows), expected)
    with pytest.raises(MissingPartError, match=r"pip install 'yisheng\[trees\]'"):
        yisheng.train(out=tmp_path / "without", **settings)
    assert not (tmp_path / "without").exists() or not list((tmp_path / "without").iterdir())
