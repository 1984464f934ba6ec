"""Fine-tuning: frozen layers do not change, trained layers do, and a run resumes exactly."""

import itertools
import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from yisheng import models
from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.seeds import seed_everything
from yisheng.core.spec import Spec
from yisheng.data.batches import make_batches
from yisheng.models.head import find_head
from yisheng.optim.parameter_groups import make_parameter_groups
from yisheng.training import checkpoint
from yisheng.training.finetune import compute_pixel_scale, explain_scale_mismatch, freeze_before_step, plan_finetuning
from yisheng.training.loop import fit
from yisheng.training.state import State
from yisheng.training.update import make_update
from yisheng.transforms.imagenet import MEAN, STD, imagenet
from yisheng.transforms.none import none
from yisheng.transforms.standard import standard
from yisheng.transforms.unit import unit

CPU = torch.device("cpu")
OPTIMIZERS = {
    "momentum": lambda g: torch.optim.SGD(g, lr=0.05, momentum=0.9, weight_decay=0.1),
    "adamw": lambda g: torch.optim.AdamW(g, lr=0.01, weight_decay=0.1),
}


def net():
    return nn.Sequential(
        *(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3)),
        *(nn.Linear(8, 8), nn.BatchNorm1d(8, affine=False), nn.ReLU(), nn.Dropout(0.4)),
        nn.Linear(8, 2),
    )


