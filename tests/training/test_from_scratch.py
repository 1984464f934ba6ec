"""From-scratch training gives the losses of every step and the weights of the library form."""

import numpy as np
import pytest
import torch

from yisheng import models
from yisheng.core.choice import IN_MEMORY
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec
from yisheng.experiments.load_data import split_dataset
from yisheng.models.activations import ACTIVATIONS
from yisheng.training import checkpoint, from_scratch
from yisheng.training.loop import fit
from yisheng.training.setup import assemble

CPU = torch.device("cpu")
EPOCHS = 3


def table(task="classification", n=61):
    random = np.random.default_rng(0)
    x = random.normal(size=(n, 5)).astype(np.float32)
    signal = np.stack([x[:, 0] + x[:, 1] ** 2, x[:, 2] - x[:, 3], x.sum(1)], axis=1)
    if task == "multilabel":
        return Dataset("t", Spec(task, (5,), classes=("a", "b", "c")), x, (signal > 0).astype(np.float32))
    if task == "regression":
        return Dataset("t", Spec(task, (5,), outputs=2), x, signal[:, :2].astype(np.float32))
    classes = ("a", "b", "c") if task == "classification" else ("no", "yes")
    return Dataset("t", Spec("classification", (5,), classes=classes), x, signal[:, : len(classes)].argmax(1))


def images(n=40):
    random = np.random.default_rng(0)
    x = random.integers(0, 256, (n, 2, 13, 14), np.uint8)
    x[:, :, :4] = 0  # an empty border, as in drawings: all maxima in it are equal
    return Dataset("p", Spec("classification", (2, 13, 14), classes=("a", "b", "c")), x, np.arange(n) % 3)


def build(data, *, scratch, **settings):
    values = {"data": IN_MEMORY, "model": "mlp", "hidden": "6,4", "batch": 8, "epochs": EPOCHS, "precision": "fp64"}
    values = {**values, **settings, "scratch": scratch}
    if values["model"] != "mlp":
        values.pop("hidden")
    config = merge_settings([(key, value, "command line") for key, value in values.items()]).config
    return assemble(config, data, split_dataset(config, data), CPU)


def events(assembly):
    return fit(
        assembly.state,
        assembly.train,
        assembly.validation,
        loss=assembly.loss,
        score=lambda model, batches: {},
        epochs=assembly.config.epochs,
        schedule=assembly.schedule,
        step=assembly.step,
    )


def trajectory(data, *, scratch, **settings):
    """Return the loss of every step and epoch, and the weights at the end."""
    assembly = build(data, scratch=scratch, **settings)
    losses = [float(event.loss) for event in events(assembly)]
    return torch.tensor(losses, dtype=torch.float64), assembly.state.model.state_dict()


def compare(data, **settings):
    """Return the largest relative difference of losses, and of weights, between the from-scratch and library form."""
    (scratch_losses, weights), (library_losses, library_weights) = (
        trajectory(data, scratch=scratch, **settings) for scratch in (True, False)
    )
    assert len(scratch_losses) == len(library_losses) >= 2 * EPOCHS
    assert list(weights) == list(library_weights)
    differences = [
        (weights[name].double() - library_weights[name].double()).abs().max() / library_weights[name].abs().max()
        for name in library_weights
    ]
    return float((scratch_losses - library_losses).abs().max() / library_losses.abs().max()), float(max(differences))


def require_close(differences, tolerance=1e-11):
    losses, weights = differences
    assert losses <= tolerance
    assert weights <= tolerance


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_mlp_with_every_activation(activation):
    require_close(compare(table(), activation=activation))


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "linear"},
        {"hidden": ""},
        {"dropout": 0.4},
        {"dropout": "0.2,0.5"},
        {"l1": 0.01},
        {"l1": 0.01, "decay_bias": True, "clip_norm": 0.5, "accumulate": 2, "batch": 4},
        {"batch_norm": True},
        {"batch_norm": True, "dropout": 0.3, "activation": "tanh", "decay_bias": True},
    ],
    ids=str,
)
def test_linear_and_mlp(settings):
    require_close(compare(table(), **settings))


@pytest.mark.parametrize("style", ["modern", "classic"])
def test_lenet(style):
    require_close(compare(images(), model="lenet", style=style, lr=0.05))


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
@pytest.mark.parametrize("weight_decay", [0, 0.1])
@pytest.mark.parametrize("optimizer", from_scratch.OPTIMIZERS)
def test_every_optimizer(optimizer, weight_decay, schedule):
    require_close(
        compare(table(), optimizer=optimizer, weight_decay=weight_decay, lr=0.02, schedule=schedule, batch_norm=True)
    )


LOSSES = [
    ("regression", {"loss": "mse"}),
    ("regression", {"loss": "half-mse"}),
    ("regression", {"loss": "l1"}),
    ("regression", {"loss": "huber", "delta": 0.3}),
    ("classification", {"loss": "cross-entropy"}),
    ("classification", {"loss": "cross-entropy", "smoothing": 0.1}),
    ("classification", {"loss": "cross-entropy", "class_weight": "balanced"}),
    ("classification", {"loss": "cross-entropy", "class_weight": "1,2,0.5", "smoothing": 0.2}),
    ("two classes", {"loss": "binary-cross-entropy"}),
    ("two classes", {"loss": "binary-cross-entropy", "pos_weight": "balanced", "smoothing": 0.1}),
    ("multilabel", {"loss": "binary-cross-entropy"}),
    ("multilabel", {"loss": "binary-cross-entropy", "pos_weight": 3}),
]


