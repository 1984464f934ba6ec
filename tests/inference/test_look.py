"""Looking inside: edge filters by hand, filters and feature maps as the network has them, sheets as PNG."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import yisheng
from yisheng.cli import main
from yisheng.core.errors import UsageError
from yisheng.inference import artifact, visualize
from yisheng.inference._contact_sheet import draw_contact_sheet, scale_signed, stretch_contrast

BY_HAND = {
    "vertical": [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
    "sobel": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    "scharr": [[3, 0, -3], [10, 0, -10], [3, 0, -3]],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return yisheng.train(data="digits", model="lenet", epochs=1, out=out, quiet=True).path


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    return yisheng.train(data="iris", model="linear", epochs=1, out=out, quiet=True).path


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@given(
    grey=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))), kernel=st.sampled_from(list(BY_HAND))
)
def test_edges_are_sums_of_products(grey, kernel):
    found = visualize.compute_edges(grey, kernel)
    padded = np.pad(grey.astype(int), 1, mode="edge")
    filter_ = np.array(BY_HAND[kernel])
    for way, weights in (("vertical", filter_), ("horizontal", filter_.T)):
        want = [
            [(padded[r : r + 3, c : c + 3] * weights).sum() for c in range(grey.shape[1])] for r in range(len(grey))
        ]
        np.testing.assert_array_equal(found[way], want)
    np.testing.assert_allclose(found["magnitude"], np.hypot(found["vertical"], found["horizontal"]), rtol=1e-6)


def test_an_edge_is_where_it_is_and_nowhere_else():
    grey = np.zeros((6, 6), np.uint8)
    grey[:, :3] = 10
    found = visualize.compute_edges(grey, "sobel")
    assert found["vertical"].tolist() == [[0, 0, 40, 40, 0, 0]] * 6
    assert not found["horizontal"].any()
    turned = visualize.compute_edges(grey.T, "sobel")
    np.testing.assert_array_equal(turned["horizontal"], found["vertical"].T)
    assert not visualize.compute_edges(np.full((4, 4), 9, np.uint8), "scharr")["magnitude"].any()


def test_the_filters_are_the_networks(run):
    model = artifact.load(run).model
    name, found = visualize.get_first_filters(model)
    assert name == "conv1"
    assert torch.equal(found, model.get_parameter("conv1.weight"))


def test_the_maps_are_what_the_layers_give(run):
    loaded = artifact.load(run)
    x = np.random.default_rng(0).integers(0, 17, loaded.spec.shape).astype(np.float32)
    value = loaded.scale.apply(torch.from_numpy(x[None]))
    with torch.no_grad():
        for name, layer in loaded.model.named_children():
            value = layer(value)
            if value.ndim == 4:
                shown, found = visualize.compute_feature_maps(loaded, x, name)
                assert shown == name
                torch.testing.assert_close(found, value[0])
    assert visualize.compute_feature_maps(loaded, x)[0] == "conv1"
    assert not any(module._forward_hooks for module in loaded.model.modules())


def test_a_relu_in_place_does_not_change_what_is_shown(run):
    loaded = artifact.load(run)
    x = np.random.default_rng(0).integers(0, 17, loaded.spec.shape).astype(np.float32)
    _, before = visualize.compute_feature_maps(loaded, x, "norm1")
    loaded.model.get_submodule("activation1").inplace = True
    assert torch.equal(visualize.compute_feature_maps(loaded, x, "norm1")[1], before)
    assert (before < 0).any()


@pytest.mark.parametrize(("layer", "cause"), [("conv9", "there is no layer 'conv9'"), ("linear4", "gives no maps")])
def test_a_wrong_layer_lists_the_right_ones(run, layer, cause):
    loaded = artifact.load(run)
    with pytest.raises(UsageError, match=cause) as error:
        visualize.compute_feature_maps(loaded, np.zeros(loaded.spec.shape, np.float32), layer)
    assert error.value.remedy.startswith("layers with maps: conv1 6x8x8, pool1 6x4x4, norm1 6x4x4")
    assert "conv2 16x4x4" in error.value.remedy


def test_brightness_says_what_it_should():
    assert scale_signed(np.array([-1.0, 0, 1])).tolist() == [0, 128, 255]
    assert scale_signed(np.array([-1.0, 0, 1]), largest=2).tolist() == [64, 128, 191]
    assert scale_signed(np.zeros(2)).tolist() == [128, 128]
    assert stretch_contrast(np.array([3.0, 4.0, 5.0])).tolist() == [0, 128, 255]
    assert stretch_contrast(np.full(2, 7.0)).tolist() == [0, 0]


def test_a_sheet_shows_every_tile():
    tiles = [(str(i), np.full((4, 6), 10 * i, np.uint8)) for i in range(5)]
    drawn = np.asarray(draw_contact_sheet("title", "facts", tiles, side=12, columns=3))
    for i in range(5):
        assert ((drawn == 10 * i).all(axis=2)).sum() >= 8 * 12


def test_the_command_writes_each_kind(run, photo, capsys):
    for words, name in (
        ([str(run)], "filters.png"),
        ([str(run), str(photo)], "photo-maps.png"),
        ([str(run), str(photo), "layer=conv2"], "photo-conv2.png"),
        ([str(photo), "kernel=sobel"], "photo-sobel.png"),
        ([str(photo), "kernel=scharr", "out=mine.png"], "mine.png"),
    ):
        assert main(["visualize", *words]) == 0
        assert capsys.readouterr().out == f"{name}\n"
        with Image.open(photo.parent / name) as drawn:
            assert drawn.format == "PNG"
            assert min(drawn.size) > 50
    assert main(["visualize", str(photo), "kernel=vertical", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["out"] == "photo-vertical.png"
    with Image.open(photo.parent / said["out"]) as drawn:
        assert list(drawn.size) == said["size"]


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        (["{photo}"], 2, "is a file, not a run folder"),
        (["{photo}", "kernel=sobl"], 2, "there is no edge filter 'sobl'\n  did you mean sobel"),
        (["{run}", "{photo}", "kernel=sobel"], 2, "kernel= takes one image"),
        (["{run}", "layer=conv1"], 2, "layer= shows the feature maps of an image"),
        (["{run}", "{photo}", "layer=?"], 2, "layers with maps: conv1 6x8x8"),
        (["{run}", "nothing.png"], 3, "nothing.png does not exist"),
        (["nothing.png", "kernel=sobel"], 3, "nothing.png does not exist"),
        (["nothing"], 3, "nothing"),
        (["{rows}"], 2, "has no convolution"),
        (["{rows}", "{photo}"], 2, "not images"),
        ([], 2, "yisheng visualize wants"),
        (["{run}", "colour=red"], 2, "unknown key 'colour'"),
    ],
)
def test_wrong_words_are_refused(run, rows, photo, words, code, cause, capsys):
    before = sorted(photo.parent.iterdir())
    assert main(["visualize", *(word.format(run=run, rows=rows, photo=photo) for word in words)]) == code
    said = capsys.readouterr()
    assert cause in said.err
    assert said.out == ""
    assert sorted(photo.parent.iterdir()) == before