def make(mode, epochs, optimizer="momentum", seed=0):
    """Return an initial state, batches, and the step of a plan."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(37, 5)).astype(np.float32)
    data = Dataset("d", Spec("classification", (5,), classes=("a", "b")), x, (x[:, 0] > 0).astype(np.int64))
    seed_everything(seed)
    model = net()
    torch_optimizer = OPTIMIZERS[optimizer](make_parameter_groups(model, head=find_head(model)[1]))
    for group in torch_optimizer.param_groups:
        group["initial_lr"] = group["lr"] * group["lr_scale"]
    train = make_batches(data, np.arange(37), size=8, scale=none(), target_scale=None, device=CPU, seed=seed)
    return State(model, torch_optimizer), train, freeze_before_step(make_update(), plan_finetuning(model, mode, epochs))


def loss(output, y):
    return nn.functional.cross_entropy(output, y, reduction="none")


def events(state, train, step, epochs):
    """Return the events of the loop, with a scorer that sets training mode for the whole model."""

    def score(model, valid):
        model.eval()
        model.train()
        return {}

    return fit(state, train, train, loss=loss, score=score, epochs=epochs, schedule=lambda *_: 1.0, step=step)


def values(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(module, initial):
    return {name for name, value in module.state_dict().items() if not torch.equal(value, initial[name])}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_only_the_head_changes(optimizer):
    """Neither weight decay, nor momentum, nor batch norm changes frozen layers."""
    state, train, step = make("head", 3, optimizer)
    initial = values(state.model)
    for _ in events(state, train, step, 3):
        assert all(p.grad is None for p in state.model[:8].parameters())
    assert moved(state.model, initial) == {"8.weight", "8.bias"}


def test_finetune_all_equals_plain_training():
    trainings = []
    for wrapped in (True, False):
        state, train, step = make("all", 2)
        losses = [float(event.loss) for event in events(state, train, step if wrapped else make_update(), 2)]
        trainings.append((losses, values(state.model)))
    assert trainings[0][0] == trainings[1][0]
    assert not moved(state.model, trainings[0][1])


def test_gradual_starts_with_the_head_and_ends_with_all_layers():
    state, train, step = make("gradual", 6)
    layers = {"0": "0.weight", "1": "1.running_mean", "4": "4.weight", "5": "5.running_mean", "8": "8.weight"}
    learned = []
    initial = values(state.model)
    for event in events(state, train, step, 6):
        if not hasattr(event, "batch"):
            changed = moved(state.model, initial)
            learned.append([layer for layer, key in layers.items() if key in changed])
            initial = values(state.model)
    assert learned == [["8"], ["4", "5", "8"], *[["0", "1", "4", "5", "8"]] * 4]


def test_dropout_is_off_in_frozen_layers_and_on_before_the_head():
    model = net()
    model.train()
    plan_finetuning(model, "head", 1).freeze(0)
    modes = {name: module.training for name, module in model.named_children()}
    assert [name for name, training in modes.items() if training] == ["6", "7", "8"]
    seed_everything(0)
    x = torch.randn(4, 5)
    features = [model[:6](x) for _ in range(2)]
    assert torch.equal(*features)
    model.train()
    plan_finetuning(model, "all", 1).freeze(0)
    assert all(module.training for module in model.modules())
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("mode", ["head", "gradual", "all"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_stopped_run_resumes_to_the_same_bits(tmp_path, mode, optimizer):
    state, train, step = make(mode, 6, optimizer)
    for _ in events(state, train, step, 6):
        pass
    for stop in (2, 7, 11, 16):
        part, train, step = make(mode, 6, optimizer)
        for event in events(part, train, step, 6):
            if event.step == stop:
                break
        folder = tmp_path / f"{stop}"
        checkpoint.save(folder, part)
        resumed, train, step = make(mode, 6, optimizer)
        seed_everything(99)
        assert checkpoint.load(folder, resumed)
        for _ in events(resumed, train, step, 6):
            pass
        assert not moved(resumed.model, values(state.model)), stop
        assert json.dumps(resumed.dump()[1]) == json.dumps(state.dump()[1])


@given(body=st.integers(0, 30), epochs=st.integers(2, 200))
def test_gradual_adds_groups_evenly_until_the_middle(body, epochs):
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(body + 1)))
    gradual = plan_finetuning(model, "gradual", epochs)
    learning = [gradual.count_trained_groups(epoch) for epoch in range(epochs)]
    assert len(gradual.groups) == body + 1
    assert learning[0] == 1
    assert learning == sorted(learning)
    assert set(learning[epochs // 2 :]) == {body + 1}
    jumps = [b - a for a, b in itertools.pairwise(learning)]
    assert max(jumps) <= math.ceil(body / (epochs // 2))


def test_gradual_refuses_one_epoch():
    with pytest.raises(UsageError, match="finetune=gradual needs 2 epochs or more, got epochs=1"):
        plan_finetuning(net(), "gradual", 1)


@pytest.mark.parametrize("name", ["squeezenet1-1", "resnet18", "googlenet", "vgg11-bn", "alexnet", "lenet", "mlp"])
def test_every_parameter_is_in_one_group_and_the_head_is_in_the_last(name):
    with torch.device("meta"):
        model = models.build(name, Spec("classification", (3, 96, 96), classes=("a", "b")))
    finetune_plan = plan_finetuning(model, "head", 1)
    parameters = [p for group in finetune_plan.groups for p in group.parameters]
    assert len(parameters) == len({id(p) for p in parameters})
    assert {id(p) for p in parameters} == {id(p) for p in model.parameters()}
    assert {id(p) for p in finetune_plan.groups[-1].parameters} == {id(p) for p in find_head(model)[1].parameters()}
    finetune_plan.freeze(0)
    frozen = [m for m in model.modules() if not m.training]
    for module in model.modules():
        if getattr(module, "running_mean", None) is not None:
            assert any(module is m for m in frozen)


def test_block_is_one_group_and_direct_parameters_are_kept():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.ones(2))
            self.blocks = nn.Sequential(Block(), Block())
            self.last = nn.Sequential(nn.Dropout(), nn.Linear(2, 2), nn.BatchNorm1d(2))

    finetune_plan = plan_finetuning(Net(), "all", 1)
    assert [group.names for group in finetune_plan.groups] == [
        ("",),
        ("blocks.0",),
        ("blocks.1",),
        ("last.0", "last.1", "last.2"),
    ]
    assert [len(group.parameters) for group in finetune_plan.groups] == [1, 4, 4, 4]


@pytest.mark.parametrize("channels", [1, 3])
def test_pixel_scale_matches_the_transform(channels):
    x = np.random.default_rng(0).integers(0, 256, (20, channels, 4, 4)).astype(np.uint8)
    fitted = standard.fit(x)
    mean, std = compute_pixel_scale(fitted, channels)
    np.testing.assert_allclose(mean, x.mean((0, 2, 3)) / 255, rtol=1e-9)
    np.testing.assert_allclose(std, x.std((0, 2, 3)) / 255, rtol=1e-9)


def test_matching_scale_gives_no_note():
    for channels in (1, 3):
        assert explain_scale_mismatch(imagenet.fit(np.zeros((1, channels, 2, 2), np.uint8)), MEAN, STD) is None
    similar = imagenet(mean=(0.486, 0.456, 0.406), std=STD)
    assert explain_scale_mismatch(similar, MEAN, STD) is None


def test_different_scale_is_explained_with_numbers():
    note = explain_scale_mismatch(unit((0.0,) * 3, (255.0,) * 3), MEAN, STD)
    assert note is not None
    assert "mean 0.485,0.456,0.406 and std 0.229,0.224,0.225 (of pixel / 255), here by mean 0 and std 1" in note
    assert "a white pixel becomes 1 instead of 2.25,2.43,2.64, a black one 0 instead of -2.12,-2.04,-1.8" in note
    assert note.endswith("use scale=imagenet")
    note = explain_scale_mismatch(imagenet(mean=MEAN, std=STD), (0.5,) * 3, (0.5,) * 3)
    assert note is not None
    assert note.endswith("use scale=imagenet scale.mean=0.5 scale.std=0.5")
    note = explain_scale_mismatch(unit((0.0,), (255.0,)), MEAN, STD)
    assert note is not None
    assert "mean 0.449 and std 0.226" in note
    assert explain_scale_mismatch(none(), MEAN, STD) is not None
