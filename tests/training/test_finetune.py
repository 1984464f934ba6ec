"""Fine-tuning: what is frozen does not move, what learns does, and a run resumes exactly."""

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
from yisheng.core.errors import UsageError
from yisheng.core.seeds import seed_everything
from yisheng.core.types import Dataset, Spec
from yisheng.data.batches import make_batches
from yisheng.models.head import head
from yisheng.optim.groups import groups
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


def make(how, epochs, optimizer="momentum", seed=0):
    """A state at its beginning, batches, and the step of a plan."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(37, 5)).astype(np.float32)
    data = Dataset("d", Spec("classification", (5,), classes=("a", "b")), x, (x[:, 0] > 0).astype(np.int64))
    seed_everything(seed)
    model = net()
    made = OPTIMIZERS[optimizer](groups(model, head=head(model)[1]))
    for group in made.param_groups:
        group["initial_lr"] = group["lr"] * group["multiple"]
    train = make_batches(data, np.arange(37), size=8, scale=none(), target_scale=None, device=CPU, seed=seed)
    return State(model, made), train, freeze_before_step(make_update(), plan_finetuning(model, how, epochs))


def loss(output, y):
    return nn.functional.cross_entropy(output, y, reduction="none")


def events(state, train, step, epochs):
    """The loop, with a scorer that puts the whole model into training mode when it is done."""

    def score(model, valid):
        model.eval()
        model.train()
        return {}

    return fit(state, train, train, loss=loss, score=score, epochs=epochs, schedule=lambda *_: 1.0, step=step)


def values(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def moved(module, before):
    return {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_only_the_head_moves(optimizer):
    """Neither weight decay nor momentum, nor a batch norm's statistics, move what is frozen."""
    state, train, step = make("head", 3, optimizer)
    before = values(state.model)
    for _ in events(state, train, step, 3):
        assert all(p.grad is None for p in state.model[:8].parameters())
    assert moved(state.model, before) == {"8.weight", "8.bias"}


def test_all_is_plain_training():
    found = []
    for wrapped in (True, False):
        state, train, step = make("all", 2)
        losses = [float(event.loss) for event in events(state, train, step if wrapped else make_update(), 2)]
        found.append((losses, values(state.model)))
    assert found[0][0] == found[1][0]
    assert not moved(state.model, found[0][1])


def test_gradual_is_the_head_then_all_from_the_middle_on():
    state, train, step = make("gradual", 6)
    layers = {"0": "0.weight", "1": "1.running_mean", "4": "4.weight", "5": "5.running_mean", "8": "8.weight"}
    learned = []
    before = values(state.model)
    for event in events(state, train, step, 6):
        if not hasattr(event, "batch"):
            now = moved(state.model, before)
            learned.append([layer for layer, key in layers.items() if key in now])
            before = values(state.model)
    assert learned == [["8"], ["4", "5", "8"], *[["0", "1", "4", "5", "8"]] * 4]


def test_dropout_is_still_where_it_is_frozen_and_alive_before_the_head():
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


