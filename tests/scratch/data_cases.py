"""Equivalence of from-scratch data preparation and scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn import metrics
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler
from torch import Generator, Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, RandomSampler, TensorDataset

from tests.scratch.case import Case, Pair
from tests.scratch.random_inputs import draw_classes, draw_int, draw_normal
from yisheng.scratch.accuracy import accuracy
from yisheng.scratch.confusion_matrix import confusion_matrix
from yisheng.scratch.f1 import f1
from yisheng.scratch.k_fold import k_fold
from yisheng.scratch.mini_batches import mini_batches
from yisheng.scratch.one_hot import one_hot
from yisheng.scratch.precision import precision
from yisheng.scratch.recall import recall
from yisheng.scratch.standardize import standardize


def make_accuracy(rng: Generator) -> Pair:
    y, output = draw_classes(rng, 3, 50), draw_normal(rng, 50, 3)
    expected = metrics.accuracy_score(y, output.argmax(1))
    return [accuracy(y, output)], [torch.tensor(expected, dtype=torch.float64)]


def class_score(
    scratch: Callable[..., Tensor], library: Callable[..., Any], **options: Any
) -> Callable[[Generator], Pair]:
    """Return a case of five classes, of which some have no sample or are never predicted."""

    def make(rng: Generator) -> Pair:
        y, predicted = draw_classes(rng, draw_int(rng, 1, 5), 40), draw_classes(rng, draw_int(rng, 1, 5), 40)
        return [scratch(y, predicted, 5)], [torch.from_numpy(library(y, predicted, labels=range(5), **options))]

    return make


def make_one_hot(rng: Generator) -> Pair:
    y = draw_classes(rng, 6, 4, 3)
    return [one_hot(y, 6)], [F.one_hot(y, 6)]


def make_standardized(rng: Generator) -> Pair:
    """One column is constant in the training part."""
    scales = torch.tensor([1.0, 100.0, 0.01, 0.0])
    train, x = (draw_normal(rng, 30, 4) * scales + draw_normal(rng, 4) for _ in range(2))
    return [standardize(x, train)], [torch.from_numpy(StandardScaler().fit(train).transform(x))]


def make_batches(rng: Generator) -> Pair:
    n, size, seed = draw_int(rng, 1, 40), draw_int(rng, 1, 12), draw_int(rng, 0, 10**6)
    x, y = draw_normal(rng, n, 3), draw_normal(rng, n)
    sampler = RandomSampler(x, generator=torch.Generator().manual_seed(seed))
    library = DataLoader(TensorDataset(x, y), batch_size=size, sampler=sampler)
    scratch = mini_batches(x, y, size=size, generator=torch.Generator().manual_seed(seed))
    return [t for batch in scratch for t in batch], [t for batch in library for t in batch]


def make_folds(rng: Generator) -> Pair:
    n = draw_int(rng, 2, 60)
    k = draw_int(rng, 2, min(n, 10))
    library = KFold(n_splits=k).split(np.zeros(n))
    return [t for fold in k_fold(n, k=k) for t in fold], [torch.from_numpy(t) for fold in library for t in fold]


PER_CLASS = {"average": None, "zero_division": 0}
CASES = [
    Case("accuracy", "sklearn.metrics.accuracy_score", "output", 1e-15, make_accuracy),
    *[
        Case(name, f"sklearn.metrics.{library.__name__}", "output", tolerance, class_score(scratch, library, **options))
        for name, scratch, library, tolerance, options in (
            ("confusion-matrix", confusion_matrix, metrics.confusion_matrix, 0, {}),
            ("precision", precision, metrics.precision_score, 1e-15, PER_CLASS),
            ("recall", recall, metrics.recall_score, 1e-15, PER_CLASS),
            ("f1", f1, metrics.f1_score, 1e-15, PER_CLASS),
        )
    ],
    Case("one-hot", "torch.nn.functional.one_hot", "output", 0, make_one_hot),
    Case("standardize", "sklearn.preprocessing.StandardScaler", "output", 1e-12, make_standardized),
    Case("mini-batches", "torch.utils.data.DataLoader", "every batch of an epoch", 0, make_batches),
    Case("k-fold", "sklearn.model_selection.KFold", "row numbers", 0, make_folds),
]
