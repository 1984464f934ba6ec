"""Faults of a user's own loop: each is found first, and the same program without it has no error and no warning."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng

from .small_trainings import list_alarms, make_classes, make_mlp

X, Y = make_classes(rows=600, columns=8, classes=2)
DATA, VALIDATION = (X[:400], Y[:400]), (X[400:], Y[400:])


def train(net, optimizer, loss, data=DATA, validation=VALIDATION, *, epochs=10, change=None, gives_rows=True, batch=32):
    """Train with validation after each epoch and return the doctor."""
    rows = {"data": data, "validation": validation} if gives_rows else {}
    with yisheng.doctor(net, optimizer, **rows) as dr:
        for _ in range(epochs):
            net.train()
            for index in torch.randperm(len(data[0])).split(batch):
                x = data[0][index] if change is None else change(data[0][index])
                optimizer.zero_grad()
                loss(net(x), data[1][index]).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                loss(net(validation[0]), validation[1])
    return dr


def train_margin(loss, is_healthy):
    def call(output, y):
        return loss(output[:, 0], 2.0 * y - 1 if is_healthy else y.float())

    net = make_mlp(8, 32, 1)
    return train(net, torch.optim.Adam(net.parameters(), 3e-3), call, gives_rows=False)


MARGIN_LOSSES = {
    "clamp": lambda score, y: torch.clamp(1 - y * score, min=0).mean(),
    "relu": lambda score, y: F.relu(1 - score * y).mean(),
    "squared": lambda score, y: F.relu(1 - score * y).square().mean(),
    "softplus": lambda score, y: F.softplus(-y * score).mean(),
    "soft_margin_loss": F.soft_margin_loss,
    "margin_ranking_loss": lambda score, y: F.margin_ranking_loss(score, torch.zeros_like(score), y, margin=1.0),
}


@pytest.mark.parametrize("name", MARGIN_LOSSES)
def test_margin_losses_need_targets_of_both_signs(name):
    torch.manual_seed(0)
    finding = train_margin(MARGIN_LOSSES[name], False).findings[0]
    assert (finding.check, finding.severity) == ("target-range", "error")
    assert "2 * y - 1" in finding.remedy
    assert list_alarms(train_margin(MARGIN_LOSSES[name], True)) == []


def test_mask_of_zeros_and_ones_is_not_taken_for_targets():
    torch.manual_seed(0)
    mask = (torch.rand(200) < 0.7).float()

    def call(output, y):
        losses = F.cross_entropy(output, y, reduction="none")
        return (losses * mask[: len(y)]).sum() / mask[: len(y)].sum()

    net = make_mlp(8, 32, 2)
    assert list_alarms(train(net, torch.optim.Adam(net.parameters(), 3e-3), call, gives_rows=False)) == []


def train_policy(sign):
    torch.manual_seed(0)
    net, best = make_mlp(4, 32, 3), torch.randn(4, 3)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for step in range(120):
            state = torch.randn(64, 4)
            policy = torch.distributions.Categorical(logits=net(state))
            action = policy.sample()
            matches = ((state @ best).argmax(1) == action).float()
            optimizer.zero_grad()
            (sign * policy.log_prob(action) * (matches - matches.mean())).mean().backward()
            optimizer.step()
            if step % 10 == 9:
                dr.validation(score=matches.mean().item())
    return dr


def test_score_that_the_loss_lowers_is_a_wrong_sign():
    finding = train_policy(1).findings[0]
    assert finding.check == "opposed-score"
    assert "sign" in finding.remedy
    assert list_alarms(train_policy(-1)) == []


@pytest.mark.parametrize(("scores", "checks"), [((0.9, 0.2), ["opposed-score"]), ((0.3, 0.9), [])])
def test_error_that_is_reported_as_a_score(scores, checks):
    torch.manual_seed(0)
    net = make_mlp(8, 16, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.05)
    with yisheng.doctor(net, optimizer) as dr:
        for epoch in range(10):
            for index in torch.randperm(400).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(X[index]), Y[index]).backward()
                optimizer.step()
            with torch.no_grad():
                loss = F.cross_entropy(net(X[400:]), Y[400:]).item()
            start, end = scores
            dr.validation(loss=loss, score=start + (end - start) * epoch / 9)
    assert list_alarms(dr) == checks


@pytest.mark.parametrize(
    ("kind", "is_healthy"),
    [(kind, is_healthy) for kind in ("picked", "maximize") for is_healthy in (False, True)],
)
def test_wrong_sign_of_a_supervised_loss(kind, is_healthy):
    torch.manual_seed(0)
    net = make_mlp(8, 32, 2)
    maximize = kind == "maximize" and not is_healthy
    optimizer = torch.optim.SGD(net.parameters(), 0.05, maximize=maximize)
    sign = 1 if kind == "picked" and not is_healthy else -1

    def call(output, y):
        return sign * F.log_softmax(output, 1)[torch.arange(len(y)), y].mean()

    checks = list_alarms(train(net, optimizer, call, epochs=5, gives_rows=False))
    assert checks == ([] if is_healthy else ["loss-pairing"])


@pytest.mark.parametrize(("axis", "checks"), [(0, ["evaluated-scores"]), (1, [])])
def test_score_below_what_the_loss_guarantees(axis, checks):
    torch.manual_seed(0)
    order = torch.randperm(400)
    x, y = (part[order] for part in make_classes(rows=400, columns=8, classes=8))
    net = make_mlp(8, 64, 8)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(8):
            for index in torch.randperm(300).split(20):
                optimizer.zero_grad()
                F.cross_entropy(net(x[index]), y[index]).backward()
                optimizer.step()
            with torch.no_grad():
                output = net(x[300:396]).reshape(12, 8, 8)
                correct = (output.argmax(1 + axis) == y[300:396].reshape(12, 8)).float()
                dr.validation(loss=F.cross_entropy(net(x[300:]), y[300:]).item(), score=correct.mean().item())
    assert list_alarms(dr) == checks


class Variational(nn.Module):
    """A variational autoencoder."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(12, 8), make_mlp(4, 32, 12)

    def forward(self, x):
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return self.decoder(mean + torch.randn_like(mean) * (log_variance / 2).exp()), mean, log_variance


