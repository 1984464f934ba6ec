"""One file for other programs: it answers as the run does, says what it is, and is refused where it does not."""

import json
import statistics
import sys

import numpy as np
import pytest
import torch
from safetensors import safe_open

import yisheng
from yisheng.cli import main
from yisheng.core.errors import DataError, MissingPartError, UsageError
from yisheng.core.types import Column, Spec
from yisheng.experiments import evaluate as verb_evaluate
from yisheng.experiments.export import export
from yisheng.inference.artifact import Artifact
from yisheng.inference.export import onnx_file, safetensors_file, torchscript_file
from yisheng.inference.export import verify as checking
from yisheng.inference.export.example_inputs import draw_example_inputs
from yisheng.inference.export.full_model import FullModel, make_example_inputs
from yisheng.inference.export.metadata import build_metadata
from yisheng.inference.predictor import Predictor
from yisheng.transforms import transform_spec, fit

FILES = {"onnx": onnx_file, "torchscript": torchscript_file, "safetensors": safetensors_file}
COLUMNS = (
    Column("size", source="size"),
    Column("town", "category", ("Bonn", "Köln", "Ulm"), source="town"),
    Column("garden", "yes/no", ("no", "yes"), source="garden"),
    Column("age", source="age"),
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run on images, one on rows, and a study of three."""
    out = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verb_evaluate, "report", lambda folder: folder / "report.html")
        settings = {"model": "mlp", "hidden": [4], "epochs": 1, "quiet": True, "out": out}
        return {
            "images": yisheng.train(data="digits", **settings).path,
            "rows": yisheng.train(data="diabetes", **settings).path,
            "study": yisheng.train(data="iris", folds=3, **settings).path,
        }


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("run", ["images", "rows", "study"])
def test_the_file_answers_as_the_run_does(runs, tmp_path, run, format):
    done = yisheng.export(runs[run], format=format, out=tmp_path / "model")
    assert set(done.agreement.largest) == {1, 64}
    assert done.samples.endswith("test rows")
    predictor, answer = Predictor(runs[run]), FILES[format].load(tmp_path / "model")
    x = draw_example_inputs(predictor.spec, predictor.artifacts[0].scale, 70, seed=3)
    for size in (1, 2, 70):
        np.testing.assert_allclose(answer(x[:size]), predictor.compute_outputs(x[:size]), rtol=1e-4, atol=1e-5)


def table(numbers, rows=300):
    """Raw rows with categories and missing values, and a fitted preparation."""
    draw = np.random.default_rng(0)
    x = np.stack(
        [
            draw.normal(size=rows) ** 3,
            draw.integers(0, 3, rows),
            draw.integers(0, 2, rows),
            draw.exponential(size=rows),
        ],
        axis=1,
    ).astype(np.float32)
    x[draw.random(x.shape) < 0.1] = np.nan
    return x, fit("columns", x, {"numbers": numbers}, columns=COLUMNS)


@pytest.mark.parametrize("format", FILES)
@pytest.mark.parametrize("numbers", ["standard", "quantile", "power"])
def test_a_tables_preparation_is_in_the_file(tmp_path, numbers, format):
    x, scale = table(numbers)
    spec = Spec("regression", (4,), columns=COLUMNS)
    torch.manual_seed(0)
    model = yisheng.models.build("mlp", transform_spec(scale, spec), hidden=(8,)).eval()
    target = fit("log", np.exp(np.random.default_rng(1).normal(size=(50, 1))).astype(np.float32))
    saved = Artifact(model, spec, scale, target, {"model": {"name": "mlp", "options": {"hidden": [8]}}})
    whole, path = FullModel([saved]), tmp_path / "model"
    x[0] = [np.inf, -1, np.nan, 1e30]  # infinite, never seen, missing, far outside
    x[1] = [np.nan, np.nan, np.nan, np.nan]
    FILES[format].write(path, whole, make_example_inputs(whole, x), build_metadata([saved], x.dtype))
    with torch.no_grad():
        wanted = whole(torch.from_numpy(x)).numpy()
    assert np.isfinite(wanted).all()
    answer = FILES[format].load(path)
    for got in (answer(x), np.concatenate([answer(x[n : n + 1]) for n in range(len(x))])):
        np.testing.assert_allclose(got, wanted, rtol=2e-5, atol=2e-5)


def test_the_normal_quantile_is_the_textbooks(tmp_path):
    class Quantile(torch.nn.Module):
        def forward(self, p):
            return torch.special.ndtri(p), torch.expm1(p), torch.log1p(p)

    from yisheng.inference.export._operators import OPERATORS

    p = torch.tensor([1e-7, 1e-3, 0.07, 0.0750001, 0.3, 0.5, 0.77, 0.925, 0.93, 1 - 1e-7], dtype=torch.float64)
    with onnx_file._quiet():
        torch.onnx.export(
            Quantile(), (p,), tmp_path / "q.onnx", dynamo=True, verbose=False, custom_translation_table=OPERATORS
        )
    import onnxruntime

    session = onnxruntime.InferenceSession(tmp_path / "q.onnx", providers=["CPUExecutionProvider"])
    found, grown, logs = session.run(None, {session.get_inputs()[0].name: p.numpy()})
    normal = statistics.NormalDist()
    np.testing.assert_allclose(found, [normal.inv_cdf(float(one)) for one in p], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(grown, np.expm1(p.numpy()), rtol=1e-8)
    np.testing.assert_allclose(logs, np.log1p(p.numpy()), rtol=1e-8)


def test_each_file_says_what_it_is(runs, tmp_path):
    import onnx

    paths = {format: export(runs["study"], format=format, out=tmp_path / format).path for format in FILES}
    model = onnx.load(paths["onnx"])
    said = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert said["classes"] == list(Predictor(runs["study"]).spec.classes)
    assert [column["name"] for column in said["columns"]] == [c.name for c in Predictor(runs["study"]).spec.columns]
    assert len(said["members"]) == 3
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == onnx_file.OPSET
    assert not [tensor.name for tensor in model.graph.initializer if tensor.external_data]
    assert not any(node.metadata_props for node in model.graph.node)
    shape = model.graph.input[0].type.tensor_type.shape.dim
    assert (shape[0].dim_param, shape[1].dim_value) == ("N", 4)
    with safe_open(paths["safetensors"], "np") as file:
        assert json.loads(file.metadata()["yisheng"]) == said
        assert "2.output.bias" in file.keys()  # noqa: SIM118  # no mapping
    extra = {torchscript_file.METADATA_FILE: ""}
    with torchscript_file._quiet():
        torch.jit.load(str(paths["torchscript"]), _extra_files=extra)
    assert json.loads(extra[torchscript_file.METADATA_FILE]) == said


def test_images_go_in_as_bytes(runs, tmp_path):
    import onnxruntime

    path = export(runs["images"], out=tmp_path / "a.onnx").path
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert session.get_inputs()[0].type == "tensor(uint8)"
    assert session.get_outputs()[0].shape == ["N", 10]


@pytest.mark.parametrize("format", FILES)
def test_a_file_that_answers_otherwise_is_refused(runs, tmp_path, monkeypatch, format):
    path = tmp_path / "model"
    path.write_bytes(b"old")
    outputs = Predictor.compute_outputs
    monkeypatch.setattr(Predictor, "outputs", lambda self, x: outputs(self, x) * np.float32(1.001))
    with pytest.raises(DataError, match="answers other than the run"):
        export(runs["images"], format=format, out=path, force=True)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_check_knows_size_batch_and_missing_numbers():
    spec = Spec("classification", (2,), classes=("a", "b"))
    x = np.zeros((70, 2), np.float32)
    right = np.full((70, 2), 0.5, np.float32)

    def at(size, change):
        def answer(some):
            found = right[: len(some)].copy()
            if len(some) == size:
                found[-1, 0] += change
            return found

        return answer

    good = checking.verify_export(at(64, 9e-5), lambda x: right[: len(x)], x, spec)
    assert good.largest[1] == 0
    assert 8e-5 < good.largest[64] < 1e-4
    for size, change in ((1, 2e-4), (64, 2e-4), (64, np.nan)):
        with pytest.raises(DataError, match=f"batches of {size}"):
            checking.verify_export(at(size, change), lambda x: right[: len(x)], x, spec)
    with pytest.raises(DataError, match="float64"):
        checking.verify_export(lambda x: right[: len(x)].astype(np.float64), lambda x: right[: len(x)], x, spec)


def test_without_its_data_a_run_is_checked_on_drawn_inputs(tmp_path):
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(60, 3)).astype(np.float32), draw.normal(size=(60, 1)).astype(np.float32)
    data = yisheng.Dataset("mine", Spec("regression", (3,)), x, y)
    run = yisheng.train(data=data, model="linear", epochs=1, quiet=True, out=tmp_path)
    assert "drawn in the range of training" in run.export(format="safetensors").samples
    given = yisheng.export(run.path, format="torchscript", data=data)
    assert given.samples == "12 test rows"
    with pytest.raises(UsageError, match="inputs of shape"):
        yisheng.export(run.path, format="torchscript", force=True, data=yisheng.data.load("iris"))


def test_nothing_is_written_over_unasked(runs, tmp_path, capsys):
    path = tmp_path / "model.pt"
    words = ["export", str(runs["rows"]), "format=torchscript", f"out={path}"]
    assert main(words) == 0
    assert capsys.readouterr().out.endswith(f"\n{path}\n")
    assert main(words) == 2
    assert "is there already" in capsys.readouterr().err
    assert main([*words, "force=true", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == str(path)
    own = runs["rows"] / "model.safetensors"
    before = own.read_bytes()
    assert main(["export", str(runs["rows"]), "format=safetensors", f"out={own}", "force=true"]) == 2
    assert main(["export", str(runs["rows"]), f"out={tmp_path}", "force=true"]) == 2
    assert own.read_bytes() == before
    assert main(["export", str(runs["rows"]), "format=torchscript", f"out={tmp_path}/none/a.pt"]) == 1
    assert main(["export", str(runs["rows"]), "format=onix"]) == 2
    assert main(["export", str(tmp_path)]) == 3


def test_onnx_says_what_it_needs(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "LIMIT", 1000)
    with pytest.raises(UsageError, match="an ONNX file holds 2 GiB"):
        export(runs["images"], out=tmp_path / "a.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingPartError, match="onnxruntime"):
        export(runs["images"], out=tmp_path / "a.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("scale", ["none", "unit", "standard"])
def test_drawn_inputs_lie_where_the_training_part_did(scale):
    x = np.random.default_rng(0).uniform(5, 7, (100, 2)).astype(np.float32)
    found = draw_example_inputs(Spec("regression", (2,)), fit(scale, x), 500)
    assert found.dtype == np.float32
    if scale != "none":
        assert 4 < found.min() < 5.5
        assert 6.5 < found.max() < 8


def test_drawn_rows_of_a_table_have_its_kinds():
    x, scale = table("standard")
    found = draw_example_inputs(Spec("regression", (4,), columns=COLUMNS), scale, 500)
    there = np.isfinite(found)
    assert 0.05 < 1 - there.mean() < 0.15
    assert set(found[there[:, 1], 1]) == {-1, 0, 1, 2}
    assert set(found[there[:, 2], 2]) == {0, 1}
    assert found[there[:, 3], 3].min() >= np.nanmin(x[:, 3]) - 1e-6
