"""The engines of a service: which one is chosen, and that both predict the same."""

import subprocess
import sys

import numpy as np
import pytest

from tests.serving.service_client import (
    IMAGE,
    JSON,
    ServiceClient,
    digit_pixels,
    encode_png,
    error_code,
    read_predictions,
)
from yisheng.core.errors import DataError, MissingPartError, UsageError
from yisheng.core.messages import Message, translate, use_language
from yisheng.inference import onnx_engine
from yisheng.inference.export.example_inputs import draw_example_inputs
from yisheng.inference.predictor import Predictor
from yisheng.inference.served_model import MAX_BATCH
from yisheng.serving import engines
from yisheng.serving.engines import choose_engine


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def _cache(home, monkeypatch):
    """Convert each network once for all tests."""
    monkeypatch.setenv("YISHENG_HOME", str(home))


def forbid_conversion(monkeypatch):
    def fail(*_):
        raise AssertionError("it was converted again")

    monkeypatch.setattr(onnx_engine, "convert_in_process", fail)


def test_torch_is_the_engine_without_onnxruntime(iris_run, monkeypatch):
    monkeypatch.setattr(onnx_engine, "is_installed", lambda: False)
    engine = choose_engine(Predictor(iris_run), "auto", 64, 1)
    assert (engine.name, engine.reason) == ("torch", "onnxruntime is not installed")
    with pytest.raises(MissingPartError, match="engine=onnxruntime needs onnxruntime"):
        choose_engine(Predictor(iris_run), "onnxruntime", 64, 1)


def test_an_unknown_engine_is_refused(iris_run):
    with pytest.raises(UsageError, match="no engine 'onnx'") as caught:
        choose_engine(Predictor(iris_run), "onnx", 64, 1)
    assert "onnxruntime" in caught.value.remedy


def test_a_network_for_other_inputs_stays_with_torch(iris_run, monkeypatch):
    reason = "its network takes neither images nor rows"
    monkeypatch.setattr(onnx_engine, "explain_unsupported", lambda _: reason)
    forbid_conversion(monkeypatch)
    assert choose_engine(Predictor(iris_run), "auto", 64, 1).reason == reason
    with pytest.raises(UsageError, match=reason):
        choose_engine(Predictor(iris_run), "onnxruntime", 64, 1)


