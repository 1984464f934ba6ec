"""How a network computes: tried once, remembered, and never a change of what is learnt."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from yisheng.core import machine
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.core.types import Dataset, EpochEnd, Spec, Split
from yisheng.data.hub import locations
from yisheng.evaluation.scorer import make_scorer
from yisheng.training import threads
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training import precision as module
from yisheng.training.setup import assemble

CPU = torch.device("cpu")


def images(n: int = 96) -> Dataset:
    random = np.random.default_rng(0)
    y = random.integers(3, size=n)
    x = random.integers(256, size=(n, 1, 12, 12)).astype(np.uint8)
    x[np.arange(n), 0, y * 4] = 255
    return Dataset("lines", Spec("classification", (1, 12, 12), classes=("a", "b", "c")), x, y)


def made(data: Dataset | None = None, device: torch.device = CPU, **settings: object):
    data = data or images()
    rows = np.arange(len(data.x))
    split = Split(rows[:80], rows[80:], rows[:0])
    given = {"model": "lenet", "batch": 16, "epochs": 2, **settings}
    config = merge_settings([(key, value, "command line") for key, value in given.items()]).config
    return assemble(config, data, split, device)


def trained(assembly):
    for batch in assembly.train.epoch(0):
        assembly.step(assembly.state, batch, assembly.loss)
    return assembly.state.model.state_dict()


@pytest.fixture
def eager(monkeypatch):
    """Every training is worth a trial, on any processor."""
    monkeypatch.setattr(module, "MIN_TRAINING_MULTIPLICATIONS", 0)
    monkeypatch.setattr(machine, "has_bfloat16", lambda _: True)


def test_a_short_training_is_computed_plainly_and_nothing_is_tried():
    assembly = made()
    assert (assembly.config.precision, assembly.config.memory_format) == ("fp32", "contiguous")
    assert not (locations.get_cache_folder() / "precision_search.json").exists()


@pytest.mark.usefixtures("eager")
def test_all_four_ways_are_tried_once_and_remembered(monkeypatch):
    first = made()
    (seconds,) = json.loads((locations.get_cache_folder() / "precision_search.json").read_text()).values()
    assert set(seconds) == {
        *("fp32, contiguous", "fp32, channels-last"),
        *("bf16, contiguous", "bf16, channels-last"),
    }
    monkeypatch.setattr(module, "_time_formats", lambda *_: pytest.fail("tried again"))
    again = made()
    for key in ("precision", "memory_format"):
        assert getattr(first.config, key) == getattr(again.config, key)


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ([1.0, 0.5, 0.9, 0.4], ("bf16", "channels-last")),
        ([1.0, 0.5, 0.9, 0.6], ("fp32", "channels-last")),
        ([1.0, 1.1, 0.6, 0.9], ("bf16", "contiguous")),
        ([1.0, 0.97, 0.96, 0.98], ("fp32", "contiguous")),  # not worth another rounding
    ],
)
def test_the_fastest_is_taken_where_it_is_clearly_faster(monkeypatch, seconds, chosen):
    monkeypatch.setattr(
        module,
        "_timed",
        lambda model, batch, loss, asked: dict(zip([", ".join(one) for one in asked], seconds, strict=True)),
    )
    assembly = made()
    assert (assembly.config.precision, assembly.config.memory_format) == chosen
    assert bool(assembly.notes) == (chosen != module.DEFAULT_FORMAT)
    conv = assembly.state.model.conv2.weight
    assert conv.is_contiguous(memory_format=module.MEMORY_FORMATS[chosen[1]])


@pytest.mark.usefixtures("eager")
def test_a_trial_moves_no_weight_and_no_random_number():
    with_trial, plain = made(), made(precision="fp32", memory_format="contiguous")
    assert with_trial.notes or with_trial.config.precision == "fp32"
    for name, value in plain.state.model.state_dict().items():
        assert torch.equal(value, with_trial.state.model.state_dict()[name]), name


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("settings", [{"scratch": True, "style": "classic"}, {"fold": "1/2"}], ids=str)
def test_what_must_compute_plainly_is_not_tried(settings):
    assembly = made(**settings)
    assert (assembly.config.precision, assembly.config.memory_format) == module.DEFAULT_FORMAT


@pytest.mark.usefixtures("eager")
def test_numbers_are_predicted_in_full_precision():
    data = images()
    spec = Spec("regression", (1, 12, 12))
    numbers = Dataset("numbers", spec, data.x, data.y[:, None].astype(np.float32))
    assert made(numbers).config.precision == "fp32"


def test_a_gpu_without_double_precision_is_refused():
    with pytest.raises(UsageError, match="fp64"):
        made(precision="fp64", device=torch.device("mps"))


def test_double_precision_is_computed_as_it_is_asked_for():
    assembly = made(precision="fp64")
    trained(assembly)
    assert assembly.state.model.conv1.weight.dtype == torch.float64


@pytest.mark.usefixtures("eager")
def test_what_cannot_be_remembered_is_not_tried(monkeypatch):
    locations.get_cache_folder().parent.mkdir(parents=True, exist_ok=True)
    locations.get_cache_folder().write_text("not a folder")
    monkeypatch.setattr(module, "_time_formats", lambda *_: pytest.fail("tried"))
    assembly = made()
    assert (assembly.config.precision, assembly.config.memory_format) == module.DEFAULT_FORMAT


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("value", [None, "fast", -1.0, 0, True, [1.0], float("nan")], ids=str)
def test_what_stands_damaged_in_the_memory_is_tried_again(value):
    made()
    path = locations.get_cache_folder() / "precision_search.json"
    ((key, seconds),) = json.loads(path.read_text()).items()
    path.write_text(json.dumps({key: {**seconds, "fp32, contiguous": value}}))
    made()
    ((_, seconds),) = json.loads(path.read_text()).items()
    assert seconds["fp32, contiguous"] > 0


@pytest.mark.usefixtures("eager")
def test_trainings_that_begin_at_once_try_once_and_compute_alike(monkeypatch):
    tried, true = [], module._time_formats

    def slow(*arguments):
        tried.append(1)
        time.sleep(0.2)
        return true(*arguments)

    monkeypatch.setattr(module, "_time_formats", slow)
    with ThreadPoolExecutor(3) as pool:
        paces = list(pool.map(lambda _: module.search_precision(*asked()), range(3)))
    assert len(tried) == 1
    assert len({(one.precision, one.memory_format) for one in paces}) == 1


def asked():
    """What `pace` is asked with."""
    whole = made(precision="fp32", memory_format="contiguous")
    config = whole.config.model_copy(update={"precision": "auto", "memory_format": "auto"})
    return config, whole.state.model, whole.spec, whole.train, whole.loss, 10


@pytest.mark.usefixtures("eager")
def test_a_layer_that_does_not_bear_a_way_is_computed_in_another(monkeypatch):
    true = module.mean_loss

    def refusing(model, batch, loss, precision):
        if precision == "bf16":
            raise RuntimeError("not implemented for 'BFloat16'")
        return true(model, batch, loss, precision)

    monkeypatch.setattr(module, "mean_loss", refusing)
    assert made().config.precision == "fp32"
    monkeypatch.setattr(module, "mean_loss", lambda *_: pytest.fail("tried again"))
    assert made().config.precision == "fp32"


def test_channels_last_learns_the_same_up_to_rounding():
    plain, other = (trained(made(memory_format=one, optimizer="nesterov")) for one in ("contiguous", "channels-last"))
    for name, value in plain.items():
        torch.testing.assert_close(value, other[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("optimizer", ["nesterov", "adam", "muon"])
def test_a_state_in_another_memory_format_goes_on_to_the_same_bits(optimizer):
    """Fused kernels walk through weights and velocities side by side: both must lie alike in memory."""
    through, stopped = (made(memory_format="channels-last", optimizer=optimizer) for _ in range(2))
    batches = list(through.train.epoch(0))
    for batch in batches:
        through.step(through.state, batch, through.loss)
    for batch in batches[:2]:
        stopped.step(stopped.state, batch, stopped.loss)
    tensors, plain = stopped.state.dump()
    resumed = made(memory_format="channels-last", optimizer=optimizer)
    resumed.state.load({name: value.clone().contiguous() for name, value in tensors.items()}, plain)
    for batch in batches[2:]:
        resumed.step(resumed.state, batch, resumed.loss)
    for name, value in through.state.model.state_dict().items():
        assert torch.equal(value, resumed.state.model.state_dict()[name]), name


def test_as_many_threads_fewer_as_others_keep_cores_busy(monkeypatch):
    assembly = made(batch=80)
    monkeypatch.setattr(threads, "count_useful_threads", lambda _: 8)
    monkeypatch.setattr(machine, "count_cores", lambda: 8)
    monkeypatch.setattr(machine, "busy_cores", lambda: 2.6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads.count_free_threads(assembly) == (5, "other programs keep 2.6 of 8 cores busy: 5 left to train on")
    monkeypatch.setattr(machine, "busy_cores", lambda: 0.4)
    assert threads.count_free_threads(assembly) == (8, "")
    monkeypatch.setattr(machine, "busy_cores", lambda: 9.0)
    assert threads.count_free_threads(assembly)[0] == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert threads.count_free_threads(assembly) == (8, "")  # the user is obeyed


@pytest.mark.parametrize(("precision", "wanted"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_validation_computes_as_the_training_does(precision, wanted):
    assembly = made(precision=precision, memory_format="contiguous", epochs=1)
    seen: list[torch.dtype] = []
    last = list(assembly.state.model.modules())[-1]
    last.register_forward_hook(lambda module, _, y: None if module.training else seen.append(y.dtype))
    epoch = [event for event in fit_assembly(assembly, make_scorer) if isinstance(event, EpochEnd)][-1]
    assert set(seen) == {wanted}
    exact = make_scorer(assembly.spec, assembly.loss, ["accuracy"])(assembly.state.model, assembly.validation)
    assert seen[-1] == torch.float32
    assert epoch.scores["loss"] == pytest.approx(exact["loss"], rel=0.02)


def test_numbers_are_validated_in_full():
    data = images()
    data = Dataset("lines", Spec("regression", (1, 12, 12)), data.x, data.y[:, None].astype(np.float32))
    assert not made(data, precision="bf16").validates_in_bf16
    assert made(precision="bf16").validates_in_bf16
