"""Weights: read from intact, damaged and hostile files, and loaded into networks by name and shape."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from yisheng import models
from yisheng.core.errors import DataError, UsageError
from yisheng.core.spec import Spec
from yisheng.data import hub
from yisheng.models import _weights_file, weights
from yisheng.models.head import find_head


class Net(nn.Module):
    """A convolution, a batch norm and a head with names that no registered network has."""

    def __init__(self, channels=3, outputs=2):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, outputs)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).mean((2, 3)))


class Exploit:
    """An object that creates a folder when it is unpickled."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (os.mkdir, (str(self.canary),))


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "executed"
    yield path
    assert not path.exists()


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key].to(a[key].dtype)) for key in a)


def save(path, content, **options):
    torch.save(content, path, **options)
    return path


def repack(content, compression=zipfile.ZIP_STORED, **replacements):
    """Return a .pth file with some of its parts replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w", compression) as target:
        for item in source.infolist():
            target.writestr(item.filename, replacements.get(Path(item.filename).name, source.read(item)))
    return out.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("key", [None, "state_dict", "model"])
def test_both_of_torchs_formats_are_read(tmp_path, zipped, key):
    state = Net().state_dict()
    content = state if key is None else {key: state, "epoch": 3}
    tensors = weights.read_weights(save(tmp_path / "a.pth", content, _use_new_zipfile_serialization=zipped))
    assert equal(tensors, state)
    assert tensors["norm.num_batches_tracked"].dtype is torch.int64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_every_precision_becomes_float32(tmp_path, dtype, suffix):
    state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in Net().state_dict().items()}
    path = tmp_path / f"a.{suffix}"
    save(path, state) if suffix == "pt" else save_file(state, path)
    tensors = weights.read_weights(path)
    assert {v.dtype for v in tensors.values() if v.is_floating_point()} == {torch.float32}
    assert all(torch.equal(tensors[key], state[key].to(tensors[key].dtype)) for key in state)


def test_tensors_are_copies_of_the_files(tmp_path):
    path = save(tmp_path / "a.pth", {"w": torch.arange(4.0)})
    tensors = weights.read_weights(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert tensors["w"].tolist() == [0, 1, 2, 3]
    tensors["w"] += 1


def test_a_run_folder_is_read(tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "model.safetensors")
    assert weights.read_weights(tmp_path)["w"].tolist() == [1, 1]


def test_shared_and_strided_weights_are_read(tmp_path):
    w = torch.arange(6.0).reshape(2, 3)
    tensors = weights.read_weights(save(tmp_path / "a.pth", {"a": w, "b": w, "c": w.T}))
    assert torch.equal(tensors["c"], w.T)
    assert torch.equal(tensors["b"], w)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", ["object", "with weights", "module"])
def test_code_is_never_executed(tmp_path, canary, kind, zipped):
    content = {
        "object": Exploit(canary),
        "with weights": {"w": torch.ones(1), "x": Exploit(canary)},
        "module": nn.Linear(1, 1),
    }[kind]
    path = save(tmp_path / "a.pth", content, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match="holds more than weights") as error:
        weights.read_weights(path)
    assert "model.state_dict()" in error.value.remedy


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.safetensors"])
def test_plain_pickles_are_an_error(tmp_path, canary, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Exploit(canary)))
    with pytest.raises(DataError):
        weights.read_weights(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([torch.ones(1)], "no weights by name, but list"),
        ({}, "no weights by name"),
        ({1: torch.ones(1)}, "no weights by name"),
        (torch.ones(3), "but Tensor"),
        ({"w": torch.ones(1), "epoch": 3}, "holds epoch, a int, besides weights"),
        ({"w": torch.tensor([1.0, float("nan")])}, "w .* NaN or infinite"),
        ({"w": torch.tensor([float("inf")], dtype=torch.float16)}, "w .* NaN or infinite"),
        ({"w": torch.tensor([1e300], dtype=torch.float64)}, "w .* NaN or infinite"),
        ({"w": torch.ones(1, dtype=torch.complex64)}, "not plain numbers"),
        ({"w": torch.eye(3).to_sparse()}, "not plain numbers"),
        ({"w": torch.ones(1, device="meta")}, "not plain numbers"),
        ({"w": torch.zeros(1).expand(10**6, 10**6)}, "claim more numbers than the file holds"),
        ({f"w{i}": torch.zeros(1).expand(500) for i in range(500)}, "claim more numbers than the file holds"),
    ],
)
def test_anything_but_finite_weights_is_an_error(tmp_path, content, problem):
    with pytest.raises(DataError, match=problem):
        weights.read_weights(save(tmp_path / "a.pth", content))


@pytest.mark.parametrize("claim", [10_000, 2**31 - 1])
def test_a_claim_of_more_numbers_than_the_file_has_is_an_error(tmp_path, claim):
    path = save(tmp_path / "a.pth", {"w": torch.arange(4.0)})
    with zipfile.ZipFile(path) as archive:
        pickled = archive.read("a/data.pkl")
    number = b"J" + claim.to_bytes(4, "little")
    changed = pickled.replace(b"K\x04tq\x07QK\x00K\x04\x85", number + b"tq\x07QK\x00" + number + b"\x85")
    assert changed != pickled
    path.write_bytes(repack(path.read_bytes(), **{"data.pkl": changed}))
    with pytest.raises(DataError, match="not a complete file of weights"):
        weights.read_weights(path)


def test_a_compressed_file_is_an_error(tmp_path):
    path = save(tmp_path / "a.pth", {"w": torch.zeros(10**6)})
    path.write_bytes(repack(path.read_bytes(), zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match="compressed parts"):
        weights.read_weights(path)


def test_a_file_that_is_too_large_is_an_error(tmp_path, monkeypatch):
    path = save(tmp_path / "a.pth", {"w": torch.zeros(1000)})
    monkeypatch.setattr(_weights_file, "MAX_PICKLE_BYTES", 10)
    with pytest.raises(DataError, match="list of tensors of"):
        weights.read_weights(path)
    monkeypatch.setattr(_weights_file, "MAX_FILE_BYTES", 1000)
    with pytest.raises(DataError, match="more than the limit of 1,000"):
        weights.read_weights(path)


@pytest.mark.parametrize("name", ["no.pth", "folder", "a.txt", "fifo.pth"])
def test_other_files_are_an_error(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").write_text("hello")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo.pth")
    with pytest.raises(DataError):
        weights.read_weights(tmp_path / name)


def test_a_changed_bit_is_detected(tmp_path):
    path = save(tmp_path / "a.pth", {"w": torch.arange(64.0)})
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(64.0).numpy().tobytes()) + 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="the checksum of a/data/0 differs"):
        weights.read_weights(path)


FORMATS = ("zip", "legacy", "safetensors")


@pytest.fixture(scope="module")
def intact_files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    state = {"w": torch.arange(12.0).reshape(3, 4), "b": torch.ones(3, dtype=torch.float16)}
    save_file(state, folder / "a.safetensors")
    save(folder / "zip.pth", state)
    save(folder / "legacy.pth", state, _use_new_zipfile_serialization=False)
    names = ("zip.pth", "legacy.pth", "a.safetensors")
    return {file_format: (folder / name).read_bytes() for file_format, name in zip(FORMATS, names, strict=True)}, folder


@given(data=st.data(), file_format=st.sampled_from(FORMATS))
def test_damaged_files_are_an_error_or_finite(data, file_format, intact_files):
    contents, folder = intact_files
    content = bytearray(contents[file_format])
    for _ in range(data.draw(st.integers(1, 4))):
        position = data.draw(st.integers(0, len(content) - 1))
        content[position] = data.draw(st.integers(0, 255))
    length = data.draw(st.none() | st.integers(0, len(content)))
    path = folder / f"mutated.{'safetensors' if file_format == 'safetensors' else 'pth'}"
    path.write_bytes(content[:length])
    try:
        tensors = weights.read_weights(path)
    except DataError:
        return
    assert all(torch.isfinite(value).all() for value in tensors.values() if value.is_floating_point())


@given(content=st.binary(max_size=300), suffix=st.sampled_from(("pth", "safetensors")))
def test_random_bytes_are_an_error(content, suffix, intact_files):
    path = intact_files[1] / f"random.{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError):
        weights.read_weights(path)


def test_the_head_is_the_last_layer_with_outputs():
    assert find_head(Net())[0] == "fc"
    assert find_head(nn.Sequential(nn.Linear(3, 2), nn.Conv2d(2, 2, 1), nn.ReLU()))[0] == "1"
    with pytest.raises(UsageError, match="Flatten has no linear or convolution layer"):
        find_head(nn.Flatten())


def test_all_weights_are_loaded_if_all_fit():
    source, target = Net(), Net()
    report = weights.load_weights(target, source.state_dict())
    assert equal(target.state_dict(), source.state_dict())
    assert (report.head, report.new_head, report.notes) == ("fc", False, ())
    assert set(report.loaded) == set(source.state_dict())


def test_a_head_with_another_number_of_outputs_keeps_its_initial_weights():
    source, target = Net(outputs=1000), Net(outputs=2)
    initial = {key: value.clone() for key, value in target.fc.state_dict().items()}
    report = weights.load_weights(target, source.state_dict())
    assert report.new_head
    assert report.notes == ("the head fc is initialized at random: it has 2 outputs, and that of the weights has 1000",)
    assert equal(target.fc.state_dict(), initial)
    assert equal(target.conv.state_dict(), source.conv.state_dict())
    assert not any(key.startswith("fc") for key in report.loaded)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_the_prefixes_of_wrappers_are_removed(prefix):
    source, target = Net(), Net()
    report = weights.load_weights(target, {f"{prefix}{key}": value for key, value in source.state_dict().items()})
    assert equal(target.state_dict(), source.state_dict())
    assert prefix in report.notes[0]


def test_auxiliary_heads_are_left_out():
    source, target = Net(), Net()
    report = weights.load_weights(
        target, {**source.state_dict(), "aux1.fc1.weight": torch.ones(1), "aux2.fc1.weight": torch.ones(1)}
    )
    assert equal(target.state_dict(), source.state_dict())
    assert report.notes[0].startswith("2 weights of auxiliary heads")


def test_gray_images_have_the_outputs_of_three_equal_channels():
    source, target = Net(channels=3).eval(), Net(channels=1).eval()
    report = weights.load_weights(target, source.state_dict())
    assert report.notes == ("gray images: the filters of conv are summed over their 3 channels",)
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(target(x), source(x.expand(-1, 3, -1, -1)))


def test_counters_of_batch_norm_may_be_missing():
    source, target = Net(), Net()
    state = {key: value for key, value in source.state_dict().items() if not key.endswith("num_batches_tracked")}
    weights.load_weights(target, state)
    assert equal(target.state_dict(), source.state_dict())


def test_a_mismatch_is_described_and_nothing_is_loaded():
    target = Net()
    initial = {key: value.clone() for key, value in target.state_dict().items()}
    state = dict(Net().state_dict())
    del state["conv.bias"]
    state["extra.weight"] = torch.ones(2)
    state["norm.weight"] = torch.ones(5)
    with pytest.raises(DataError) as error:
        weights.load_weights(target, state, name="net")
    assert error.value.problem == (
        "the weights do not fit net: missing: conv.bias; unexpected: extra.weight; "
        "of another shape: norm.weight (5,) instead of (4,)"
    )
    assert equal(target.state_dict(), initial)
    state = {**Net().state_dict(), "norm.num_batches_tracked": torch.tensor(1.0)}
    with pytest.raises(DataError, match=r"\(\) instead of \(\) of integers"):
        weights.load_weights(target, state)


def test_gray_weights_do_not_fit_color_images():
    with pytest.raises(DataError, match="of another shape: conv.weight"):
        weights.load_weights(Net(channels=3), Net(channels=1).state_dict())


def test_a_long_list_of_names_is_abbreviated():
    with pytest.raises(DataError, match="missing: conv.weight, conv.bias, norm.weight, norm.bias and 4 more"):
        weights.load_weights(Net(), {"a.weight": torch.ones(2, 2)})


def images(channels=3, side=224, classes=2):
    return Spec("classification", (channels, side, side), classes=tuple(map(str, range(classes))))


@pytest.mark.parametrize("name", ["squeezenet1-1", "resnet18"])
def test_the_error_names_the_matching_networks(name):
    state = models.build(name, images(classes=10)).state_dict()
    assert weights.find_matching_networks(state) == [name]
    with pytest.raises(DataError) as error:
        weights.load_weights(models.build("lenet", images(side=28)), state, name="lenet")
    assert error.value.remedy == f"they fit model={name}"
    assert weights.find_matching_networks({"w": torch.ones(2, 2)}) == []


def test_googlenet_has_another_normalization():
    assert (
        weights.get_normalization("googlenet-1378be20.pth")
        == weights.get_normalization("googlenet")
        == weights.MINUS_ONE_TO_ONE
    )
    assert weights.get_normalization("squeezenet1_1_in1k_fp16.pth") == weights.IMAGENET


@pytest.mark.realdata
@pytest.mark.parametrize("version", ["1_0", "1_1"])
def test_the_published_weights_fit(version):
    state = weights.read_weights(hub.fetch_file("weights", f"squeezenet{version}_in1k_fp16.pth"))
    assert weights.find_matching_networks(state) == [f"squeezenet{version.replace('_', '-')}"]
    model = models.build(f"squeezenet{version}", images(classes=1000))
    assert not weights.load_weights(model, state).new_head
    assert equal(model.state_dict(), state)
    assert weights.load_weights(models.build(f"squeezenet{version}", images(channels=1)), state).new_head
