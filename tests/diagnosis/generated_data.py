"""Generated data sets with planted faults, and the findings of a data check on them."""

from dataclasses import replace

import numpy as np
import pytest

from yisheng.core import registry
from yisheng.core.columns import Column
from yisheng.core.dataset import Dataset, Split
from yisheng.core.spec import Spec
from yisheng.data.split import hold_out
from yisheng.diagnosis import data_findings
from yisheng.diagnosis.sample import Sample

SEEDS = (0, 1, 2)
SLOW_SEEDS = (0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in SEEDS[1:]))
"""For checks that train small models: the first seed in every test run, the others in the complete one."""


def load_dataset(name, **options):
    return registry.find("data.datasets", name).build(**options)


def make_table(x, y, *, classes=0, name="rows"):
    """Return a table of numbers with class numbers as targets, or with numeric ones."""
    x = np.asarray(x, np.float32)
    columns = tuple(Column(f"c{i}") for i in range(x.shape[1]))
    if not classes:
        y = np.asarray(y, np.float32).reshape(len(x), -1)
        return Dataset(name, Spec("regression", x.shape[1:], columns=columns), x, y)
    names = tuple(f"k{i}" for i in range(classes))
    return Dataset(name, Spec("classification", x.shape[1:], names, columns), x, np.asarray(y, np.int64))


def make_blobs(seed, *, n=600, D=8, C=3, distance=2.0):
    """Return normally distributed classes whose centers are some standard deviations apart."""
    generator = np.random.default_rng(seed)
    y = generator.integers(0, C, n)
    return make_table(generator.normal(size=(n, D)) + distance * generator.normal(size=(C, D))[y], y, classes=C)


def flip_labels(data, fraction, seed):
    """Return the data with a fraction of the labels changed, and which ones."""
    generator = np.random.default_rng(seed)
    wrong, C = generator.random(len(data)) < fraction, len(data.spec.classes)
    y = np.where(wrong, (data.y + generator.integers(1, C, len(data))) % C, data.y)
    return replace(data, y=y), wrong


def make_sample(data, seed=0, split=None, **fields):
    return replace(Sample.from_dataset(data, split or hold_out(data, seed=seed), seed=seed), **fields)


def run_check(check, sample):
    """Return the findings of one check."""
    return list(registry.find(data_findings.KIND, check).build(sample))


def find_severities(check, sample):
    return [finding.severity for finding in run_check(check, sample)]


def split_rows(n, test=0.2, seed=0):
    """Return a random split with equal validation and test parts."""
    order = np.random.default_rng(seed).permutation(n)
    validation_start, test_start = int(n * (1 - 2 * test)), int(n * (1 - test))
    slices = (slice(0, validation_start), slice(validation_start, test_start), slice(test_start, n))
    return Split(*(np.sort(order[rows]) for rows in slices))
