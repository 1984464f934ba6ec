"""Terms, targets and transforms of a user's own loop: each fault is found, and without it there is no alarm."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng
from yisheng.diagnosis.loss_terms import read_terms

from .small_trainings import list_alarms, make_classes, make_mlp


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def describe(loss):
    return [(term.kind, round(term.factor, 4), term.temperature) for term in read_terms(loss)]


def test_terms_of_a_loss():
    logits, y = torch.randn(8, 5, requires_grad=True), torch.randint(0, 5, (8,))
    soft = torch.randn(8, 5).softmax(1)
    hard = F.cross_entropy(logits, y)
    divergence = F.kl_div((logits / 4).log_softmax(1), soft, reduction="batchmean")
    assert describe(hard) == []
    assert describe(0.3 * hard + 0.7 * 16 * divergence) == [("loss", 0.3, 1.0), ("loss", 11.2, 4.0)]
    assert describe(hard - (soft * (logits / 2).log_softmax(1)).sum(1).mean()) == [("loss", 1, 1.0), ("loss", 1, 2.0)]
    assert describe(hard + F.cross_entropy(logits / 3, soft)) == [("loss", 1, 1.0), ("loss", 1, 3.0)]
    terms = read_terms(hard - 0.5 * torch.distributions.Categorical(logits=logits).entropy().mean())
    assert [(term.kind, term.factor, term.classes) for term in terms] == [("loss", 1, 5), ("entropy", 0.5, 5)]
    p = logits.detach().softmax(1)
    assert terms[1].value == pytest.approx(float(-(p * p.log()).sum(1).mean()), abs=1e-5)
    assert terms[0].classes == 5
    term = read_terms(hard + divergence)[1]
    assert term.divergence == pytest.approx(divergence.item(), abs=1e-5)


def train_policy(factor, *, is_summed=False):
    net, best = make_mlp(4, 32, 3), torch.randn(4, 3)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(150):
            state = torch.randn(64, 4)
            policy = torch.distributions.Categorical(logits=net(state))
            action = policy.sample()
            reward = 10 * ((state @ best).argmax(1) == action).float()
            loss = -policy.log_prob(action) * (reward - reward.mean())
            bonus = policy.entropy()
            optimizer.zero_grad()
            ((loss.sum() - factor * bonus.sum()) if is_summed else (loss.mean() - factor * bonus.mean())).backward()
            optimizer.step()
    return dr


@pytest.mark.parametrize(("factor", "is_summed"), [(30.0, False), (30.0, True), (0.1, False), (3.0, False)])
def test_entropy_that_outweighs_the_reward(factor, is_summed):
    dr = train_policy(factor, is_summed=is_summed)
    assert list_alarms(dr)[:1] == (["strong-entropy"] if factor > 10 else [])


@pytest.mark.parametrize("factor", [2.0, 0.1])
def test_entropy_that_outweighs_the_classes(factor):
    x, y = make_classes(rows=400, classes=4)
    net = make_mlp(8, 32, 4)
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(100):
            rows = torch.randint(0, 400, (32,))
            output = net(x[rows])
            optimizer.zero_grad()
            p = output.softmax(1)
            (F.cross_entropy(output, y[rows]) + factor * (p * output.log_softmax(1)).sum(1).mean()).backward()
            optimizer.step()
    assert ("strong-entropy" in list_alarms(dr)) == (factor > 1)


@pytest.mark.parametrize(("factor", "kind"), [(1.0, "divergence"), (1.0, "product"), (64.0, "divergence")])
def test_distillation_without_the_squared_temperature(factor, kind):
    x, y = make_classes(rows=600, classes=4)
    teacher = 2 * x @ torch.randn(8, 4)
    soft = (teacher / 8).softmax(1)
    net = make_mlp(8, 32, 4)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(150):
            rows, labeled = torch.randint(0, 600, (32,)), torch.randint(0, 20, (32,))
            predicted = (net(x[rows]) / 8).log_softmax(1)
            distilled = (
                F.kl_div(predicted, soft[rows], reduction="batchmean")
                if kind == "divergence"
                else -(soft[rows] * predicted).sum(1).mean()
            )
            optimizer.zero_grad()
            (F.cross_entropy(net(x[labeled]), y[labeled]) + factor * distilled).backward()
            optimizer.step()
    alarms = list_alarms(dr)
    assert ("distillation-temperature" in alarms) == (factor == 1)
    if factor == 1:
        assert "64" in next(f for f in dr.findings if f.check == "distillation-temperature").remedy


class TwoHeads(nn.Module):
    """A body with two heads whose outputs are joined."""

    def __init__(self):
        super().__init__()
        self.body, self.heads = make_mlp(8, 16), nn.ModuleList([nn.Linear(16, 1), nn.Linear(16, 1)])

    def forward(self, x):
        hidden = torch.tanh(self.body(x))
        return torch.cat([head(hidden) for head in self.heads], 1)


@pytest.mark.parametrize("adds", [False, True])
def test_loss_of_the_last_task_only(adds):
    x = torch.randn(400, 8)
    y = torch.stack([x[:, 0] + x[:, 1], x[:, 2] - x[:, 3]], 1)
    net = TwoHeads()
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(100):
            rows = torch.randint(0, 400, (32,))
            output, loss = net(x[rows]), torch.zeros(())
            for task in range(2):
                part = F.mse_loss(output[:, task], y[rows, task])
                loss = loss + part if adds else part
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert list_alarms(dr) == ([] if adds else ["no-gradient"])
    assert adds or "heads.0.weight" in dr.findings[0].cause


def make_masks(rows=160, side=8):
    """Return masks with squares of the classes 1 to 3, and images of twice the size."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.zeros(rows, side, side, dtype=torch.long)
    for i in range(rows):
        for kind in (1, 2, 3):
            a, b = torch.randint(0, side - 2, (2,), generator=generator).tolist()
            mask[i, a : a + 3, b : b + 3] = kind
    level = torch.tensor([0.0, -1.0, 2.0, 1.0])[mask]
    x = F.interpolate(level[:, None], scale_factor=2)
    return x + 0.1 * torch.randn(x.shape, generator=generator), mask


