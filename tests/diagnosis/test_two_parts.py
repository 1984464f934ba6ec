"""Held-out rows that are made in another way than training rows: found, and not confused with honest differences."""

import numpy as np
import pytest

import yisheng

ROWS = 1200
SEEDS = (0, 1, 2)


def find(x, y, held_out_x, held_out_y, **options):
    findings = yisheng.check_data(x, y, validation=(held_out_x, held_out_y), quick=True, **options).findings
    return [finding.check for finding in findings if finding.severity != "note"]


def make_table(seed, rows=ROWS):
    """Numbers, a category with an effect, and a target."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, 4))
    x[:, 3] = generator.integers(0, 20, rows)
    effects = generator.normal(size=20)
    y = x[:, 0] + effects[x[:, 3].astype(int)] + 0.3 * generator.normal(size=rows)
    return x, y


@pytest.mark.parametrize("seed", SEEDS)
def test_categories_that_are_numbered_apart(seed):
    x, y = make_table(seed)
    train, held_out = slice(0, 800), slice(800, None)
    assert find(x[train], y[train], x[held_out], y[held_out]) == []
    codes = np.random.default_rng(seed).permutation(20)
    x[held_out, 3] = codes[x[held_out, 3].astype(int)]
    assert find(x[train], y[train], x[held_out], y[held_out]) == ["recoded-values"]


@pytest.mark.parametrize("seed", SEEDS)
def test_categories_without_an_effect_are_not_said_to_be_recoded(seed):
    x, _ = make_table(seed)
    y = x[:, 0] + np.random.default_rng(seed).normal(size=ROWS)
    x[800:, 3] = np.random.default_rng(seed).permutation(20)[x[800:, 3].astype(int)]
    assert find(x[:800], y[:800], x[800:], y[800:]) == []


@pytest.mark.parametrize("seed", SEEDS)
def test_vocabularies_of_each_part(seed):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 2, ROWS)
    words = generator.integers(0, 80, (ROWS, 10))
    is_telling = generator.random((ROWS, 10)) < 0.3
    tokens = np.where(is_telling, 80 + 10 * y[:, None] + words % 10, words) + 2
    assert find(tokens[:800], y[:800], tokens[800:], y[800:]) == []
    tokens[800:] = generator.permutation(102)[tokens[800:]]
    assert find(tokens[:800], y[:800], tokens[800:], y[800:]) == ["recoded-values"]


@pytest.mark.parametrize("change", [np.rad2deg, lambda y: y + 50, lambda y: (y - y.mean()) / y.std() / 10, np.expm1])
def test_held_out_targets_on_another_scale(change):
    x, y = make_table(0)
    y = y + 3
    assert "shifted-targets" in find(x[:800], y[:800], x[800:], change(y[800:]))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_season_is_no_other_scale(seed):
    x, y = make_table(seed)
    assert find(x[:800], y[:800], x[800:], 1.5 * y[800:] + 1) == []


def test_a_few_wild_targets_are_no_other_scale():
    x, y = make_table(0)
    wild = y[:800] + 40 * (np.arange(800) % 30 == 0)
    assert "shifted-targets" not in find(x[:800], wild, x[800:], y[800:])


@pytest.mark.parametrize("seed", SEEDS)
def test_column_that_is_made_of_the_targets(seed):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(ROWS, 5))
    y = (x[:, 0] + 0.8 * generator.normal(size=ROWS) > 0).astype(int)
    shop = generator.integers(0, 400, ROWS)
    train = np.arange(ROWS) < 800
    for source in (train, ~train):  # the first one holds the rows that are trained on
        sums, counts = np.zeros(400), np.zeros(400)
        np.add.at(sums, shop[source], y[source])
        np.add.at(counts, shop[source], 1)
        mean = np.where(counts > 0, sums / np.maximum(counts, 1), 0.5)
        x[:, 4] = mean[shop]
        checks = find(x[:800], y[:800], x[800:], y[800:])
        assert ("fading-columns" in checks) == (source is train)
        if source is not train:
            break


@pytest.mark.parametrize("seed", SEEDS)
def test_columns_that_are_nearly_constant_decide_nothing(seed):
    """Marginal pixels are 0 in all but a few rows, and a training of an autoencoder predicts them."""
    generator = np.random.default_rng(seed)
    pixels = generator.random((ROWS, 30)) * (generator.random((ROWS, 30)) < np.linspace(0.001, 0.9, 30))
    assert set(find(pixels[:800], pixels[:800], pixels[800:], pixels[800:])) <= {"target-in-inputs"}


@pytest.mark.parametrize("seed", SEEDS)
def test_targets_that_were_filled_in(seed):
    generator = np.random.default_rng(seed)
    x, y = make_table(seed)
    y = y + 8
    missing = generator.random(ROWS) < 0.4
    filled = np.where(missing, 0.0, y)
    assert "filled-targets" in find(x[:800], filled[:800], x[800:], filled[800:])
    sales = np.where(missing, 0.0, generator.gamma(1.5, 2.0, ROWS))  # many days without a sale
    change = np.where(missing, 0.0, generator.normal(size=ROWS))  # many days without a change
    counts = generator.poisson(0.7, ROWS).astype(float)
    for y in (sales, change, counts):
        assert "filled-targets" not in find(x[:800], y[:800], x[800:], y[800:], task="regression")


@pytest.mark.parametrize("seed", SEEDS)
def test_texts_of_unknown_words(seed):
    generator = np.random.default_rng(seed)
    words = generator.zipf(1.3, (ROWS, 12)) % 200 + 2
    lengths = generator.integers(4, 12, ROWS)
    words[np.arange(12) >= lengths[:, None]] = 0
    y = (words == 5).any(1).astype(int)
    assert find(words[:800], y[:800], words[800:], y[800:]) == []
    unknown = np.where((generator.random(words.shape) < 0.8) & (words > 0), 1, words)
    assert "unknown-tokens" in find(unknown[:800], y[:800], unknown[800:], y[800:])