@pytest.mark.parametrize(("weight", "checks"), [(1.0, ["constant-outputs"]), (0.01, [])])
def test_divergence_that_outweighs_the_error(weight, checks):
    torch.manual_seed(0)
    x = torch.randn(512, 3) @ torch.randn(3, 12) * 0.2
    net = Variational()
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(12):
            for index in torch.randperm(512).split(32):
                output, mean, log_variance = net(x[index])
                divergence = -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
                optimizer.zero_grad()
                (F.mse_loss(output, x[index]) + weight * divergence).backward()
                optimizer.step()
    assert list_alarms(dr) == checks


@pytest.mark.parametrize("in_place", [True, False])
def test_rows_that_are_scaled_in_place_in_every_epoch(in_place):
    torch.manual_seed(0)
    data = (3 * X[:400].clone() + 1, Y[:400])
    mean, std = data[0].mean(), data[0].std()

    def scale(x):
        return x.sub_(mean).div_(std) if in_place else (x - mean) / std

    net = make_mlp(8, 32, 2)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(10):
            for start in torch.randperm(13) * 32:
                optimizer.zero_grad()
                F.cross_entropy(net(scale(data[0][start : start + 32])), data[1][start : start + 32]).backward()
                optimizer.step()
    assert list_alarms(dr)[:1] == (["drifting-inputs"] if in_place else [])


