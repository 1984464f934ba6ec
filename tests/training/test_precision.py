"""Precision search: done once, cached, and without effect on what is learned."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from yisheng.core import cache_folder, machine
from yisheng.core.choice import Choice
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import UsageError
from yisheng.core.events import EpochEnd
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec
from yisheng.evaluation.scorer import make_scorer
from yisheng.training import precision
from yisheng.training.finetune import frozen_for_good
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.setup import assemble
from yisheng.training.trial_cache import hash_trial

CPU = torch.device("cpu")


def images(n: int = 96) -> Dataset:
    random = np.random.default_rng(0)
    y = random.integers(3, size=n)
    x = random.integers(256, size=(n, 1, 12, 12)).astype(np.uint8)
    x[np.arange(n), 0, y * 4] = 255
    return Dataset("lines", Spec("classification", (1, 12, 12), classes=("a", "b", "c")), x, y)


def build(data: Dataset | None = None, device: torch.device = CPU, **settings: object):
    data = data or images()
    rows = np.arange(len(data.x))
    split = Split(rows[:80], rows[80:], rows[:0])
    values = {"model": "lenet", "batch": 16, "epochs": 2, **settings}
    config = merge_settings([(key, value, "command line") for key, value in values.items()]).config
    return assemble(config, data, split, device)


def train_one_epoch(assembly):
    for batch in assembly.train.epoch(0):
        assembly.step(assembly.state, batch, assembly.loss)
    return assembly.state.model.state_dict()


@pytest.fixture
def always_search(monkeypatch):
    """Search for every training, on any processor."""
    monkeypatch.setattr(precision, "MIN_TRAINING_MULTIPLICATIONS", 0)
    monkeypatch.setattr(machine, "has_bfloat16", lambda _: True)


def test_short_training_uses_the_default_without_a_search():
    assembly = build()
    assert (assembly.config.precision, assembly.config.memory_format) == ("fp32", "contiguous")
    assert not (cache_folder.get_cache_folder() / "precision_search.json").exists()


@pytest.mark.usefixtures("always_search")
def test_four_candidates_are_timed_once_and_cached(monkeypatch):
    first = build()
    (seconds,) = json.loads((cache_folder.get_cache_folder() / "precision_search.json").read_text()).values()
    assert set(seconds) == {
        *("fp32, contiguous", "fp32, channels-last"),
        *("bf16, contiguous", "bf16, channels-last"),
    }
    monkeypatch.setattr(precision, "_time_formats", lambda *_: pytest.fail("timed again"))
    repeated = build()
    for key in ("precision", "memory_format"):
        assert getattr(first.config, key) == getattr(repeated.config, key)


@pytest.mark.usefixtures("always_search")
@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ([1.0, 0.5, 0.9, 0.4], ("bf16", "channels-last")),
        ([1.0, 0.5, 0.9, 0.6], ("fp32", "channels-last")),
        ([1.0, 1.1, 0.6, 0.9], ("bf16", "contiguous")),
        ([1.0, 0.97, 0.96, 0.98], ("fp32", "contiguous")),  # too little gain for another rounding
    ],
)
def test_fastest_candidate_is_chosen_if_the_gain_is_clear(monkeypatch, seconds, chosen):
    def time_formats(_model, _batch, _loss, candidates):
        return dict(zip([", ".join(candidate) for candidate in candidates], seconds, strict=True))

    monkeypatch.setattr(precision, "_time_formats", time_formats)
    assembly = build()
    assert (assembly.config.precision, assembly.config.memory_format) == chosen
    assert any("computing with" in note for note in assembly.notes) == (chosen != precision.DEFAULT_FORMAT)
    conv = assembly.state.model.conv2.weight
    assert conv.is_contiguous(memory_format=precision.MEMORY_FORMATS[chosen[1]])


@pytest.mark.usefixtures("always_search")
def test_search_changes_neither_weights_nor_random_numbers():
    with_trial, plain = build(), build(precision="fp32", memory_format="contiguous")
    assert with_trial.notes or with_trial.config.precision == "fp32"
    for name, value in plain.state.model.state_dict().items():
        assert torch.equal(value, with_trial.state.model.state_dict()[name]), name


@pytest.mark.usefixtures("always_search")
@pytest.mark.parametrize("settings", [{"scratch": True, "style": "classic"}, {"fold": "1/2"}], ids=str)
def test_scratch_and_folds_use_the_default(settings):
    assembly = build(**settings)
    assert (assembly.config.precision, assembly.config.memory_format) == precision.DEFAULT_FORMAT


@pytest.mark.usefixtures("always_search")
def test_regression_uses_float32():
    data = images()
    spec = Spec("regression", (1, 12, 12))
    numbers = Dataset("numbers", spec, data.x, data.y[:, None].astype(np.float32))
    assert build(numbers).config.precision == "fp32"


def test_fp64_is_refused_on_apple_gpus():
    with pytest.raises(UsageError, match="fp64"):
        build(precision="fp64", device=torch.device("mps"))


def test_fp64_trains_in_float64():
    assembly = build(precision="fp64")
    train_one_epoch(assembly)
    assert assembly.state.model.conv1.weight.dtype == torch.float64


@pytest.mark.usefixtures("always_search")
def test_unwritable_cache_gives_the_default(monkeypatch):
    cache_folder.get_cache_folder().parent.mkdir(parents=True, exist_ok=True)
    cache_folder.get_cache_folder().write_text("not a folder")
    monkeypatch.setattr(precision, "_time_formats", lambda *_: pytest.fail("timed"))
    assembly = build()
    assert (assembly.config.precision, assembly.config.memory_format) == precision.DEFAULT_FORMAT


@pytest.mark.usefixtures("always_search")
@pytest.mark.parametrize("value", [None, "fast", -1.0, 0, True, [1.0], float("nan")], ids=str)
def test_damaged_cache_entry_is_replaced(value):
    build()
    path = cache_folder.get_cache_folder() / "precision_search.json"
    ((key, seconds),) = json.loads(path.read_text()).items()
    path.write_text(json.dumps({key: {**seconds, "fp32, contiguous": value}}))
    build()
    ((_, seconds),) = json.loads(path.read_text()).items()
    assert seconds["fp32, contiguous"] > 0


@pytest.mark.usefixtures("always_search")
def test_simultaneous_trainings_search_once_and_agree(monkeypatch):
    searches, time_formats = [], precision._time_formats

    def slow(*arguments):
        searches.append(1)
        time.sleep(0.2)
        return time_formats(*arguments)

    monkeypatch.setattr(precision, "_time_formats", slow)
    with ThreadPoolExecutor(3) as pool:
        formats = list(pool.map(lambda _: precision.search_precision(*search_arguments()), range(3)))
    assert len(searches) == 1
    assert len({(compute.precision, compute.memory_format) for compute in formats}) == 1


def search_arguments():
    """Return arguments of `search_precision`."""
    assembly = build(precision="fp32", memory_format="contiguous")
    config = assembly.config.model_copy(update={"precision": "auto", "memory_format": "auto"})
    return config, assembly.state.model, assembly.spec, assembly.train, assembly.loss, 10


@pytest.mark.usefixtures("always_search")
def test_unsupported_candidate_is_not_chosen(monkeypatch):
    mean_loss = precision.mean_loss

    def refuse_bf16(model, batch, loss, precision_name):
        if precision_name == "bf16":
            raise RuntimeError("not implemented for 'BFloat16'")
        return mean_loss(model, batch, loss, precision_name)

    monkeypatch.setattr(precision, "mean_loss", refuse_bf16)
    assert build().config.precision == "fp32"
    monkeypatch.setattr(precision, "mean_loss", lambda *_: pytest.fail("timed again"))
    assert build().config.precision == "fp32"


def test_channels_last_gives_the_same_weights_up_to_rounding():
    plain, channels_last = (
        train_one_epoch(build(memory_format=memory_format, optimizer="nesterov"))
        for memory_format in ("contiguous", "channels-last")
    )
    for name, value in plain.items():
        torch.testing.assert_close(value, channels_last[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["nesterov", "adam", "muon"])
def test_state_in_another_memory_format_resumes_to_the_same_bits(optimizer):
    """Fused kernels require the same memory format for weights and momentum."""
    uninterrupted, stopped = (build(memory_format="channels-last", optimizer=optimizer) for _ in range(2))
    batches = list(uninterrupted.train.epoch(0))
    for batch in batches:
        uninterrupted.step(uninterrupted.state, batch, uninterrupted.loss)
    for batch in batches[:2]:
        stopped.step(stopped.state, batch, stopped.loss)
    tensors, plain = stopped.state.dump()
    resumed = build(memory_format="channels-last", optimizer=optimizer)
    resumed.state.load({name: value.clone().contiguous() for name, value in tensors.items()}, plain)
    for batch in batches[2:]:
        resumed.step(resumed.state, batch, resumed.loss)
    for name, value in uninterrupted.state.model.state_dict().items():
        assert torch.equal(value, resumed.state.model.state_dict()[name]), name


@pytest.mark.parametrize(("training_precision", "expected"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_validation_uses_the_precision_of_training(training_precision, expected):
    assembly = build(precision=training_precision, memory_format="contiguous", epochs=1)
    dtypes: list[torch.dtype] = []
    last = list(assembly.state.model.modules())[-1]
    last.register_forward_hook(lambda precision, _, y: None if precision.training else dtypes.append(y.dtype))
    epoch = [event for event in fit_assembly(assembly, make_scorer) if isinstance(event, EpochEnd)][-1]
    assert set(dtypes) == {expected}
    exact = make_scorer(assembly.spec, assembly.loss, ["accuracy"])(assembly.state.model, assembly.validation)
    assert dtypes[-1] == torch.float32
    assert epoch.scores["loss"] == pytest.approx(exact["loss"], rel=0.02)


def test_regression_is_validated_in_float32():
    data = images()
    data = Dataset("lines", Spec("regression", (1, 12, 12)), data.x, data.y[:, None].astype(np.float32))
    assert not build(data, precision="bf16").validates_in_bf16
    assert build(precision="bf16").validates_in_bf16


def test_a_frozen_body_is_timed_without_its_backward_pass():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2))
    spec = Spec("classification", (1, 8, 8), classes=("a", "b"))
    choice = Choice(name="lenet")
    keys = set()
    for mode in (None, "all", "head"):
        with frozen_for_good(model, mode):
            keys.add(hash_trial(choice, model, spec.shape, 4))
            assert model[0].weight.requires_grad == (mode != "head")
    assert len(keys) == 2
    assert all(p.requires_grad for p in model.parameters())
