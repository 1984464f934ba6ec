"""Many trainings in one pass: each ends as it ends alone."""

import itertools

import numpy as np
import pytest
import torch

from yisheng.core.config import IN_MEMORY, resolve
from yisheng.core.errors import UsageError
from yisheng.core.types import Column, Dataset, Spec
from yisheng.experiments import load_data
from yisheng.search.executors.serial import serial
from yisheng.search.executors.stacked import batches, update
from yisheng.search.executors.stacked.train import stacked
from yisheng.search.jobs import Job

SETTINGS = ({"lr": 0.003}, {"lr": 0.03}, {"lr": 0.03, "wd": 0.1})


def dataset(task="regression", n=70, weights=False):
    draw = np.random.default_rng(0)
    x = draw.normal(size=(n, 7)).astype(np.float32)
    score = x @ draw.normal(size=(7, 2)) + 0.1 * draw.normal(size=(n, 2))
    y, classes = score[:, :1].astype(np.float32), ()
    if task == "classification":
        y, classes = (score[:, 0] > 0).astype(np.int64) + (score[:, 1] > 2), ("a", "b", "c")
    if task == "multilabel":
        y, classes = (score > 0).astype(np.float32), ("p", "q")
    weight = draw.uniform(0.5, 2, n).astype(np.float32) if weights else None
    return Dataset("made", Spec(task, (7,), classes), x, y, weight=weight)


def table(n=70):
    """Of its rare levels other ones are seldom enough to be pooled in every fold: networks differ in their inputs."""
    draw = np.random.default_rng(1)
    levels = draw.permutation(n) % 20
    x = np.stack([draw.normal(size=n), levels], 1).astype(np.float32)
    columns = (Column("size"), Column("kind", "category", tuple("abcdefghijklmnopqrst")))
    return Dataset(
        "made", Spec("regression", (2,), columns=columns), x, (x[:, :1] - levels[:, None]).astype(np.float32)
    )


def images(n=40, side=8):
    draw = np.random.default_rng(2)
    x = draw.integers(0, 256, (n, 1, side, side), dtype=np.uint8)
    return Dataset("made", Spec("classification", (1, side, side), ("a", "b")), x, draw.integers(0, 2, n))


def config(**options):
    chosen = {
        "data": IN_MEMORY,
        "epochs": 3,
        "batch": 16,
        "model": "mlp",
        "hidden": "5",
        "precision": "fp64",
        **options,
    }
    if chosen["model"] != "mlp":
        del chosen["hidden"]
    return resolve([(key, value, "command line") for key, value in chosen.items()]).config


def jobs(data, settings=SETTINGS, folds=3, **options):
    """All settings on all folds; without folds, on the one part that is held out."""
    found = []
    for fold in [{"fold": f"{i}/{folds}"} for i in range(1, folds + 1)] if folds else [{}]:
        split = None
        for number, setting in enumerate(settings):
            chosen = config(**{**options, **fold, **setting})
            split = load_data.split(chosen, data) if split is None or "seed" in setting else split
            found.append(Job(f"{number}/{fold.get('fold', 0)}", chosen, split))
    return found


def both(found, data, **how):
    alone, together = ({o.key: o for o in way} for way in (serial(found, data), stacked(found, data, **how)))
    assert sorted(alone) == sorted(together) == sorted(job.key for job in found)
    return [(alone[job.key], together[job.key]) for job in found]


def require_equal(pairs, tolerance=1e-9):
    for alone, together in pairs:
        assert (together.how, together.epoch, together.failure) == ("stacked", alone.epoch, "")
        assert together.scores == pytest.approx(dict(alone.scores), rel=tolerance)
        assert together.history == pytest.approx(alone.history, rel=tolerance)
        assert list(together.weights) == list(alone.weights)
        for name, weight in alone.weights.items():
            assert together.weights[name].dtype == weight.dtype
            torch.testing.assert_close(together.weights[name], weight, rtol=tolerance, atol=tolerance)


NETWORKS = {
    "linear": {"model": "linear"},
    "two-layers": {"hidden": "6,4", "activation": "scaled-sigmoid"},
    "dropout": {"hidden": "6,4", "dropout": 0.4},
    "batch-norm": {"hidden": "6,4", "batch_norm": True},
    "both": {"hidden": "6", "batch_norm": True, "dropout": 0.4},
}
OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_every_model_ends_as_alone(options):
    data = dataset()
    require_equal(both(jobs(data, optimizer="adam", **options), data))


@pytest.mark.parametrize("lifted", [0, 10**9], ids=("grouped", "lifted"))
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_either_way_of_updating_is_that_of_every_optimizer(optimizer, lifted, monkeypatch):
    monkeypatch.setattr(update, "LIFTED_UP_TO", dict.fromkeys(update.LIFTED_UP_TO, lifted))
    data = dataset()
    others = {"betas": "0.8,0.95"} if "adam" in optimizer else {"wd": 0.01}
    settings = ({"lr": 0.01}, {"lr": 0.02, "wd": 0.1}, {"lr": 0.02, **others})
    require_equal(both(jobs(data, settings, optimizer=optimizer, schedule="one-cycle"), data))


