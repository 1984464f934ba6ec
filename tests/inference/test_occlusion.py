"""Occlusion maps: they mark what the prediction depends on, and change with the weights."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import yisheng
from tests.inference.conftest import train
from yisheng import models
from yisheng.cli import main
from yisheng.core import registry
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec
from yisheng.inference import artifact
from yisheng.inference.artifact import Artifact
from yisheng.inference.occlusion import PATCHES_PER_SIDE, compute_occlusion_map, draw_occlusion_map
from yisheng.transforms.none import none

FIVE_CLASSES = tuple("abcde")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(data="digits", model="mlp", epochs=5, out=tmp_path_factory.mktemp("runs"))


def build_artifact(name, shape, task="classification", classes=FIVE_CLASSES, outputs=0):
    torch.manual_seed(0)
    spec = Spec(task, shape, classes=classes, outputs=outputs)
    return Artifact(models.build(name, spec).eval(), spec, none(), None, {})


def random_image(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


FAST = ("lenet", "linear", "mlp")
IMAGE_MODELS = [e.name for e in registry.entries("models") if e.meta.get("fits", bool)(Spec("regression", (3, 32, 32)))]


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in IMAGE_MODELS])
def test_every_network_for_images_has_a_map(name):
    network, x = build_artifact(name, (3, 32, 32)), random_image((3, 32, 32))
    original = x.copy()
    heat = compute_occlusion_map(network, x)
    assert heat.shape == (32, 32)
    assert heat.dtype == np.float32
    assert heat.min() >= 0
    assert heat.max() in (0, 1)  # an untrained network may ignore the image
    if name in FAST:
        assert heat.max() == 1
        np.testing.assert_array_equal(compute_occlusion_map(network, x), heat)
    drawn = draw_occlusion_map(network, x)
    assert drawn.shape == (32, 32, 3)
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(x, original)


@pytest.mark.parametrize("shape", [(1, 14, 14), (3, 21, 14), (1, 70, 70), (2, 8, 9), (1, 1, 1), (1, 3, 100)])
def test_the_only_pixel_that_counts_is_marked(shape):
    network = build_artifact("linear", shape, classes=("a", "b"))
    pixel = (shape[0] - 1, shape[1] // 2, shape[2] // 3)
    weights = torch.zeros(2, *shape)
    weights[1][pixel] = 0.05
    network.model.output.weight.data = weights.flatten(1)
    network.model.output.bias.data = torch.tensor([3.0, 0.0])
    x = np.zeros(shape, np.uint8)
    x[pixel] = 200
    heat = compute_occlusion_map(network, x)
    max_distance = [2 * max(1, round(side / PATCHES_PER_SIDE)) for side in shape[1:]]
    rows, columns = (heat > 0.5).nonzero()
    if shape == (1, 1, 1):  # the only pixel is the border
        assert not heat.any()
        return
    assert heat[pixel[1:]] > 0.8
    assert abs(rows - pixel[1]).max() <= max_distance[0]
    assert abs(columns - pixel[2]).max() <= max_distance[1]
    blank = draw_occlusion_map(network, np.zeros(shape, np.uint8))  # covering changes nothing
    assert not blank.any()


@pytest.mark.parametrize(
    ("task", "classes", "outputs"),
    [("regression", (), 0), ("regression", (), 3), ("multilabel", FIVE_CLASSES, 0), ("classification", ("a", "b"), 1)],
)
def test_every_task_has_a_map(task, classes, outputs):
    heat = compute_occlusion_map(build_artifact("mlp", (1, 12, 12), task, classes, outputs), random_image((1, 12, 12)))
    assert heat.max() == 1


def test_the_map_is_for_the_predicted_class_not_the_first():
    network = build_artifact("linear", (1, 14, 14), classes=("a", "b"))
    weights = torch.zeros(2, 14, 14)
    weights[0, 2, 2], weights[1, 11, 11] = 0.01, 0.02
    network.model.output.weight.data = weights.flatten(1)
    network.model.output.bias.data = torch.zeros(2)
    x = np.zeros((1, 14, 14), np.uint8)
    x[0, 2, 2] = x[0, 11, 11] = 255
    heat = compute_occlusion_map(network, x)
    assert heat[11, 11] == 1
    assert heat[2, 2] == 0  # evidence for the other class: covering it makes the prediction more certain


def test_random_weights_have_another_map(run):
    trained, random = artifact.load(run), artifact.load(run)
    torch.manual_seed(0)
    for module in random.model.modules():
        if isinstance(module, torch.nn.Linear):
            module.reset_parameters()
    x = yisheng.data.load("digits").x[:20]
    maps = [(compute_occlusion_map(trained, image), compute_occlusion_map(random, image)) for image in x]
    assert np.mean([np.corrcoef(heat.ravel(), random_heat.ravel())[0, 1] for heat, random_heat in maps]) < 0.5


def test_covering_marked_pixels_costs_more_than_random_ones(run):
    network = artifact.load(run)
    x, rng = yisheng.data.load("digits").x[:40], np.random.default_rng(0)

    def mean_loss(rank_pixels):
        losses = []
        for image in x:
            covered = image.copy()
            covered[0].flat[np.argsort(-rank_pixels(image), axis=None)[:13]] = 0
            with torch.no_grad():
                inputs = network.scale.apply(torch.from_numpy(np.stack([image, covered])))
                p, p_covered = network.model(inputs).softmax(1)
            losses.append(float((p - p_covered)[p.argmax()]))
        return np.mean(losses)

    loss_of_marked = mean_loss(lambda image: compute_occlusion_map(network, image))
    assert loss_of_marked > 2 * mean_loss(lambda image: rng.random(image.shape[1:])) > 0
    assert loss_of_marked > 0.3


def test_the_color_is_where_the_map_is_positive(run):
    network, x = artifact.load(run), yisheng.data.load("digits").x[0]
    heat, drawn = compute_occlusion_map(network, x), draw_occlusion_map(network, x).astype(int)
    orange = drawn[..., 0] - drawn[..., 2]
    assert orange[heat == 0].max() == 0
    assert orange[heat > 0.3].min() > 0
    np.testing.assert_array_equal(drawn[heat == 0][:, 0], x[0][heat == 0])


def test_images_that_do_not_fit_are_refused():
    network = build_artifact("linear", (1, 8, 8))
    with pytest.raises(UsageError, match=r"must have the shape \(1, 8, 8\), got \(1, 9, 8\)"):
        compute_occlusion_map(network, random_image((1, 9, 8)))
    spec = Spec("regression", (3,))
    row_network = Artifact(models.build("linear", spec).eval(), spec, none(), None, {})
    with pytest.raises(UsageError, match="not images"):
        draw_occlusion_map(row_network, np.zeros((1, 1, 3), np.uint8))


def test_the_command_writes_the_map(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(255 - yisheng.data.load("digits").x[3, 0]).resize((90, 90)).save("photo.png")
    assert main(["look", str(run), "photo.png", "explain=true"]) == 0
    assert capsys.readouterr().out == "photo-explained.png\n"
    with Image.open("photo-explained.png") as image:
        values = np.asarray(image).astype(int)
    assert ((values[..., 0] - values[..., 2]) > 100).sum() > 100
    assert main(["look", str(run), "photo.png", "explain=yes", "out=mine.png", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["out"] == "mine.png"
    for words, cause in (
        ([str(run), "explain=true"], "explain=true needs an image and no layer="),
        ([str(run), "photo.png", "explain=true", "layer=conv1"], "explain=true needs an image and no layer="),
        (["photo.png", "kernel=sobel", "explain=true"], "kernel= needs one image"),
        ([str(run), "photo.png", "explain=perhaps"], "must be true or false"),
    ):
        assert main(["look", *words]) == 2
        assert cause in capsys.readouterr().err
