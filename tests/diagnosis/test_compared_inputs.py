"""What differs between inputs of training and evaluation is named; augmentation is not reported."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng
from yisheng.diagnosis.input_comparison import compare_rows
from yisheng.diagnosis.recorder.input_samples import EvaluatedSamples, sample_batch, thin_rows

from .small_trainings import make_mlp


def make_photos(rows, seed):
    """Return images (N, 3, 12, 12) from 0 to 1 of a blue sky over a green ground, with a bright spot on the left."""
    g = torch.Generator().manual_seed(seed)
    noise = F.interpolate(torch.randn(rows, 3, 4, 4, generator=g), scale_factor=3, mode="bilinear")
    sky = (torch.arange(12) < 5 + 2 * torch.rand(rows, 1, generator=g))[:, None, :, None].float()
    colors = torch.tensor([0.4, 0.5, 0.8])[:, None, None] * sky + torch.tensor([0.3, 0.6, 0.2])[:, None, None] * (
        1 - sky
    )
    spot = 0.3 * (torch.arange(12) < 4).float()[None, None, None]
    return (colors + spot + 0.1 * noise).clamp(0, 1)


def make_waves(rows, seed, rate=1.0):
    """Return series (N, 2, 96) of two waves of random frequency in noise."""
    g = torch.Generator().manual_seed(seed)
    frequency = 0.05 + 0.1 * torch.rand(rows, 1, 1, generator=g)
    phase = 6.3 * torch.rand(rows, 2, 1, generator=g)
    waves = torch.sin(2 * math.pi * frequency * torch.arange(96) / rate + phase)
    return waves + 0.2 * torch.randn(rows, 2, 96, generator=g)


def make_table(rows, seed):
    g = torch.Generator().manual_seed(seed)
    columns = [torch.randn(rows, generator=g), torch.rand(rows, generator=g).log(), torch.rand(rows, generator=g) * 3]
    columns += [torch.randint(0, 2, (rows,), generator=g).float(), torch.randn(rows, generator=g) * 4 + 2]
    return torch.stack(columns, 1)


def reshape(x):
    return x.permute(0, 2, 3, 1).reshape(x.shape)


CHANGES = {
    "channels 0, 2 are at the places 2, 0": lambda x: x.flip(1),
    "channels 0, 1, 2 are at the places 2, 0, 1": lambda x: x[:, [1, 2, 0]],
    "mirrored top to bottom": lambda x: x.flip(2),
    "height and width are swapped": lambda x: x.transpose(2, 3),
    "inverted": lambda x: 1 - x,
    "values have mean": lambda x: 2 * x - 0.5,
    "reshaped from (H, W, C)": reshape,
    "all 128 rows are the same": lambda x: 0 * x,
}


@pytest.mark.parametrize("description", CHANGES)
def test_changes_of_images(description):
    rows, evaluated = make_photos(200, 0), make_photos(128, 1)
    assert compare_rows(rows, evaluated) is None
    difference = compare_rows(rows, CHANGES[description](evaluated))
    assert description in str(difference.description)


def crop(x):
    padded = F.pad(x, (2, 2, 2, 2))
    places = torch.randint(0, 5, (len(x), 2)).tolist()
    return torch.stack([row[:, i : i + 12, j : j + 12] for row, (i, j) in zip(padded, places, strict=True)])


def erase(x):
    x = x.clone()
    x[:, :, 3:8, 3:8] = 0
    return x


AUGMENTATIONS = {
    "flips": lambda x: torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x),
    "crops": crop,
    "erasing": erase,
    "noise": lambda x: x + 0.3 * torch.randn_like(x),
    "dropout": lambda x: F.dropout(x, 0.3),
    "brightness": lambda x: (x + 0.4 * torch.rand(len(x), 1, 1, 1) - 0.2).clamp(0, 1),
    "contrast": lambda x: ((x - 0.5) * (0.6 + 0.8 * torch.rand(len(x), 1, 1, 1)) + 0.5).clamp(0, 1),
    "grayscale": lambda x: torch.where(torch.rand(len(x), 1, 1, 1) < 0.3, x.mean(1, keepdim=True), x),
    "mixup": lambda x: 0.7 * x + 0.3 * x.flip(0),
    "rotation": lambda x: torch.cat([part.rot90(k, (2, 3)) for k, part in enumerate(x.chunk(4))]),
    "weighted": lambda x: x[torch.multinomial(x.mean((1, 2, 3)) ** 4, 200, replacement=True)],
}


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentation_and_sampling_are_no_difference(name):
    torch.manual_seed(0)
    for seed in range(3):
        rows, evaluated = make_photos(200, seed), make_photos(128, seed + 10)
        assert compare_rows(AUGMENTATIONS[name](rows), evaluated) is None


@pytest.mark.parametrize("rate", [0.6, 1.0, 1.1, 1.8])
def test_sampling_rates_of_series(rate):
    difference = compare_rows(make_waves(200, 0), make_waves(128, 1, rate))
    if abs(math.log(rate)) < 0.2:
        assert difference is None
    else:
        assert "another sampling rate" in str(difference.description)
        assert difference.evidence["ratio"] == pytest.approx(rate, rel=0.15)


def test_columns_of_a_table_in_another_order():
    rows, evaluated = make_table(200, 0), make_table(128, 1)
    assert compare_rows(rows, evaluated) is None
    assert compare_rows(rows, evaluated + 0.4 * rows.std(0)) is None  # a drift
    difference = compare_rows(rows, evaluated[:, [0, 2, 1, 3, 4]])
    assert "columns 1, 2 are at the places 2, 1" in str(difference.description)


def test_bytes_that_wrap_around():
    torch.manual_seed(0)
    rows, evaluated = (make_photos(200, seed).mul(220).add(20).to(torch.uint8) for seed in (0, 1))
    amounts = torch.randint(30, 90, (200, 1, 1, 1))
    difference = compare_rows(((rows.int() + amounts) % 256).float(), evaluated.float())
    assert "wrap around" in str(difference.description)
    assert compare_rows((rows.int() + amounts).clamp(max=255).float(), evaluated.float() + 60) is None


def train_on_photos(change, *, augment=lambda x: x, evaluates_training_rows=False):
    torch.manual_seed(0)
    x, xv = make_photos(400, 0), make_photos(160, 1)
    y, yv = (rows[:, :, 0].mean((1, 2)) > x[:, :, 0].mean() for rows in (x, xv))
    net = nn.Sequential(nn.Flatten(), make_mlp(432, 32, 2))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(4):
            for index in torch.randperm(400).split(25):
                optimizer.zero_grad()
                F.cross_entropy(net(augment(x[index])), y[index].long()).backward()
                optimizer.step()
            with torch.no_grad():
                if evaluates_training_rows:
                    F.cross_entropy(net(x), y.long())
                F.cross_entropy(net(change(xv)), yv.long())
    return [finding for finding in dr.findings if finding.check == "evaluated-inputs"]


@pytest.mark.parametrize("evaluates_training_rows", [False, True])
def test_a_loop_that_evaluates_other_channels(evaluates_training_rows):
    (finding,) = train_on_photos(lambda x: x.flip(1), evaluates_training_rows=evaluates_training_rows)
    assert finding.severity == "error"
    assert "channels 0, 2" in str(finding.cause)
    healthy = train_on_photos(
        lambda x: x, augment=AUGMENTATIONS["flips"], evaluates_training_rows=evaluates_training_rows
    )
    assert healthy == []


def standardize(x):
    return (x - x.mean(0)) / x.std(0)


@pytest.mark.parametrize("by_batch", [True, False])
def test_batches_that_are_standardized_by_themselves(by_batch):
    torch.manual_seed(0)
    x = make_table(480, 0)
    y = x[:, :1] + 0.1 * torch.randn(480, 1)
    net = make_mlp(5, 16, 1)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    mean, std = x.mean(0), x.std(0)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(4):
            for index in torch.randperm(480).split(24):
                optimizer.zero_grad()
                F.mse_loss(net(standardize(x[index]) if by_batch else (x[index] - mean) / std), y[index]).backward()
                optimizer.step()
    assert [finding.check for finding in dr.findings] == (["batch-statistics"] if by_batch else [])


def test_one_batch_of_all_rows_is_standardized_by_the_training_rows():
    torch.manual_seed(0)
    x = standardize(make_table(300, 0))
    net = make_mlp(5, 16, 1)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(30):
            rows = x[torch.randperm(300)]
            optimizer.zero_grad()
            F.mse_loss(net(rows), rows[:, :1]).backward()
            optimizer.step()
    assert "batch-statistics" not in {finding.check for finding in dr.findings}


@pytest.mark.parametrize("in_place", [True, False])
def test_columns_that_shrink_to_constants(in_place):
    torch.manual_seed(0)
    stored = make_table(320, 0) * 2 + torch.randn(5)
    y = (stored[:, 0] > stored[:, 0].mean()).long()
    mean, std = stored.mean(0), 2.5 * torch.ones(5)
    net = make_mlp(5, 16, 2)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(12):
            for index in torch.randperm(320).split(32):
                rows = (stored[index] - mean) / std
                if in_place:
                    stored[index] = rows
                optimizer.zero_grad()
                F.cross_entropy(net(rows), y[index]).backward()
                optimizer.step()
    assert ("drifting-inputs" in {finding.check for finding in dr.findings}) == in_place


def test_evaluated_rows_are_of_all_passes():
    samples = EvaluatedSamples()
    for number in range(100):
        samples.add(5, torch.full((7, 2), float(number)))
    (rows,) = samples.list_samples()
    assert 64 <= len(rows) <= 256
    assert rows[0, 0] == 0
    assert rows[-1, 0] >= 97
    assert rows[:, 0].diff().max() <= 2
    samples.add(9, torch.zeros(4, 2))
    assert len(samples.list_samples()[0]) == len(rows)


def test_large_rows_are_thinned_out():
    assert thin_rows(torch.zeros(3, 1, 500, 20)).shape[0] == 3
    assert thin_rows(torch.zeros(3, 1, 500, 500)).numel() <= 3 * 4200
    assert thin_rows(torch.zeros(2, 3, 30000)).shape == (2, 3, 1365)
    x = torch.arange(100.0)[:, None]
    assert sample_batch(x)[:, 0].tolist() == list(range(0, 100, 4))