@pytest.mark.parametrize(("task", "settings"), LOSSES, ids=str)
def test_every_loss(task, settings):
    require_close(compare(table(task), **settings))


def test_every_registered_loss_is_tested_or_refused():
    from yisheng.core import registry
    from yisheng.core.choice import Choice

    refused = {"pinball"}
    assert {settings["loss"] for _, settings in LOSSES} | refused == set(registry.names("losses"))
    for name in refused:
        with pytest.raises(UsageError, match=name):
            from_scratch.build_loss(Choice(name=name), Spec("regression", (1,)), np.zeros((2, 1), np.float32))


def test_losses_of_soft_labels_match_the_library():
    from yisheng.core import registry
    from yisheng.core.choice import Choice

    spec = Spec("classification", (5,), classes=("a", "b", "c"))
    draw = torch.Generator().manual_seed(0)
    output = 9 * torch.randn(20, 3, generator=draw, dtype=torch.float64)
    soft = torch.rand(20, 3, generator=draw, dtype=torch.float64).softmax(1)
    options = {"smoothing": 0.1, "class_weight": (1.0, 0.0, 2.5)}
    scratch_loss = from_scratch.build_loss(Choice(name="cross-entropy", options=options), spec, np.arange(3))
    library_loss = registry.find("losses", "cross-entropy").build(spec, np.arange(3), **options)
    torch.testing.assert_close(scratch_loss(output, soft), library_loss(output, soft), rtol=1e-12, atol=1e-12)
    huge = torch.tensor([[1000.0, 0.0, -1000.0]], dtype=torch.float64)  # neither form overflows
    torch.testing.assert_close(
        scratch_loss(huge, torch.tensor([2])), library_loss(huge, torch.tensor([2])), rtol=1e-12, atol=0
    )


def test_accumulation_and_clipping():
    require_close(compare(table(), accumulate=2, clip_norm=0.5, clip_value=0.1, batch=4, dropout=0.2))


def test_single_precision_differs_by_rounding_only():
    losses, weights = compare(table(n=200), precision="fp32", batch_norm=True, dropout=0.2, epochs=10, lr=0.01)
    assert 0 < weights < 1e-3  # they do round differently
    assert losses < 1e-4


def test_different_optimizers_are_distinguished():
    nesterov, _ = trajectory(table(), scratch=True, optimizer="nesterov", lr=0.02, weight_decay=0)
    momentum, _ = trajectory(table(), scratch=False, optimizer="momentum", lr=0.02, weight_decay=0)
    assert float((nesterov - momentum).abs().max()) > 1e-4


def test_weights_can_be_loaded_into_the_library_form():
    assembly = build(images(), scratch=True, model="lenet", lr=0.05)
    for _ in events(assembly):
        pass
    library = build(images(), scratch=False, model="lenet", lr=0.05).state.model
    library.load_state_dict(assembly.state.model.state_dict())
    x = next(iter(assembly.validation)).x
    with torch.no_grad():
        outputs = [model.eval()(x) for model in (assembly.state.model, library)]
    torch.testing.assert_close(*outputs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("optimizer", from_scratch.OPTIMIZERS)
def test_training_resumes_from_a_checkpoint_to_the_same_bits(optimizer, tmp_path):
    settings = {"optimizer": optimizer, "dropout": 0.3, "batch_norm": True, "precision": "fp32", "lr": 0.01}
    uninterrupted = build(table(), scratch=True, **settings)
    losses = []
    for number, event in enumerate(events(uninterrupted)):
        losses.append(float(event.loss))
        if number == 6:  # in the middle of an epoch
            checkpoint.save(tmp_path, uninterrupted.state)
    resumed = build(table(), scratch=True, **settings)
    assert checkpoint.load(tmp_path, resumed.state)
    assert [float(event.loss) for event in events(resumed)] == losses[7:]
    resumed_tensors, expected_tensors = resumed.state.dump()[0], uninterrupted.state.dump()[0]
    assert set(resumed_tensors) == set(expected_tensors)
    assert [name for name in resumed_tensors if not torch.equal(resumed_tensors[name], expected_tensors[name])] == []
    steps = {state["t"] for state in resumed.state.optimizer.state.values()}
    assert steps == {uninterrupted.state.step}


@pytest.mark.parametrize(
    ("data", "settings", "message"),
    [
        (images, {"model": "resnet18"}, "model=resnet18 has no from-scratch form"),
        (table, {"model": "tabm"}, "model=tabm has no from-scratch form"),
        (table, {"precision": "bf16"}, "precision=bf16"),
        (table, {"batch": 1, "batch_norm": True}, "batch norm needs two rows"),
    ],
)
def test_config_without_from_scratch_form_is_refused(data, settings, message):
    with pytest.raises(UsageError, match=message):
        build(data(), scratch=True, **settings)


def test_loss_and_optimizer_of_a_plugin_are_refused():
    from yisheng.core.choice import Choice

    for build in (
        lambda choice: from_scratch.build_loss(choice, table().spec, np.arange(3)),
        lambda choice: from_scratch.build_optimizer(choice, []),
    ):
        with pytest.raises(UsageError, match="=lookahead has no from-scratch form") as caught:
            build(Choice(name="lookahead"))
        assert "remove scratch" in caught.value.remedy


def test_dropout_is_refused_on_other_devices():
    config = merge_settings([("model", "mlp", "command line"), ("dropout", 0.5, "command line")]).config
    model = models.build("mlp", table().spec, dropout=0.5)
    assert from_scratch.build_network(config, model)
    with pytest.raises(UsageError, match="scratch=true and dropout"):
        from_scratch.build_network(config, model.to("meta"))
