"""Edge filters as sums of products, filters and feature maps as the network computes them, contact sheets as PNG."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from tests.inference.conftest import train
from yisheng.cli import main
from yisheng.core.errors import UsageError
from yisheng.inference import artifact, visualize
from yisheng.inference._contact_sheet import draw_contact_sheet, scale_signed, stretch_contrast

EDGE_FILTERS = {
    "vertical": [[1, 0, -1], [1, 0, -1], [1, 0, -1]],
    "sobel": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    "scharr": [[3, 0, -3], [10, 0, -10], [3, 0, -3]],
}


@pytest.fixture(scope="module")
def linear_run(tmp_path_factory):
    """A network without convolutions, for rows."""
    return train(data="iris", model="linear", epochs=1, out=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def network(digits_run):
    return artifact.load(digits_run)


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def random_input(network):
    return np.random.default_rng(0).integers(0, 17, network.spec.shape).astype(np.float32)


@given(
    gray=hnp.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))),
    kernel=st.sampled_from(list(EDGE_FILTERS)),
)
def test_edges_are_sums_of_products(gray, kernel):
    edges = visualize.compute_edges(gray, kernel)
    padded = np.pad(gray.astype(int), 1, mode="edge")
    weights = np.array(EDGE_FILTERS[kernel])
    for direction, oriented in (("vertical", weights), ("horizontal", weights.T)):
        expected = [
            [(padded[r : r + 3, c : c + 3] * oriented).sum() for c in range(gray.shape[1])] for r in range(len(gray))
        ]
        np.testing.assert_array_equal(edges[direction], expected)
    np.testing.assert_allclose(edges["magnitude"], np.hypot(edges["vertical"], edges["horizontal"]), rtol=1e-6)


def test_an_edge_is_detected_at_its_position_only():
    gray = np.zeros((6, 6), np.uint8)
    gray[:, :3] = 10
    edges = visualize.compute_edges(gray, "sobel")
    assert edges["vertical"].tolist() == [[0, 0, 40, 40, 0, 0]] * 6
    assert not edges["horizontal"].any()
    transposed = visualize.compute_edges(gray.T, "sobel")
    np.testing.assert_array_equal(transposed["horizontal"], edges["vertical"].T)
    assert not visualize.compute_edges(np.full((4, 4), 9, np.uint8), "scharr")["magnitude"].any()


def test_the_filters_are_the_weights_of_the_first_convolution(network):
    name, filters = visualize.get_first_filters(network.model)
    assert name == "conv1"
    assert torch.equal(filters, network.model.get_parameter("conv1.weight"))


def test_feature_maps_are_the_outputs_of_the_layers(network):
    x = random_input(network)
    value = network.scale.apply(torch.from_numpy(x[None]))
    with torch.no_grad():
        for layer, module in network.model.named_children():
            value = module(value)
            if value.ndim == 4:
                name, maps = visualize.compute_feature_maps(network, x, layer)
                assert name == layer
                torch.testing.assert_close(maps, value[0])
    assert visualize.compute_feature_maps(network, x)[0] == "conv1"
    assert not any(module._forward_hooks for module in network.model.modules())


def test_an_in_place_relu_does_not_change_the_maps_before_it(network):
    x = random_input(network)
    _, maps = visualize.compute_feature_maps(network, x, "norm1")
    network.model.get_submodule("activation1").inplace = True
    assert torch.equal(visualize.compute_feature_maps(network, x, "norm1")[1], maps)
    assert (maps < 0).any()


@pytest.mark.parametrize(
    ("layer", "problem"), [("conv9", "there is no layer 'conv9'"), ("linear4", "layer 'linear4' has no feature maps")]
)
def test_an_unknown_layer_lists_the_known_ones(network, layer, problem):
    with pytest.raises(UsageError, match=problem) as error:
        visualize.compute_feature_maps(network, np.zeros(network.spec.shape, np.float32), layer)
    assert "layers with maps: conv1 6x8x8, pool1 6x4x4, norm1 6x4x4" in error.value.remedy
    assert "conv2 16x4x4" in error.value.remedy


def test_numbers_are_scaled_to_brightness():
    assert scale_signed(np.array([-1.0, 0, 1])).tolist() == [0, 128, 255]
    assert scale_signed(np.array([-1.0, 0, 1]), max_magnitude=2).tolist() == [64, 128, 191]
    assert scale_signed(np.zeros(2)).tolist() == [128, 128]
    assert stretch_contrast(np.array([3.0, 4.0, 5.0])).tolist() == [0, 128, 255]
    assert stretch_contrast(np.full(2, 7.0)).tolist() == [0, 0]


def test_a_contact_sheet_contains_every_tile():
    tiles = [(str(i), np.full((4, 6), 10 * i, np.uint8)) for i in range(5)]
    sheet = np.asarray(draw_contact_sheet("title", "details", tiles, side=12, columns=3))
    for i in range(5):
        assert ((sheet == 10 * i).all(axis=2)).sum() >= 8 * 12


def test_the_command_writes_each_kind_of_sheet(digits_run, photo, capsys):
    for words, name in (
        ([str(digits_run)], "filters.png"),
        ([str(digits_run), str(photo)], "photo-maps.png"),
        ([str(digits_run), str(photo), "layer=conv2"], "photo-conv2.png"),
        ([str(photo), "kernel=sobel"], "photo-sobel.png"),
        ([str(photo), "kernel=scharr", "out=mine.png"], "mine.png"),
    ):
        assert main(["look", *words]) == 0
        assert capsys.readouterr().out == f"{name}\n"
        with Image.open(photo.parent / name) as image:
            assert image.format == "PNG"
            assert min(image.size) > 50
    assert main(["look", str(photo), "kernel=vertical", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["out"] == "photo-vertical.png"
    with Image.open(photo.parent / result["out"]) as image:
        assert list(image.size) == result["size"]


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["{photo}"], 2, "is a file, not a run folder"),
        (["{photo}", "kernel=sobl"], 2, "there is no edge filter 'sobl'\n  did you mean sobel"),
        (["{run}", "{photo}", "kernel=sobel"], 2, "kernel= needs one image"),
        (["{run}", "layer=conv1"], 2, "layer= needs an image"),
        (["{run}", "{photo}", "layer=?"], 2, "layers with maps: conv1 6x8x8"),
        (["{run}", "nothing.png"], 3, "nothing.png does not exist"),
        (["nothing.png", "kernel=sobel"], 3, "nothing.png does not exist"),
        (["nothing"], 3, "nothing"),
        (["{linear_run}"], 2, "has no convolution"),
        (["{linear_run}", "{photo}"], 2, "not images"),
        ([], 2, "a run folder and perhaps an image"),
        (["{run}", "color=red"], 2, "unknown key 'color'"),
    ],
)
def test_invalid_arguments_are_reported_and_write_nothing(digits_run, linear_run, photo, words, code, problem, capsys):
    files = sorted(photo.parent.iterdir())
    paths = {"run": digits_run, "linear_run": linear_run, "photo": photo}
    assert main(["look", *(word.format(**paths) for word in words)]) == code
    output = capsys.readouterr()
    assert problem in output.err
    assert output.out == ""
    assert sorted(photo.parent.iterdir()) == files
