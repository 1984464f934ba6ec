"""Beginning with trained weights: from a run, from a file, from the hub by name."""

import io

import pytest
import torch
from safetensors.torch import load_file, save_file
from yisheng.experiments.pretrained import pretrained

import yisheng
from yisheng.core.errors import DataError, UsageError
from yisheng.core.settings import merge_settings
from yisheng.experiments.run import train
from yisheng.inference import artifact


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run on digits that later ones begin with."""
    out = tmp_path_factory.mktemp("first")
    return yisheng.train(data="digits", epochs=2, out=out, quiet=True).path


def begun(out, **settings):
    """A run that begins with weights, and what was said."""
    said = io.StringIO()
    words = {"data": "digits", "epochs": 1, **settings}
    config = merge_settings([(key, value, "command line") for key, value in words.items()]).config
    return train(config, out=out, stream=said), said.getvalue()


def weights(folder):
    return load_file(folder / artifact.WEIGHTS)


def test_the_head_alone_learns_and_the_rest_stays_to_the_bit(first, tmp_path):
    folder, said = begun(tmp_path, weights=str(first), finetune="head")
    before, after = weights(first), weights(folder)
    assert before.keys() == after.keys()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed == {"output.weight", "output.bias"}
    assert "begins anew" not in said  # the classes are the same


def test_all_learns_and_the_run_tells_what_was_chosen(first, tmp_path):
    folder, _ = begun(tmp_path, weights=str(first))
    changed = [name for name, value in weights(folder).items() if not torch.equal(value, weights(first)[name])]
    assert "conv1.weight" in changed
    config = yisheng.load(folder).run.config
    assert config["model"]["name"] == "lenet"
    assert (config["finetune"], config["head_lr"]) == ("all", 1.0)  # the head knows these classes
    assert config["optimizer"]["lr"] == 0.001
    assert config["scale"]["name"] == "imagenet"


def test_the_inputs_are_scaled_as_the_weights_know_them(first, tmp_path):
    pixels = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    folder, said = begun(tmp_path, weights=str(first))
    torch.testing.assert_close(artifact.load(folder).scale.apply(pixels), artifact.load(first).scale.apply(pixels))
    assert "white pixel" not in said
    _, said = begun(tmp_path, weights=str(first), scale="unit")
    assert "the weights were trained on pixels scaled by mean" in said


def test_a_resumed_run_ends_as_one_that_was_never_stopped(first, tmp_path):
    whole, _ = begun(tmp_path, weights=str(first), finetune="gradual", epochs=4, schedule="constant")
    short, _ = begun(tmp_path, weights=str(first), finetune="gradual", epochs=4, schedule="constant", patience=0)
    for path in (short / "checkpoint").glob("*.safetensors"):
        path.unlink()  # nothing but the weights that it began with
    environment = (short / "environment.json").read_text().replace('"finished": true', '"finished": false')
    (short / "environment.json").write_text(environment)
    (short / "events.jsonl").unlink()
    yisheng.resume(short, quiet=True)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(short)[name]), name


def test_a_file_of_another_number_of_classes_keeps_the_body(first, tmp_path):
    tensors = weights(first)
    tensors["output.weight"], tensors["output.bias"] = torch.zeros(3, 84), torch.zeros(3)
    save_file(tensors, tmp_path / "three.safetensors")
    folder, said = begun(tmp_path, weights=str(tmp_path / "three.safetensors"), model="lenet", finetune="head")
    assert "the head output begins anew: 10 outputs, where the weights have 3" in said
    assert torch.equal(weights(folder)["conv1.weight"], tensors["conv1.weight"])
    assert yisheng.load(folder).run.config["head_lr"] == 10.0


@pytest.mark.parametrize(
    ("settings", "error", "wanted"),
    [
        ({"weights": "./nowhere.pth"}, DataError, "does not exist"),
        ({"weights": "resnet1"}, UsageError, "did you mean"),
        ({"weights": "imagenet"}, UsageError, "needs the network's name"),
        ({"weights": "imagenet", "model": "lenet"}, UsageError, "for lenet"),
        ({"weights": "{first}", "model": "mlp"}, DataError, "do not fit mlp"),
    ],
)
def test_what_cannot_be_begun_with_is_refused(first, tmp_path, settings, error, wanted):
    words = {key: str(value).format(first=first) for key, value in settings.items()}
    with pytest.raises(error, match=wanted):
        begun(tmp_path, **words)


def test_published_weights_want_the_published_form():
    config = merge_settings([("weights", "x.pth", "command line"), ("model", "resnet18", "command line")]).config
    from yisheng.experiments.pretrained import _published

    assert _published(config.model, "x.pth", {}).options == {"style": "published"}
    assert pretrained(merge_settings([]).config)[1] is None


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["squeezenet1_1", "squeezenet1_1_in1k_fp16.pth"])
def test_squeezenet_is_found_by_its_name(name):
    config = merge_settings([("weights", name, "command line")]).config
    config, begin = pretrained(config)
    assert config.model.name == "squeezenet1-1"
    assert begin.tensors["features.0.weight"].shape == (64, 3, 3, 3)
    assert begin.scale.name == "imagenet"
