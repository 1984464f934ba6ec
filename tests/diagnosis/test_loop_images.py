"""Augmentation of a user's own loop: drawn once, in the wrong part, or for two subsets of one data set."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset, random_split

import yisheng
from yisheng.diagnosis.moved_images import match_images


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def make_images(rows=180):
    """Return images (N, 1, 10, 10) of smooth random patterns, and whether one of them is bright."""
    x = F.interpolate(torch.randn(rows, 1, 5, 5), scale_factor=2, mode="bilinear")
    return x, (x.mean((1, 2, 3)) > 0).long()


def roll(x):
    shifts = torch.randint(-3, 4, (len(x), 2)).tolist()
    return torch.stack([row.roll(shift, (1, 2)) for row, shift in zip(x, shifts, strict=True)])


def train(moved, evaluated, *, epochs=12):
    """Train on `moved(x)` and evaluate `evaluated(x)` after each epoch."""
    x, y = make_images()
    net = nn.Sequential(nn.Flatten(), nn.Linear(100, 16), nn.ReLU(), nn.Linear(16, 2))
    adam, held_out = torch.optim.Adam(net.parameters(), 1e-2), x[120:]
    images, validation = moved(x[:120]), evaluated(held_out)
    with yisheng.doctor(net, adam, data=(x[:120], y[:120]), validation=(held_out, y[120:])) as dr:
        for _ in range(epochs):
            net.train()
            for rows in torch.randperm(120).split(16):
                adam.zero_grad()
                F.cross_entropy(
                    net(images[rows] if isinstance(images, torch.Tensor) else images(rows)), y[rows]
                ).backward()
                adam.step()
            net.eval()
            with torch.no_grad():
                F.cross_entropy(net(validation() if callable(validation) else validation), y[120:])
    return [finding.check for finding in dr.findings if finding.severity != "note"]


def test_moves_that_are_drawn_once():
    assert "cached-augmentation" in train(roll, lambda x: x)
    assert "cached-augmentation" not in train(lambda x: lambda rows: roll(x[rows]), lambda x: x)
    assert "cached-augmentation" not in train(lambda x: x, lambda x: x)
    assert "cached-augmentation" not in train(roll, roll)  # as images that are centered before everything else


def test_moves_of_evaluated_images():
    def redraw(x):
        return lambda rows=slice(None): roll(x[rows])

    assert "evaluated-inputs" in train(redraw, redraw)
    assert "evaluated-inputs" not in train(redraw, lambda x: x)
    assert "evaluated-inputs" not in train(roll, roll)


def test_images_are_recognized_after_moves_and_mirrors():
    x, _ = make_images(20)
    (image,) = match_images(x[7:8].flip(-1).roll((1, 3), (2, 3)), x)
    assert (image.number, image.move) == (7, (True, 1, 3))
    assert match_images(torch.randn(3, 1, 10, 10), x) == []


class Images(Dataset):
    def __init__(self, transform=None):
        (self.x, self.y), self.transform = make_images(), transform

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        return (self.x[i] if self.transform is None else self.transform(self.x[i])), self.y[i]


def flip(image):
    return image.flip(-1)


def fit(train_set, valid_set, before_evaluation=lambda: None):
    net = nn.Sequential(nn.Flatten(), nn.Linear(100, 2))
    sgd = torch.optim.SGD(net.parameters(), 0.1)
    with yisheng.doctor(net, sgd) as dr:
        for _ in range(2):
            for x, y in DataLoader(train_set, 30, shuffle=True):
                sgd.zero_grad()
                F.cross_entropy(net(x), y).backward()
                sgd.step()
            before_evaluation()
            for x, _ in DataLoader(valid_set, 60):
                net(x)
    return [(finding.check, finding.severity) for finding in dr.findings if finding.check == "shared-transform"]


def test_transform_that_is_taken_away_from_both_subsets():
    train_set, valid_set = random_split(Images(flip), [120, 60])
    valid_set.dataset.transform = None
    assert fit(train_set, valid_set) == [("shared-transform", "error")]


def test_transform_that_replaces_that_of_the_other_subset():
    train_set, valid_set = random_split(Images(), [120, 60])
    train_set.dataset.transform = flip
    valid_set.dataset.transform = torch.clone
    assert fit(train_set, valid_set) == [("shared-transform", "error")]


def test_transform_that_is_meant_for_both_subsets_is_a_note():
    train_set, valid_set = random_split(Images(), [120, 60])
    train_set.dataset.transform = torch.clone
    assert fit(train_set, valid_set) == [("shared-transform", "note")]


def test_subsets_of_two_data_sets_and_transforms_that_are_set_again():
    train_set, valid_set = random_split(Images(flip), [120, 60])
    valid_set = Subset(Images(flip), valid_set.indices)
    valid_set.dataset.transform = None
    assert fit(train_set, valid_set) == []
    dataset = Images()
    train_set, valid_set = random_split(dataset, [120, 60])
    train_set.dataset.transform = flip
    assert fit(train_set, valid_set, lambda: setattr(dataset, "transform", None)) == []
