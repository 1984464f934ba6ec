"""Weights that are selected, scores that are computed and graphs that are put together by the wrong rule."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng
from yisheng.diagnosis.recomputed_scores import score_boxes, score_classes

from .small_trainings import list_alarms, make_classes, make_mlp

X, Y = make_classes(640)


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def run_epoch(net, optimizer, x, y, loss=F.cross_entropy):
    net.train()
    for rows in torch.randperm(len(x)).split(32):
        optimizer.zero_grad()
        loss(net(x[rows]), y[rows]).backward()
        optimizer.step()
    net.eval()


def select_weights(is_better, *, reports_end, gives_rows, uses_score=False, epochs=6):
    net = make_mlp(8, 24, 3)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    rows = {"data": (X[:480], Y[:480]), "validation": (X[480:], Y[480:])} if gives_rows else {}
    best, weights = math.inf if is_better(0, math.inf) else 0.0, copy.deepcopy(net.state_dict())

    def evaluate():
        with torch.no_grad():
            out = net(X[480:])
        loss, score = F.cross_entropy(out, Y[480:]).item(), (out.argmax(1) == Y[480:]).float().mean().item()
        dr.validation(**({"score": score} if uses_score else {"loss": loss, "score": score}))
        return score if uses_score else loss

    with yisheng.doctor(net, optimizer, **rows) as dr:
        for _ in range(epochs):
            run_epoch(net, optimizer, X[:480], Y[:480])
            value = evaluate()
            if is_better(value, best):
                best, weights = value, copy.deepcopy(net.state_dict())
        net.load_state_dict(weights)
        if reports_end:
            evaluate()
    return dr


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(("reports_end", "gives_rows"), [(True, False), (False, True), (True, True)])
def test_weights_of_the_worst_epoch(reports_end, gives_rows, fixed):
    is_better = (lambda loss, best: loss < best) if fixed else (lambda loss, best: loss > best)
    dr = select_weights(is_better, reports_end=reports_end, gives_rows=gives_rows)
    assert list_alarms(dr) == ([] if fixed else ["reversed-selection"])


def test_weights_of_the_lowest_score():
    dr = select_weights(lambda score, best: score < best, reports_end=True, gives_rows=False, uses_score=True)
    assert list_alarms(dr) == ["reversed-selection"]
    assert "score" in dr.findings[0].cause


@pytest.mark.parametrize(("reports_end", "gives_rows"), [(True, False), (False, True), (True, True)])
def test_weights_that_were_never_replaced(reports_end, gives_rows):
    """The best loss begins at 0, so that the weights at the end are those before the first update."""
    dr = select_weights(lambda loss, best: 0 < loss < min(best, 0), reports_end=reports_end, gives_rows=gives_rows)
    assert list_alarms(dr) == ["unreplaced-weights"]
    assert "before the training" in dr.findings[0].cause


def test_weights_that_were_never_replaced_by_early_stopping():
    dr = select_weights(lambda loss, best: 0 < loss < min(best, 0), reports_end=False, gives_rows=True, epochs=3)
    assert list_alarms(dr) == ["unreplaced-weights"]


def test_overfitted_weights_at_the_end_are_not_selected_ones():
    net = make_mlp(8, 64, 3)
    labels = torch.randint(0, 3, (640,))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    average = copy.deepcopy(net)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(6):
            run_epoch(net, optimizer, X[:96], labels[:96])
            with torch.no_grad():
                dr.validation(loss=F.cross_entropy(net(X[480:]), labels[480:]).item())
                for slow, fast in zip(average.parameters(), net.parameters(), strict=True):
                    slow.copy_(fast)
        net.load_state_dict(average.state_dict())
    assert "reversed-selection" not in list_alarms(dr)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("kind", ["threshold", "wrong rows"])
def test_score_that_contradicts_the_predictions(kind, fixed):
    binary = kind == "threshold"
    y = (Y == 0).float()[:, None] if binary else Y
    loss = F.binary_cross_entropy_with_logits if binary else F.cross_entropy
    net = make_mlp(8, 24, 1 if binary else 3)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    with yisheng.doctor(net, optimizer, data=(X[:480], y[:480]), validation=(X[480:], y[480:])) as dr:
        for _ in range(5):
            run_epoch(net, optimizer, X[:480], y[:480], loss)
            with torch.no_grad():
                out = net(X[480:])
            if binary:
                hits = ((out if fixed else out - 3) > 0).float() == y[480:]
                score = hits.float().mean().item() if fixed else (hits & (y[480:] == 1)).float().mean().item()
            else:
                score = (out.argmax(1) == (y[480:] if fixed else y[480:].roll(1))).float().mean().item()
            dr.validation(loss=loss(out, y[480:]).item(), score=score)
    assert list_alarms(dr) == ([] if fixed else ["evaluated-scores"])


def test_usual_scores_are_not_below_the_smallest_one():
    scores, y = torch.randn(400, 4), torch.randint(0, 4, (400,))
    scores[torch.arange(400), y] += 1.5
    result = score_classes(scores, y)
    accuracy, lowest = result.accuracy, result.lowest
    predicted = scores.argmax(1)
    assert accuracy == pytest.approx((predicted == y).float().mean().item())
    for k in range(4):
        hits, true, named = ((predicted == k) & (y == k)).sum(), (y == k).sum(), (predicted == k).sum()
        assert lowest <= min(hits / true, hits / named, 2 * hits / (true + named)) + 1e-6
    assert score_classes(scores[:, 0], torch.randn(400)) is None
    assert score_classes(scores, y + 1) is None


def test_overlap_of_boxes():
    low = torch.rand(50, 2)
    boxes = torch.cat([low, low + 0.5 + torch.rand(50, 2)], 1)
    assert score_boxes(boxes, boxes) == (pytest.approx(1), 1)
    half = torch.cat([low, low + (boxes[:, 2:] - low) * torch.tensor([0.5, 1.0])], 1)
    assert score_boxes(half, boxes)[0] == pytest.approx(0.5)
    centers = torch.cat([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)
    assert score_boxes(centers, boxes)[0] < 0.5
    assert score_boxes(boxes, torch.cat([boxes[:, 2:], low], 1)) is None


@pytest.mark.parametrize("fixed", [False, True])
def test_boxes_in_another_format(fixed):
    corner, size = torch.rand(600, 2), 0.5 + torch.rand(600, 2)
    y = torch.cat([corner, corner + size], 1)
    x = torch.cat([corner, size], 1) + 0.02 * torch.randn(600, 4)
    net = make_mlp(4, 32, 4)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer, data=(x[:480], y[:480]), validation=(x[480:], y[480:])) as dr:
        for _ in range(6):
            run_epoch(net, optimizer, x[:480], y[:480], F.mse_loss)
            with torch.no_grad():
                out = net(x[480:])
            loss = F.mse_loss(out, y[480:]).item()
            read = out if fixed else torch.cat([out[:, :2] - out[:, 2:] / 2, out[:, :2] + out[:, 2:] / 2], 1)
            dr.validation(loss=loss, score=score_boxes(read, y[480:])[0])
    assert list_alarms(dr) == ([] if fixed else ["evaluated-scores"])


class SumOfNeighbors(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 16), nn.Linear(16, 2)

    def forward(self, nodes, edges, graph):
        incoming = torch.zeros_like(nodes).index_add(0, edges[1], nodes[edges[0]])
        hidden = F.relu(self.first(torch.cat([nodes, incoming], 1)))
        return self.last(hidden.new_zeros(int(graph[-1]) + 1, 16).index_add(0, graph, hidden))


@pytest.mark.parametrize("fixed", [False, True])
def test_edges_of_a_batch_of_graphs(fixed):
    net = SumOfNeighbors()
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(40):
            sizes = torch.randint(4, 8, (12,))
            first = sizes.cumsum(0) - sizes
            parts = [torch.stack([torch.randint(0, n, (5,)) for _ in range(2)]) for n in sizes.tolist()]
            edges = torch.cat([part + (k if fixed else 0) for part, k in zip(parts, first.tolist(), strict=True)], 1)
            graph, nodes = torch.arange(12).repeat_interleave(sizes), torch.randn(int(sizes.sum()), 3)
            y = torch.stack([nodes[rows, 0].sum() > 0 for rows in (graph == k for k in range(12))]).long()
            optimizer.zero_grad()
            F.cross_entropy(net(nodes, edges, graph), y).backward()
            optimizer.step()
    assert ("unconnected-nodes" in list_alarms(dr)) != fixed