def make_photos(rows=256):
    """Return smooth images ``(B, H, W, C)`` whose class is where they are bright, each channel by itself."""
    generator = torch.Generator().manual_seed(2)
    y = torch.randint(0, 2, (rows,), generator=generator)
    ramp = torch.linspace(-1, 1, 12)
    sign = (2.0 * y - 1)[:, None, None, None]
    colors = torch.randn(rows, 1, 1, 3, generator=generator)
    images = sign * ramp[None, :, None, None] + colors + 0.05 * torch.randn(rows, 12, 12, 3, generator=generator)
    return images.float(), y


@pytest.mark.parametrize("is_reshaped", [True, False])
def test_images_that_are_reshaped_instead_of_permuted(is_reshaped):
    torch.manual_seed(0)
    images, y = make_photos()
    x = images.reshape(-1, 3, 12, 12) if is_reshaped else images.permute(0, 3, 1, 2)
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 144, 2))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    dr = train(net, optimizer, F.cross_entropy, (x[:200], y[:200]), (x[200:], y[200:]), epochs=4, gives_rows=False)
    assert list_alarms(dr)[:1] == (["reshaped-images"] if is_reshaped else [])


def make_exclusive_or(rows=500):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, 2, generator=generator)
    return x, ((x[:, 0] * x[:, 1]) > 0).long()


@pytest.mark.parametrize("activation", [nn.Identity, nn.ReLU])
def test_layers_without_an_activation(activation):
    torch.manual_seed(0)
    x, y = make_exclusive_or()
    net = make_mlp(2, 32, 32, 2, activation=activation)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    dr = train(net, optimizer, F.cross_entropy, (x[:400], y[:400]), (x[400:], y[400:]), epochs=12, gives_rows=False)
    assert list_alarms(dr) == (["missing-activation"] if activation is nn.Identity else [])


def test_deep_line_that_follows_a_line_is_not_reported():
    torch.manual_seed(0)
    x = torch.randn(400, 4)
    y = x @ torch.tensor([[1.0], [2.0], [-1.0], [0.5]])
    net = make_mlp(4, 16, 1, activation=nn.Identity)
    dr = train(net, torch.optim.Adam(net.parameters(), 1e-2), F.mse_loss, (x, y), (x[:100], y[:100]), gives_rows=False)
    assert list_alarms(dr) == []


@pytest.mark.parametrize("is_repeated", [True, False])
def test_one_layer_in_several_places_of_a_list(is_repeated):
    torch.manual_seed(0)
    middle = [nn.Linear(16, 16)] * 3 if is_repeated else [nn.Linear(16, 16) for _ in range(3)]
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), *middle, nn.ReLU(), nn.Linear(16, 2))
    dr = train(net, torch.optim.Adam(net.parameters(), 3e-3), F.cross_entropy, epochs=5, gives_rows=False)
    assert list_alarms(dr) == (["repeated-layers"] if is_repeated else [])


@pytest.mark.parametrize("limit", [1e-3, 10.0])
def test_clipping_far_below_the_gradients(limit):
    torch.manual_seed(0)
    net = make_mlp(8, 32, 2)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(6):
            for index in torch.randperm(400).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(X[index]), Y[index]).backward()
                nn.utils.clip_grad_norm_(net.parameters(), limit)
                optimizer.step()
    assert list_alarms(dr) == (["low-learning-rate"] if limit < 1 else [])
    if limit < 1:
        assert "clipp" in dr.findings[0].remedy


def make_polynomials(degree, rows=40, seed=1):
    generator = np.random.default_rng(seed)
    x = generator.uniform(-1, 1, rows + 150)
    y = 1.2 * x - 1.7 * x**2 + 2.8 * x**3 + 0.3 * generator.normal(size=len(x))
    columns = torch.tensor(np.polynomial.legendre.legvander(x, degree)[:, 1:], dtype=torch.float32)
    targets = torch.tensor(y, dtype=torch.float32)[:, None]
    return (columns[:rows], targets[:rows]), (columns[rows:], targets[rows:])


