"""The stacked executor: every job ends as in its serial training."""

import itertools

import numpy as np
import pytest
import torch

from yisheng.core.choice import IN_MEMORY
from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec
from yisheng.experiments import load_data
from yisheng.search.executors.serial import train_serial
from yisheng.search.executors.stacked import batches, update
from yisheng.search.executors.stacked.train import train_stacked
from yisheng.search.jobs import Job

SETTINGS = ({"lr": 0.003}, {"lr": 0.03}, {"lr": 0.03, "weight_decay": 0.1})


def dataset(task="regression", n=70, weights=False):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, 7)).astype(np.float32)
    score = x @ rng.normal(size=(7, 2)) + 0.1 * rng.normal(size=(n, 2))
    y, classes = score[:, :1].astype(np.float32), ()
    if task == "classification":
        y, classes = (score[:, 0] > 0).astype(np.int64) + (score[:, 1] > 2), ("a", "b", "c")
    if task == "multilabel":
        y, classes = (score > 0).astype(np.float32), ("p", "q")
    weight = rng.uniform(0.5, 2, n).astype(np.float32) if weights else None
    return Dataset("made", Spec(task, (7,), classes), x, y, weight=weight)


def table(n=70):
    """Return a table whose rare categories differ between folds, so that the networks differ in their inputs."""
    rng = np.random.default_rng(1)
    categories = rng.permutation(n) % 20
    x = np.stack([rng.normal(size=n), categories], 1).astype(np.float32)
    columns = (Column("size"), Column("kind", "category", tuple("abcdefghijklmnopqrst")))
    return Dataset(
        "made", Spec("regression", (2,), columns=columns), x, (x[:, :1] - categories[:, None]).astype(np.float32)
    )


def images(n=40, side=8):
    rng = np.random.default_rng(2)
    x = rng.integers(0, 256, (n, 1, side, side), dtype=np.uint8)
    return Dataset("made", Spec("classification", (1, side, side), ("a", "b")), x, rng.integers(0, 2, n))


def config(**options):
    values = {
        "data": IN_MEMORY,
        "epochs": 3,
        "batch": 16,
        "model": "mlp",
        "hidden": "5",
        "precision": "fp64",
        **options,
    }
    if values["model"] != "mlp":
        del values["hidden"]
    return merge_settings([(key, value, "command line") for key, value in values.items()]).config


def jobs(data, settings=SETTINGS, folds=3, **options):
    """Return all settings on all folds; without folds, on the validation part."""
    built = []
    for fold in [{"fold": f"{i}/{folds}"} for i in range(1, folds + 1)] if folds else [{}]:
        split = None
        for number, setting in enumerate(settings):
            values = config(**{**options, **fold, **setting})
            split = load_data.split_dataset(values, data) if split is None or "seed" in setting else split
            built.append(Job(f"{number}/{fold.get('fold', 0)}", values, split))
    return built


def train_both(built, data, **options):
    serial, stacked = (
        {o.key: o for o in outcomes} for outcomes in (train_serial(built, data), train_stacked(built, data, **options))
    )
    assert sorted(serial) == sorted(stacked) == sorted(job.key for job in built)
    return [(serial[job.key], stacked[job.key]) for job in built]


def require_equal(pairs, tolerance=1e-9):
    for serial, stacked in pairs:
        assert (stacked.executor, stacked.epoch, stacked.failure) == ("stacked", serial.epoch, "")
        assert stacked.scores == pytest.approx(dict(serial.scores), rel=tolerance)
        assert stacked.history == pytest.approx(serial.history, rel=tolerance)
        assert list(stacked.weights) == list(serial.weights)
        for name, weight in serial.weights.items():
            assert stacked.weights[name].dtype == weight.dtype
            torch.testing.assert_close(stacked.weights[name], weight, rtol=tolerance, atol=tolerance)