@pytest.mark.parametrize(
    "options",
    [{"clip_norm": 0.05}, {"clip_value": 0.01, "clip_norm": 0.02}, {"loss": "huber"}, {"decay_bias": True}],
    ids=str,
)
def test_what_else_an_update_can_be(options):
    data = dataset()
    require_equal(both(jobs(data, optimizer="momentum", **options), data))


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_classes_and_labels(task):
    data = dataset(task)
    balanced = {"class_weight": "balanced"} if task == "classification" else {"pos_weight": "balanced"}
    require_equal(both(jobs(data, optimizer="sgd", **balanced), data))
    require_equal(both(jobs(data, optimizer="sgd", smoothing=0.1), data))


def test_sample_weights():
    data = dataset(weights=True)
    require_equal(both(jobs(data), data))


def test_seeds_and_first_weights_may_differ():
    data = dataset()
    settings = (
        {"seed": 0},
        {"seed": 1},
        {"seed": 1, "init": "xavier-uniform"},
        {"seed": 1, "lr": 0.02, "init_linear": "zeros"},
    )
    require_equal(both(jobs(data, settings, folds=2, dropout=0.3), data))


def test_folds_whose_inputs_differ_in_number():
    data = table()
    found = jobs(data, model="linear", scale="columns")
    pairs = both(found, data)
    require_equal(pairs)
    assert len({alone.weights["output.weight"].shape for alone, _ in pairs}) > 1


def test_any_network_is_lifted():
    data = images()
    require_equal(both(jobs(data, folds=2, model="lenet", epochs=2), data))


def test_a_layer_with_a_way_back_of_its_own_is_lifted():
    data = images(side=12)
    require_equal(both(jobs(data, folds=2, model="lenet", style="classic", epochs=2), data))


@pytest.mark.parametrize("way", ["augmented", "not kept"])
def test_batches_that_are_made_each_time(way, monkeypatch):
    data = images()
    monkeypatch.setattr(batches, "SHARE", 10**12 if way == "not kept" else 4)
    more = {"augment": "flip"} if way == "augmented" else {}
    require_equal(both(jobs(data, folds=2, model="linear", epochs=2, **more), data))


@pytest.mark.parametrize("chunk", [1, 2, 4, 100])
def test_chunks_change_nothing(chunk):
    data = dataset()
    require_equal(both(jobs(data, optimizer="adam", dropout=0.2), data, chunk=chunk))


@pytest.mark.parametrize("lifted", [0, 10**9], ids=["grouped", "lifted"])
@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_patience_ends_each_model_on_its_own(optimizer, lifted, monkeypatch):
    monkeypatch.setattr(update, "LIFTED_UP_TO", dict.fromkeys(update.LIFTED_UP_TO, lifted))
    data = dataset()
    settings = tuple({"lr": lr, "seed": seed} for lr, seed in itertools.product((1e-4, 0.02, 0.1), (0, 1)))
    found = jobs(data, settings, folds=0, optimizer=optimizer, epochs=25, patience=2, dropout=0.2, batch_norm=True)
    pairs = both(found, data)
    require_equal(pairs)
    assert len({len(alone.history) for alone, _ in pairs}) > 2
    assert any(alone.epoch < len(alone.history) for alone, _ in pairs)


def test_scores_need_no_validation_part():
    data = dataset()
    pairs = both(jobs(data, folds=0, validation=0), data)
    require_equal(pairs)
    assert all(alone.scores == {} for alone, _ in pairs)


def test_a_model_whose_numbers_become_infinite_fails_alone():
    data = dataset()
    found = jobs(data, ({"lr": 0.01}, {"lr": 1e200}, {"lr": 0.02}), optimizer="sgd")
    pairs = both(found, data)
    require_equal([pair for pair in pairs if not pair[0].key.startswith("1/")])
    failed = [pair for pair in pairs if pair[0].key.startswith("1/")]
    assert len(failed) == 3
    for alone, together in failed:
        assert alone.failure
        assert together.failure == "the numbers became non-finite in epoch 1"
        assert (together.scores, together.epoch, together.how) == ({}, 0, "stacked")


def test_in_single_precision_they_differ_by_rounding_alone():
    data = dataset()
    require_equal(both(jobs(data, precision="fp32", optimizer="adam"), data), tolerance=1e-4)


@pytest.mark.parametrize(
    "options",
    [{"weights": "some.pth"}, {"scratch": True}, {"accumulate": 2}, {"precision": "bf16"}, {"model": "tabm"}],
    ids=str,
)
def test_what_cannot_be_one_is_refused(options):
    data = dataset()
    with pytest.raises(UsageError, match="cannot be trained as one"):
        next(stacked(jobs(data, **options), data))


def test_a_chunk_of_none_is_refused():
    with pytest.raises(UsageError, match="chunk must be 1 or more, got 0"):
        next(stacked([], dataset(), chunk=0))


def test_who_stops_listening_does_not_wait():
    data = dataset()
    threads = torch.get_num_threads()
    found = jobs(data, ({"lr": 1e200}, {"lr": 1e-6}), folds=0, optimizer="sgd", epochs=10**8)
    outcomes = stacked(found, data, chunk=1)
    assert next(outcomes).failure
    outcomes.close()  # the other one has years before it
    assert torch.get_num_threads() == threads


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("options", [{"model": "linear"}, {"hidden": "64"}], ids=str)
def test_house_prices(options):
    settings = tuple({"lr": lr, "wd": wd} for lr, wd in itertools.product((0.001, 0.01), (0.0, 0.01)))
    data = load_data.dataset(config(data="house-prices"))
    found = jobs(data, settings, folds=5, optimizer="adam", batch=64, epochs=2, **options)
    require_equal(both(found, data))
