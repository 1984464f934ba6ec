"""How a user's own functions are called: options with defaults, partials, modules, classes in place of objects."""

import functools

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from yisheng.core.errors import UsageError
from yisheng.core.settings import keyword_settings, merge_settings
from yisheng.core.spec import Spec
from yisheng.init import _custom as custom_init
from yisheng.losses import _custom as custom_losses
from yisheng.metrics import _custom as custom_metrics
from yisheng.optim import _custom as custom_optim
from yisheng.optim.schedules import _custom as custom_schedules
from yisheng.training.callbacks import apply_callbacks
from yisheng.transforms.augment import _custom as custom_augment

CLASSES = Spec("classification", (4,), classes=("a", "b", "c"))


def replay(schedule, epochs=5, steps_per_epoch=3):
    factor = custom_schedules.make_entry(schedule, "in-memory:schedule").build()(0.1)
    return [factor(epoch * steps_per_epoch, epochs * steps_per_epoch, steps_per_epoch) for epoch in range(epochs)]


@pytest.mark.parametrize(
    "make",
    [
        functools.partial(lr_scheduler.CosineAnnealingLR, T_max=4),
        functools.partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=2),
        functools.partial(lr_scheduler.MultiStepLR, milestones=[1, 3], gamma=0.1),
        lambda optimizer, gamma=0.5, last_epoch=-1: lr_scheduler.ExponentialLR(optimizer, gamma, last_epoch),
    ],
)
def test_a_partial_of_a_scheduler_gives_the_rates_of_torch(make):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = make(optimizer)
    rates = []
    for _ in range(5):
        rates.append(optimizer.param_groups[0]["lr"] / 0.1)
        optimizer.step()
        scheduler.step()
    np.testing.assert_allclose(replay(make), rates, rtol=1e-9)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda e: torch.tensor(0.5) ** e,
        lambda e: np.float32(0.5) ** e,
        lambda epoch, base=0.5, floor=0: base**epoch + floor,
    ],
)
def test_a_factor_may_be_any_number_and_options_have_defaults(schedule):
    np.testing.assert_allclose(replay(schedule), 0.5 ** np.arange(5))


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf"), None, "small"])
def test_a_factor_that_is_none_is_refused(value):
    with pytest.raises(UsageError, match="schedule=in-memory:schedule"):
        replay(lambda epoch: value)


def augment(component, x, y):
    function = custom_augment.make_entry(component, "in-memory:augment").build(None)
    return function(x, y, torch.Generator().manual_seed(0))


def test_an_option_of_an_augmentation_is_not_the_target():
    def shift(x, by=2.0):
        return x + by

    x, y = torch.zeros(3, 2), torch.ones(3)
    assert torch.equal(augment(shift, x, y)[0], x + 2)
    assert torch.equal(augment(functools.partial(shift, by=3.0), x, y)[0], x + 3)
    assert torch.equal(augment(lambda x, target=None: (x, target + 1), x, y)[1], y + 1)


@pytest.mark.parametrize("component", [nn.Flatten(0, 0), nn.Identity, nn.Identity()])
def test_a_module_and_its_class_are_augmentations(component):
    x, y = torch.rand(3, 2), torch.ones(3)
    assert torch.equal(augment(component, x, y)[0], x)


def test_an_option_of_a_callback_is_not_the_state():
    received = []

    def count(events, limit=2):
        received.append(limit)
        yield from events

    def watch(events, state=None):
        received.append(state)
        yield from events

    class Counting:
        def __call__(self, events):
            yield from events

    assert list(apply_callbacks(iter("ab"), "state", [count, watch, Counting])) == ["a", "b"]
    assert received == [2, "state"] or received == ["state", 2]
    with pytest.raises(UsageError, match="requires events, state, epoch"):
        apply_callbacks(iter("ab"), None, [lambda events, state, epoch: events])


def test_objects_of_one_class_have_names_of_their_own():
    def scale(factor):
        return lambda x: x * factor

    settings = keyword_settings({"augment": [scale(1), scale(2)], "metrics": [lambda a, b: 0, lambda a, b: 1]})
    config = merge_settings(list(settings)).config
    assert [choice.name for choice in config.augment] == ["in-memory:function", "in-memory:function_2"]
    assert [choice.component(torch.ones(1)).item() for choice in config.augment] == [1, 2]
    assert [choice.component(0, 0) for choice in config.metrics] == [0, 1]
    again = scale(1)
    with pytest.raises(UsageError, match="twice"):
        merge_settings(list(keyword_settings({"augment": [again, again]})))


