"""Parts that were each scaled by their own statistics are told from parts that share those of the training rows."""

import numpy as np
import pytest
import torch
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler

import yisheng

TRAINING = 500


def make_seasons(seed):
    """Return two seasons of measurements (N, 4), and what depends on them."""
    g = np.random.default_rng(seed)
    x = np.concatenate([12 + 5 * g.normal(size=(TRAINING, 4)), 15 + 4 * g.normal(size=(200, 4))])
    return x.astype(np.float32), x @ np.array([1.0, -0.4, 0.8, 0.5]) + g.normal(size=len(x))


def find_scaling(x, y):
    findings = yisheng.check_data(
        x[:TRAINING], y[:TRAINING], validation=(x[TRAINING:], y[TRAINING:]), quick=True
    ).findings
    return [finding.severity for finding in findings if finding.check == "separate-scaling"]


@pytest.mark.parametrize("scaler", [StandardScaler(), MinMaxScaler(), MinMaxScaler((-1, 1)), RobustScaler()])
def test_scaler_that_is_fitted_twice(scaler):
    x, y = make_seasons(0)
    scaled_twice = np.concatenate([scaler.fit_transform(x[:TRAINING]), scaler.fit_transform(x[TRAINING:])])
    assert find_scaling(scaled_twice, y) == ["warning"]
    assert find_scaling(scaled_twice, (y > y.mean()).astype(int)) == ["warning"]
    assert find_scaling(scaler.fit(x[:TRAINING]).transform(x), y) == []
    assert find_scaling(scaler.fit_transform(x), y) == []


def test_parts_that_do_not_differ_are_a_note():
    x, y = make_seasons(0)
    order = np.random.default_rng(1).permutation(len(x))
    x, y = x[order], y[order]
    scaler = StandardScaler()
    x = np.concatenate([scaler.fit_transform(x[:TRAINING]), scaler.fit_transform(x[TRAINING:])])
    assert find_scaling(x, y) == ["note"]


@pytest.mark.parametrize("axes", [(0,), (0, 2, 3), (0, 1, 2, 3)])
def test_images_of_each_part_have_their_own_mean(axes):
    g = torch.Generator().manual_seed(0)
    images = torch.rand(TRAINING + 200, 2, 4, 4, generator=g) + torch.rand(TRAINING + 200, 1, 1, 1, generator=g)
    images[TRAINING:] *= 1.4
    targets = images.mean((1, 2, 3))

    def scale(part, by):
        return (part - by.mean(axes, keepdim=True)) / by.std(axes, keepdim=True)

    training, held_out = images[:TRAINING], images[TRAINING:]
    assert find_scaling(torch.cat([scale(training, training), scale(held_out, held_out)]), targets) == ["warning"]
    assert find_scaling(torch.cat([scale(training, training), scale(held_out, training)]), targets) == []


@pytest.mark.parametrize("rows", [1, 50])
def test_rows_that_are_scaled_by_themselves_or_in_groups(rows):
    """Each recording, or each person, is standardized on purpose."""
    x = np.random.default_rng(0).normal(size=(TRAINING + 200, 16)).astype(np.float32) + np.arange(700)[:, None] / 100
    groups = x.reshape(-1, rows, 16)
    axes = (1, 2) if rows == 1 else (1,)
    x = ((groups - groups.mean(axes, keepdims=True)) / groups.std(axes, keepdims=True)).reshape(x.shape)
    assert find_scaling(x, np.arange(700) / 100) == []


def test_limits_of_a_scale_are_those_of_many_rows():
    g = np.random.default_rng(0)
    answers = g.integers(0, 21, (TRAINING + 200, 4)) / 20
    assert find_scaling(answers, answers.sum(1) + np.r_[np.zeros(TRAINING), np.ones(200)]) == []
    assert find_scaling(MaxAbsScaler().fit_transform(g.normal(size=(700, 4))), np.arange(700) / 100) == []
