"""Scores that are the mean of the scores of batches."""

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch.nn import functional as F  # the usual name

import yisheng
from yisheng.diagnosis.averaged_scores import find_averaged_score

from .small_trainings import list_alarms, make_mlp

BATCH = 10


def make_predictions(classes, rows=200):
    generator = torch.Generator().manual_seed(classes)
    targets = (torch.rand(rows, generator=generator) ** 3 * classes).long()
    return F.one_hot(targets, classes) + 0.6 * torch.randn(rows, classes, generator=generator), targets


def average(score, predicted, targets):
    return np.mean([score(b, a) for a, b in zip(predicted.split(BATCH), targets.split(BATCH), strict=True)])


@pytest.mark.parametrize("zero_division", [0, 1])
@pytest.mark.parametrize("name", ["f1", "recall", "precision", "jaccard"])
@pytest.mark.parametrize("classes", [2, 5])
def test_scores_are_those_of_sklearn(classes, name, zero_division):
    outputs, targets = make_predictions(classes)

    def score(true, predicted):
        options = {"average": "binary" if classes == 2 else "macro", "zero_division": zero_division}
        return getattr(metrics, f"{name}_score")(true, predicted, **options)

    predicted = outputs.argmax(1)
    averaged = find_averaged_score(average(score, predicted, targets), outputs, targets, BATCH)
    total = score(targets, predicted)
    if abs(average(score, predicted, targets) - total) > 0.05:
        assert name in averaged.name.lower()
        assert averaged.total == pytest.approx(total)
        assert averaged.batches == 20
    assert find_averaged_score(total, outputs, targets, BATCH) is None


def test_r2_of_batches_is_that_of_sklearn():
    targets = torch.arange(100.0)[:, None] + torch.randn(100, 1, generator=torch.Generator().manual_seed(0))
    outputs = targets + 2 * torch.randn(100, 1, generator=torch.Generator().manual_seed(1))
    mean = average(metrics.r2_score, outputs, targets)
    averaged = find_averaged_score(mean, outputs, targets, BATCH)
    assert averaged.name == "R²"
    assert averaged.total == pytest.approx(metrics.r2_score(targets, outputs))
    assert find_averaged_score(averaged.total, outputs, targets, BATCH) is None
    assert find_averaged_score(mean, outputs, targets, 50) is None


def test_no_usual_score_of_all_rows_is_taken_for_an_average():
    """Over many predictions; fractions of few rows are often equal to other ones."""
    averages = 0
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        targets = (torch.rand(60, generator=generator) < 0.3).long()
        outputs = targets + torch.randn(60, generator=generator) - 0.5
        predicted = outputs > 0
        for score in (
            metrics.accuracy_score(targets, predicted),
            metrics.balanced_accuracy_score(targets, predicted),
            metrics.roc_auc_score(targets, outputs),
            metrics.recall_score(targets, predicted, pos_label=0),
        ):
            averages += find_averaged_score(score, outputs, targets, 6) is not None
    assert averages == 0


@pytest.mark.parametrize("fixed", [False, True])
def test_f1_averaged_over_the_batches_of_a_loop(fixed):
    torch.manual_seed(0)
    x = torch.randn(600, 8)
    y = (x[:, 0] + 0.2 * torch.randn(600) > 1.2).long()
    net = make_mlp(8, 24, 1)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer, data=(x[:400], y[:400]), validation=(x[400:], y[400:])) as dr:
        for _ in range(8):
            for rows in torch.randperm(400).split(32):
                optimizer.zero_grad()
                F.binary_cross_entropy_with_logits(net(x[rows]).squeeze(1), y[rows].float()).backward()
                optimizer.step()
            with torch.no_grad():
                predicted = torch.cat([net(a).squeeze(1) > 0 for a in x[400:].split(BATCH)])
            if fixed:
                score = metrics.f1_score(y[400:], predicted)
            else:
                score = average(lambda a, b: metrics.f1_score(a, b, zero_division=0), predicted, y[400:])
            dr.validation(score=score)
    assert list_alarms(dr) == ([] if fixed else ["evaluated-scores"])
