"""A model as one file for other programs: it predicts as the run does and describes itself, or is refused."""

import json
import statistics
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open

import yisheng
from tests.inference.conftest import train
from yisheng.cli import main
from yisheng.core.columns import Column
from yisheng.core.errors import DataError, MissingPartError, UsageError
from yisheng.core.spec import Spec
from yisheng.experiments.export import export
from yisheng.inference.artifact import Artifact
from yisheng.inference.export import onnx_file, safetensors_file, torchscript_file
from yisheng.inference.export.example_inputs import draw_example_inputs
from yisheng.inference.export.full_model import FullModel, make_example_inputs
from yisheng.inference.export.metadata import build_metadata
from yisheng.inference.export.verify import verify_export
from yisheng.inference.predictor import Predictor
from yisheng.transforms import fit, transform_spec

FILES = {"onnx": onnx_file, "torchscript": torchscript_file, "safetensors": safetensors_file}
COLUMNS = (
    Column("size", source="size"),
    Column("town", "category", ("Bonn", "Köln", "Ulm"), source="town"),
    Column("garden", "yes/no", ("no", "yes"), source="garden"),
    Column("age", source="age"),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run on images, one on rows, and a cross-validation."""
    settings = {"model": "mlp", "hidden": [4], "epochs": 1, "out": tmp_path_factory.mktemp("runs")}
    return {
        "images": train(data="digits", **settings),
        "rows": train(data="diabetes", **settings),
        "cross-validation": train(data="iris", folds=3, **settings),
    }


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("run", ["images", "rows", "cross-validation"])
def test_the_file_predicts_as_the_run_does(runs, tmp_path, run, format):
    exported = yisheng.export(runs[run], format=format, out=tmp_path / "model")
    assert set(exported.agreement.largest) == {1, 64}
    assert exported.samples.endswith("test rows")
    predictor, predict = Predictor(runs[run]), FILES[format].load(tmp_path / "model")
    x = draw_example_inputs(predictor.spec, predictor.artifacts[0].scale, 70, seed=3)
    for size in (1, 2, 70):
        np.testing.assert_allclose(predict(x[:size]), predictor.compute_outputs(x[:size]), rtol=1e-4, atol=1e-5)


def make_table(numbers, rows=300):
    """Return raw rows with categories and missing values, and a fitted transform."""
    rng = np.random.default_rng(0)
    x = np.stack(
        [
            rng.normal(size=rows) ** 3,
            rng.integers(0, 3, rows),
            rng.integers(0, 2, rows),
            rng.exponential(size=rows),
        ],
        axis=1,
    ).astype(np.float32)
    x[rng.random(x.shape) < 0.1] = np.nan
    return x, fit("columns", x, {"numbers": numbers}, columns=COLUMNS)


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("numbers", ["standard", "quantile", "power"])
def test_the_transform_of_a_table_is_in_the_file(tmp_path, numbers, format):
    x, scale = make_table(numbers)
    spec = Spec("regression", (4,), columns=COLUMNS)
    torch.manual_seed(0)
    model = yisheng.models.build("mlp", transform_spec(scale, spec), hidden=(8,)).eval()
    target = fit("log", np.exp(np.random.default_rng(1).normal(size=(50, 1))).astype(np.float32))
    artifact = Artifact(model, spec, scale, target, {"model": {"name": "mlp", "options": {"hidden": [8]}}})
    full_model, path = FullModel([artifact]), tmp_path / "model"
    x[0] = [np.inf, -1, np.nan, 1e30]  # infinite, unseen in training, missing, far out of range
    x[1] = [np.nan, np.nan, np.nan, np.nan]
    FILES[format].write(path, full_model, make_example_inputs(full_model, x), build_metadata([artifact], x.dtype))
    with torch.no_grad():
        expected = full_model(torch.from_numpy(x)).numpy()
    assert np.isfinite(expected).all()
    predict = FILES[format].load(path)
    for outputs in (predict(x), np.concatenate([predict(x[n : n + 1]) for n in range(len(x))])):
        np.testing.assert_allclose(outputs, expected, rtol=2e-5, atol=2e-5)


def test_our_onnx_operators_are_accurate(tmp_path):
    class Operators(torch.nn.Module):
        def forward(self, p):
            return torch.special.ndtri(p), torch.expm1(p), torch.log1p(p)

    from yisheng.inference.export._operators import OPERATORS

    p = torch.tensor([1e-7, 1e-3, 0.07, 0.0750001, 0.3, 0.5, 0.77, 0.925, 0.93, 1 - 1e-7], dtype=torch.float64)
    with onnx_file._hide_exporter_messages():
        torch.onnx.export(
            Operators(),
            (p,),
            tmp_path / "operators.onnx",
            dynamo=True,
            verbose=False,
            custom_translation_table=OPERATORS,
        )
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "operators.onnx", providers=["CPUExecutionProvider"])
    quantiles, exponentials, logarithms = session.run(None, {session.get_inputs()[0].name: p.numpy()})
    normal = statistics.NormalDist()
    np.testing.assert_allclose(quantiles, [normal.inv_cdf(float(value)) for value in p], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(exponentials, np.expm1(p.numpy()), rtol=1e-8)
    np.testing.assert_allclose(logarithms, np.log1p(p.numpy()), rtol=1e-8)


def test_each_file_describes_itself(runs, tmp_path):
    import onnx

    paths = {format: export(runs["cross-validation"], format=format, out=tmp_path / format).path for format in FILES}
    model = onnx.load(paths["onnx"])
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert metadata["classes"] == list(Predictor(runs["cross-validation"]).spec.classes)
    assert [column["name"] for column in metadata["columns"]] == [
        c.name for c in Predictor(runs["cross-validation"]).spec.columns
    ]
    assert len(metadata["models"]) == 3
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == onnx_file.OPSET
    assert not [tensor.name for tensor in model.graph.initializer if tensor.external_data]
    assert not any(node.metadata_props for node in model.graph.node)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert (shape[0].dim_param, shape[1].dim_value) == ("N", 4)
    with safe_open(paths["safetensors"], "np") as file:
        assert json.loads(file.metadata()["yisheng"]) == metadata
        assert "2.output.bias" in file.keys()  # noqa: SIM118  # not a mapping
    extra = {torchscript_file.METADATA_FILE: ""}
    with torchscript_file._hide_torchscript_warnings():
        torch.jit.load(str(paths["torchscript"]), _extra_files=extra)
    assert json.loads(extra[torchscript_file.METADATA_FILE]) == metadata


def test_images_are_bytes(runs, tmp_path):
    import onnxruntime

    path = export(runs["images"], out=tmp_path / "a.onnx").path
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(uint8)"
    assert session.get_outputs()[0].shape == ["N", 10]


@pytest.mark.parametrize("format", FILES)
def test_a_file_that_predicts_differently_is_refused(runs, tmp_path, monkeypatch, format):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    compute_outputs = Predictor.compute_outputs
    monkeypatch.setattr(Predictor, "compute_outputs", lambda self, x: compute_outputs(self, x) * np.float32(1.001))
    with pytest.raises(DataError, match="predicts differently from the run"):
        export(runs["images"], format=format, out=path, force=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_verification_compares_values_in_each_batch_size():
    spec = Spec("classification", (2,), classes=("a", "b"))
    x = np.zeros((70, 2), np.float32)

    def predict(inputs):
        return np.full((len(inputs), 2), 0.5, np.float32)

    def predict_with_error(batch_size, error):
        def predict_batch(inputs):
            outputs = predict(inputs)
            if len(inputs) == batch_size:
                outputs[-1, 0] += error
            return outputs

        return predict_batch

    agreement = verify_export(predict_with_error(64, 9e-5), predict, x, spec)
    assert agreement.largest[1] == 0
    assert 8e-5 < agreement.largest[64] < 1e-4
    for batch_size, error in ((1, 2e-4), (64, 2e-4), (64, np.nan)):
        with pytest.raises(DataError, match=f"batches of {batch_size}"):
            verify_export(predict_with_error(batch_size, error), predict, x, spec)
    with pytest.raises(DataError, match="float64"):
        verify_export(lambda inputs: predict(inputs).astype(np.float64), predict, x, spec)


def test_without_its_data_a_run_is_verified_on_random_inputs(tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 3)).astype(np.float32), rng.normal(size=(60, 1)).astype(np.float32)
    data = yisheng.Dataset("example", Spec("regression", (3,)), x, y)
    run = yisheng.train(data=data, model="linear", epochs=1, quiet=True, out=tmp_path)
    assert "random inputs in the range of the training" in yisheng.export(run.path, format="safetensors").samples
    exported = yisheng.export(run.path, format="torchscript", data=data)
    assert exported.samples == run.export(format="onnx").samples == "12 test rows"
    with pytest.raises(UsageError, match="inputs of shape"):
        yisheng.export(run.path, format="torchscript", force=True, data=yisheng.data.load("iris"))


def test_existing_files_are_replaced_only_with_force(runs, tmp_path, capsys):
    path = tmp_path / "model.pt"
    words = ["export", str(runs["rows"]), "format=torchscript", f"out={path}"]
    assert main(words) == 0
    assert capsys.readouterr().out.endswith(f"\n{path}\n")
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert main([*words, "force=true", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(path)
    weights = runs["rows"] / "model.safetensors"
    content = weights.read_bytes()
    assert main(["export", str(runs["rows"]), "format=safetensors", f"out={weights}", "force=true"]) == 2
    assert main(["export", str(runs["rows"]), f"out={tmp_path}", "force=true"]) == 2
    assert weights.read_bytes() == content
    assert main(["export", str(runs["rows"]), "format=torchscript", f"out={tmp_path}/none/a.pt"]) == 1
    assert main(["export", str(runs["rows"]), "format=onix"]) == 2
    assert main(["export", str(tmp_path)]) == 3


def test_onnx_reports_its_limit_and_missing_packages(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "MAX_WEIGHT_BYTES", 1000)
    with pytest.raises(UsageError, match="an ONNX file holds 2 GiB"):
        export(runs["images"], out=tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPartError, match="onnxruntime"):
        export(runs["images"], out=tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scale", ["none", "unit", "standard"])
def test_random_inputs_are_in_the_range_of_the_training_part(scale):
    x = np.random.default_rng(0).uniform(5, 7, (100, 2)).astype(np.float32)
    inputs = draw_example_inputs(Spec("regression", (2,)), fit(scale, x), 500)
    assert inputs.dtype == np.float32
    if scale != "none":
        assert 4 < inputs.min() < 5.5
        assert 6.5 < inputs.max() < 8


def test_random_rows_of_a_table_have_its_kinds():
    x, scale = make_table("standard")
    inputs = draw_example_inputs(Spec("regression", (4,), columns=COLUMNS), scale, 500)
    is_present = np.isfinite(inputs)
    assert 0.05 < 1 - is_present.mean() < 0.15
    assert set(inputs[is_present[:, 1], 1]) == {-1, 0, 1, 2}
    assert set(inputs[is_present[:, 2], 2]) == {0, 1}
    assert inputs[is_present[:, 3], 3].min() >= np.nanmin(x[:, 3]) - 1e-6