NETWORKS = {
    "linear": {"model": "linear"},
    "two-layers": {"hidden": "6,4", "activation": "scaled-sigmoid"},
    "dropout": {"hidden": "6,4", "dropout": 0.4},
    "batch-norm": {"hidden": "6,4", "batch_norm": True},
    "both": {"hidden": "6", "batch_norm": True, "dropout": 0.4},
}
OPTIMIZERS = ("sgd", "momentum", "nesterov", "rmsprop", "adam", "adamw")


@pytest.mark.parametrize("options", NETWORKS.values(), ids=NETWORKS)
def test_every_model_ends_as_in_serial_training(options):
    data = dataset()
    require_equal(train_both(jobs(data, optimizer="adam", **options), data))


def test_each_model_has_its_own_l1_penalty():
    data = dataset()
    settings = ({"l1": 0.0}, {"l1": 0.001}, {"l1": 0.1, "lr": 0.03})
    pairs = train_both(jobs(data, settings, optimizer="sgd", patience=1, folds=0), data)
    require_equal(pairs)
    norms = [float(serial.weights["linear1.weight"].abs().sum()) for serial, _ in pairs]
    assert norms[0] > norms[1] > norms[2]


def test_l1_is_added_to_models_with_columns_of_zeros():
    data = table()
    require_equal(train_both(jobs(data, ({"l1": 0.01}, {"l1": 0.1})), data))


@pytest.mark.parametrize("weights", [0, 10**9], ids=("torch", "from_scratch"))
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_both_updates_match_every_optimizer(optimizer, weights, monkeypatch):
    monkeypatch.setattr(update, "MAX_FROM_SCRATCH_WEIGHTS", dict.fromkeys(update.MAX_FROM_SCRATCH_WEIGHTS, weights))
    data = dataset()
    different = {"betas": "0.8,0.95"} if "adam" in optimizer else {"weight_decay": 0.01}
    settings = ({"lr": 0.01}, {"lr": 0.02, "weight_decay": 0.1}, {"lr": 0.02, **different})
    require_equal(train_both(jobs(data, settings, optimizer=optimizer, schedule="one-cycle"), data))


@pytest.mark.parametrize(
    "options",
    [
        {"clip_norm": 0.05},
        {"clip_value": 0.01, "clip_norm": 0.02},
        {"loss": "huber"},
        {"decay_bias": True},
        {"l1": 0.01},
        {"l1": 0.01, "decay_bias": True, "clip_norm": 0.05},
    ],
    ids=str,
)
def test_clipping_losses_and_decay(options):
    data = dataset()
    require_equal(train_both(jobs(data, optimizer="momentum", **options), data))


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_classification_and_multilabel(task):
    data = dataset(task)
    balanced = {"class_weight": "balanced"} if task == "classification" else {"pos_weight": "balanced"}
    require_equal(train_both(jobs(data, optimizer="sgd", **balanced), data))
    require_equal(train_both(jobs(data, optimizer="sgd", smoothing=0.1), data))


def test_sample_weights():
    data = dataset(weights=True)
    require_equal(train_both(jobs(data), data))


def test_seeds_and_initial_weights_may_differ():
    data = dataset()
    settings = (
        {"seed": 0},
        {"seed": 1},
        {"seed": 1, "init": "xavier-uniform"},
        {"seed": 1, "lr": 0.02, "init_linear": "zeros"},
    )
    require_equal(train_both(jobs(data, settings, folds=2, dropout=0.3), data))


def test_folds_may_differ_in_the_number_of_inputs():
    data = table()
    built = jobs(data, model="linear", scale="columns")
    pairs = train_both(built, data)
    require_equal(pairs)
    assert len({serial.weights["output.weight"].shape for serial, _ in pairs}) > 1


def test_any_network_is_stacked_by_vmap():
    data = images()
    require_equal(train_both(jobs(data, folds=2, model="lenet", epochs=2), data))


def test_layer_with_its_own_backward_is_stacked_by_vmap():
    data = images(side=12)
    require_equal(train_both(jobs(data, folds=2, model="lenet", style="classic", epochs=2), data))


