"""Training from pretrained weights: from a run, from a file, and from the hub by name."""

import logging

import pytest
import torch
from safetensors.torch import load_file, save_file

import yisheng
from yisheng.core.errors import DataError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.core.settings import merge_settings
from yisheng.inference import artifact
from yisheng.training.pretrained import _choose_model, load_pretrained


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Return the folder of a run on digits whose weights the others start from."""
    out = tmp_path_factory.mktemp("source")
    return yisheng.train(data="digits", epochs=2, out=out, quiet=True).path


@pytest.fixture
def train_from(tmp_path, caplog):
    """Return a function that trains from pretrained weights and returns the folder and the logged messages."""
    caplog.set_level(logging.INFO, logger="yisheng")

    def train(**settings):
        caplog.clear()
        run = yisheng.train(**{"data": "digits", "epochs": 1, **settings}, out=tmp_path, quiet=True)
        return run.path, "\n".join(record.getMessage() for record in caplog.records)

    return train


def read_weights(folder):
    return load_file(folder / RunFolder.WEIGHTS)


def test_finetune_head_changes_only_the_head(source, train_from):
    folder, messages = train_from(weights=str(source), finetune="head")
    initial, final = read_weights(source), read_weights(folder)
    assert initial.keys() == final.keys()
    changed = {name for name in final if not torch.equal(initial[name], final[name])}
    assert changed == {"output.weight", "output.bias"}
    assert "initialized at random" not in messages  # the classes are the same


def test_all_layers_are_trained_and_choices_are_recorded(source, train_from):
    folder, _ = train_from(weights=str(source))
    initial = read_weights(source)
    changed = [name for name, value in read_weights(folder).items() if not torch.equal(value, initial[name])]
    assert "conv1.weight" in changed
    config = yisheng.load(folder).run.config
    assert config["model"]["name"] == "lenet"
    assert (config["finetune"], config["head_lr"]) == ("all", 1.0)  # the head was trained on these classes
    assert config["optimizer"]["lr"] == 0.001
    assert config["scale"]["name"] == "imagenet"


def test_inputs_have_the_scale_of_the_pretraining(source, train_from):
    pixels = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    folder, messages = train_from(weights=str(source))
    torch.testing.assert_close(artifact.load(folder).scale.apply(pixels), artifact.load(source).scale.apply(pixels))
    assert "white pixel" not in messages
    _, messages = train_from(weights=str(source), scale="unit")
    assert "the weights were trained on pixels scaled by mean" in messages


def test_resumed_run_ends_like_an_uninterrupted_one(source, train_from):
    settings = {"weights": str(source), "finetune": "gradual", "epochs": 4, "schedule": "constant"}
    uninterrupted, _ = train_from(**settings)
    resumed, _ = train_from(**settings, patience=0)
    for path in (resumed / "checkpoint").glob("*.safetensors"):
        path.unlink()  # only the initial weights are left
    environment = (resumed / "environment.json").read_text().replace('"finished": true', '"finished": false')
    (resumed / "environment.json").write_text(environment)
    (resumed / "events.jsonl").unlink()
    yisheng.resume(resumed, quiet=True)
    for name, value in read_weights(uninterrupted).items():
        assert torch.equal(value, read_weights(resumed)[name]), name


def test_weights_for_other_classes_keep_the_body(source, train_from, tmp_path):
    tensors = read_weights(source)
    tensors["output.weight"], tensors["output.bias"] = torch.zeros(3, 84), torch.zeros(3)
    save_file(tensors, tmp_path / "three.safetensors")
    folder, messages = train_from(weights=str(tmp_path / "three.safetensors"), model="lenet", finetune="head")
    assert "the head output is initialized at random: it has 10 outputs, and that of the weights has 3" in messages
    assert torch.equal(read_weights(folder)["conv1.weight"], tensors["conv1.weight"])
    assert yisheng.load(folder).run.config["head_lr"] == 10.0


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"weights": "./nowhere.pth"}, DataError, "does not exist"),
        ({"weights": "resnet1"}, UsageError, "did you mean"),
        ({"weights": "imagenet"}, UsageError, "needs the network's name"),
        ({"weights": "imagenet", "model": "lenet"}, UsageError, "for lenet"),
        ({"weights": "{source}", "model": "mlp"}, DataError, "do not fit mlp"),
    ],
)
def test_unusable_weights_are_refused(source, train_from, settings, error, message):
    settings = {key: str(value).format(source=source) for key, value in settings.items()}
    with pytest.raises(error, match=message):
        train_from(**settings)


def test_published_weights_use_the_published_form():
    config = merge_settings([("weights", "x.pth", "command line"), ("model", "resnet18", "command line")]).config
    assert _choose_model(config.model, "x.pth", {}).options == {"style": "published"}
    assert load_pretrained(merge_settings([]).config)[1] is None


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["squeezenet1_1", "squeezenet1_1_in1k_fp16.pth"])
def test_squeezenet_is_found_by_its_name(name):
    config = merge_settings([("weights", name, "command line")]).config
    config, pretrained = load_pretrained(config)
    assert config.model.name == "squeezenet1-1"
    assert pretrained.tensors["features.0.weight"].shape == (64, 3, 3, 3)
    assert pretrained.scale.name == "imagenet"
