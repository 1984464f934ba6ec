"""Each check finds its fault in a small training, and is quiet where it is mended."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.core import registry
from yisheng.diagnosis.doctor import doctor

PROGRAMS = {}


def program(check, steps=120):
    def keep(build):
        PROGRAMS.setdefault(check, []).append((build, steps))
        return build

    return keep


def net(*widths, act=nn.ReLU):
    layers = []
    for before, after in zip(widths, widths[1:], strict=False):  # noqa: RUF007
        layers += [nn.Linear(before, after), act()]
    return nn.Sequential(*layers[:-1])


def classes(rows=480, columns=8, kinds=3):
    draw = torch.Generator().manual_seed(5)
    y = torch.arange(rows) % kinds
    centers = 2.5 * torch.randn(kinds, columns, generator=draw)
    return centers[y] + torch.randn(rows, columns, generator=draw), y


def line(rows=480, columns=8):
    draw = torch.Generator().manual_seed(6)
    x = torch.randn(rows, columns, generator=draw)
    return x, x @ torch.randn(columns, 1, generator=draw) / columns**0.5


def loop(model, optimizer, x, y, loss=F.cross_entropy, steps=120, clear=True, update=True, shuffle=True):
    with doctor(model, optimizer) as dr:
        for step in range(steps):
            rows = torch.randint(0, len(x), (32,)) if shuffle else torch.arange(step * 16, step * 16 + 16) % len(x)
            if clear:
                optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            if update:
                optimizer.step()
    return dr


def sgd(model, lr=0.1, **more):
    return torch.optim.SGD(model.parameters(), lr=lr, **more)


@program("uncovered-parameters")
def uncovered(fixed, steps):
    model = net(8, 16, 3)
    optimizer = sgd(model if fixed else model[2])
    return loop(model, optimizer, *classes(), steps=steps)


class Listed(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        layers = [nn.Linear(8, 16)]
        self.layers, self.last = nn.ModuleList(layers) if fixed else layers, nn.Linear(16, 3)

    def forward(self, x):
        return self.last(F.relu(self.layers[0](x)))


@program("unregistered-parameters")
def unregistered(fixed, steps):
    model = Listed(fixed)
    return loop(model, sgd(model), *classes(), steps=steps)


@program("frozen-parameters")
def frozen(fixed, steps):
    model = net(8, 16, 3)
    model[0].requires_grad_(fixed)
    return loop(model, sgd(model), *classes(), steps=steps)


class Cut(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.fixed, self.first, self.last = fixed, nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x):
        x = F.relu(self.first(x))
        return self.last(x if self.fixed else x.detach())


@program("no-gradient")
def detached(fixed, steps):
    model = Cut(fixed)
    return loop(model, sgd(model), *classes(), steps=steps)


@program("no-gradient")
def cleared_too_late(fixed, steps):
    model = net(8, 16, 3)
    optimizer = sgd(model)
    x, y = classes()
    with doctor(model, optimizer) as dr:
        for _ in range(steps):
            if fixed:
                optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            if not fixed:
                optimizer.zero_grad()
            optimizer.step()
    return dr


@program("symmetric-weights")
def alike(fixed, steps):
    model = net(8, 16, 3)
    if not fixed:
        for p in model.parameters():
            nn.init.constant_(p, 0.1)
    return loop(model, sgd(model), *classes(), steps=steps)


@program("symmetric-weights")
def zeros(fixed, steps):
    model = net(8, 16, 3, act=nn.Tanh)
    if not fixed:
        for p in model.parameters():
            nn.init.zeros_(p)
    return loop(model, sgd(model), *classes(), steps=steps)


def paired(wrong, right=F.cross_entropy, outputs=3, targets=None, data=classes):
    def build(fixed, steps):
        model = net(8, 16, outputs)
        x, y = data()
        return loop(model, sgd(model), x, y if targets is None else targets(y), right if fixed else wrong, steps=steps)

    return build


def two(y):
    return (y == 0).float()[:, None]


PROGRAMS["loss-pairing"] = [
    (build, 60)
    for build in (
        paired(lambda out, y: F.cross_entropy(out.softmax(1), y)),
        paired(lambda out, y: F.cross_entropy(torch.sigmoid(out), y)),
        paired(lambda out, y: F.cross_entropy(F.relu(out), y)),
        paired(lambda out, y: F.nll_loss(out, y)),
        paired(lambda out, y: F.nll_loss(out.softmax(1), y)),
        paired(lambda out, y: F.nll_loss(out.log_softmax(0), y), lambda out, y: F.nll_loss(out.log_softmax(1), y)),
        paired(
            lambda out, y: -out.softmax(0)[range(len(y)), y].log().mean(),
            lambda out, y: -out.softmax(1)[range(len(y)), y].log().mean(),
        ),
        paired(
            lambda out, y: F.binary_cross_entropy_with_logits(out.sigmoid(), y),
            F.binary_cross_entropy_with_logits,
            1,
            two,
        ),
        paired(
            lambda out, y: F.binary_cross_entropy(out.softmax(1), y),
            lambda out, y: F.binary_cross_entropy(out.sigmoid(), y),
            1,
            two,
        ),
        paired(lambda out, y: (out - y.squeeze(1)).pow(2).mean(), lambda out, y: (out - y).pow(2).mean(), 1, data=line),
        paired(lambda out, y: -F.mse_loss(out, y), F.mse_loss, 1, data=line),
    )
]
PROGRAMS["target-range"] = [
    (build, 60)
    for build in (
        paired(lambda out, y: F.mse_loss(out.sigmoid(), y), F.mse_loss, 1, data=line),
        paired(lambda out, y: ((F.relu(out) - y) ** 2).mean(), F.mse_loss, 1, data=line),
        paired(
            lambda out, y: F.binary_cross_entropy_with_logits(out, y + 1), F.binary_cross_entropy_with_logits, 1, two
        ),
    )
]


@program("carried-gradients")
def carried(fixed, steps):
    model = net(8, 16, 3)
    return loop(model, sgd(model), *classes(), steps=steps, clear=fixed)


@program("missing-update")
def never_updated(fixed, steps):
    model = net(8, 16, 3)
    return loop(model, sgd(model), *classes(), steps=steps, update=fixed)


@program("mode")
def trained_in_evaluation_mode(fixed, steps):
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)).train(fixed)
    return loop(model, sgd(model), *classes(), steps=steps)


@program("mode")
def evaluated_in_training_mode(fixed, steps):
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
    optimizer = sgd(model)
    x, y = classes()
    with doctor(model, optimizer) as dr:
        for step in range(steps):
            model.train()
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if step % 25 == 24:
                model.train(not fixed)
                with torch.no_grad():
                    model(x)
    return dr


@program("sorted-batches")
def in_the_order_of_classes(fixed, steps):
    x, y = classes()
    order = y.argsort()
    model = net(8, 16, 3)
    return loop(model, sgd(model), x[order], y[order], steps=steps, shuffle=fixed)


@program("inputs")
def not_scaled(fixed, steps):
    x, y = classes()
    model = net(8, 16, 3)
    return loop(model, sgd(model), x if fixed else x * 500, y, steps=steps)


@program("inputs")
def missing_values(fixed, steps):
    x, y = classes()
    if not fixed:
        x[100, 2] = float("nan")
    model = net(8, 16, 3)
    return loop(model, sgd(model), x, y, steps=steps)


@program("target-scale")
def targets_far_away(fixed, steps):
    x, y = line()
    model = net(8, 16, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return loop(model, optimizer, x, y if fixed else 300 + 50 * y, F.mse_loss, steps=steps)


@program("low-learning-rate")
def too_slow(fixed, steps):
    model = net(8, 16, 3)
    return loop(model, sgd(model, 0.1 if fixed else 1e-5), *classes(), steps=steps)


@program("high-learning-rate")
def too_fast(fixed, steps):
    model = net(8, 16, 1)
    return loop(model, sgd(model, 0.05 if fixed else 5.0), *line(), F.mse_loss, steps=steps)


@program("high-learning-rate")
def adam_too_fast(fixed, steps):
    model = net(8, 16, 16, 3)
    x, y = classes(kinds=6)
    x = x + 3 * torch.randn_like(x)
    model[4] = nn.Linear(16, 6)
    return loop(model, torch.optim.Adam(model.parameters(), lr=5e-3 if fixed else 2.0), x, y, steps=steps)


@program("non-finite-loss")
def logarithm_of_zero(fixed, steps):
    def loss(out, y):
        p = (300 * out).softmax(1)
        return F.cross_entropy(out, y) if fixed else -(F.one_hot(y, 3) * p.log()).sum(1).mean()

    model = net(8, 16, 3)
    return loop(model, sgd(model), *classes(), loss, steps=steps)


@program("vanishing-gradients")
def deep_sigmoids(fixed, steps):
    model = net(8, *[16] * 8, 3, act=nn.Sigmoid) if not fixed else net(8, 16, 3)
    return loop(model, sgd(model), *classes(), steps=steps)


@program("exploding-gradients")
def large_weights(fixed, steps):
    model = net(8, 32, 32, 32, 32, 3)
    for p in model.parameters():
        if p.ndim > 1 and not fixed:
            nn.init.normal_(p, std=1.5)
    x, y = classes()
    return loop(model, sgd(model, 1e-1 if fixed else 1e-6), x, y, steps=steps)


@program("initial-loss")
def a_large_head(fixed, steps):
    model = net(8, 16, 3)
    if not fixed:
        nn.init.normal_(model[2].weight, std=60)
    return loop(model, sgd(model, 1e-2), *classes(), steps=steps)


@program("dead-relu")
def dead(fixed, steps):
    model = net(8, 16, 16, 3)
    if not fixed:
        nn.init.constant_(model[2].bias, -50)
    return loop(model, sgd(model), *classes(), steps=steps)


@program("saturated-activation")
def saturated(fixed, steps):
    model = net(8, 32, 32, 3, act=nn.Tanh)
    if not fixed:
        nn.init.normal_(model[0].weight, std=30)
        nn.init.normal_(model[2].weight, std=30)
    x, y = classes()
    y = y if fixed else y[torch.randperm(len(y))]
    return loop(model, sgd(model), x, y, steps=steps)


@program("strong-decay")
def strong_decay(fixed, steps):
    model = net(8, 16, 3)
    return loop(model, sgd(model, weight_decay=1e-4 if fixed else 2.0), *classes(), steps=steps)


@program("oscillation", 160)
def from_side_to_side(fixed, steps):
    model = nn.Linear(8, 1)
    optimizer = sgd(model, 0.03 if fixed else 0.6)
    x, y = line()
    with doctor(model, optimizer) as dr:
        for _ in range(steps):
            optimizer.zero_grad()
            F.l1_loss(model(x), y).backward()
            optimizer.step()
    return dr


@program("oscillation", 200)
def up_and_down_again(fixed, steps):
    model = net(8, 32, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005 if fixed else 0.1, betas=(0.5, 0.9))
    x, y = line()
    y = torch.sin(3 * y)
    with doctor(model, optimizer) as dr:
        for _ in range(steps):
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
    return dr


@program("plateau", 600)
def nothing_more_to_gain(fixed, steps):
    x, y = classes()
    if not fixed:
        y = torch.where(torch.rand(len(y), generator=torch.Generator().manual_seed(1)) < 0.4, y.roll(7), y)
    model = nn.Linear(8, 3)
    return loop(model, sgd(model, 0.1), x, y, steps=steps)


@program("small-batch-norm", 60)
@program("small-batch-norm", 400)
def three_rows(fixed, steps):
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = sgd(model, 0.02)
    x, y = classes()
    with doctor(model, optimizer) as dr:
        for _ in range(steps):
            rows = torch.randint(0, len(x), (32 if fixed else 3,))
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return dr


@program("half-precision", 30)
def gradients_in_float16(fixed, steps):
    model = net(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu", enabled=fixed)
    x, y = classes()
    with doctor(model, optimizer) as dr:
        for _ in range(steps):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.float16):
                loss = 3e-5 * F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
    return dr


@program("half-precision", 60)
def weights_in_bfloat16(fixed, steps):
    model = net(8, 16, 3).to(torch.float32 if fixed else torch.bfloat16)
    x, y = classes()
    x = x.to(model[0].weight.dtype)
    return loop(
        model, sgd(model, 1e-3, momentum=0.9), x, y, lambda out, y: F.cross_entropy(out.float(), y), steps=steps
    )


CASES = [
    pytest.param(check, build, steps, id=f"{check}-{build.__name__}-{i}")
    for check, found in PROGRAMS.items()
    for i, (build, steps) in enumerate(found)
]


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(("check", "build", "steps"), CASES)
def test_a_check_finds_its_fault_first_and_keeps_quiet_of_the_mended_twin(check, build, steps):
    torch.manual_seed(1)
    found = build(False, steps).findings
    assert found, "nothing found"
    assert found[0].check == check, [one.check for one in found]
    assert found[0].evidence
    torch.manual_seed(1)
    assert not build(True, steps).findings


def test_every_check_has_its_program():
    assert set(registry.names("diagnosis.training_checks")) == set(PROGRAMS)


def test_what_has_nothing_to_look_at_says_why():
    model = net(8, 16, 3)
    optimizer = sgd(model)
    with doctor(model, optimizer) as dr:
        before = dr.diagnose().unchecked
    assert set(before) == set(registry.names("diagnosis.training_checks")) - {
        "frozen-parameters",
        "uncovered-parameters",
    }
    assert all(before.values())
    after = loop(model, optimizer, *classes(), steps=120).diagnose()
    assert set(after.unchecked) == {
        "exploding-gradients",
        "half-precision",
        "mode",
        "plateau",
        "saturated-activation",
        "small-batch-norm",
        "strong-decay",
        "target-range",
        "target-scale",
        "vanishing-gradients",
    }
    assert "no sigmoid or tanh was seen" in str(after)
    assert "3 layers with weights" in after.unchecked["exploding-gradients"]