def test_an_optimizer_may_be_made_of_the_network():
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))

    def make(model):
        return torch.optim.SGD([{"params": model[0].parameters(), "lr": 0.1}, {"params": model[1].parameters()}], lr=1)

    assert custom_optim.takes_network(make)
    assert [group["lr"] for group in custom_optim.build_for_network(make, "make", net).param_groups] == [0.1, 1]
    with pytest.raises(UsageError, match="a function whose parameter is called model gets the network"):
        custom_optim.make_entry(lambda parts: make(parts), "make").build([{"params": list(net.parameters())}])


def test_an_optimizer_without_groups_gets_one_list_of_parameters():
    weight, bias = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
    groups = [{"params": [weight]}, {"params": [bias], "weight_decay": 0.0}]
    optimizer = custom_optim.make_entry(torch.optim.LBFGS, "torch.optim:LBFGS").build(groups, lr=0.5)
    assert [len(group["params"]) for group in optimizer.param_groups] == [2]


WEIGHT = torch.tensor([1.0, 2.0, 5.0])


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(),
        nn.CrossEntropyLoss(weight=WEIGHT),
        nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1),
        nn.CrossEntropyLoss(ignore_index=0),
        nn.NLLLoss(weight=WEIGHT, ignore_index=1),
        nn.MultiMarginLoss(weight=WEIGHT),
        functools.partial(nn.functional.cross_entropy, weight=WEIGHT),
    ],
)
def test_the_mean_of_a_loss_of_torch_is_that_of_torch(loss):
    generator = torch.Generator().manual_seed(0)
    output, y = torch.randn(20, 3, generator=generator), torch.randint(0, 3, (20,), generator=generator)
    rows = custom_losses.make_entry(loss, "loss").build(CLASSES, y.numpy())(output, y)
    torch.testing.assert_close(rows.mean(), loss(output, y))


def test_a_loss_is_told_what_its_targets_are():
    signs = Spec("classification", (4,), classes=("-1", "1"))
    assert "class numbers 0 to 1 for the labels -1, 1" in custom_losses.explain_targets(lambda o, t: o, signs)[0]
    assert custom_losses.explain_targets(lambda o, t: o, CLASSES) == ()
    assert custom_losses.explain_targets(nn.functional.cross_entropy, signs) == ()
    learned = nn.Module()
    learned.scale = nn.Parameter(torch.ones(()))
    assert "weights, which are not trained" in custom_losses.explain_targets(learned, CLASSES)[0]

    def one_hot(output, target):
        return -(target * output.log_softmax(1)).sum(1)

    with pytest.raises(UsageError, match="one_hot"):
        custom_losses.make_entry(one_hot, "loss").build(CLASSES, np.array([0]))(torch.zeros(2, 3), torch.tensor([0, 1]))


def test_cross_entropy_of_single_numbers_is_refused():
    spec = Spec("regression", (4,))
    with pytest.raises(UsageError, match="MSELoss"):
        custom_losses.make_entry(nn.CrossEntropyLoss(), "loss").build(spec, np.zeros((2, 1)))


def test_a_metric_may_be_a_class():
    class Hits:
        def reset(self):
            self.hits = []

        def update(self, prediction, y):
            self.hits += (prediction.argmax(1) == y).tolist()

        def compute(self):
            return torch.tensor(self.hits, dtype=torch.float32).mean()

    entry = custom_metrics.make_entry(Hits, "Hits")
    assert entry.build(np.array([0, 1]), np.array([[0.9, 0.1], [0.8, 0.2]])) == 0.5

    class Limited:
        def __init__(self, limit):
            self.limit = limit

    with pytest.raises(UsageError, match="Limited is a class"):
        custom_metrics.make_entry(Limited, "Limited")


def test_an_initialization_may_return_the_values():
    weight = nn.Parameter(torch.zeros(2, 3))
    custom_init.make_entry(lambda weight: torch.ones_like(weight), "ones").build(weight)
    assert torch.equal(weight.detach(), torch.ones(2, 3))


def test_long_values_are_shortened_in_messages():
    with pytest.raises(UsageError) as caught:
        merge_settings(list(keyword_settings({"folds": [(np.arange(500), np.arange(500))]})))
    assert len(caught.value.problem) < 300
    assert "\n" not in caught.value.problem


@pytest.mark.parametrize(
    ("key", "remedy"),
    [("criterion", "use loss="), ("X", "data=(x, y)"), ("scheduler", "use schedule="), ("num_epochs", "use epochs=")],
)
def test_keys_of_other_libraries_are_explained(key, remedy):
    with pytest.raises(UsageError) as caught:
        merge_settings(list(keyword_settings({key: 1})))
    assert remedy in caught.value.remedy
