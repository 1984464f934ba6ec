"""Weights: read from files good and hostile, and fitted to networks by name and shape."""

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
from yisheng.core.types import Spec
from yisheng.data.hub import files
from yisheng.models import _weights_file, weights
from yisheng.models.head import head


class Net(nn.Module):
    """A convolution, a batch norm and a head, under names of their own."""

    def __init__(self, channels=3, outputs=2):
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, outputs)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).mean((2, 3)))


class Bomb:
    """Unpickled, it leaves a folder."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return (os.mkdir, (str(self.canary),))


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "it-was-run"
    yield path
    assert not path.exists()


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key].to(a[key].dtype)) for key in a)


def saved(path, held, **how):
    torch.save(held, path, **how)
    return path


def repacked(content, how=zipfile.ZIP_STORED, **changed):
    """A .pth file with some of its members replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", how) as new:
        for item in old.infolist():
            new.writestr(item.filename, changed.get(Path(item.filename).name, old.read(item)))
    return out.getvalue()


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("wrapping", [None, "state_dict", "model"])
def test_both_of_torchs_forms_are_read(tmp_path, new, wrapping):
    state = Net().state_dict()
    held = state if wrapping is None else {wrapping: state, "epoch": 3}
    found = weights.read(saved(tmp_path / "a.pth", held, _use_new_zipfile_serialization=new))
    assert same(found, state)
    assert found["norm.num_batches_tracked"].dtype is torch.int64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_every_precision_becomes_float32(tmp_path, dtype, suffix):
    state = {key: value.to(dtype) if value.is_floating_point() else value for key, value in Net().state_dict().items()}
    path = tmp_path / f"a.{suffix}"
    saved(path, state) if suffix == "pt" else save_file(state, path)
    found = weights.read(path)
    assert {v.dtype for v in found.values() if v.is_floating_point()} == {torch.float32}
    assert all(torch.equal(found[key], state[key].to(found[key].dtype)) for key in state)


def test_what_is_read_is_a_copy(tmp_path):
    path = saved(tmp_path / "a.pth", {"w": torch.arange(4.0)})
    found = weights.read(path)
    path.write_bytes(bytes(path.stat().st_size))
    assert found["w"].tolist() == [0, 1, 2, 3]
    found["w"] += 1


def test_a_run_folder_is_read(tmp_path):
    save_file({"w": torch.ones(2)}, tmp_path / "model.safetensors")
    assert weights.read(tmp_path)["w"].tolist() == [1, 1]


def test_shared_and_strided_weights_are_read(tmp_path):
    w = torch.arange(6.0).reshape(2, 3)
    found = weights.read(saved(tmp_path / "a.pth", {"a": w, "b": w, "c": w.T}))
    assert torch.equal(found["c"], w.T)
    assert torch.equal(found["b"], w)


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("held", ["bare", "beside", "module"])
def test_code_is_never_run(tmp_path, canary, held, new):
    what = {"bare": Bomb(canary), "beside": {"w": torch.ones(1), "x": Bomb(canary)}, "module": nn.Linear(1, 1)}[held]
    path = saved(tmp_path / "a.pth", what, _use_new_zipfile_serialization=new)
    with pytest.raises(DataError, match="holds more than weights") as error:
        weights.read(path)
    assert "model.state_dict()" in error.value.remedy


@pytest.mark.parametrize("name", ["a.pth", "a.pt", "a.safetensors"])
def test_plain_pickles_are_refused(tmp_path, canary, name):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(Bomb(canary)))
    with pytest.raises(DataError):
        weights.read(path)


@pytest.mark.parametrize(
    ("held", "cause"),
    [
        ([torch.ones(1)], "no weights by name, but list"),
        ({}, "no weights by name"),
        ({1: torch.ones(1)}, "no weights by name"),
        (torch.ones(3), "but Tensor"),
        ({"w": torch.ones(1), "epoch": 3}, "holds epoch, a int, beside its weights"),
        ({"w": torch.tensor([1.0, float("nan")])}, "w .* NaN or infinite"),
        ({"w": torch.tensor([float("inf")], dtype=torch.float16)}, "w .* NaN or infinite"),
        ({"w": torch.tensor([1e300], dtype=torch.float64)}, "w .* NaN or infinite"),
        ({"w": torch.ones(1, dtype=torch.complex64)}, "no plain numbers"),
        ({"w": torch.eye(3).to_sparse()}, "no plain numbers"),
        ({"w": torch.ones(1, device="meta")}, "no plain numbers"),
        ({"w": torch.zeros(1).expand(10**6, 10**6)}, "claim more numbers than the file holds"),
        ({f"w{i}": torch.zeros(1).expand(500) for i in range(500)}, "claim more numbers than the file holds"),
    ],
)
def test_what_is_not_finite_weights_is_refused(tmp_path, held, cause):
    with pytest.raises(DataError, match=cause):
        weights.read(saved(tmp_path / "a.pth", held))


