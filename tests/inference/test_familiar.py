"""What is unlike the training data: distances as NumPy has them, few false warnings, and what is strange is told."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

import yisheng
from yisheng import models
from yisheng.cli import main
from yisheng.core.errors import DataError
from yisheng.core.types import Column, Dataset, Spec
from yisheng.data.batches import make_batches
from yisheng.inference import _ood_features, artifact, fit_ood
from yisheng.inference.ood import THRESHOLD, QUANTILE_LEVELS, OODDetector, parse_ood_detector
from yisheng.inference.predictor import Predictor
from yisheng.transforms.none import none

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return yisheng.train(data="digits", model="lenet", epochs=5, out=out, quiet=True).path


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return yisheng.train(data="iris", model="mlp", epochs=2, out=out, quiet=True).path


def test_the_distance_is_mahalanobis():
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 300)
    x = random.normal(size=(300, 6)) @ random.normal(size=(6, 6)) + 5 * labels[:, None]
    means = np.stack([x[labels == one].mean(0) for one in range(3)])
    rest = x - means[labels]
    spread = rest.T @ rest / len(x)
    inverse = np.linalg.inv(spread + _ood_features.RIDGE * np.trace(spread) / 6 * np.eye(6))
    new = random.normal(size=(50, 6)) * 9
    apart = new[:, None] - means
    want = np.sqrt(np.einsum("nkd,de,nke->nk", apart, inverse, apart).min(1))
    made = _ood_features.fit_whitening(torch.from_numpy(x), torch.from_numpy(labels))
    np.testing.assert_allclose(_ood_features.compute_mahalanobis_distance(torch.from_numpy(new), *made), want, rtol=1e-3)


def test_with_few_rows_per_class_there_is_one_centre():
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    _, centres = _ood_features.fit_whitening(x, torch.arange(60) % 30)
    assert len(centres) == 1
    assert len(_ood_features.fit_whitening(x, torch.arange(60) % 3)[1]) == 3
    assert _ood_features.fit_whitening(torch.ones(60, 4), None) is None


def test_features_are_means_and_deviations_of_maps():
    maps = np.random.default_rng(0).normal(size=(3, 4, 5, 6))
    found = _ood_features.flatten_features(torch.from_numpy(maps))
    np.testing.assert_allclose(found, np.concatenate([maps.mean((2, 3)), maps.std((2, 3))], 1), rtol=1e-5)
    assert _ood_features.flatten_features(torch.zeros(2, 3, 40, 40).flatten(1)).shape == (2, _ood_features.FEATURES)
    assert not _ood_features.flatten_features(torch.ones(2, 3, 1, 1))[
        :, 3:
    ].any()  # one pixel has no deviation, rather than NaN


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 12)])
def test_the_image_itself_is_seen_with_its_edges(shape):
    x = torch.rand(2, *shape)
    assert _ood_features.compute_edge_maps(x).shape == (2, 8 * shape[0], *shape[1:])
    flat = _ood_features.compute_edge_maps(torch.full((1, *shape), 0.5))
    edges = [n for n in range(8 * shape[0]) if n % 4]
    assert flat[:, edges].abs().max() < 1e-6  # its borders are no edges


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("lenet", ["maps", "maps", "head"]),
        ("linear", ["image", "head"]),
        ("mlp", ["image", "head"]),
        ("nin", ["maps", "maps", "maps", "head"]),
        ("resnet18", ["maps", "maps", "maps", "head"]),
    ],
)
def test_where_it_looks(name, wanted):
    spec = Spec("classification", (3, 32, 32), classes=("a", "b"))
    model = models.build(name, spec).eval()
    places = _ood_features.choose_feature_sources(model)
    assert [place.kind for place in places] == wanted
    with _ood_features.capture_features(model, places) as seen, torch.no_grad():
        model(torch.rand(2, 3, 32, 32))
    assert set(seen) == set(places)
    assert all(value.shape[0] == 2 and value.isfinite().all() for value in seen.values())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def parts(x, y, spec, held_out=0.3):
    data = Dataset("mine", spec, x, y)
    cut = int(len(x) * (1 - held_out))
    return [
        make_batches(data, part, size=64, scale=none(), target_scale=None, device=CPU, seed=0)
        for part in (np.arange(cut), np.arange(cut, len(x)))
    ]


@pytest.mark.parametrize("rows", [100, 400, 3000])
def test_one_in_two_hundred_rows_like_the_training_warns(rows):
    random = np.random.default_rng(rows)
    spec = Spec("classification", (5,), classes=("a", "b"))
    mix = random.normal(size=(5, 5))

    def some(n):
        return (random.normal(size=(n, 5)) @ mix).astype(np.float32)

    x = some(rows)
    known = fit_ood.fit_ood_detector(torch.nn.Linear(5, 2), spec, *parts(x, (x[:, 0] > 0).astype(np.int64), spec), seed=0)
    new = torch.from_numpy(some(20_000))
    level = known.score(torch.nn.Linear(5, 2), new, new)[1]
    assert (level > THRESHOLD).double().mean() < (0.025 if rows == 100 else 0.012)
    assert 0.3 < (level > 0.5).double().mean() < 0.7
    assert (known.score(torch.nn.Linear(5, 2), new * 9, new * 9)[1] > THRESHOLD).double().mean() > 0.8


def test_fitting_changes_nothing():
    spec = Spec("classification", (1, 8, 8), classes=("a", "b"))
    model = models.build("lenet", spec)
    model.norm1.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    x = np.random.default_rng(0).integers(0, 256, (200, 1, 8, 8)).astype(np.uint8)
    y = np.arange(200) % 2
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    known = [fit_ood.fit_ood_detector(model, spec, *parts(x, y, spec), seed=3) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert known[0].to_bytes() == known[1].to_bytes()


@pytest.mark.parametrize("task", ["regression", "multilabel"])
@pytest.mark.parametrize("held_out", [0.3, 0])
def test_every_task_and_no_validation(task, held_out):
    spec = Spec(task, (3, 8, 8), classes=("a", "b") if task == "multilabel" else ())
    model = models.build("lenet", spec).eval()
    random = np.random.default_rng(0)
    x = random.integers(0, 128, (200, 3, 8, 8)).astype(np.uint8)
    y = random.integers(0, 2, (200, spec.outputs)).astype(np.float32)
    known = fit_ood.fit_ood_detector(model, spec, *parts(x, y, spec, held_out), seed=0)
    assert "energy" not in [view.kind for view in known.components]
    raw = torch.from_numpy(x)
    output, level = known.score(model, raw.float(), raw)
    torch.testing.assert_close(output, model(raw.float()), rtol=0, atol=0)
    assert (level > THRESHOLD).double().mean() < 0.05
    assert (known.score(model, 2 * raw.float(), raw)[1] > THRESHOLD).all()


def test_from_too_few_rows_nothing_is_said():
    spec = Spec("regression", (2,))
    x = np.random.default_rng(0).normal(size=(19, 2)).astype(np.float32)
    assert fit_ood.fit_ood_detector(torch.nn.Linear(2, 1), spec, *parts(x, x[:, :1], spec, 0), seed=0) is None
    categories = replace(spec, columns=(Column("a", "category", ("x", "y")), Column("b", "yes/no")))
    x = np.random.default_rng(0).integers(0, 2, (100, 2)).astype(np.float32)
    assert fit_ood.fit_ood_detector(torch.nn.Linear(2, 1), categories, *parts(x, x[:, :1], categories), seed=0) is None


def test_strange_images_are_told_from_digits(images):
    predictor = Predictor(images)
    data = yisheng.data.load("digits")
    outputs, usual = predictor.compute_outputs_and_ood_scores(data.x)
    np.testing.assert_array_equal(outputs, predictor.compute_outputs(data.x))
    assert (usual > THRESHOLD).mean() < 0.02
    random = np.random.default_rng(0)
    for strange in (255 - data.x, random.integers(0, 256, data.x.shape).astype(np.uint8), np.zeros_like(data.x[:3])):
        far = predictor.compute_outputs_and_ood_scores(strange)[1]
        assert (far > THRESHOLD).mean() > 0.95
        said = predictor.describe_ood(strange, far)
        assert [bool(note) for note in said] == (far > THRESHOLD).tolist()
    answer = predictor.predict(255 - data.x[:1])[0]
    assert answer.ood_score > THRESHOLD
    assert answer.notes == ("unlike the training data: fewer than 1 in 200 held-out rows are as unusual",)


def test_a_column_out_of_range_is_named(rows, capsys):
    usual, far = Predictor(rows).predict(np.array([[5.8, 3.0, 3.8, 1.2], [5.8, 3.0, 90.0, 1.2]], np.float32))
    assert usual.ood_score < THRESHOLD < far.ood_score
    assert usual.notes == ()
    assert far.notes == ("unlike the training data: petal length (cm) beyond the values seen there",)
    assert main(["predict", str(rows), "rows=5.8,3,90,1.2"]) == 0
    assert "note: 0: unlike the training data: petal length (cm) beyond" in capsys.readouterr().out
    assert main(["predict", str(rows), "rows=5.8,3,3.8,1.2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["answers"][0]
    assert 0 <= answer["unlike"] < THRESHOLD


def test_it_is_saved_and_read_as_it_was(images):
    one = artifact.load(images)
    known, x = one.ood_detector, torch.from_numpy(yisheng.data.load("digits").x[:50])
    again = parse_ood_detector(known.to_bytes(), json.loads(json.dumps(known.to_json())), one.model, one.spec, one.spec)
    with torch.no_grad():
        want, found = (which.score(one.model, one.scale.apply(x), x)[1] for which in (known, again))
    assert torch.equal(found, want)
    held = {name: value.numel() for name, value in load(known.to_bytes()).items()}
    assert sum(held.values()) < 20_000  # means and projections, no rows


def test_a_run_that_does_not_know_says_nothing(images, tmp_path):
    folder = Path(shutil.copytree(images, tmp_path / "run"))
    about = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**about, "ood": None}))
    (folder / "ood.safetensors").unlink()
    artifact.write_checksums(folder)
    answer = Predictor(folder).predict(np.full((1, 1, 8, 8), 255, np.uint8))[0]
    assert answer.ood_score is None
    assert answer.notes == ()


def test_of_a_study_the_first_member_says_it(tmp_path):
    run = yisheng.train(data="iris", model="linear", epochs=1, folds=2, out=tmp_path, quiet=True)
    x = np.array([[5, 3, 1, 0], [50, 30, 10, 9]], np.float32)
    found = [answer.ood_score for answer in run.predict(x)]
    assert found == [answer.ood_score for answer in Predictor(run.path / "fold-01").predict(x)]
    assert found[1] > THRESHOLD


def test_another_networks_knowledge_is_refused(images):
    one = artifact.load(images)
    view = one.ood_detector.components[0]
    narrow = replace(one.ood_detector, views=(replace(view, projection=view.projection[:-1]),))
    with pytest.raises(DataError, match="does not fit the network at its conv1"):
        narrow.look(one.model, torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))


LIES = {
    "no list": lambda tensors, about: (tensors, 3),
    "empty": lambda tensors, about: (tensors, []),
    "too many": lambda tensors, about: (tensors, about * 9),
    "an unknown layer": lambda tensors, about: (tensors, [{**about[0], "layer": "conv9"}, *about[1:]]),
    "an unknown view": lambda tensors, about: (tensors, [{**about[0], "what": "soul"}, *about[1:]]),
    "one key more": lambda tensors, about: (tensors, [{**about[0], "evil": 1}, *about[1:]]),
    "no reach": lambda tensors, about: (tensors, [{**about[0], "reach": 0.0}, *about[1:]]),
    "text": lambda tensors, about: (tensors, [{**about[0], "middle": "0"}, *about[1:]]),
    "a tensor missing": lambda tensors, about: ({k: v for k, v in tensors.items() if k != "0.centres"}, about),
    "one tensor more": lambda tensors, about: ({**tensors, "more": torch.zeros(1)}, about),
    "not finite": lambda tensors, about: ({**tensors, "0.centres": tensors["0.centres"] * torch.nan}, about),
    "descending": lambda tensors, about: ({**tensors, "values": tensors["values"].flip(0)}, about),
    "too few values": lambda tensors, about: ({**tensors, "values": tensors["values"][1:]}, about),
    "a flat projection": lambda tensors, about: ({**tensors, "0.projection": torch.zeros(12)}, about),
    "a range": lambda tensors, about: ({**tensors, "low": torch.zeros(2), "high": torch.zeros(2)}, about),
    "a place beyond": lambda tensors, about: ({**tensors, "ranged": torch.tensor([5])}, about),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_file_is_refused(lie, images, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in artifact.ARTIFACT_FILES:
        shutil.copy(images / name, folder / name)
    description = json.loads((folder / "model.json").read_text())
    tensors, about = LIES[lie](load((folder / "ood.safetensors").read_bytes()), description["ood"])
    (folder / "ood.safetensors").write_bytes(save(tensors))
    (folder / "model.json").write_text(json.dumps({**description, "ood": about}))
    artifact.write_checksums(folder)
    with pytest.raises(DataError, match="cannot be rebuilt"):
        artifact.load(folder)


def test_the_levels_hold_the_threshold():
    assert QUANTILE_LEVELS[-2] == THRESHOLD
    assert list(QUANTILE_LEVELS) == sorted(QUANTILE_LEVELS)
    assert OODDetector.__dataclass_params__.frozen