def train_pixels(x, y, change=None, **rows):
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer, **rows) as dr:
        for _ in range(60):
            index = torch.randint(0, len(x), (16,))
            a, b = (x[index], y[index]) if change is None else change(x[index], y[index])
            optimizer.zero_grad()
            F.cross_entropy(net(a), b).backward()
            optimizer.step()
    return dr


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
def test_masks_that_are_enlarged(mode):
    x, mask = make_masks()
    y = F.interpolate(mask[:, None].float(), scale_factor=2, mode=mode)[:, 0].long()
    assert ("interpolated-targets" in list_alarms(train_pixels(x, y))) == (mode == "bilinear")


def test_ordered_classes_are_not_interpolated():
    """Heights in five steps: between 0 and 2 there is always 1, and it has any width."""
    height = F.interpolate(torch.randn(100, 1, 4, 4), size=(24, 24), mode="bicubic")
    y = ((height - height.min()) / (height.max() - height.min()) * 3.99).long()[:, 0]
    assert "interpolated-targets" not in list_alarms(train_pixels(height, y))


@pytest.mark.parametrize("moves", ["image", "both"])
@pytest.mark.parametrize("scales", [False, True])
def test_masks_that_are_not_mirrored_with_their_images(moves, scales):
    x, mask = make_masks()
    y = F.interpolate(mask[:, None].float(), scale_factor=2)[:, 0].long()

    def mirror(a, b):
        a = (a - 1) / 2 if scales else a
        if torch.rand(()) < 0.5:
            return a.flip(-1), b.flip(-1) if moves == "both" else b
        return a, b

    dr = train_pixels(x, y, mirror, data=(x, y))
    alarms = [check for check in list_alarms(dr) if check == "label-changing-augmentation"]
    assert alarms == ([] if moves == "both" else ["label-changing-augmentation"])


@pytest.mark.slow
@pytest.mark.parametrize("moves", ["image", "both"])
def test_places_that_are_not_mirrored_with_their_images(moves):
    x, place = 0.1 * torch.randn(500, 1, 10, 10), torch.rand(500, 2)
    for i, (a, b) in enumerate((place * 7.99).long().tolist()):
        x[i, 0, a : a + 3, b : b + 3] += 1
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(800, 32), nn.ReLU())
    net.append(nn.Linear(32, 2))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    data, validation = (x[:400], place[:400]), (x[400:], place[400:])
    with yisheng.doctor(net, optimizer, data=data, validation=validation) as dr:
        for _ in range(160):
            rows = torch.randint(0, 400, (32,))
            a, b = x[rows], place[rows].clone()
            if torch.rand(()) < 0.5:
                a = a.flip(-1)
                b[:, 1] = 1 - b[:, 1] if moves == "both" else b[:, 1]
            optimizer.zero_grad()
            F.smooth_l1_loss(net(a), b).backward()
            optimizer.step()
        net.eval()
        with torch.no_grad():
            F.smooth_l1_loss(net(validation[0]), validation[1])
    alarms = list_alarms(dr)
    assert alarms[:1] == ([] if moves == "both" else ["label-changing-augmentation"])
    assert moves == "both" or "output 1" in dr.findings[0].cause


