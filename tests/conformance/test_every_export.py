"""Every registered model as an ONNX file: onnxruntime's answers are ours on 1,000 inputs, one and 64 at a time.

The run folders are made without training: random weights, with batch norm's averages of a few batches and the last
layer scaled so that the answers differ from input to input. A large network takes the smallest image that it fits
and, where it can, a part of its channels: these tests ask whether the file computes what the network does.
"""

import functools

import numpy as np
import pytest
import torch

from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.types import Column, Spec
from yisheng.experiments.export import export
from yisheng.inference import artifact
from yisheng.inference.export.example_inputs import draw_example_inputs
from yisheng.inference.export.verify import verify_export
from yisheng.inference.predictor import Predictor
from yisheng.transforms import transform_spec, fit

TEN = tuple("0123456789")
PLACES = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 68, 68))
NARROW = {"ratio": 16}
QUICK = ("lenet", "mlp", "linear")
"""The others take some seconds each."""
COLUMNS = (
    Column("size", source="size"),
    Column("town", "category", ("Bonn", "Köln", "Ulm"), source="town"),
    Column("garden", "yes/no", ("no", "yes"), source="garden"),
    Column("age", source="age"),
)
TASKS = {
    "classification": Spec("classification", (4,), classes=("a", "b", "c"), columns=COLUMNS),
    "binary": Spec("classification", (4,), classes=("no", "yes"), columns=COLUMNS, outputs=1),
    "multilabel": Spec("multilabel", (4,), classes=("p", "q", "r"), columns=COLUMNS),
    "regression": Spec("regression", (4,), columns=COLUMNS, outputs=2),
}


@functools.cache
def spec_of(name):
    """The first image, or else table, that a model takes."""
    entry = registry.find("models", name)
    options = {key: value for key, value in NARROW.items() if key in entry.options}
    for shape in PLACES:
        spec = Spec("classification", shape, classes=TEN)
        if not entry.meta.get("fits", lambda _: True)(spec):
            break
        try:
            with torch.device("meta"):
                entry.build(spec, **options)
        except UsageError:
            continue
        return spec, options
    return TASKS["classification"], options


def rows(n=400):
    draw = np.random.default_rng(0)
    columns = [draw.normal(80, 30, n), draw.integers(0, 3, n), draw.integers(0, 2, n), draw.exponential(20, n)]
    x = np.stack(columns, axis=1).astype(np.float32)
    x[draw.random(x.shape) < 0.1] = np.nan
    return x


def make(folder, name, spec, options):
    """A run folder with what `Predictor` reads, and inputs for it."""
    x = rows() if spec.columns else np.random.default_rng(0).integers(0, 256, (64, *spec.shape), dtype=np.uint8)
    scale = fit("columns", x, columns=spec.columns) if spec.columns else fit("standard", x)
    torch.manual_seed(0)
    model = registry.find("models", name).build(transform_spec(scale, spec), **options)
    inputs = scale.apply(torch.from_numpy(x))
    with torch.no_grad():
        for some in inputs.split(32):
            model.train()(some)
        spread = model.eval()(inputs).std()
        *_, weight, bias = model.parameters()
        for last in (weight, bias):
            last *= 3 / spread
        assert model(inputs).std() > 0.1
    target = None
    if spec.task == "regression":
        target = fit("log", np.exp(np.random.default_rng(1).normal(3, 1, (50, spec.outputs))).astype(np.float32))
    artifact.save(
        folder,
        weights=model.state_dict(),
        name=name,
        options=options,
        spec=spec,
        fitted_transforms={"input": scale, "target": target},
        best={"epoch": 1, "score": "loss", "value": None},
    )
    return draw_example_inputs(spec, scale, 1000, seed=7)


def compare(folder, x, spec, alone=1000):
    from yisheng.inference.export import onnx_file

    done = export(folder)
    outputs = Predictor(folder).compute_outputs
    found = verify_export(onnx_file.load(done.path), outputs, x, spec, sizes=(1, 64), alone=alone)
    assert outputs(x).std(axis=0).min() > 0
    return found


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in registry.names("models")],
)
def test_onnxruntime_answers_as_we_do(tmp_path, name):
    spec, options = spec_of(name)
    x = make(tmp_path, name, spec, options)
    found = compare(tmp_path, x, spec, alone=1000 if name in QUICK else 100)
    assert found.rows == 1000


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["mlp", "tabm"])
def test_a_tables_model_answers_as_we_do(tmp_path, name, task):
    x = make(tmp_path, name, TASKS[task], {})
    compare(tmp_path, x, TASKS[task])


@pytest.mark.slow
@pytest.mark.parametrize("embeddings", ["periodic", "none"])
def test_embeddings_answer_as_we_do(tmp_path, embeddings):
    x = make(tmp_path, "tabm", TASKS["regression"], {"embeddings": embeddings})
    compare(tmp_path, x, TASKS["regression"])
