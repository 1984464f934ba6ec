"""Networks that take neither images nor rows: nested lists, ids and several inputs in JSON, or a readable error."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.serving.conftest import train
from tests.serving.service_client import (
    CSV,
    IMAGE,
    ServiceClient,
    assert_same_prediction,
    error_code,
    read_predictions,
)
from yisheng.core.errors import DataError
from yisheng.core.input_spec import InputSpec
from yisheng.core.spec import Spec
from yisheng.inference.predictor import Predictor
from yisheng.serving.json_tensors import describe_tensor_row, parse_json_tensors

ROWS = 90


class Sequences(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru, self.fc = nn.GRU(3, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.fc(self.gru(x)[0][:, -1])


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.fc = nn.Embedding(20, 6), nn.Linear(6, 3)

    def forward(self, ids):
        return self.fc(self.embed(ids).mean(1))


class Combined(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.values = Tokens(), nn.Linear(4, 3)

    def forward(self, ids, values):
        return self.tokens(ids) + self.values(values)


def make_inputs(name):
    random = np.random.default_rng(0)
    sequences = random.normal(size=(ROWS, 4, 3)).astype(np.float32)
    ids, values = random.integers(0, 20, (ROWS, 5)), random.normal(size=(ROWS, 4)).astype(np.float32)
    return {
        "sequences": sequences,
        "tokens": ids,
        "by name": {"ids": ids, "values": values},
        "by position": (ids, values),
    }[name]


NETWORKS = {"sequences": Sequences, "tokens": Tokens, "by name": Combined, "by position": Combined}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    y = np.random.default_rng(1).integers(0, 3, ROWS)
    return {
        name: train(data=(make_inputs(name), y), model=network, epochs=1, out=out) for name, network in NETWORKS.items()
    }


def list_samples(inputs, count):
    """Return the JSON rows of some inputs."""
    if isinstance(inputs, dict):
        return [{name: values[n].tolist() for name, values in inputs.items()} for n in range(count)]
    if isinstance(inputs, tuple):
        return [[values[n].tolist() for values in inputs] for n in range(count)]
    return inputs[:count].tolist()


def take(inputs, count):
    if isinstance(inputs, dict):
        return {name: values[:count] for name, values in inputs.items()}
    return tuple(values[:count] for values in inputs) if isinstance(inputs, tuple) else inputs[:count]


@pytest.mark.parametrize("name", NETWORKS)
def test_samples_are_predicted_as_by_the_predictor(runs, name):
    inputs = make_inputs(name)
    client = ServiceClient(runs[name])
    predictions = read_predictions(client.post("/predict", json={"rows": list_samples(inputs, 6)}))
    expected = Predictor(runs[name]).predict(take(inputs, 6))
    assert [prediction["input"] for prediction in predictions] == [f"row {n + 1}" for n in range(6)]
    for prediction, direct in zip(predictions, expected, strict=True):
        assert prediction["prediction"] == direct.prediction
        assert prediction["ood_score"] == pytest.approx(direct.ood_score, abs=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_model_and_its_inputs_are_described(runs, name):
    client = ServiceClient(runs[name])
    facts = client.get("/model").json()
    assert facts["takes"] == "tensors"
    expected = {
        "sequences": [("", [4, 3], "float32")],
        "tokens": [("", [5], "int64")],
        "by name": [("ids", [5], "int64"), ("values", [4], "float32")],
        "by position": [("", [5], "int64"), ("", [4], "float32")],
    }[name]
    assert [(item["name"], item["shape"], item["dtype"]) for item in facts["inputs"]] == expected
    body = client.get("/openapi.json").json()["paths"]["/predict"]["post"]["requestBody"]["content"]
    assert list(body) == ["application/json"]


@pytest.mark.parametrize(
    ("name", "row", "problem"),
    [
        ("sequences", [[1, 2, 3]] * 3, "row 1 must be a list of 4 lists of 3 numbers, got lists of the shape (3, 3)"),
        ("sequences", [[1, 2, 3], [1, 2]], "row 1: its lists have different lengths"),
        ("sequences", 3, "row 1 must be a list of 4 lists of 3 numbers, got no list"),
        ("sequences", [[1, 2, "3"]] * 4, "row 1: a value is not a number"),
        ("sequences", [[1, 2, None]] * 4, "row 1: a value is not a number"),
        ("sequences", [[1, 2, True]] * 4, None),
        ("sequences", [[1, 2, 1e300]] * 4, "row 1: values must be from -3e+38 to 3e+38"),
        ("tokens", [1, 2, 3, 4, 2.5], "row 1: a value is not a whole number"),
        ("tokens", [1, 2, 3, 4, 2**60], "row 1: values must be from"),
        ("tokens", [1, 2, 3, 4, 10**40], "row 1: a value is not a number"),
        ("tokens", [1, 2, 3, 4, 19000], "index out of range"),
        ("by name", {"ids": [1, 2, 3, 4, 5]}, "row 1 lacks values"),
        ("by name", {"ids": [1, 2, 3, 4], "values": [0] * 4}, "row 1, ids must be a list of 5 whole numbers"),
        ("by name", [1, 2, 3], "row 1 is not an object with ids, values"),
        ("by position", [[1, 2, 3, 4, 5]], "row 1 is not a list of 2 inputs"),
        ("by position", {"ids": []}, "row 1 is not a list of 2 inputs"),
    ],
)
def test_a_sample_that_does_not_fit_is_described(runs, name, row, problem):
    response = ServiceClient(runs[name]).post("/predict", json={"rows": [row]})
    if problem is None:  # JSON's true among numbers is the number 1 to NumPy
        assert response.status_code == 200
        return
    assert error_code(response) == (422, "input")
    assert problem in response.json()["error"]["problem"]


@pytest.mark.parametrize("content_type", [CSV, IMAGE])
def test_other_types_are_refused(runs, content_type):
    response = ServiceClient(runs["tokens"]).post("/predict", b"1,2,3,4,5\n", content_type)
    assert error_code(response) == (415, "type")
    assert "ids of shape (5,)" in response.json()["error"]["problem"]
    assert "application/json" in response.json()["error"]["remedy"]


def test_corrections_are_refused(runs):
    response = ServiceClient(runs["tokens"]).post("/wrong", json={"row": [1, 2, 3, 4, 5], "label": "1"})
    assert error_code(response) == (422, "input")
    assert "corrections are kept for images and rows" in response.json()["error"]["problem"]


def test_inputs_that_the_network_refuses_do_not_spoil_the_batch_of_others(runs):
    import asyncio

    from yisheng.serving.batching import BatchQueue

    predictor = Predictor(runs["tokens"])

    async def compute():
        queue = BatchQueue(predictor.compute_outputs, batch=64, wait=0)
        samples = [np.full((1, 5), value) for value in (1, 2, 19000, 3)]
        futures = [asyncio.ensure_future(queue.compute(sample)) for sample in samples]
        await asyncio.sleep(0)
        task = asyncio.create_task(queue.run())
        results = await asyncio.gather(*futures, return_exceptions=True)
        task.cancel()
        return results

    results = asyncio.run(compute())
    assert [type(result) for result in results] == [np.ndarray, np.ndarray, DataError, np.ndarray]
    np.testing.assert_allclose(results[3], predictor.compute_outputs(np.full((1, 5), 3)), rtol=1e-6)


SPECS = [
    Spec("regression", (2, 3)),
    Spec("regression", (4,), dtype="int64"),
    Spec("regression", (2, 1, 2), dtype="uint8"),
    Spec("regression", (32,), inputs=(InputSpec((2,), "int64", "a"), InputSpec((4,), "float32", "b"))),
]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.sampled_from("ab"), children),
)


@given(spec=st.sampled_from(SPECS), samples=st.lists(VALUES, min_size=1, max_size=3))
@settings(max_examples=300)
def test_any_json_is_read_or_refused(spec, samples):
    assert describe_tensor_row(spec)
    try:
        block = parse_json_tensors(samples, spec)
    except DataError:
        return
    assert block.shape == (len(samples), *spec.shape)
    assert block.dtype == np.dtype("uint8" if spec.inputs else spec.dtype)


def test_the_code_of_a_network_that_fails_is_reported(tmp_path):
    """Without a program the network's own error becomes a sentence, too."""

    class Picky(Tokens):
        def forward(self, ids):
            if ids.max() > 100:
                raise ValueError("no such token")
            return super().forward(ids)

    y = np.random.default_rng(1).integers(0, 3, ROWS)
    run = train(data=(make_inputs("tokens"), y), model=Picky, epochs=1, out=tmp_path)
    with pytest.raises(DataError, match="the network cannot take these inputs: no such token"):
        Predictor(run, Picky).predict(np.full((1, 5), 101))
    assert torch.is_grad_enabled()


def test_same_prediction_helper_is_used(digits_run):
    """Images are still served as before."""
    client = ServiceClient(digits_run)
    assert client.get("/model").json()["takes"] == "images"
    assert callable(assert_same_prediction)