@pytest.mark.parametrize(("degree", "checks"), [(20, ["overfitting"]), (3, [])])
@pytest.mark.parametrize("gives_rows", [pytest.param(True, marks=pytest.mark.slow), False])
def test_polynomial_of_high_degree(degree, checks, gives_rows):
    torch.manual_seed(0)
    data, validation = make_polynomials(degree)
    net = nn.Linear(degree, 1)
    optimizer = torch.optim.Adam(net.parameters(), 0.05)
    dr = train(net, optimizer, F.mse_loss, data, validation, epochs=120, gives_rows=gives_rows, batch=10)
    assert list_alarms(dr) == checks


def make_arrows(rows=500):
    """Return images with a bright spot on the side that is their class."""
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(0, 2, (rows,), generator=generator)
    x = 0.3 * torch.randn(rows, 1, 8, 8, generator=generator)
    x[torch.arange(rows), 0, torch.randint(0, 8, (rows,), generator=generator), 1 + 5 * y] += 3
    return (x[:400], y[:400]), (x[400:], y[400:])


@pytest.mark.parametrize("is_mirrored", [True, False])
def test_augmentation_that_changes_the_label(is_mirrored):
    torch.manual_seed(0)

    def change(x):
        if not is_mirrored:
            return x + 0.05 * torch.randn_like(x)
        return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(-1), x)

    data, validation = make_arrows()
    net = nn.Sequential(nn.Flatten(), make_mlp(64, 32, 2))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    dr = train(net, optimizer, F.cross_entropy, data, validation, epochs=12, change=change)
    assert list_alarms(dr)[:1] == (["label-changing-augmentation"] if is_mirrored else [])


@pytest.mark.slow
def test_one_column_of_outputs_next_to_a_vector_of_targets_is_compared_row_by_row():
    torch.manual_seed(0)
    x = torch.randn(500, 4)
    y = x[:, 0] + torch.sin(2 * x[:, 1])
    net = make_mlp(4, 32, 1)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    data, validation = (x[:300], y[:300]), (x[300:], y[300:])
    dr = train(net, optimizer, lambda output, y: F.mse_loss(output[:, 0], y), data, validation, epochs=40)
    assert list_alarms(dr) == []


@pytest.mark.slow
def test_rows_that_the_loop_scales_are_not_compared_as_they_are():
    torch.manual_seed(0)
    data, validation = ((100 * x + 50, y) for x, y in (DATA, VALIDATION))
    net = make_mlp(8, 32, 2)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer, data=data, validation=validation) as dr:
        for _ in range(8):
            for index in torch.randperm(400).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net((data[0][index] - 50) / 100), data[1][index]).backward()
                optimizer.step()
            with torch.no_grad():
                F.cross_entropy(net((validation[0] - 50) / 100), validation[1])
    assert list_alarms(dr) == []


class Attention(nn.Module):
    """Two transformer layers over the rows of an image."""

    def __init__(self):
        super().__init__()
        self.embed, self.position = nn.Linear(8, 16), nn.Parameter(0.1 * torch.randn(8, 16))
        self.blocks = nn.Sequential(
            *(nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True) for _ in range(2))
        )
        self.output = nn.Linear(16, 10)

    def forward(self, x):
        return self.output(self.blocks(self.embed(x) + self.position).mean(1))


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "checks"), [(3e-2, ["high-learning-rate"]), (2e-3, [])])
def test_rate_that_was_too_high_from_the_start(rate, checks):
    from sklearn.datasets import load_digits

    torch.manual_seed(0)
    digits = load_digits()
    x, y = torch.tensor(digits.images / 8 - 1, dtype=torch.float32), torch.tensor(digits.target)
    net = Attention()
    optimizer = torch.optim.Adam(net.parameters(), rate)
    dr = train(net, optimizer, F.cross_entropy, (x[:1200], y[:1200]), (x[1200:], y[1200:]), epochs=6)
    assert list_alarms(dr) == checks
