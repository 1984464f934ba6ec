"""Every registered model as an ONNX file: onnxruntime's predictions equal torch's on 1,000 inputs, 1 and 64 at a time.

The run folders are made without training: random weights, with batch norm's averages of a few batches and the last
layer scaled so that predictions differ between inputs. A large network gets the smallest image that it accepts
and, if it has the option, fewer channels.
"""

import functools
import importlib.util

import numpy as np
import pytest
import torch

from yisheng.core import registry
from yisheng.core.columns import Column
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.experiments.export import export
from yisheng.inference import artifact
from yisheng.inference.export.example_inputs import draw_example_inputs
from yisheng.inference.export.verify import verify_export
from yisheng.inference.predictor import Predictor
from yisheng.models._fitted_model import FitRows
from yisheng.transforms import fit, transform_spec

TEN = tuple("0123456789")
SHAPES = ((1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 68, 68))
NARROW = {"ratio": 16}
FAST_MODELS = ("lenet", "mlp", "linear")
"""Models whose test is not slow."""
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
def choose_spec(name):
    """Return the smallest image or the table that a model accepts, and its options."""
    entry = registry.find("models", name)
    options = {key: value for key, value in NARROW.items() if key in entry.options}
    for shape in SHAPES:
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


NETWORKS = [entry.name for entry in registry.entries("models") if not entry.meta.get("fitted")]
NOT_INSTALLED = [name for name in ("lightgbm", "catboost") if not importlib.util.find_spec(name)]
FITTED_MODELS = [
    entry.name
    for entry in registry.entries("models")
    if entry.meta.get("fitted")
    and not entry.meta.get("composite")
    and entry.name not in NOT_INSTALLED
    and entry.name != "tabicl"  # it is a package and training rows, which no graph can hold
]


def draw_rows(n=400):
    generator = np.random.default_rng(0)
    columns = [
        generator.normal(80, 30, n),
        generator.integers(0, 3, n),
        generator.integers(0, 2, n),
        generator.exponential(20, n),
    ]
    x = np.stack(columns, axis=1).astype(np.float32)
    x[generator.random(x.shape) < 0.1] = np.nan
    return x


def make_run_folder(folder, name, spec, options):
    """Write a run folder that `Predictor` can read, and return inputs for it."""
    x = draw_rows() if spec.columns else np.random.default_rng(0).integers(0, 256, (64, *spec.shape), dtype=np.uint8)
    scale = fit("columns", x, columns=spec.columns) if spec.columns else fit("standard", x)
    torch.manual_seed(0)
    model = registry.find("models", name).build(transform_spec(scale, spec), **options)
    inputs = scale.apply(torch.from_numpy(x))
    with torch.no_grad():
        for batch in inputs.split(32):
            model.train()(batch)
        std = model.eval()(inputs).std()
        *_, weight, bias = model.parameters()
        for parameter in (weight, bias):
            parameter *= 3 / std
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
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )
    return draw_example_inputs(spec, scale, 1000, seed=7)


def compare_outputs(folder, x, spec, alone=1000):
    from yisheng.inference.export import onnx_file

    result = export(folder)
    outputs = Predictor(folder).compute_outputs
    comparison = verify_export(onnx_file.load(result.path), outputs, x, spec, sizes=(1, 64), alone=alone)
    assert outputs(x).std(axis=0).max() > 0
    return comparison


@pytest.mark.sampled
@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[] if n in FAST_MODELS else [pytest.mark.slow]) for n in NETWORKS],
)
def test_onnxruntime_predictions_equal_torchs(tmp_path, name):
    spec, options = choose_spec(name)
    x = make_run_folder(tmp_path, name, spec, options)
    comparison = compare_outputs(tmp_path, x, spec, alone=1000 if name in FAST_MODELS else 100)
    assert comparison.rows == 1000


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", ["mlp", "tabm"])
def test_predictions_of_table_models_equal_torchs(tmp_path, name, task):
    x = make_run_folder(tmp_path, name, TASKS[task], {})
    compare_outputs(tmp_path, x, TASKS[task])


@pytest.mark.slow
@pytest.mark.parametrize("embeddings", ["periodic", "none"])
def test_predictions_of_embeddings_equal_torchs(tmp_path, embeddings):
    x = make_run_folder(tmp_path, "tabm", TASKS["regression"], {"embeddings": embeddings})
    compare_outputs(tmp_path, x, TASKS["regression"])


FITTED_TASKS = {"ridge": ("regression",), "logistic": ("classification", "binary", "multilabel")}


@pytest.mark.parametrize(
    ("name", "task"), [(name, task) for name in FITTED_MODELS for task in FITTED_TASKS.get(name, TASKS)]
)
def test_predictions_of_models_without_gradient_steps_equal_torchs(tmp_path, name, task):
    spec, x = TASKS[task], draw_rows()
    entry = registry.find("models", name)
    scale = fit(entry.meta["fitted"], x, columns=spec.columns)
    model = entry.build(transform_spec(scale, spec))
    model.fit_stage(model.stages - 1, FitRows(scale.apply(torch.from_numpy(x)).numpy(), draw_targets(spec, x), None, 0))
    artifact.save(
        tmp_path,
        weights=model.state_dict(),
        name=name,
        options={},
        spec=spec,
        fitted_transforms={"input": scale, "target": None},
        best={"epoch": 1, "score": "loss", "value": None},
        parameters=0,
    )
    compare_outputs(tmp_path, draw_example_inputs(spec, scale, 1000, seed=7), spec, alone=100)


def draw_targets(spec, x):
    signal = np.nan_to_num(x[:, 0], nan=50) + 30 * (x[:, 1] == 2)
    if spec.task == "classification":
        return np.digitize(signal, np.quantile(signal, np.linspace(0, 1, len(spec.classes) + 1)[1:-1]))
    levels = np.quantile(signal, [0.3, 0.5, 0.7])[: spec.outputs]
    values = signal[:, None] > levels if spec.task == "multilabel" else signal[:, None] * np.arange(1, spec.outputs + 1)
    return values.astype(np.float32)
