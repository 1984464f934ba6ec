"""Contrastive losses whose label means the opposite are found in every form, and those with the right one are not."""

import pytest
import torch
from torch.nn import functional as F  # the usual name

from .small_trainings import list_alarms, make_classes, make_mlp, train

X, Y = make_classes()


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def masked(a, b, same):
    distance = F.pairwise_distance(a, b)
    return (same * distance**2 + (1 - same) * F.relu(1 - distance) ** 2).mean()


def conditional(a, b, same):
    distance = (a - b).square().sum(1).add(1e-6).sqrt()
    return torch.where(same > 0, distance, (2 - distance).clamp(min=0)).mean()


def selected(a, b, same):
    distance = (a - b).norm(dim=1)
    return distance[same > 0].square().mean() + (2 - distance[same == 0]).clamp(min=0).square().mean()


def cosine(a, b, same):
    return F.cosine_embedding_loss(a, b, 2 * same - 1, margin=0.0)


def hinge(a, b, same):
    return F.hinge_embedding_loss(F.pairwise_distance(a, b), 2 * same - 1, margin=2.0)


def draw_pairs():
    first, second = torch.randint(0, 480, (2, 64))
    second = torch.where(torch.rand(64) < 0.3, (first + 3 * torch.randint(1, 160, (64,))) % 480, second)
    return first, second, (Y[first] == Y[second]).float()


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("loss", [masked, conditional, selected, cosine, hinge])
def test_label_of_pairs(loss, fixed):
    def contrast(net):
        first, second, same = draw_pairs()
        return loss(net(X[first]), net(X[second]), same if fixed else 1 - same)

    alarms = list_alarms(train(make_mlp(8, 32, 4), contrast))
    assert ("reversed-objective" in alarms) != fixed
    assert not fixed or not alarms


def test_pairs_that_are_far_apart_by_design():
    """Pairs of one kind differ in all columns but one, pairs of two kinds in that column alone."""

    def contrast(net):
        x, kind = torch.randn(64, 8), torch.randint(0, 2, (64,)).float()
        same = (torch.rand(64) < 0.5).float()
        second = torch.where(same[:, None] > 0, torch.randn(64, 8), x)
        x[:, 0], second[:, 0] = kind - 0.5, torch.where(same > 0, kind, 1 - kind) - 0.5
        return masked(net(x), net(second), same)

    assert not list_alarms(train(make_mlp(8, 32, 4), contrast, steps=330))


@pytest.mark.parametrize("is_padded", [False, True])
def test_distances_as_targets(is_padded):
    def stress(net):
        first, second, same = draw_pairs()
        target = (X[first] - X[second]).norm(dim=1)
        error = (F.pairwise_distance(net(X[first]), net(X[second])) - target) ** 2
        return (same * error).sum() / same.sum() if is_padded else error.mean()

    assert not list_alarms(train(make_mlp(8, 32, 4), stress))


def test_gradients_are_those_of_a_training_without_the_doctor():
    rows = [draw_pairs() for _ in range(6)]
    weights = []
    for observed in (False, True):
        torch.manual_seed(1)
        net = make_mlp(8, 32, 4)
        batches = iter(rows)

        def contrast(net, batches=batches):
            first, second, same = next(batches)
            return masked(net(X[first]), net(X[second]), same)

        if observed:
            train(net, contrast, steps=6)
        else:
            optimizer = torch.optim.Adam(net.parameters(), 5e-3)
            for _ in range(6):
                optimizer.zero_grad()
                contrast(net).backward()
                optimizer.step()
        weights.append([p.detach().clone() for p in net.parameters()])
    assert all(map(torch.equal, *weights))
