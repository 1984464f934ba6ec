"""Columns that change places are told from columns that drift, from categories and from concepts that change."""

import numpy as np
import pytest

import yisheng

TRAINING = 600
SEEDS = (0, 1, 2)


def make_houses(seed, rows=900):
    """Return columns of several distributions (N, 6), some of them alike, and what depends on them."""
    g = np.random.default_rng(seed)
    x = np.c_[
        g.normal(size=rows),
        g.integers(0, 5, rows),
        g.exponential(size=rows),
        g.random(rows) < 0.4,
        g.uniform(-2, 2, rows),
        g.normal(size=rows),
    ]
    return x, x @ np.array([1.0, -0.6, 0.6, 0.5, -0.8, -0.5]) + 0.2 * g.normal(size=rows)


def find(x, y):
    findings = yisheng.check_data(x[:TRAINING], y[:TRAINING], validation=(x[TRAINING:], y[TRAINING:]), quick=True)
    return [finding for finding in findings.findings if finding.check == "permuted-columns"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("order", [[5, 3, 4, 2, 1, 0], [0, 2, 1, 3, 4, 5], [1, 2, 3, 4, 5, 0], [0, 1, 4, 3, 2, 5]])
def test_columns_in_another_order(seed, order):
    x, y = make_houses(seed)
    assert find(x, y) == []
    x[TRAINING:] = x[TRAINING:, order]
    for targets in (y, (y > y.mean()).astype(int)):
        (finding,) = find(x, targets)
        assert finding.severity == "error"
        moved = [place for place, source in enumerate(order) if place != source]
        assert finding.evidence["columns"] == [f"column {place + 1}" for place in moved]
        assert finding.evidence["training"] == [order[place] + 1 for place in moved]


@pytest.mark.parametrize("seed", SEEDS)
def test_columns_that_drift_to_each_others_distribution_keep_their_meaning(seed):
    """Of two complementary fractions, one is small in the first season and large in the second one."""
    g = np.random.default_rng(seed)
    fraction = np.r_[g.beta(2, 5, TRAINING), g.beta(5, 2, 300)]
    other = np.r_[g.beta(5, 2, TRAINING), g.beta(2, 5, 300)]
    x = np.c_[fraction, other, g.normal(size=900)]
    assert find(x, fraction - 2 * other + x[:, 2] + 0.1 * g.normal(size=900)) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_months_of_a_split_in_time_and_changed_effects(seed):
    g = np.random.default_rng(seed)
    month = np.arange(900) * 12 // 900
    x = np.c_[np.eye(12)[month][:, 6:], g.normal(size=(900, 4)), g.integers(0, 4, 900) == month // 3]
    assert find(x, np.sin(month) + x[:, 7] + 0.1 * g.normal(size=900)) == []
    x, y = make_houses(seed)
    y[TRAINING:] = x[TRAINING:] @ np.array([-0.5, 0.2, 0.3, 1.0, 0.8, 1.0])
    assert find(x, y) == []
