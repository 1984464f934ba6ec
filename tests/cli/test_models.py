"""``yisheng models``: the list, and the layers of one network."""

from __future__ import annotations

import json

import pytest

from yisheng.cli import main


def run_models(capsys, *words):
    """Return what the command prints."""
    capsys.readouterr()
    assert main(["models", *words]) == 0
    return capsys.readouterr().out


def test_the_table_has_layers_sizes_and_totals(capsys):
    text = run_models(capsys, "vgg11", "style=textbook", "shape=1,224,224", "ratio=4")
    assert text.startswith("vgg11: Build VGG-11: ")
    assert "On inputs of 1 x 224 x 224 with 10 outputs, style=textbook, ratio=4:" in text
    lines = [line.split() for line in text.splitlines()]
    assert ["features.0", "Conv2d", "16", "x", "224", "x", "224", "160", "7,225,344"] in lines
    assert ["classifier.6", "Linear", "10", "40,970", "40,960"] in lines
    assert lines[-1] == ["total", "43,093,322", "512,155,648"]


def test_json_has_the_same_facts(capsys):
    facts = json.loads(run_models(capsys, "resnet18", "classes=1000", "--json"))
    assert (facts["shape"], facts["outputs"]) == ([3, 224, 224], 1000)
    assert facts["parameters"] == 11_689_512
    assert sum(layer["parameters"] for layer in facts["layers"]) == facts["parameters"]
    assert sum(layer["multiply_adds"] for layer in facts["layers"]) == facts["multiply_adds"] == 1_814_073_344
    assert facts["options"]["preactivation"]["default"] is False
    assert facts["layers"][0] == {
        "name": "conv1",
        "kind": "Conv2d",
        "output": [64, 112, 112],
        "parameters": 9408,
        "multiply_adds": 118_013_952,
    }


@pytest.mark.parametrize(
    ("words", "shape", "outputs", "parameters"),
    [
        (["lenet", "style=classic"], [1, 28, 28], 10, 61_706),
        (["vgg16_bn", "classes=1000"], [3, 224, 224], 1000, 138_365_992),
        (["mlp", "hidden=5"], [8], 10, 8 * 5 + 5 + 5 * 10 + 10),
        (["linear", "shape=3x4x5", "classes=1"], [3, 4, 5], 1, 61),
        (["linear", "shape=7", "classes=2"], [7], 2, 16),
    ],
)
def test_shapes_and_classes(capsys, words, shape, outputs, parameters):
    facts = json.loads(run_models(capsys, *words, "--json"))
    assert (facts["shape"], facts["outputs"], facts["parameters"]) == (shape, outputs, parameters)


def test_no_memory_is_allocated_for_the_weights(capsys):
    facts = json.loads(run_models(capsys, "mlp", "hidden=1048576,1048576", "classes=999999999", "--json"))
    assert facts["parameters"] > 10**15


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["lenet", "depth=3"], "unknown key 'depth'"),
        (["ratio=4"], "unknown key 'ratio'"),
        (["resnet19"], "did you mean resnet18"),
        (["alexnet", "shape=3,40,40", "style=published"], "at least 63 x 63 pixels, got 40 x 40"),
        (["alexnet", "style=big"], "style must be 'auto', 'published'"),
        (["alexnet", "shape=8"], r"alexnet needs images, got inputs of shape \(8,\)"),
        (["lenet", "shape=3,,4"], "shape must be"),
        (["lenet", "shape=0,5,5"], "shape must be"),
        (["lenet", "shape=28,28"], "shape must be"),
        (["lenet", "shape=99999,99999,99999"], "1,000,000,000 values at most"),
        (["lenet", "classes=0"], "classes must be a whole number"),
    ],
)
def test_wrong_words_are_refused(assert_error, words, cause):
    assert_error(["models", *words], 2, cause)