@pytest.mark.parametrize("reason", ["augmented", "not cached"])
def test_batches_that_are_not_cached(reason, monkeypatch):
    data = images()
    monkeypatch.setattr(batches, "MIN_FREE_MEMORY_RATIO", 10**12 if reason == "not cached" else 4)
    augment = {"augment": "flip"} if reason == "augmented" else {}
    require_equal(train_both(jobs(data, folds=2, model="linear", epochs=2, **augment), data))


@pytest.mark.parametrize("chunk", [1, 2, 4, 100])
def test_chunks_change_nothing(chunk):
    data = dataset()
    require_equal(train_both(jobs(data, optimizer="adam", dropout=0.2), data, chunk=chunk))


@pytest.mark.parametrize("weights", [0, 10**9], ids=["torch", "from_scratch"])
@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_patience_ends_each_job_separately(optimizer, weights, monkeypatch):
    monkeypatch.setattr(update, "MAX_FROM_SCRATCH_WEIGHTS", dict.fromkeys(update.MAX_FROM_SCRATCH_WEIGHTS, weights))
    data = dataset()
    settings = tuple({"lr": lr, "seed": seed} for lr, seed in itertools.product((1e-4, 0.02, 0.1), (0, 1)))
    built = jobs(data, settings, folds=0, optimizer=optimizer, epochs=25, patience=2, dropout=0.2, batch_norm=True)
    pairs = train_both(built, data)
    require_equal(pairs)
    assert len({len(serial.history) for serial, _ in pairs}) > 2
    assert any(serial.epoch < len(serial.history) for serial, _ in pairs)


def test_validation_part_may_be_empty():
    data = dataset()
    pairs = train_both(jobs(data, folds=0, validation=0), data)
    require_equal(pairs)
    assert all(serial.scores == {} for serial, _ in pairs)


def test_non_finite_job_does_not_affect_the_others():
    data = dataset()
    built = jobs(data, ({"lr": 0.01}, {"lr": 1e200}, {"lr": 0.02}), optimizer="sgd")
    pairs = train_both(built, data)
    require_equal([pair for pair in pairs if not pair[0].key.startswith("1/")])
    failed = [pair for pair in pairs if pair[0].key.startswith("1/")]
    assert len(failed) == 3
    for serial, stacked in failed:
        assert serial.failure
        assert stacked.failure == "the numbers became non-finite in epoch 1"
        assert (stacked.scores, stacked.epoch, stacked.executor) == ({}, 0, "stacked")


def test_single_precision_differs_by_rounding_only():
    data = dataset()
    require_equal(train_both(jobs(data, precision="fp32", optimizer="adam"), data), tolerance=1e-4)


@pytest.mark.parametrize(
    "options",
    [{"weights": "some.pth"}, {"scratch": True}, {"accumulate": 2}, {"precision": "bf16"}, {"model": "tabm"}],
    ids=str,
)
def test_jobs_that_cannot_be_stacked_are_refused(options):
    data = dataset()
    with pytest.raises(UsageError, match="cannot be stacked"):
        next(train_stacked(jobs(data, **options), data))


def test_chunk_of_zero_is_refused():
    with pytest.raises(UsageError, match="chunk must be 1 or more, got 0"):
        next(train_stacked([], dataset(), chunk=0))


def test_closing_the_iterator_does_not_wait():
    data = dataset()
    threads = torch.get_num_threads()
    built = jobs(data, ({"lr": 1e200}, {"lr": 1e-6}), folds=0, optimizer="sgd", epochs=10**8)
    outcomes = train_stacked(built, data, chunk=1)
    assert next(outcomes).failure
    outcomes.close()  # the other job would take years
    assert torch.get_num_threads() == threads


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("options", [{"model": "linear"}, {"hidden": "64"}], ids=str)
def test_house_prices(options):
    settings = tuple(
        {"lr": lr, "weight_decay": weight_decay} for lr, weight_decay in itertools.product((0.001, 0.01), (0.0, 0.01))
    )
    data = load_data.load_dataset(config(data="house-prices"))
    built = jobs(data, settings, folds=5, optimizer="adam", batch=64, epochs=2, **options)
    require_equal(train_both(built, data))