@pytest.mark.parametrize("claim", [10_000, 2**31 - 1])
def test_a_claim_of_more_numbers_than_the_file_has_is_refused(tmp_path, claim):
    path = saved(tmp_path / "a.pth", {"w": torch.arange(4.0)})
    with zipfile.ZipFile(path) as packed:
        said = packed.read("a/data.pkl")
    number = b"J" + claim.to_bytes(4, "little")
    more = said.replace(b"K\x04tq\x07QK\x00K\x04\x85", number + b"tq\x07QK\x00" + number + b"\x85")
    assert more != said
    path.write_bytes(repacked(path.read_bytes(), **{"data.pkl": more}))
    with pytest.raises(DataError, match="no whole file of weights"):
        weights.read(path)


def test_what_unfolds_is_refused(tmp_path):
    path = saved(tmp_path / "a.pth", {"w": torch.zeros(10**6)})
    path.write_bytes(repacked(path.read_bytes(), zipfile.ZIP_DEFLATED))
    assert path.stat().st_size < 10_000
    with pytest.raises(DataError, match="compressed parts"):
        weights.read(path)


def test_what_is_too_large_is_refused(tmp_path, monkeypatch):
    path = saved(tmp_path / "a.pth", {"w": torch.zeros(1000)})
    monkeypatch.setattr(_weights_file, "DIRECTORY", 10)
    with pytest.raises(DataError, match="list of contents of"):
        weights.read(path)
    monkeypatch.setattr(_weights_file, "LIMIT", 1000)
    with pytest.raises(DataError, match="more than the 1,000 that are read"):
        weights.read(path)


@pytest.mark.parametrize("name", ["no.pth", "folder", "a.txt", "fifo.pth"])
def test_what_is_no_file_of_weights_is_refused(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.txt").write_text("hello")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo.pth")
    with pytest.raises(DataError):
        weights.read(tmp_path / name)


def test_a_bit_that_fell_over_is_seen(tmp_path):
    path = saved(tmp_path / "a.pth", {"w": torch.arange(64.0)})
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(64.0).numpy().tobytes()) + 100] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="the checksum of a/data/0 differs"):
        weights.read(path)


FORMS = ("zip", "legacy", "safetensors")


@pytest.fixture(scope="module")
def wholes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    state = {"w": torch.arange(12.0).reshape(3, 4), "b": torch.ones(3, dtype=torch.float16)}
    save_file(state, folder / "a.safetensors")
    saved(folder / "zip.pth", state)
    saved(folder / "legacy.pth", state, _use_new_zipfile_serialization=False)
    names = ("zip.pth", "legacy.pth", "a.safetensors")
    return {form: (folder / name).read_bytes() for form, name in zip(FORMS, names, strict=True)}, folder


@given(data=st.data(), form=st.sampled_from(FORMS))
def test_damaged_files_are_refused_or_finite(data, form, wholes):
    contents, folder = wholes
    content = bytearray(contents[form])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.none() | st.integers(0, len(content)))
    path = folder / f"mutated.{'safetensors' if form == 'safetensors' else 'pth'}"
    path.write_bytes(content[:cut])
    try:
        found = weights.read(path)
    except DataError:
        return
    assert all(torch.isfinite(value).all() for value in found.values() if value.is_floating_point())


@given(content=st.binary(max_size=300), suffix=st.sampled_from(("pth", "safetensors")))
def test_random_bytes_are_refused(content, suffix, wholes):
    path = wholes[1] / f"random.{suffix}"
    path.write_bytes(content)
    with pytest.raises(DataError):
        weights.read(path)


def test_the_head_is_the_last_layer_with_outputs():
    assert head(Net())[0] == "fc"
    assert head(nn.Sequential(nn.Linear(3, 2), nn.Conv2d(2, 2, 1), nn.ReLU()))[0] == "1"
    with pytest.raises(UsageError, match="Flatten has no linear or convolution layer"):
        head(nn.Flatten())


def test_all_is_loaded_where_all_fits():
    old, new = Net(), Net()
    fitted = weights.fit(new, old.state_dict())
    assert same(new.state_dict(), old.state_dict())
    assert (fitted.head, fitted.fresh, fitted.remarks) == ("fc", False, ())
    assert set(fitted.loaded) == set(old.state_dict())


