"""Words of texts that have nothing to do with the target are left out, as seen in the training rows alone."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2, chi2_contingency, spearmanr

from yisheng.core.choice import Choice
from yisheng.data import tables
from yisheng.training.word_relevance import choose_unused_words, compute_p_values, find_unrelated_words

N = 400
WORDS = [f"w{n}x" for n in range(30)]


def make_data(task, seed=0):
    """Return rows of random words, the first of which tells something about the target."""
    draw = np.random.default_rng(seed)
    has = draw.random((N, len(WORDS))) < draw.uniform(0.1, 0.9, len(WORDS))
    texts = [
        " ".join([*np.array(WORDS)[row], f"own{i}".translate({48 + d: 97 + d for d in range(10)})])
        for i, row in enumerate(has)
    ]
    y = has[:, 0] * 1.5 + draw.normal(size=N)
    if task == "classification":
        y = np.array(["a", "b", "c"])[np.digitize(y, [0, 1])]
    frame = pd.DataFrame({"text": texts, "size": draw.random(N), "y": y})
    return tables.from_frame(frame, target="y"), has


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_p_values_are_those_of_scipy(task):
    data, has = make_data(task)
    names = [column.text_part for column in data.spec.columns]
    positions = [names.index(f"word:{word}") for word in WORDS]
    rows = np.arange(0, N, 2)
    expected = []
    for word in has[rows].T:
        if task == "classification":
            table = pd.crosstab(word, data.y[rows]).to_numpy()
            expected.append(chi2_contingency(table, correction=False).pvalue)
        else:
            expected.append(chi2.sf(len(rows) * spearmanr(word, data.y[rows, 0]).statistic ** 2, 1))
    np.testing.assert_allclose(compute_p_values(data, rows, positions), expected, rtol=1e-6)


def test_an_unrelated_word_is_left_out_by_the_training_rows_alone():
    data, _ = make_data("regression")
    rows = np.arange(N // 2)
    unused = find_unrelated_words(data, rows)
    parts = [column.text_part for column in data.spec.columns]
    assert parts.index("word:w0x") not in unused
    assert len(unused) > 20
    data.y[rows.max() + 1 :] = 0  # other rows have no part in it
    assert find_unrelated_words(data, rows) == unused
    assert choose_unused_words(Choice(name="ensemble"), data, rows) == ()
    assert choose_unused_words(Choice(name="mlp"), data, rows) == unused
