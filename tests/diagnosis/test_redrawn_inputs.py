"""Validation rows that the random transform of training changes again in each evaluation."""

import pytest
import torch
from torch.nn import functional as F  # the usual name
from torch.utils.data import DataLoader, Dataset, Subset

import yisheng
from yisheng.diagnosis.redrawn_inputs import measure_rank

from .small_trainings import list_alarms, make_mlp

X = torch.randn(480, 24, generator=torch.Generator().manual_seed(0))
Y = (X[:, 0] + X[:, 1] > 0).long()


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


class Rows(Dataset):
    def __init__(self, transform=None):
        self.transform = transform

    def __len__(self):
        return len(X)

    def __getitem__(self, row):
        return X[row] if self.transform is None else self.transform(X[row]), Y[row]


def drop_values(x):
    return x * (torch.rand_like(x) > 0.4)


def add_weak_noise(x):
    return x + 0.05 * torch.randn_like(x)


def train(transform, evaluation_transform, *, versions=1, evaluates_rows=False):
    net = make_mlp(24, 32, 2)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    train_set = Subset(Rows(transform), range(320))
    valid_set = Subset(Rows(evaluation_transform), range(320, 480))
    with yisheng.doctor(net, optimizer, data=(X[:320], Y[:320]), validation=(X[320:], Y[320:])) as dr:
        for _ in range(6):
            net.train()
            for x, y in DataLoader(train_set, batch_size=32, shuffle=True):
                optimizer.zero_grad()
                F.cross_entropy(net(x), y).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                outputs = [
                    torch.cat([net(x) for x, _ in DataLoader(valid_set, batch_size=64)]) for _ in range(versions)
                ]
                if evaluates_rows:
                    net(X[320:])
            dr.validation(loss=F.cross_entropy(torch.stack(outputs).mean(0), Y[320:]).item())
    return dr


def test_transform_of_training_in_evaluation():
    dr = train(drop_values, drop_values)
    assert list_alarms(dr) == ["evaluated-inputs"]
    assert "in another way in the next evaluation" in dr.findings[0].cause


@pytest.mark.parametrize(
    ("transform", "evaluation_transform", "options"),
    [
        (drop_values, None, {}),
        (None, drop_values, {}),
        (add_weak_noise, add_weak_noise, {}),
        (drop_values, drop_values, {"versions": 3}),
        (drop_values, drop_values, {"evaluates_rows": True}),
    ],
    ids=["fixed", "rows of training as they are", "no harm", "several versions", "rows as they are, too"],
)
def test_evaluations_that_may_be_meant(transform, evaluation_transform, options):
    dr = train(transform, evaluation_transform, **options)
    assert not any("next evaluation" in finding.cause for finding in dr.findings)


@pytest.mark.parametrize(
    "change", [lambda x: x.flip(-1), lambda x: x.roll((1, 2), (2, 3)), lambda x: x.rot90(1, (2, 3)), drop_values]
)
def test_rank_of_images(change):
    x = torch.rand(48, 1, 8, 8)
    y = torch.arange(48) % 3
    assert measure_rank(change(x), x, y) < 0.05
    assert measure_rank(change(torch.rand(48, 1, 8, 8)), x, y) > 0.3
