"""Generated rows in three parts, and what the checks of the data say of them."""

from dataclasses import replace

import numpy as np
import pytest

from yisheng.core import registry
from yisheng.core.types import Column, Dataset, Spec, Split
from yisheng.data.split import hold_out
from yisheng.diagnosis import data_findings as asking
from yisheng.diagnosis.sample import Sample

SEEDS = (0, 1, 2)
SLOW_SEEDS = (0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[1:]))
"""For what trains small models: the first seed in every run of the tests, the others in the whole run."""


def load(name, **options):
    return registry.find("data.datasets", name).build(**options)


def rows(x, y, *, classes=0, name="rows"):
    """A table of numbers: classes, or measures."""
    x = np.asarray(x, np.float32)
    columns = tuple(Column(f"c{i}") for i in range(x.shape[1]))
    if not classes:
        y = np.asarray(y, np.float32).reshape(len(x), -1)
        return Dataset(name, Spec("regression", x.shape[1:], columns=columns), x, y)
    names = tuple(f"k{i}" for i in range(classes))
    return Dataset(name, Spec("classification", x.shape[1:], names, columns), x, np.asarray(y, np.int64))


def blobs(seed, *, n=600, D=8, C=3, apart=2.0):
    """Classes around their own middles."""
    draw = np.random.default_rng(seed)
    y = draw.integers(0, C, n)
    return rows(draw.normal(size=(n, D)) + apart * draw.normal(size=(C, D))[y], y, classes=C)


def changed(data, **fields):
    return replace(data, **fields)


def flipped(data, share, seed):
    """Some labels are another; gives the data and which."""
    draw = np.random.default_rng(seed)
    wrong, C = draw.random(len(data)) < share, len(data.spec.classes)
    y = np.where(wrong, (data.y + draw.integers(1, C, len(data))) % C, data.y)
    return replace(data, y=y), wrong


def sample(data, seed=0, split=None, **more):
    return replace(Sample.from_dataset(data, split or hold_out(data, seed=seed), seed=seed), **more)


def said(check, sample):
    """Findings of one check."""
    return list(registry.find(asking.KIND, check).build(sample))


def severities(check, sample):
    return [finding.severity for finding in said(check, sample)]


def parts(n, test=0.2, seed=0):
    order = np.random.default_rng(seed).permutation(n)
    a, b = int(n * (1 - 2 * test)), int(n * (1 - test))
    return Split(*(np.sort(order[some]) for some in (slice(0, a), slice(a, b), slice(b, n))))
