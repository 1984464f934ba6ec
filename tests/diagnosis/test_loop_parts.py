"""Training and held-out parts of a user's own loop: parts cut from sorted rows, trends, batches, orders and limits."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng

from .small_trainings import list_alarms, make_classes, make_mlp


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def fit(net, loss, rows, held_out, *, epochs=10, evaluate=None, lr=1e-2):
    adam = torch.optim.Adam(net.parameters(), lr)
    with yisheng.doctor(net, adam, data=rows, validation=held_out) as dr:
        for _ in range(epochs):
            net.train()
            for index in torch.randperm(len(rows[0])).split(32):
                adam.zero_grad()
                loss(net(rows[0][index]), rows[1][index]).backward()
                adam.step()
            if evaluate is not None:
                net.eval()
                with torch.no_grad():
                    dr.validation(score=evaluate())
    return dr


@pytest.mark.parametrize("is_sorted", [True, False])
def test_sorted_rows_cut_by_position(is_sorted):
    x, y = make_classes(rows=600, columns=8, classes=5)
    order = torch.argsort(y, stable=True) if is_sorted else torch.randperm(600)
    x, y = x[order], y[order]
    dr = fit(make_mlp(8, 16, 5), F.cross_entropy, (x[:470], y[:470]), (x[470:], y[470:]), epochs=3)
    assert list_alarms(dr)[:1] == (["absent-classes"] if is_sorted else [])


def test_unknown_classes_of_rows_that_are_read_without_a_loop():
    x, y = make_classes(rows=300, columns=8, classes=3)
    rows = y[:200] < 2
    findings = yisheng.check_data(x[:200][rows], y[:200][rows], validation=(x[200:], y[200:]), quick=True).findings
    assert findings[0].check == "absent-classes"
    assert findings[0].evidence == {"rows elsewhere": {"2": 34}, "held-out rows": 100}


def test_counts_are_no_classes():
    x = torch.randn(300, 4)
    y = torch.poisson(5 * torch.ones(300)).long()
    y[200:210] = 40

    def loss(output, target):
        return F.mse_loss(output[:, 0], target.float())

    assert "absent-classes" not in list_alarms(fit(make_mlp(4, 8, 1), loss, (x[:200], y[:200]), (x[200:], y[200:])))


@pytest.mark.parametrize("kind", ["levels", "differences", "random parts"])
def test_trend_that_a_network_does_not_continue(kind):
    series = 0.03 * torch.arange(700.0) + torch.sin(torch.arange(700) * 0.4) + 0.1 * torch.randn(700)
    x, y = series[:-1].unfold(0, 8, 1), series[8:, None]
    if kind == "differences":
        x, y = x - x[:, -1:], y - x[:, -1:]
    if kind == "random parts":
        order = torch.randperm(len(x))
        x, y = x[order], y[order]
    center, scale = x[:450].mean(), x[:450].std()
    x, y = (x - center) / scale, (y - (center if kind != "differences" else 0)) / scale
    net = make_mlp(8, 32, 1, activation=nn.Tanh)
    dr = fit(net, F.mse_loss, (x[:450], y[:450]), (x[450:], y[450:]), epochs=15)
    assert ("shifted-targets" in list_alarms(dr)) == (kind == "levels")


def test_loop_that_learns_differences_of_the_levels_that_it_gives():
    series = 0.03 * torch.arange(700.0) + torch.sin(torch.arange(700) * 0.4) + 0.1 * torch.randn(700)
    x, y = series[:-1].unfold(0, 8, 1), series[8:, None]
    net = make_mlp(8, 32, 1, activation=nn.Tanh)
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, adam, data=(x[:450], y[:450]), validation=(x[450:], y[450:])) as dr:
        for _ in range(8):
            for rows in torch.randperm(450).split(32):
                last = x[rows, -1:]
                adam.zero_grad()
                F.mse_loss(net(x[rows] - last), y[rows] - last).backward()
                adam.step()
    assert "shifted-targets" not in list_alarms(dr)


def test_line_that_goes_on_with_a_trend():
    x = torch.linspace(-1, 1, 600)[:, None]
    y = 2 * x + 0.01 * torch.randn(600, 1)
    dr = fit(nn.Linear(1, 1), F.mse_loss, (x[:400], y[:400]), (x[400:], y[400:]), epochs=20, lr=3e-2)
    assert "shifted-targets" not in list_alarms(dr)


@pytest.mark.parametrize(("tracks", "is_sorted"), [(False, True), (True, True), (False, False)])
def test_statistics_of_evaluated_batches(tracks, is_sorted):
    x, y = make_classes(rows=900, columns=8, classes=6)
    rows, held_out = (x[:500], y[:500]), (x[500:], y[500:])
    order = torch.argsort(held_out[1], stable=True) if is_sorted else torch.arange(400)
    held_out = (held_out[0][order], held_out[1][order])
    norm = nn.BatchNorm1d(16, track_running_stats=tracks)
    net = nn.Sequential(nn.Linear(8, 16), norm, nn.ReLU(), nn.Linear(16, 6))

    def evaluate():
        return float(torch.cat([net(part).argmax(1) for part in held_out[0].split(50)]).eq(held_out[1]).float().mean())

    dr = fit(net, F.cross_entropy, rows, held_out, evaluate=evaluate, epochs=4)
    assert ("batch-norm-statistics" in list_alarms(dr)) == (is_sorted and not tracks)


@pytest.mark.parametrize("is_shuffled", [True, False])
def test_predictions_in_another_order_than_labels(is_shuffled):
    x, y = make_classes(rows=600, columns=8, classes=4)
    net = make_mlp(8, 16, 4)
    held_out = (x[400:], y[400:])

    def evaluate():
        order = torch.randperm(200) if is_shuffled else torch.arange(200)
        predicted = torch.cat([net(held_out[0][part]).argmax(1) for part in order.split(64)])
        return float((predicted == held_out[1]).float().mean())

    dr = fit(net, F.cross_entropy, (x[:400], y[:400]), held_out, evaluate=evaluate)
    assert list_alarms(dr) == (["evaluated-scores"] if is_shuffled else [])
    if is_shuffled:
        assert "not in the same order" in dr.findings[0].cause


def test_low_score_of_other_rows_is_not_that_of_the_validation_rows():
    x, y = make_classes(rows=600, columns=8, classes=4)
    net = make_mlp(8, 16, 4)

    def evaluate():
        return float((net(torch.randn(200, 8)).argmax(1) == y[400:]).float().mean())

    dr = fit(net, F.cross_entropy, (x[:400], y[:400]), (x[400:], y[400:]), evaluate=evaluate)
    assert "evaluated-scores" not in list_alarms(dr)


def find_capped(y, **options):
    x = torch.randn(len(y), 3)
    findings = yisheng.check_data(x, y, quick=True, **options).findings
    return [finding for finding in findings if finding.check == "capped-targets"]


def test_targets_that_end_at_a_limit():
    y = torch.randn(600)
    (finding,) = find_capped(y.clamp(max=0.4))
    assert (finding.severity, finding.evidence["fraction"]) == ("note", pytest.approx(0.345, abs=0.06))
    assert "largest" in finding.cause
    (finding,) = find_capped((y + 4).clamp(min=3.3))
    assert "smallest" in finding.cause
    for healthy in (y, y.clamp(min=0), torch.sigmoid(3 * y).mul(1.3).clamp(max=1), y.clamp(max=2.5), (3 * y).round()):
        assert find_capped(healthy, task="regression") == []


@pytest.mark.parametrize("has_limit", [True, False])
def test_loss_that_knows_the_limit_is_not_reported(has_limit):
    x = torch.randn(400, 3)
    y = (x.sum(1, keepdim=True) + 0.1 * torch.randn(400, 1)).clamp(max=0.5)

    def loss(output, target):
        error = target - output
        return (torch.where(target >= 0.5, error.clamp(min=0), error) if has_limit else error).square().mean()

    dr = fit(make_mlp(3, 16, 1), loss, (x[:300], y[:300]), (x[300:], y[300:]))
    assert ("capped-targets" in [finding.check for finding in dr.findings]) != has_limit


@pytest.mark.parametrize(("factor", "is_reported"), [(3.0, True), (1.0, False), (1 / 16, False)])
def test_boxes_of_images_before_resizing(factor, is_reported):
    images = torch.rand(200, 1, 16, 16)
    corner = 10 * torch.rand(200, 2)
    boxes = factor * torch.cat([corner, corner + 1 + 5 * torch.rand(200, 2)], 1)
    findings = yisheng.check_data(images, boxes, quick=True).findings
    assert ("unresized-boxes" in [finding.check for finding in findings]) == is_reported


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(130, 8, padding_idx=0), nn.Linear(8, 2)

    def forward(self, ids):
        return self.head(self.embed(ids).mean(1))


@pytest.mark.parametrize("kind", ["beginning", "end", "padded"])
def test_texts_that_are_cut_before_what_decides(kind):
    y = torch.randint(0, 2, (700,))
    ids = torch.randint(1, 100, (700, 24))
    ids[:, -4:] = 100 + 15 * y[:, None] + torch.randint(0, 15, (700, 4))
    x = ids[:, -12:] if kind == "end" else ids[:, :12]
    if kind == "padded":  # texts that are shorter than their places are not cut
        x = x.masked_fill(torch.arange(12) >= torch.randint(4, 12, (700, 1)), 0)
    net = Words()
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, adam, data=(x[:500], y[:500]), validation=(x[500:], y[500:])) as dr:
        for _ in range(4):
            for rows in torch.randperm(500).split(32):
                adam.zero_grad()
                F.cross_entropy(net(x[rows]), y[rows]).backward()
                adam.step()
            with torch.no_grad():
                F.cross_entropy(net(x[500:]), y[500:])
    assert ("truncated-inputs" in list_alarms(dr)) == (kind == "beginning")
