"""``POST /predict?interval=``: the bounds that the predictor computes, or a readable error."""

import numpy as np
import pytest

from tests.serving.conftest import train
from tests.serving.service_client import ServiceClient, error_code, read_predictions
from yisheng.inference.predictor import Predictor

ROWS = [{"age": age, "smoker": "no", "town": town, "joined": None} for age in (20, 40, 60) for town in ("Aden", "Cork")]


@pytest.fixture(scope="module")
def folds_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    rng = np.random.default_rng(0)
    lines = [f"{a:.2f},{b:.2f},{a + rng.normal():.3f},{b * 2:.3f}" for a, b in rng.normal(size=(90, 2))]
    (folder / "table.csv").write_text("\n".join(["a,b,first,second", *lines]) + "\n")
    settings = {"target": ["first", "second"], "model": "ridge", "folds": 3, "boosting": False}
    return train(data=str(folder / "table.csv"), out=folder / "runs", **settings)


def test_bounds_are_those_of_the_predictor(people_run):
    predictions = read_predictions(ServiceClient(people_run).post("/predict?interval=0.9", json={"rows": ROWS}))
    expected = Predictor(people_run).predict(ROWS, interval=0.9)
    np.testing.assert_allclose([p["interval"] for p in predictions], [p.interval for p in expected], rtol=1e-5)
    without = read_predictions(ServiceClient(people_run).post("/predict", json={"rows": ROWS}))
    assert [p["interval"] for p in without] == [None] * len(ROWS)


def test_bounds_of_fold_models_and_several_targets(folds_run):
    rows = [[0.5, -0.2], [1.5, 0.3], [-1.0, 2.0]]
    predictions = read_predictions(ServiceClient(folds_run).post("/predict?interval=0.8", json={"rows": rows}))
    expected = Predictor(folds_run).predict(rows, interval=0.8)
    for prediction, other in zip(predictions, expected, strict=True):
        assert prediction["prediction"] == other.prediction
        for name, bounds in other.interval.items():
            np.testing.assert_allclose(prediction["interval"][name], bounds, rtol=1e-6)


@pytest.mark.parametrize("level", ["0", "1", "2", "-0.5", "nan", "much"])
def test_a_level_that_is_no_fraction_is_refused(people_run, level):
    response = ServiceClient(people_run).post(f"/predict?interval={level}", json={"rows": ROWS})
    assert error_code(response) == (422, "query")


def test_a_level_that_needs_more_rows_and_a_model_of_classes_are_refused(people_run, iris_run):
    response = ServiceClient(people_run).post("/predict?interval=0.9999", json={"rows": ROWS})
    assert error_code(response) == (422, "input")
    response = ServiceClient(iris_run).post("/predict?interval=0.9", json={"rows": [[5.1, 3.5, 1.4, 0.2]]})
    assert error_code(response) == (422, "input")
    assert "predicts classes" in response.json()["error"]["problem"]
