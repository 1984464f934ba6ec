"""Mixup: inputs and targets in the same proportion, weights from the beta distribution."""

from __future__ import annotations

import torch

from tests.transforms.augment.helpers import KIND, augment, generator, images, make_spec
from yisheng.core import registry
from yisheng.core.columns import Column
from yisheng.core.registry import build
from yisheng.core.spec import Spec


def test_mixup_mixes_inputs_and_targets_in_the_same_proportion():
    x, y = images(9), torch.arange(9) % 3
    for seed in range(20):
        augmented, soft = augment("mixup", x, seed, y, alpha=1.0)
        assert soft.dtype == torch.float32
        assert soft.shape == (9, 3)
        torch.testing.assert_close(soft.sum(1), torch.ones(9))
        partner = torch.randperm(9, generator=generator(seed))
        one_hot = torch.eye(3)
        moved = (y != y[partner]).nonzero()[:, 0]
        fraction = 1.0
        if len(moved):
            fraction = float(soft[moved[0], y[moved[0]]])
            torch.testing.assert_close(soft, fraction * one_hot[y] + (1 - fraction) * one_hot[y[partner]])
            torch.testing.assert_close(
                augmented, fraction * x.float() + (1 - fraction) * x[partner].float(), atol=1e-3, rtol=0
            )


def test_mixup_weights_follow_the_beta_distribution():
    from scipy import stats

    x = torch.tensor([[0.0], [1.0]])
    for alpha in (0.2, 1.0, 4.0):
        mix = build(KIND, "mixup", Spec("regression", (1,)), alpha=alpha)
        weights = []
        for seed in range(3000):
            draw = generator(seed)
            swapped = torch.randperm(2, generator=generator(seed)).tolist() == [1, 0]
            augmented, _ = mix(x, x, draw)
            if swapped:
                weights.append(1 - float(augmented[0]))
        assert len(weights) > 1300
        assert stats.kstest(weights, "beta", args=(alpha, alpha)).pvalue > 1e-4


def test_mixup_mixes_targets_of_every_task():
    x = torch.rand(6, 4, generator=generator(2))
    numbers = torch.rand(6, 2, generator=generator(3)) * 100
    for task, y, classes in (
        ("regression", numbers, ()),
        ("multilabel", (numbers > 50).float(), ("a", "b")),
        ("classification", torch.softmax(numbers, 1), ("a", "b")),
    ):
        mix = build(KIND, "mixup", Spec(task, (4,), classes=classes), alpha=1.0)
        mixed, soft = mix(x, y, generator())
        joint, _ = mix(torch.cat([x, y], 1), y, generator())
        torch.testing.assert_close(torch.cat([mixed, soft], 1), joint)  # one weight for both
        assert soft.dtype == torch.float32


def test_mixup_keeps_a_single_row():
    x = images(1)
    augmented, soft = augment("mixup", x, y=torch.tensor([2]))
    assert torch.equal(augmented, x.float())
    assert soft.tolist() == [[0, 0, 1]]


def test_mixup_does_not_fit_categories():
    columns = (Column("age"), Column("town", "category", ("here", "there")))
    entry = registry.find(KIND, "mixup")
    assert not entry.meta["fits"](Spec("regression", (2,), columns=columns))
    assert entry.meta["fits"](Spec("regression", (2,), columns=columns[:1] * 2))
    assert entry.meta["fits"](Spec("regression", (2,)))


def test_losses_accept_the_targets_of_mixup():
    x, y = images(8), torch.arange(8) % 3
    _, soft = augment("mixup", x, y=y, alpha=1.0)
    spec = make_spec(tuple(x.shape[1:]))
    loss = registry.find("losses", "cross-entropy").build(spec, y.numpy())
    output = torch.randn(8, 3, generator=generator())
    torch.testing.assert_close(loss(output, soft), -(soft * output.log_softmax(1)).sum(1))