def test_a_head_of_other_outputs_begins_anew():
    old, new = Net(outputs=1000), Net(outputs=2)
    first = {key: value.clone() for key, value in new.fc.state_dict().items()}
    fitted = weights.fit(new, old.state_dict())
    assert fitted.fresh
    assert fitted.remarks == ("the head fc begins anew: 2 outputs, where the weights have 1000",)
    assert same(new.fc.state_dict(), first)
    assert same(new.conv.state_dict(), old.conv.state_dict())
    assert not any(key.startswith("fc") for key in fitted.loaded)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_the_names_of_wrappers_are_left_out(prefix):
    old, new = Net(), Net()
    fitted = weights.fit(new, {f"{prefix}{key}": value for key, value in old.state_dict().items()})
    assert same(new.state_dict(), old.state_dict())
    assert prefix in fitted.remarks[0]


def test_side_heads_are_left_out():
    old, new = Net(), Net()
    fitted = weights.fit(new, {**old.state_dict(), "aux1.fc1.weight": torch.ones(1), "aux2.fc1.weight": torch.ones(1)})
    assert same(new.state_dict(), old.state_dict())
    assert fitted.remarks[0].startswith("2 weights of side heads")


def test_grey_images_see_what_their_three_equal_channels_would_show():
    old, new = Net(channels=3).eval(), Net(channels=1).eval()
    fitted = weights.fit(new, old.state_dict())
    assert fitted.remarks == ("grey images: the filters of conv are added up over their 3 channels",)
    x = torch.randn(2, 1, 8, 8)
    torch.testing.assert_close(new(x), old(x.expand(-1, 3, -1, -1)))


def test_counters_of_batch_norm_may_be_missing():
    old, new = Net(), Net()
    state = {key: value for key, value in old.state_dict().items() if not key.endswith("num_batches_tracked")}
    weights.fit(new, state)
    assert same(new.state_dict(), old.state_dict())


def test_what_does_not_fit_is_named_and_nothing_is_loaded():
    new = Net()
    before = {key: value.clone() for key, value in new.state_dict().items()}
    state = dict(Net().state_dict())
    del state["conv.bias"]
    state["extra.weight"] = torch.ones(2)
    state["norm.weight"] = torch.ones(5)
    with pytest.raises(DataError) as error:
        weights.fit(new, state, name="net")
    assert error.value.problem == (
        "the weights do not fit net: missing: conv.bias; unexpected: extra.weight; "
        "of another shape: norm.weight (5,) where (4,) is wanted"
    )
    assert same(new.state_dict(), before)
    state = {**Net().state_dict(), "norm.num_batches_tracked": torch.tensor(1.0)}
    with pytest.raises(DataError, match=r"\(\) where \(\) of integers is wanted"):
        weights.fit(new, state)


def test_grey_weights_do_not_fit_colour_images():
    with pytest.raises(DataError, match="of another shape: conv.weight"):
        weights.fit(Net(channels=3), Net(channels=1).state_dict())


def test_many_names_are_cut_short():
    with pytest.raises(DataError, match="missing: conv.weight, conv.bias, norm.weight, norm.bias and 4 more"):
        weights.fit(Net(), {"a.weight": torch.ones(2, 2)})


def spec(channels=3, side=224, classes=2):
    return Spec("classification", (channels, side, side), classes=tuple(map(str, range(classes))))


@pytest.mark.parametrize("name", ["squeezenet1-1", "resnet18"])
def test_the_networks_that_would_fit_are_named(name):
    state = models.build(name, spec(classes=10)).state_dict()
    assert weights.fitting_networks(state) == [name]
    with pytest.raises(DataError) as error:
        weights.fit(models.build("lenet", spec(side=28)), state, name="lenet")
    assert error.value.remedy == f"they fit model={name}"
    assert weights.fitting_networks({"w": torch.ones(2, 2)}) == []


def test_googlenet_saw_other_pixels():
    assert weights.preprocessing("googlenet-1378be20.pth") == weights.preprocessing("googlenet") == weights.HALF
    assert weights.preprocessing("squeezenet1_1_in1k_fp16.pth") == weights.IMAGENET


@pytest.mark.realdata
@pytest.mark.parametrize("version", ["1_0", "1_1"])
def test_the_published_weights_fit(version):
    state = weights.read(files.path("weights", f"squeezenet{version}_in1k_fp16.pth"))
    assert weights.fitting_networks(state) == [f"squeezenet{version.replace('_', '-')}"]
    whole = models.build(f"squeezenet{version}", spec(classes=1000))
    assert not weights.fit(whole, state).fresh
    assert same(whole.state_dict(), state)
    assert weights.fit(models.build(f"squeezenet{version}", spec(channels=1)), state).fresh
