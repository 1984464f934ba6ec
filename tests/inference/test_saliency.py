"""What a network looked at: where a network was made to look, gone with its weights, and what the answer depends on."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import yisheng
from yisheng import models
from yisheng.cli import main
from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.types import Spec
from yisheng.inference import artifact
from yisheng.inference.artifact import Artifact
from yisheng.inference.occlusion import PATCHES, compute_occlusion_map, draw_occlusion_map
from yisheng.transforms.none import none

FEW = tuple("abcde")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return yisheng.train(data="digits", model="mlp", epochs=5, out=out, quiet=True).path


def made(name, shape, task="classification", classes=FEW, outputs=0):
    torch.manual_seed(0)
    spec = Spec(task, shape, classes=classes, outputs=outputs)
    return Artifact(models.build(name, spec).eval(), spec, none(), None, {})


def image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


QUICK = ("lenet", "linear", "mlp")
IMAGE_MODELS = [e.name for e in registry.entries("models") if e.meta.get("fits", bool)(Spec("regression", (3, 32, 32)))]


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in IMAGE_MODELS])
def test_every_network_for_images(name):
    one, x = made(name, (3, 32, 32)), image((3, 32, 32))
    before = x.copy()
    found = compute_occlusion_map(one, x)
    assert found.shape == (32, 32)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() in (0, 1)  # with its first weights it may not look at anything
    if name in QUICK:
        assert found.max() == 1
        np.testing.assert_array_equal(compute_occlusion_map(one, x), found)
    shown = draw_occlusion_map(one, x)
    assert shown.shape == (32, 32, 3)
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("shape", [(1, 14, 14), (3, 21, 14), (1, 70, 70), (2, 8, 9), (1, 1, 1), (1, 3, 100)])
def test_it_finds_the_only_place_that_counts(shape):
    one = made("linear", shape, classes=("a", "b"))
    place = (shape[0] - 1, shape[1] // 2, shape[2] // 3)
    weights = torch.zeros(2, *shape)
    weights[1][place] = 0.05
    one.model.output.weight.data = weights.flatten(1)
    one.model.output.bias.data = torch.tensor([3.0, 0.0])
    x = np.zeros(shape, np.uint8)
    x[place] = 200
    found = compute_occlusion_map(one, x)
    reach = [2 * max(1, round(side / PATCHES)) for side in shape[1:]]
    rows, columns = (found > 0.5).nonzero()
    if shape == (1, 1, 1):  # its only pixel is its border
        assert not found.any()
        return
    assert found[place[1:]] > 0.8
    assert abs(rows - place[1]).max() <= reach[0]
    assert abs(columns - place[2]).max() <= reach[1]
    other = draw_occlusion_map(one, np.zeros(shape, np.uint8))  # nothing can be covered: nothing counts
    assert not other.any()


@pytest.mark.parametrize(
    ("task", "classes", "outputs"),
    [("regression", (), 0), ("regression", (), 3), ("multilabel", FEW, 0), ("classification", ("a", "b"), 1)],
)
def test_every_task(task, classes, outputs):
    found = compute_occlusion_map(made("mlp", (1, 12, 12), task, classes, outputs), image((1, 12, 12)))
    assert found.max() == 1


def test_the_answer_is_what_counts_not_the_first_class():
    one = made("linear", (1, 14, 14), classes=("a", "b"))
    weights = torch.zeros(2, 14, 14)
    weights[0, 2, 2], weights[1, 11, 11] = 0.01, 0.02
    one.model.output.weight.data = weights.flatten(1)
    one.model.output.bias.data = torch.zeros(2)
    x = np.zeros((1, 14, 14), np.uint8)
    x[0, 2, 2] = x[0, 11, 11] = 255
    found = compute_occlusion_map(one, x)
    assert found[11, 11] == 1
    assert found[2, 2] == 0  # it speaks for the other class: covering it makes the answer surer


def test_other_weights_give_another_heat(run):
    one, other = artifact.load(run), artifact.load(run)
    torch.manual_seed(0)
    for module in other.model.modules():
        if isinstance(module, torch.nn.Linear):
            module.reset_parameters()
    x = yisheng.data.load("digits").x[:20]
    alike = [np.corrcoef(compute_occlusion_map(one, p).ravel(), compute_occlusion_map(other, p).ravel())[0, 1] for p in x]
    assert np.mean(alike) < 0.5


def test_covering_what_it_marks_costs_more_than_covering_anything(run):
    one = artifact.load(run)
    x, random = yisheng.data.load("digits").x[:40], np.random.default_rng(0)

    def lost(order_of):
        values = []
        for p in x:
            covered = p.copy()
            covered[0].flat[np.argsort(-order_of(p), axis=None)[:13]] = 0
            with torch.no_grad():
                both = one.model(one.scale.apply(torch.from_numpy(np.stack([p, covered])))).softmax(1)
            values.append(float((both[0] - both[1])[both[0].argmax()]))
        return np.mean(values)

    assert lost(lambda p: compute_occlusion_map(one, p)) > 2 * lost(lambda p: random.random(p.shape[1:])) > 0
    assert lost(lambda p: compute_occlusion_map(one, p)) > 0.3


def test_the_colour_stands_where_the_heat_is(run):
    one, x = artifact.load(run), yisheng.data.load("digits").x[0]
    found, shown = compute_occlusion_map(one, x), draw_occlusion_map(one, x).astype(int)
    orange = shown[..., 0] - shown[..., 2]
    assert orange[found == 0].max() == 0
    assert orange[found > 0.3].min() > 0
    np.testing.assert_array_equal(shown[found == 0][:, 0], x[0][found == 0])


def test_what_does_not_fit_is_refused(tmp_path):
    one = made("linear", (1, 8, 8))
    with pytest.raises(UsageError, match=r"shape \(1, 8, 8\) is wanted, got \(1, 9, 8\)"):
        compute_occlusion_map(one, image((1, 9, 8)))
    spec = Spec("regression", (3,))
    rows = Artifact(models.build("linear", spec).eval(), spec, none(), None, {})
    with pytest.raises(UsageError, match="not images"):
        draw_occlusion_map(rows, np.zeros((1, 1, 3), np.uint8))


def test_the_command_writes_it(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(255 - yisheng.data.load("digits").x[3, 0]).resize((90, 90)).save("photo.png")
    assert main(["visualize", str(run), "photo.png", "explain=true"]) == 0
    assert capsys.readouterr().out == "photo-explained.png\n"
    with Image.open("photo-explained.png") as drawn:
        values = np.asarray(drawn).astype(int)
    assert ((values[..., 0] - values[..., 2]) > 100).sum() > 100
    assert main(["visualize", str(run), "photo.png", "explain=yes", "out=mine.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["out"] == "mine.png"
    for words, cause in (
        ([str(run), "explain=true"], "takes an image and no layer="),
        ([str(run), "photo.png", "explain=true", "layer=conv1"], "takes an image and no layer="),
        (["photo.png", "kernel=sobel", "explain=true"], "kernel= takes one image"),
        ([str(run), "photo.png", "explain=perhaps"], "must be true or false"),
    ):
        assert main(["visualize", *words]) == 2
        assert cause in capsys.readouterr().err