def test_onnxruntime_is_imported_only_when_it_is_used(iris_run):
    code = (
        "import sys, pathlib\n"
        "from yisheng.serving.app import create_app\n"
        "create_app(pathlib.Path(sys.argv[1]), engine='torch')\n"
        "assert not {'onnxruntime', 'onnx', 'onnxscript'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(iris_run)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("run", ["digits_run", "people_run", "iris_run"])
def test_both_engines_predict_the_same(run, request, monkeypatch):
    predictor = Predictor(request.getfixturevalue(run))
    engine = choose_engine(predictor, "onnxruntime", 64, 1)
    assert "times as fast as torch" in engine.reason
    x = draw_example_inputs(predictor.spec, predictor.artifacts[0].scale, MAX_BATCH + 50, seed=7)
    for count in (1, 2, 63, len(x)):
        (expected,), expected_levels = predictor.compute_model_outputs(x[:count])
        (actual,), levels = engine.compute(x[:count])
        assert actual.dtype == expected.dtype
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
        np.testing.assert_allclose(levels, expected_levels, atol=engines.LEVEL_DIFFERENCE)
    forbid_conversion(monkeypatch)
    again, levels_again = choose_engine(predictor, "onnxruntime", 64, 1).compute(x)
    np.testing.assert_array_equal(again[0], actual)
    np.testing.assert_array_equal(levels_again, levels)


@pytest.mark.slow
def test_requests_are_answered_alike(digits_run, people_run):
    png, blank = encode_png(digit_pixels(3)), encode_png(np.zeros((8, 8), np.uint8))
    answers = {}
    for engine in ("torch", "onnxruntime"):
        images, rows = ServiceClient(digits_run, engine=engine), ServiceClient(people_run, engine=engine)
        assert images.get("/model").json()["engine"] == engine
        answers[engine] = [
            *read_predictions(images.post("/predict", png, IMAGE)),
            *read_predictions(rows.post("/predict", json={"rows": [[None, None, None, None]]})),
        ]
        assert error_code(images.post("/predict", blank, IMAGE)) == (422, "input")
        assert error_code(rows.post("/predict", b'{"rows": [[NaN, 1, 2, 3]]}', JSON)) == (400, "json")
        assert error_code(rows.post("/predict", b"{", JSON)) == (400, "json")
    for actual, expected in zip(answers["onnxruntime"], answers["torch"], strict=True):
        value = expected["prediction"]
        assert actual["prediction"] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-5))
        assert actual["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-6)
        assert actual["ood_score"] == pytest.approx(expected["ood_score"], abs=1e-3)
        assert actual["notes"] == expected["notes"]


@pytest.mark.slow
def test_an_engine_that_predicts_other_values_is_refused(digits_run, monkeypatch):
    predictor = Predictor(digits_run)
    choose_engine(predictor, "onnxruntime", 8, 1)  # converted
    compute = predictor.compute_model_outputs
    monkeypatch.setattr(predictor, "compute_model_outputs", lambda x: ([compute(x)[0][0] * 1.0001], compute(x)[1]))
    engine = choose_engine(predictor, "auto", 8, 1)
    assert engine.name == "torch"
    assert "predicts other values than torch" in engine.reason
    with pytest.raises(DataError, match="predicts other values"):
        choose_engine(predictor, "onnxruntime", 8, 1)
    onnx_engine.forget_refusal(predictor)


@pytest.mark.slow
def test_a_damaged_file_in_the_cache_is_replaced(iris_run):
    predictor = Predictor(iris_run)
    cached = onnx_engine.find_converted(predictor)
    cached.parent.mkdir(parents=True, exist_ok=True)
    cached.write_bytes(b"not a graph")
    assert choose_engine(predictor, "onnxruntime", 8, 1).name == "onnxruntime"
    assert cached.stat().st_size > 100


def test_the_faster_engine_is_chosen(iris_run, monkeypatch):
    predictor = Predictor(iris_run)
    slow = predictor.compute_model_outputs

    class Copy:
        compute_model_outputs = staticmethod(lambda x: slow(x))

    monkeypatch.setattr(engines, "_load_engine", lambda *_: Copy())
    monkeypatch.setattr(onnx_engine, "is_installed", lambda: True)
    for ratio, name in ((2.0, "onnxruntime"), (0.9, "torch")):
        monkeypatch.setattr(engines, "_compare_times", lambda *_, ratio=ratio: ratio)
        assert choose_engine(predictor, "auto", 8, 1).name == name


@pytest.mark.parametrize("damaged", [b"not JSON", b"[]", b'{"problem": 3}', b"{}"])
def test_a_refusal_is_remembered_until_the_engine_is_asked_for(iris_run, monkeypatch, damaged):
    predictor = Predictor(iris_run)
    monkeypatch.setattr(onnx_engine, "is_installed", lambda: True)
    monkeypatch.setattr(onnx_engine, "require_packages", lambda: None)
    trials = []

    def refuse(*_):
        trials.append(1)
        raise DataError(Message("operator {name} is unknown", name="Erf"), Message("use engine=torch"))

    with monkeypatch.context() as patch:
        patch.setattr(engines, "_load_engine", refuse)
        reasons = [choose_engine(predictor, "auto", 8, 1).reason for _ in range(3)]
        assert len(trials) == 1
        assert reasons[0] == "operator Erf is unknown"
        assert reasons[1] == reasons[2] == f"{reasons[0]} (tried before; engine=onnxruntime tries it again)"
        with use_language("zh"):
            assert "tried before" not in translate(choose_engine(predictor, "auto", 8, 1).reason)
        with pytest.raises(DataError, match="operator Erf"):
            choose_engine(predictor, "onnxruntime", 8, 1)
        onnx_engine.find_refusal(predictor).write_bytes(damaged)
        assert choose_engine(predictor, "auto", 8, 1).reason == reasons[0]

    class Copy:
        compute_model_outputs = predictor.compute_model_outputs

    monkeypatch.setattr(engines, "_load_engine", lambda *_: Copy())
    assert choose_engine(predictor, "onnxruntime", 8, 1).name == "onnxruntime"
    assert not onnx_engine.find_refusal(predictor).exists()


def test_conversion_failures_name_their_reason(iris_run, tmp_path):
    with pytest.raises(UsageError, match="cannot be converted to ONNX: .*does not exist"):
        onnx_engine.convert_in_process(tmp_path / "none", tmp_path / "model.onnx")
