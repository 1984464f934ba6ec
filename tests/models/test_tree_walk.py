"""The walk over ranks reaches the leaves that the comparisons with thresholds reach, whatever the rows and threads."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.models.test_fitted_models import SPECS, draw_rows, fit
from yisheng.core import machine
from yisheng.models._tree_walk import MIN_ROWS_PER_THREAD
from yisheng.models._trees import MAX_CATEGORIES, Tree, Trees


def grow(rng, columns, depth, values, *, chance=0.8):
    """Return a tree with random splits by number and by category."""
    feature, left_child, right_child, leaf = [], [], [], []

    def add(level):
        node = len(feature)
        feature.append(int(rng.integers(columns)))
        left_child.append(node)
        right_child.append(node)
        leaf.append(True)
        if level < depth and rng.random() < chance:
            leaf[node] = False
            left_child[node] = add(level + 1)
            right_child[node] = add(level + 1)
        return node

    add(0)
    n, is_leaf = len(feature), np.array(leaf)
    by_category = (rng.random(n) < 0.3) & ~is_leaf
    return Tree(
        feature=np.where(is_leaf, 0, feature).astype(np.int64),
        threshold=rng.choice([-1.0, 0.0, 0.5, 1.0, np.inf], n),
        left_child=np.array(left_child),
        right_child=np.array(right_child),
        missing_left=rng.random(n) < 0.5,
        category_set=np.where(by_category, np.arange(n), -1),
        left_categories=rng.random((n, MAX_CATEGORIES + 1)) < 0.5 if by_category.any() else None,
        value=rng.normal(size=(n, values)),
        output=int(rng.integers(2)) if values == 1 else 0,
        depth=depth,
    )


def make_trees(seed, values=1, count=7, depth=5):
    rng = np.random.default_rng(seed)
    trees = Trees(2 if values == 1 else values, values)
    trees.set_trees([grow(rng, 3, depth, values) for _ in range(count)])
    trees.check(3)
    return trees


def draw_x(seed, n):
    rng = np.random.default_rng(seed)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 0.5, 1.0, 3.0, 254.0, 300.0, -1.0]
    x = np.where(rng.random((n, 3)) < 0.5, rng.choice(special, (n, 3)), rng.normal(size=(n, 3)))
    return torch.from_numpy(x.astype(np.float32))


@given(st.integers(0, 2**32), st.integers(1, 60), st.sampled_from([1, 3]), st.sampled_from([0, 1, 5]))
@settings(max_examples=60)
def test_ranks_lead_to_the_same_leaves(seed, n, values, depth):
    trees, x = make_trees(seed, values, depth=depth), draw_x(seed, n)
    torch.testing.assert_close(trees(x), trees._add_leaves(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(trees(x.double()), trees._add_leaves(x.double()), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("task", SPECS)
def test_fitted_trees_reach_the_same_leaves(task):
    spec = SPECS[task]
    model, x = fit("boosting", spec, draw_rows(spec)), torch.from_numpy(draw_rows(spec, seed=3).x)
    torch.testing.assert_close(model.trees(x), model.trees._add_leaves(x), rtol=1e-12, atol=1e-12)


def test_threads_and_blocks_change_no_bit():
    trees, x = make_trees(0, count=40), draw_x(1, 5 * MIN_ROWS_PER_THREAD + 3)
    with machine.use_threads(1):
        alone = trees(x)
    with machine.use_threads(3), torch.inference_mode():
        together = trees(x)
    assert torch.equal(alone, together)
    assert torch.equal(trees(x[100:101]), alone[100:101])


def test_replaced_trees_are_walked():
    trees, x = make_trees(0), draw_x(0, 20)
    before = trees(x)
    trees.set_trees([grow(np.random.default_rng(9), 3, 4, 1)])
    assert not torch.equal(trees(x), before)
    torch.testing.assert_close(trees(x), trees._add_leaves(x), rtol=1e-12, atol=1e-12)


def test_children_that_form_no_tree_are_refused():
    trees = make_trees(0)
    inner = torch.nonzero(trees.left_child != torch.arange(len(trees.left_child)))[:, 0]
    trees.right_child[inner] = trees.root[0]
    with pytest.raises(ValueError, match="do not form trees"):
        trees.check(3)
