"""Rows that became equal because what decides their label was removed, and rows that are equal by coincidence."""

import numpy as np
import pytest
import torch

from yisheng.diagnosis.ranking import rank
from yisheng.diagnosis.row_checks import examine_rows


def make_opinions(seed, *, keeps_negation):
    """Return numbers of words (N, 4) and whether an opinion is good; a negation turns it around."""
    g = np.random.default_rng(seed)
    topics, adjective = g.integers(1, 9, (800, 2)), g.integers(20, 28, 800)
    is_negated = g.random(800) < 0.4
    label = ((adjective >= 24) != is_negated).astype(int)
    negation = 30 + is_negated if keeps_negation else np.zeros(800, int)
    return torch.tensor(np.c_[topics, negation, adjective, np.zeros(800, int)]), torch.tensor(label)


def find_conflict(x, y, beats_baseline):
    rows = examine_rows(x[:560], y[:560], validation=(x[560:], y[560:]), quick=True, beats_baseline=beats_baseline)
    assert not [reason for reason in rows.unchecked.values() if "defect" in reason]
    return [finding.severity for finding in rows.findings if finding.check == "conflicting-rows"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_equal_rows_disagree_as_any_two_rows_do(seed):
    x, y = make_opinions(seed, keeps_negation=False)
    assert find_conflict(x, y, beats_baseline=False) == ["warning"]
    assert find_conflict(x, y, beats_baseline=True) == ["note"]
    x, y = make_opinions(seed, keeps_negation=True)
    assert find_conflict(x, y, beats_baseline=False) == []


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_noisy_labels_of_equal_rows_are_no_removed_words(seed):
    """A network that fails for another reason is not told that its rows lack something: one label in ten is wrong."""
    x, y = make_opinions(seed, keeps_negation=True)
    is_wrong = torch.rand(800, generator=torch.Generator().manual_seed(seed)) < 0.1
    assert "warning" not in find_conflict(x, torch.where(is_wrong, 1 - y, y), beats_baseline=False)


def test_unknown_words_are_why_rows_are_equal():
    """A vocabulary in another case leaves two words of a hundred: the same rows follow from it."""
    g = np.random.default_rng(0)
    x, y = g.integers(2, 102, (800, 6)), g.integers(0, 2, 800)
    x[:, ::2] = np.where(g.random((800, 3)) < 0.95, 1, x[:, ::2])
    x[:400] = np.where(g.random((400, 6)) < 0.97, 1, x[:400])
    x[:400, -1] = g.integers(2, 12, 400)
    results = examine_rows(x[:560], y[:560], validation=(x[560:], y[560:]), quick=True, beats_baseline=False)
    assert {"conflicting-rows", "unknown-tokens"} <= {finding.check for finding in results.findings}
    ranked = rank(results.findings, {})
    assert "conflicting-rows" in {finding.check for finding in ranked.symptoms["unknown-tokens"]}