@pytest.mark.parametrize("is_reshaped", [True, False])
def test_series_that_are_reshaped_instead_of_transposed(is_reshaped):
    time = torch.arange(40) / 6
    phase, y = 6.283 * torch.rand(200, 1, 3), torch.randint(0, 2, (200,))
    x = torch.sin((1 + y[:, None, None]) * time[:, None] + phase) + 0.1 * torch.randn(200, 40, 3)
    x = x.reshape(200, 3, 40) if is_reshaped else x.transpose(1, 2)
    net = nn.Sequential(nn.Conv1d(3, 8, 5), nn.ReLU(), nn.AdaptiveAvgPool1d(4), nn.Flatten(), nn.Linear(32, 2))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(60):
            rows = torch.randint(0, 200, (32,))
            optimizer.zero_grad()
            F.cross_entropy(net(x[rows]), y[rows]).backward()
            optimizer.step()
    assert ("reshaped-images" in list_alarms(dr)) == is_reshaped


def make_compass(rows, columns=0, noise=0.2):
    generator = np.random.default_rng(0)
    angle = generator.uniform(-np.pi, np.pi, rows)
    places = generator.uniform(0, 2 * np.pi, 8)
    x = np.exp(2 * np.cos(angle[:, None] - places) - 2) + noise * generator.normal(size=(rows, 8))
    return np.concatenate([x, generator.normal(size=(rows, columns))], 1).astype(np.float32), angle


UNITS = {
    "radians": lambda angle: angle,
    "degrees from 0": lambda angle: np.degrees(angle) % 360,
    "hours": lambda angle: np.floor((angle + np.pi) / (2 * np.pi) * 24),
}


@pytest.mark.parametrize("unit", UNITS)
def test_numbers_on_a_circle(unit):
    x, angle = make_compass(500, columns=8)
    findings = yisheng.check_data(x, UNITS[unit](angle).astype(np.float32)[:, None]).findings
    assert "circular-target" in [finding.check for finding in findings]


GENERATOR = np.random.default_rng(1)
Y = GENERATOR.uniform(-1, 1, 300)
LINES = {
    "half a circle": np.stack([np.cos(np.pi * Y / 2), np.sin(np.pi * Y / 2)], 1),
    "the sign is lost": np.stack([np.abs(Y), Y**2], 1),
    "no signal": GENERATOR.normal(size=(300, 4)),
    "a line": np.stack([Y, Y**2, Y**3], 1),
    "waves": np.stack([np.sin(7 * Y), np.cos(3 * Y)], 1),
}


@pytest.mark.parametrize("name", LINES)
def test_numbers_that_are_no_circle(name):
    x = LINES[name] + 0.05 * GENERATOR.normal(size=LINES[name].shape)
    findings = yisheng.check_data(x.astype(np.float32), Y.astype(np.float32)[:, None]).findings
    assert "circular-target" not in [finding.check for finding in findings]


@pytest.mark.parametrize("learns", ["sine and cosine", "a circular error"])
def test_angles_that_the_loop_learns_rightly(learns):
    x, angle = (torch.as_tensor(part, dtype=torch.float32) for part in make_compass(400))
    net = make_mlp(8, 32, 2 if learns == "sine and cosine" else 1)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer, data=(x, angle[:, None])) as dr:
        for _ in range(60):
            rows = torch.randint(0, 400, (32,))
            output, y = net(x[rows]), angle[rows]
            optimizer.zero_grad()
            if learns == "sine and cosine":
                F.mse_loss(output, torch.stack([y.sin(), y.cos()], 1)).backward()
            else:
                (1 - torch.cos(output[:, 0] - y)).mean().backward()
            optimizer.step()
    assert "circular-target" not in list_alarms(dr)