@pytest.mark.parametrize("how", ["head", "gradual", "all"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_run_that_was_stopped_continues_to_the_same_bits(tmp_path, how, optimizer):
    state, train, step = make(how, 6, optimizer)
    for _ in events(state, train, step, 6):
        pass
    for stop in (2, 7, 11, 16):
        part, train, step = make(how, 6, optimizer)
        for event in events(part, train, step, 6):
            if event.step == stop:
                break
        folder = tmp_path / f"{stop}"
        checkpoint.save(folder, part)
        taken_up, train, step = make(how, 6, optimizer)
        seed_everything(99)
        assert checkpoint.load(folder, taken_up)
        for _ in events(taken_up, train, step, 6):
            pass
        assert not moved(taken_up.model, values(state.model)), stop
        assert json.dumps(taken_up.dump()[1]) == json.dumps(state.dump()[1])


@given(body=st.integers(0, 30), epochs=st.integers(2, 200))
def test_groups_are_added_evenly_until_the_middle(body, epochs):
    model = nn.Sequential(*(nn.Linear(1, 1) for _ in range(body + 1)))
    gradual = plan_finetuning(model, "gradual", epochs)
    learning = [gradual.count_trained_groups(epoch) for epoch in range(epochs)]
    assert len(gradual.groups) == body + 1
    assert learning[0] == 1
    assert learning == sorted(learning)
    assert set(learning[epochs // 2 :]) == {body + 1}
    jumps = [b - a for a, b in itertools.pairwise(learning)]
    assert max(jumps) <= math.ceil(body / (epochs // 2))


def test_one_epoch_is_too_short_to_be_gradual():
    with pytest.raises(UsageError, match="finetune=gradual needs 2 epochs or more, got epochs=1"):
        plan_finetuning(net(), "gradual", 1)


@pytest.mark.parametrize("name", ["squeezenet1-1", "resnet18", "googlenet", "vgg11-bn", "alexnet", "lenet", "mlp"])
def test_every_parameter_is_in_one_group_and_the_head_in_the_last(name):
    with torch.device("meta"):
        model = models.build(name, Spec("classification", (3, 96, 96), classes=("a", "b")))
    found = plan_finetuning(model, "head", 1)
    parameters = [p for group in found.groups for p in group.parameters]
    assert len(parameters) == len({id(p) for p in parameters})
    assert {id(p) for p in parameters} == {id(p) for p in model.parameters()}
    assert {id(p) for p in found.groups[-1].parameters} == {id(p) for p in head(model)[1].parameters()}
    found.freeze(0)
    still = [m for m in model.modules() if not m.training]
    for module in model.modules():
        if getattr(module, "running_mean", None) is not None:
            assert any(module is m for m in still)


def test_a_block_is_one_group_and_parameters_of_its_own_are_kept():
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

    found = plan_finetuning(Net(), "all", 1)
    assert [group.names for group in found.groups] == [
        ("",),
        ("blocks.0",),
        ("blocks.1",),
        ("last.0", "last.1", "last.2"),
    ]
    assert [len(group.parameters) for group in found.groups] == [1, 4, 4, 4]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_scale_in_pixels_is_what_the_transform_does(channels):
    x = np.random.default_rng(0).integers(0, 256, (20, channels, 4, 4)).astype(np.uint8)
    fitted = standard.fit(x)
    mean, std = compute_pixel_scale(fitted, channels)
    np.testing.assert_allclose(mean, x.mean((0, 2, 3)) / 255, rtol=1e-9)
    np.testing.assert_allclose(std, x.std((0, 2, 3)) / 255, rtol=1e-9)


def test_the_right_scale_needs_no_remark():
    for channels in (1, 3):
        assert explain_scale_mismatch(imagenet.fit(np.zeros((1, channels, 2, 2), np.uint8)), MEAN, STD) is None
    near = imagenet(mean=(0.486, 0.456, 0.406), std=STD)
    assert explain_scale_mismatch(near, MEAN, STD) is None


def test_another_scale_is_told_with_numbers():
    said = explain_scale_mismatch(unit((0.0,) * 3, (255.0,) * 3), MEAN, STD)
    assert said is not None
    assert "mean 0.485,0.456,0.406 and std 0.229,0.224,0.225 (of pixel / 255), here by mean 0 and std 1" in said
    assert "a white pixel becomes 1 instead of 2.25,2.43,2.64, a black one 0 instead of -2.12,-2.04,-1.8" in said
    assert said.endswith("use scale=imagenet")
    said = explain_scale_mismatch(imagenet(mean=MEAN, std=STD), (0.5,) * 3, (0.5,) * 3)
    assert said is not None
    assert said.endswith("use scale=imagenet scale.mean=0.5 scale.std=0.5")
    said = explain_scale_mismatch(unit((0.0,), (255.0,)), MEAN, STD)
    assert said is not None
    assert "mean 0.449 and std 0.226" in said
    assert explain_scale_mismatch(none(), MEAN, STD) is not None
