"""The out-of-distribution detector: distances as NumPy computes them, few false warnings, and unusual inputs found."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

import yisheng
from tests.inference.conftest import train
from yisheng import models
from yisheng.cli import main
from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.spec import Spec
from yisheng.data.batches import make_batches
from yisheng.inference import _ood_features, artifact, model_files
from yisheng.inference.fit_ood import fit_ood_detector
from yisheng.inference.ood import QUANTILE_LEVELS, THRESHOLD, Component, OODDetector, parse_ood_detector
from yisheng.inference.predictor import Predictor
from yisheng.transforms.none import none

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def rows_run(tmp_path_factory):
    return train(data="iris", model="mlp", epochs=2, out=tmp_path_factory.mktemp("runs"))


def test_the_distance_is_mahalanobis():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    x = rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)) + 5 * labels[:, None]
    means = np.stack([x[labels == label].mean(0) for label in range(3)])
    residuals = x - means[labels]
    covariance = residuals.T @ residuals / len(x)
    inverse = np.linalg.inv(covariance + _ood_features.RIDGE * np.trace(covariance) / 6 * np.eye(6))
    new = rng.normal(size=(50, 6)) * 9
    differences = new[:, None] - means
    expected = np.sqrt(np.einsum("nkd,de,nke->nk", differences, inverse, differences).min(1))
    whitening = _ood_features.fit_whitening(torch.from_numpy(x), torch.from_numpy(labels))
    distances = _ood_features.compute_mahalanobis_distance(torch.from_numpy(new), *whitening)
    np.testing.assert_allclose(distances, expected, rtol=1e-3)


@settings(max_examples=60, deadline=None)
@given(
    rows=st.sampled_from([1, 7, 256, 257, 400]),
    classes=st.sampled_from([1, 2, 10, 17, 40]),
    separation=st.sampled_from([0.0, 1.0, 30.0, 900.0, 1e5]),
    center=st.sampled_from([0.0, 100.0, 1e4]),
    seed=st.integers(0, 99),
)
def test_distances_to_any_means_are_those_of_all_differences(rows, classes, separation, center, seed):
    rng = np.random.default_rng(seed)
    projection = torch.from_numpy(rng.normal(size=(9, 5))).float()
    means = torch.from_numpy(center + separation * rng.normal(size=(classes, 5))).float()
    x = torch.from_numpy(rng.normal(size=(rows, 9)) * 10 ** rng.uniform(0, 4, (rows, 1))).float()
    whitened = x.double().numpy() @ projection.double().numpy()
    expected = np.linalg.norm(whitened[:, None] - means.double().numpy(), axis=2).min(1)
    distances = _ood_features.compute_mahalanobis_distance(x, projection, means)
    np.testing.assert_allclose(distances, expected, rtol=1e-8, atol=1e-8)


@given(scores=st.lists(st.one_of(st.floats(-9, 9), st.just(np.inf)), min_size=1), seed=st.integers(0, 99))
def test_levels_are_interpolated_between_quantiles(scores, seed):
    rng = np.random.default_rng(seed)
    quantiles = np.sort(rng.integers(-5, 5, len(QUANTILE_LEVELS)) * rng.choice([0.25, 1.0]))  # many are equal
    none = torch.empty(0)
    detector = OODDetector((), torch.from_numpy(quantiles), none.long(), none, none, none.long())
    scores = np.array([*scores, *quantiles[::9]])
    index = np.searchsorted(quantiles, scores).clip(1, len(quantiles) - 1)
    low, high = quantiles[index - 1], quantiles[index]
    fraction = ((scores - low) / np.maximum(high - low, 1e-12)).clip(0, 1)
    levels = np.array(QUANTILE_LEVELS)
    expected = levels[index - 1] + fraction * (levels[index] - levels[index - 1])
    np.testing.assert_array_equal(detector.interpolate_level(torch.from_numpy(scores)), expected)


@pytest.mark.parametrize("columns", [[0, 1, 2], [1, 3], [3, 0]])
def test_columns_without_a_range_do_not_change_the_excess(columns):
    rng = np.random.default_rng(0)
    raw = torch.from_numpy(rng.normal(size=(200, 5)).astype(np.float32) * 3)
    raw[rng.random((200, 5)) < 0.3] = torch.nan
    raw[:4, columns] = torch.nan  # rows without any value
    low, high = torch.linspace(-2, -1, len(columns)), torch.linspace(1, -1, len(columns))  # the last never varied
    indices, none = torch.tensor(columns), torch.empty(0)
    detector = OODDetector((Component("range"),), none, indices, low, high, none.long())
    (scores,) = detector._component_scores({}, none, none, raw)
    expected = _ood_features.compute_range_excess(raw[:, indices], low, high, high - low)
    assert torch.equal(scores, expected)


def test_with_few_rows_per_class_there_is_one_mean():
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    _, means = _ood_features.fit_whitening(x, torch.arange(60) % 30)
    assert len(means) == 1
    assert len(_ood_features.fit_whitening(x, torch.arange(60) % 3)[1]) == 3
    assert _ood_features.fit_whitening(torch.ones(60, 4), None) is None


def test_features_are_means_and_standard_deviations_of_maps():
    maps = np.random.default_rng(0).normal(size=(3, 4, 5, 6))
    features = _ood_features.flatten_features(torch.from_numpy(maps))
    np.testing.assert_allclose(features, np.concatenate([maps.mean((2, 3)), maps.std((2, 3))], 1), rtol=1e-5)
    limited = _ood_features.flatten_features(torch.zeros(2, 3, 40, 40).flatten(1))
    assert limited.shape == (2, _ood_features.MAX_FEATURES)
    single_pixels = _ood_features.flatten_features(torch.ones(2, 3, 1, 1))
    assert not single_pixels[:, 3:].any()  # the deviation of one pixel is 0, not NaN


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 12)])
def test_edge_maps_contain_the_image_and_no_edges_at_its_border(shape):
    x = torch.rand(2, *shape)
    assert _ood_features.compute_edge_maps(x).shape == (2, 8 * shape[0], *shape[1:])
    constant = _ood_features.compute_edge_maps(torch.full((1, *shape), 0.5))
    edge_channels = [n for n in range(8 * shape[0]) if n % 4]
    assert constant[:, edge_channels].abs().max() < 1e-6


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("lenet", ["maps", "maps", "head"]),
        ("linear", ["image", "head"]),
        ("mlp", ["image", "head"]),
        ("nin", ["maps", "maps", "maps", "head"]),
        ("resnet18", ["maps", "maps", "maps", "head"]),
    ],
)
def test_features_are_read_from_convolutions_or_the_image_and_the_head(name, kinds):
    spec = Spec("classification", (3, 32, 32), classes=("a", "b"))
    model = models.build(name, spec).eval()
    sources = _ood_features.choose_feature_sources(model)
    assert [source.kind for source in sources] == kinds
    with _ood_features.capture_features(model, sources) as features, torch.no_grad():
        model(torch.rand(2, 3, 32, 32))
    assert set(features) == set(sources)
    assert all(x.shape[0] == 2 and x.isfinite().all() for x in features.values())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def make_parts(x, y, spec, held_out=0.3):
    """Return batches of a training and a held-out part."""
    data = Dataset("example", spec, x, y)
    split = int(len(x) * (1 - held_out))
    return [
        make_batches(data, rows, size=64, scale=none(), target_scale=None, device=CPU, seed=0)
        for rows in (np.arange(split), np.arange(split, len(x)))
    ]


@pytest.mark.parametrize("row_count", [100, 400, 3000])
def test_about_one_in_two_hundred_usual_rows_is_above_the_threshold(row_count):
    rng = np.random.default_rng(row_count)
    spec = Spec("classification", (5,), classes=("a", "b"))
    mixing = rng.normal(size=(5, 5))
    network = torch.nn.Linear(5, 2)

    def draw_rows(n):
        return (rng.normal(size=(n, 5)) @ mixing).astype(np.float32)

    x = draw_rows(row_count)
    detector = fit_ood_detector(network, spec, *make_parts(x, (x[:, 0] > 0).astype(np.int64), spec), seed=0)
    new = torch.from_numpy(draw_rows(20_000))
    scores = detector.score(network, new, new)[1]
    assert (scores > THRESHOLD).double().mean() < (0.025 if row_count == 100 else 0.012)
    assert 0.3 < (scores > 0.5).double().mean() < 0.7
    assert (detector.score(network, new * 9, new * 9)[1] > THRESHOLD).double().mean() > 0.8


@pytest.mark.parametrize("columns", [2, 5, 12])
def test_missing_numbers_of_trees_are_usual_values(columns):
    """Trees keep a missing number as NaN, which no covariance can hold."""
    rng = np.random.default_rng(columns)
    spec = Spec("regression", (columns,))
    x = rng.normal(size=(400, columns)).astype(np.float32)
    x[rng.random(x.shape) < 0.2] = np.nan
    tree = torch.nn.Identity()
    y = rng.normal(size=(400, 1)).astype(np.float32)
    detector = fit_ood_detector(tree, spec, *make_parts(x, y, spec), seed=0)
    assert [component.kind for component in detector.components] == ["range", "numbers"]
    rows = torch.from_numpy(x)
    scores = detector.score(tree, rows, rows)[1]
    assert scores.isfinite().all()
    assert (scores > THRESHOLD).double().mean() < 0.02
    assert (detector.score(tree, rows.nan_to_num(0) + 9, rows)[1] > THRESHOLD).all()


def test_fitting_changes_neither_the_network_nor_the_generators():
    spec = Spec("classification", (1, 8, 8), classes=("a", "b"))
    model = models.build("lenet", spec)
    model.norm1.eval()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    x = np.random.default_rng(0).integers(0, 256, (200, 1, 8, 8)).astype(np.uint8)
    y = np.arange(200) % 2
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    detectors = [fit_ood_detector(model, spec, *make_parts(x, y, spec), seed=3) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(weights[name], value) for name, value in model.state_dict().items())
    assert detectors[0].to_bytes() == detectors[1].to_bytes()


@pytest.mark.parametrize("task", ["regression", "multilabel"])
@pytest.mark.parametrize("held_out", [0.3, 0])
def test_every_task_has_a_detector_also_without_validation(task, held_out):
    spec = Spec(task, (3, 8, 8), classes=("a", "b") if task == "multilabel" else ())
    model = models.build("lenet", spec).eval()
    rng = np.random.default_rng(0)
    x = rng.integers(0, 128, (200, 3, 8, 8)).astype(np.uint8)
    y = rng.integers(0, 2, (200, spec.outputs)).astype(np.float32)
    detector = fit_ood_detector(model, spec, *make_parts(x, y, spec, held_out), seed=0)
    assert "energy" not in [component.kind for component in detector.components]
    raw = torch.from_numpy(x)
    output, scores = detector.score(model, raw.float(), raw)
    torch.testing.assert_close(output, model(raw.float()), rtol=0, atol=0)
    assert (scores > THRESHOLD).double().mean() < 0.05
    assert (detector.score(model, 2 * raw.float(), raw)[1] > THRESHOLD).all()


def test_too_few_rows_or_no_numbers_give_no_detector():
    spec = Spec("regression", (2,))
    network = torch.nn.Linear(2, 1)
    x = np.random.default_rng(0).normal(size=(19, 2)).astype(np.float32)
    assert fit_ood_detector(network, spec, *make_parts(x, x[:, :1], spec, 0), seed=0) is None
    categories = replace(spec, columns=(Column("a", "category", ("x", "y")), Column("b", "yes/no")))
    x = np.random.default_rng(0).integers(0, 2, (100, 2)).astype(np.float32)
    assert fit_ood_detector(network, categories, *make_parts(x, x[:, :1], categories), seed=0) is None


def test_unusual_images_are_distinguished_from_digits(digits_run):
    predictor = Predictor(digits_run)
    data = yisheng.data.load("digits")
    outputs, scores = predictor.compute_outputs_and_ood_scores(data.x)
    np.testing.assert_array_equal(outputs, predictor.compute_outputs(data.x))
    assert (scores > THRESHOLD).mean() < 0.02
    noise = np.random.default_rng(0).integers(0, 256, data.x.shape).astype(np.uint8)
    for unusual in (255 - data.x, noise, np.zeros_like(data.x[:3])):
        scores = predictor.compute_outputs_and_ood_scores(unusual)[1]
        assert (scores > THRESHOLD).mean() > 0.95
        assert [bool(notes) for notes in predictor.describe_ood(unusual, scores)] == (scores > THRESHOLD).tolist()
    prediction = predictor.predict(255 - data.x[:1])[0]
    assert prediction.ood_score > THRESHOLD
    assert prediction.notes == ("out of distribution: fewer than 1 in 200 held-out rows are as unusual",)


def test_a_column_out_of_range_is_named(rows_run, capsys):
    rows = np.array([[5.8, 3.0, 3.8, 1.2], [5.8, 3.0, 90.0, 1.2]], np.float32)
    usual, unusual = Predictor(rows_run).predict(rows)
    assert usual.ood_score < THRESHOLD < unusual.ood_score
    assert usual.notes == ()
    note = "out of distribution: petal length (cm) outside the range of the training data"
    assert unusual.notes == (note,)
    assert main(["predict", str(rows_run), "rows=5.8,3,90,1.2"]) == 0
    assert f"note: 0: {note}" in capsys.readouterr().out
    assert main(["predict", str(rows_run), "rows=5.8,3,3.8,1.2", "--json"]) == 0
    (prediction,) = json.loads(capsys.readouterr().out)["predictions"]
    assert 0 <= prediction["ood_score"] < THRESHOLD


def test_a_saved_detector_computes_the_same_scores(digits_run):
    network = artifact.load(digits_run)
    detector, x = network.ood_detector, torch.from_numpy(yisheng.data.load("digits").x[:50])
    plain = json.loads(json.dumps(detector.to_json()))
    read = parse_ood_detector(detector.to_bytes(), plain, network.model, network.spec, network.spec)
    with torch.no_grad():
        scaled = network.scale.apply(x)
        expected, scores = (d.score(network.model, scaled, x)[1] for d in (detector, read))
    assert torch.equal(scores, expected)
    sizes = {name: value.numel() for name, value in load(detector.to_bytes()).items()}
    assert sum(sizes.values()) < 20_000  # means and projections, no rows


def test_a_run_without_a_detector_predicts_without_scores(digits_run, tmp_path):
    folder = Path(shutil.copytree(digits_run, tmp_path / "run"))
    description = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**description, "ood": None}))
    (folder / "ood.safetensors").unlink()
    model_files.write_checksums(folder)
    prediction = Predictor(folder).predict(np.full((1, 1, 8, 8), 255, np.uint8))[0]
    assert prediction.ood_score is None
    assert prediction.notes == ()


def test_a_cross_validation_has_the_scores_of_its_first_fold_model(tmp_path):
    folder = train(data="iris", model="linear", epochs=1, folds=2, out=tmp_path)
    x = np.array([[5, 3, 1, 0], [50, 30, 10, 9]], np.float32)
    scores = [prediction.ood_score for prediction in Predictor(folder).predict(x)]
    assert scores == [prediction.ood_score for prediction in Predictor(folder / "fold-01").predict(x)]
    assert scores[1] > THRESHOLD


def test_a_detector_of_another_network_is_refused(digits_run):
    network = artifact.load(digits_run)
    component = network.ood_detector.components[0]
    narrow = replace(network.ood_detector, components=(replace(component, projection=component.projection[:-1]),))
    with pytest.raises(DataError, match="does not fit the network at its conv1"):
        narrow.score(network.model, torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))


MANIPULATIONS = {
    "not a list": lambda tensors, components: (tensors, 3),
    "empty": lambda tensors, components: (tensors, []),
    "too many": lambda tensors, components: (tensors, components * 9),
    "an unknown layer": lambda tensors, components: (tensors, [{**components[0], "layer": "conv9"}, *components[1:]]),
    "an unknown kind": lambda tensors, components: (tensors, [{**components[0], "kind": "soul"}, *components[1:]]),
    "an unknown key": lambda tensors, components: (tensors, [{**components[0], "evil": 1}, *components[1:]]),
    "no scale": lambda tensors, components: (tensors, [{**components[0], "scale": 0.0}, *components[1:]]),
    "text": lambda tensors, components: (tensors, [{**components[0], "median": "0"}, *components[1:]]),
    "a missing tensor": lambda tensors, components: (
        {name: tensor for name, tensor in tensors.items() if name != "0.means"},
        components,
    ),
    "an unknown tensor": lambda tensors, components: ({**tensors, "extra": torch.zeros(1)}, components),
    "not finite": lambda tensors, components: ({**tensors, "0.means": tensors["0.means"] * torch.nan}, components),
    "descending": lambda tensors, components: ({**tensors, "quantiles": tensors["quantiles"].flip(0)}, components),
    "too few quantiles": lambda tensors, components: ({**tensors, "quantiles": tensors["quantiles"][1:]}, components),
    "a flat projection": lambda tensors, components: ({**tensors, "0.projection": torch.zeros(12)}, components),
    "a range": lambda tensors, components: ({**tensors, "low": torch.zeros(2), "high": torch.zeros(2)}, components),
    "a column too many": lambda tensors, components: ({**tensors, "range_columns": torch.tensor([5])}, components),
}


@pytest.mark.parametrize("manipulation", MANIPULATIONS)
def test_a_manipulated_detector_is_refused(manipulation, digits_run, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in model_files.ARTIFACT_FILES:
        shutil.copy(digits_run / name, folder / name)
    description = json.loads((folder / "model.json").read_text())
    tensors = load((folder / "ood.safetensors").read_bytes())
    tensors, components = MANIPULATIONS[manipulation](tensors, description["ood"])
    (folder / "ood.safetensors").write_bytes(save(tensors))
    (folder / "model.json").write_text(json.dumps({**description, "ood": components}))
    model_files.write_checksums(folder)
    with pytest.raises(DataError, match="cannot be rebuilt"):
        artifact.load(folder)


def test_the_quantile_levels_contain_the_threshold():
    assert QUANTILE_LEVELS[-2] == THRESHOLD
    assert list(QUANTILE_LEVELS) == sorted(QUANTILE_LEVELS)
    assert OODDetector.__dataclass_params__.frozen


@pytest.mark.parametrize("data", ["iris", "digits"])
def test_without_a_detector_predictions_are_the_same_but_for_the_score(tmp_path, data):
    settings = {"data": data, "model": "mlp", "hidden": [4], "epochs": 1, "out": tmp_path}
    with_detector, without = train(**settings), train(**settings, ood=False)
    assert not (without / "ood.safetensors").exists()
    assert json.loads((without / "model.json").read_text())["ood"] is None
    x = Predictor(without).read_inputs(np.full((3, *Predictor(without).spec.shape), 250, np.float32)).x
    expected = Predictor(with_detector).predict(x)
    for prediction, same in zip(Predictor(without).predict(x), expected, strict=True):
        assert prediction.probabilities == same.probabilities
        assert prediction.ood_score is None
        assert same.ood_score is not None
        assert not any("out of distribution" in note for note in prediction.notes)


def test_the_detector_can_be_left_out_of_folds_and_searches(tmp_path):
    folds = train(data="iris", model="linear", folds=2, epochs=1, ood=False, out=tmp_path)
    assert not list(folds.rglob("ood.safetensors"))
    assert main(["tune", "data=iris", "model=linear", "lr=0.1,0.2", "epochs=1", "ood=false", f"out={tmp_path}"]) == 0
    assert not list(tmp_path.rglob("ood.safetensors"))
    assert main(["tune", "data=iris", "model=linear", "ood=true,false", f"out={tmp_path}"]) == 2
