"""Checks that probe the trained network, and that watch its evaluations, find their fault and nothing once repaired."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.diagnosis.small_trainings import make_classes, make_line, make_mlp
from yisheng.diagnosis.doctor import doctor

PROGRAMS = {}
"""By check: functions ``f(fixed) -> doctor`` that train with or without the fault."""


def program(check):
    def register(train):
        PROGRAMS.setdefault(check, []).append(train)
        return train

    return register


def train(model, x, y, loss=F.cross_entropy, *, lr=5e-3, epochs=6, size=32, optimizer=None, change=None, sort=False):
    """Train in epochs of shuffled batches; the last quarter of the rows is evaluated after each."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr) if optimizer is None else optimizer
    rows = len(x) * 3 // 4
    with doctor(model, optimizer) as dr:
        for _ in range(epochs):
            model.train()
            for batch in torch.arange(rows).split(size) if sort else torch.randperm(rows).split(size):
                optimizer.zero_grad()
                loss(model(x[batch] if change is None else change(x[batch])), y[batch]).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                loss(model(x[rows:]), y[rows:])
    return dr


class Rows(nn.Module):
    def __init__(self, batch_first):
        super().__init__()
        self.gru, self.out = nn.GRU(4, 16, batch_first=batch_first), nn.Linear(16, 3)

    def forward(self, x):
        return self.out(self.gru(x.reshape(len(x), 2, 4))[0][:, -1])


@program("mixed-rows")
def forget_batch_first(fixed):
    return train(Rows(fixed), *make_classes(), lr=1e-2)


class Reader(nn.Module):
    def __init__(self, masked):
        super().__init__()
        self.masked, self.embed, self.out = masked, nn.Embedding(12, 8), nn.Linear(8, 2)

    def forward(self, x):
        keep = (x > 0).float()[..., None] if self.masked else torch.ones(*x.shape, 1)
        return self.out((self.embed(x) * keep).sum(1) / keep.sum(1))


@program("read-padding")
def average_over_padding(fixed):
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(480, 60, dtype=torch.long)
    x[:, :4] = torch.randint(1, 12, (480, 4), generator=generator)
    x[::2, 4:6] = torch.randint(1, 12, (240, 2), generator=generator)
    y = (((x > 0) & (x < 6)).sum(1) > (x > 6).sum(1)).long()
    return train(Reader(fixed), x, y, lr=2e-2, epochs=8)


class Decoder(nn.Module):
    def __init__(self, causal):
        super().__init__()
        self.causal, self.embed, self.position = causal, nn.Embedding(6, 16), nn.Parameter(0.1 * torch.randn(8, 16))
        self.block, self.out = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True), nn.Linear(16, 6)

    def forward(self, x):
        mask = nn.Transformer.generate_square_subsequent_mask(8) if self.causal else None
        return self.out(self.block(self.embed(x) + self.position, src_mask=mask)).transpose(1, 2)


@program("visible-target")
def forget_causal_mask(fixed):
    x = torch.randint(0, 6, (320, 1), generator=torch.Generator().manual_seed(0)) + torch.arange(9)
    return train(Decoder(fixed), x[:, :-1] % 6, x[:, 1:] % 6, epochs=4)


class Order(nn.Module):
    def __init__(self, positions):
        super().__init__()
        self.embed, self.out = nn.Embedding(10, 16), nn.Linear(16, 2)
        self.position = nn.Parameter(0.5 * torch.randn(6, 16)) if positions else None
        self.block = nn.TransformerEncoderLayer(16, 2, 32, 0.0, batch_first=True)

    def forward(self, x):
        h = self.embed(x)
        return self.out(self.block(h if self.position is None else h + self.position).mean(1))


@program("missing-positions")
def forget_positions(fixed):
    x = torch.randint(0, 10, (640, 6), generator=torch.Generator().manual_seed(0))
    return train(Order(fixed), x, (x[:, 0] > x[:, -1]).long(), epochs=12)


@program("collapsed-outputs")
def pull_pairs_together_only(fixed):
    x, _ = make_classes()
    model = make_mlp(8, 32, 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    with doctor(model, optimizer) as dr:
        for _ in range(200):
            rows = torch.randint(0, len(x), (48,))
            a, b = (model(x[rows] + 0.1 * torch.randn(48, 8)) for _ in range(2))
            similarity = F.normalize(a, dim=1) @ F.normalize(b, dim=1).T / 0.2
            optimizer.zero_grad()
            (F.cross_entropy(similarity, torch.arange(48)) if fixed else (a - b).square().sum(1).mean()).backward()
            optimizer.step()
    return dr


@program("weights-reset")
def initialize_in_each_epoch(fixed):
    x, y = make_classes()
    model = make_mlp(8, 32, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with doctor(model, optimizer) as dr:
        for _ in range(5):
            for layer in [] if fixed else model:
                if isinstance(layer, nn.Linear):
                    layer.reset_parameters()
            for rows in torch.randperm(len(x)).split(16):
                optimizer.zero_grad()
                F.cross_entropy(model(x[rows]), y[rows]).backward()
                optimizer.step()
    return dr


@program("weights-reset")
def leave_the_average_in_the_network(fixed):
    x, y = make_classes()
    model = make_mlp(8, 32, 3)
    average = copy.deepcopy(model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with doctor(model, optimizer) as dr:
        for _ in range(8):
            for rows in torch.randperm(360).split(24):
                optimizer.zero_grad()
                F.cross_entropy(model(x[rows]), y[rows]).backward()
                optimizer.step()
                for name, value in model.state_dict().items():
                    average[name].lerp_(value, 0.01)
            trained = copy.deepcopy(model.state_dict())
            model.load_state_dict(average)
            with torch.no_grad():
                dr.validation(loss=float(F.cross_entropy(model(x[360:]), y[360:])))
            if fixed:
                model.load_state_dict(trained)
    return dr


@program("evaluated-network")
def evaluate_an_average_that_never_moves(fixed):
    x, y = make_classes()
    model = make_mlp(8, 32, 3)
    average, decay = copy.deepcopy(model), 0.9 if fixed else 0.99999
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    with doctor(model, optimizer) as dr:
        for _ in range(5):
            for rows in torch.randperm(360).split(32):
                optimizer.zero_grad()
                F.cross_entropy(model(x[rows]), y[rows]).backward()
                optimizer.step()
                with torch.no_grad():
                    for a, p in zip(average.parameters(), model.parameters(), strict=True):
                        a.lerp_(p, 1 - decay)
            with torch.no_grad():
                dr.validation(loss=float(F.cross_entropy(average(x[360:]), y[360:])))
    return dr


@program("evaluated-inputs")
def scale_training_rows_only(fixed):
    x, y = make_classes()
    rows = len(x) * 3 // 4
    changed = torch.cat([x[:rows], x[rows:] * (1 if fixed else 40)])
    return train(make_mlp(8, 32, 3), changed, y)


@program("strong-dropout")
def drop_nearly_everything(fixed):
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.3 if fixed else 0.97), nn.Linear(32, 3))
    return train(model, *make_classes(), lr=1e-2, epochs=10)


@program("strong-dropout")
def drop_predictions(fixed):
    layers = [nn.Dropout(0.5), nn.Linear(32, 1)] if fixed else [nn.Linear(32, 1), nn.Dropout(0.5)]
    return train(nn.Sequential(nn.Linear(8, 32), nn.ReLU(), *layers), *make_line(), F.mse_loss, epochs=15)


@program("batch-norm-statistics")
def mistake_the_momentum(fixed):
    norm = nn.BatchNorm1d(32, momentum=0.1 if fixed else 0.001)
    return train(nn.Sequential(nn.Linear(8, 32), norm, nn.ReLU(), nn.Linear(32, 3)), *make_classes())


@program("target-outliers")
def write_missing_targets_as_numbers(fixed):
    x, y = make_line()
    y = y.clone()
    y[::60] = y[::60] if fixed else -99999.0
    return train(make_mlp(8, 32, 1), x, y, F.mse_loss, epochs=15)


@program("sorted-targets")
def sort_rows_by_target(fixed):
    x, y = make_line()
    order = torch.arange(len(y)) if fixed else y[:, 0].argsort()
    return train(make_mlp(8, 32, 1), x[order], y[order], F.mse_loss, epochs=15, sort=not fixed)


@program("missed-classes")
def learn_the_common_class(fixed):
    generator = torch.Generator().manual_seed(0)
    y = (torch.rand(1600, generator=generator) < 0.04).long()
    x = torch.randn(1600, 6, generator=generator) + 0.7 * y[:, None]
    loss = nn.CrossEntropyLoss(torch.tensor([1.0, 24.0]) if fixed else None)
    return train(make_mlp(6, 8, 2), x, y, loss, lr=2e-3, epochs=4)


@program("permuted-classes")
def number_classes_otherwise(fixed):
    x, y = make_classes(classes=5)
    rows = len(x) * 3 // 4
    order = torch.arange(5) if fixed else torch.tensor([1, 2, 0, 4, 3])
    return train(make_mlp(8, 32, 5), x, torch.cat([y[:rows], order[y[rows:]]]), lr=1e-2)


@program("mode")
def drop_by_the_function(fixed):
    class Drops(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(8, 32), nn.Linear(32, 3)

        def forward(self, x):
            return self.last(F.dropout(F.relu(self.first(x)), 0.5, training=self.training if fixed else True))

    return train(Drops(), *make_classes(), lr=1e-2)


@program("half-precision")
def lose_epsilon_in_float16(fixed):
    x, y = make_classes()
    model = make_mlp(8, 16, 3)
    model = model if fixed else model.half()
    return train(model, x if fixed else x.half(), y, lr=1e-2, epochs=12)


@program("half-precision")
def pass_the_largest_float16(fixed):
    def loss(output, y):
        return ((100 * (output.float() if fixed else output) - 100 * y).square().sum().sqrt()) / 100

    x, y = make_line()
    size = torch.float32 if fixed else torch.float16
    model = make_mlp(8, 16, 1).to(size)
    return train(
        model, x.to(size), 3 * y.to(size), loss, optimizer=torch.optim.SGD(model.parameters(), lr=0.02), epochs=9
    )


@program("inputs")
def cast_inputs_to_zero(fixed):
    x, y = make_classes()
    return train(make_mlp(8, 32, 3), x if fixed else (x.sigmoid() * 0.99).long().float(), y, lr=1e-2, epochs=10)


@program("low-learning-rate")
def end_in_the_warm_up(fixed):
    x, y = make_classes()
    model = make_mlp(8, 32, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: min(1.0, (n + 1) / (10 if fixed else 1e5)))
    with doctor(model, optimizer) as dr:
        for _ in range(160):
            rows = torch.randint(0, len(x), (32,))
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return dr


@program("loss-pairing")
def reshape_classes_of_pixels(fixed):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(240, 1, 6, 6, generator=generator)
    y = (x[:, 0] > 0.5).long() + (x[:, 0] > -0.5).long()
    model = nn.Sequential(nn.Conv2d(1, 12, 1), nn.ReLU(), nn.Conv2d(12, 3, 1))

    def loss(output, y):
        return F.cross_entropy((output.movedim(1, -1) if fixed else output).reshape(-1, 3), y.reshape(-1))

    return train(model, x, y, loss, lr=2e-2, epochs=10, size=20)


@program("loss-pairing")
def let_labels_compete(fixed):
    x = torch.randn(480, 6, generator=torch.Generator().manual_seed(0))
    y = (x > 0).float()

    def loss(output, y):
        return F.binary_cross_entropy_with_logits(output, y) if fixed else F.mse_loss(output.softmax(1), y)

    return train(make_mlp(6, 32, 6), x, y, loss, lr=1e-2)


@program("loss-pairing")
def diverge_from_probabilities(fixed):
    x, y = make_classes()
    soft = (4.0 * F.one_hot(y, 3)).softmax(1)

    def loss(output, y):
        return F.kl_div(output.log_softmax(1) if fixed else output.softmax(1), y, reduction="batchmean")

    return train(make_mlp(8, 32, 3), x, soft, loss, lr=1e-2)


@program("narrow-layer")
def pass_everything_through_one_unit(fixed):
    model = nn.Sequential(
        nn.Linear(8, 16 if fixed else 1), nn.Linear(16 if fixed else 1, 32), nn.ReLU(), nn.Linear(32, 8)
    )
    return train(model, *make_classes(classes=8), lr=1e-2, epochs=10)


@program("constant-outputs")
def outweigh_the_error_by_a_penalty(fixed):
    x, y = make_line()
    model = make_mlp(8, 32, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with doctor(model, optimizer) as dr:
        for _ in range(250):
            rows = torch.randint(0, len(x), (32,))
            optimizer.zero_grad()
            penalty = sum(p.square().sum() for p in model.parameters() if p.ndim > 1)
            error = F.mse_loss(model(x[rows]), 5 + y[rows], reduction="sum")
            (error + (1e-3 if fixed else 1000.0) * penalty).backward()
            optimizer.step()
    return dr


CASES = [(check, run) for check, runs in PROGRAMS.items() for run in runs]


@pytest.mark.parametrize(("check", "run"), CASES, ids=lambda value: getattr(value, "__name__", value))
def test_check_finds_its_fault_first_and_nothing_once_it_is_fixed(check, run):
    torch.manual_seed(1)
    findings = run(False).findings
    assert findings, "nothing found"
    assert findings[0].check == check, [finding.check for finding in findings]
    assert findings[0].evidence
    torch.manual_seed(1)
    assert [finding.check for finding in run(True).findings] == []


def test_probing_leaves_network_and_generators_as_they_were():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
    dr = train(model, *make_classes(), epochs=2)
    model.train()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    assert dr.diagnose().findings == ()
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.training


def test_linear_model_of_exclusive_or_is_not_blamed_on_its_weight_decay():
    torch.manual_seed(0)
    x = torch.rand(600, 2) * 2 - 1
    y = ((x[:, 0] > 0) ^ (x[:, 1] > 0)).long()
    model = nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.01)
    findings = train(model, x, y, optimizer=optimizer, epochs=12).findings
    assert "strong-decay" not in [finding.check for finding in findings]


def test_trained_weights_are_not_called_too_large():
    torch.manual_seed(0)
    x, y = make_classes(classes=6)
    model = make_mlp(8, 64, 64, 6)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(300):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    dr = train(model, x, 5 - y, lr=1e-2, epochs=10)
    assert "initial-loss" not in [finding.check for finding in dr.findings]


def fit_with_rows(model, train_rows, validation, lr, change=None, epochs=6):
    """Train with rows that the doctor is given; `change` makes other rows of them in the loop."""
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    x, y = train_rows
    with doctor(model, optimizer, data=train_rows, validation=validation) as dr:
        for _ in range(epochs):
            model.train()
            for rows in torch.randperm(len(x)).split(32):
                a, b = (x[rows], y[rows]) if change is None else change(x, y, rows)
                optimizer.zero_grad()
                F.mse_loss(model(a), b).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                F.mse_loss(model(validation[0]), validation[1])
    return dr


def make_parts(rows=480):
    x, y = make_line(rows)
    return (x[: rows * 2 // 3], y[: rows * 2 // 3]), (x[rows * 2 // 3 :], y[rows * 2 // 3 :])


def test_line_that_is_not_trained_to_its_end_gets_a_higher_rate():
    torch.manual_seed(0)
    dr = fit_with_rows(nn.Linear(8, 1), *make_parts(), lr=2e-3)
    finding = dr.findings[0]
    assert finding.check == "low-learning-rate"
    assert finding.evidence["factor"] == 10


def test_rows_and_targets_that_are_shuffled_apart_are_not_blamed_on_the_rate():
    def shuffle_apart(x, y, rows):
        return x[rows], y[torch.randint(0, len(y), (len(rows),))]

    torch.manual_seed(0)
    finding = fit_with_rows(make_mlp(8, 32, 1), *make_parts(), lr=5e-3, change=shuffle_apart).findings[0]
    assert finding.check == "underfitting"
    assert "shuffled apart" in finding.remedy


def test_network_that_learns_its_rows_is_not_compared():
    torch.manual_seed(0)
    assert fit_with_rows(make_mlp(8, 32, 1), *make_parts(), lr=1e-2, epochs=15).findings == ()


def test_input_that_a_derivative_is_taken_for_is_no_parameter():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    with doctor(model, optimizer) as dr:
        for _ in range(120):
            time = torch.rand(64, 1, requires_grad=True)
            u = model(time)
            (slope,) = torch.autograd.grad(u.sum(), time, create_graph=True)
            optimizer.zero_grad()
            ((slope + u).square().mean() + (model(torch.zeros(1, 1)) - 1).square().mean()).backward()
            optimizer.step()
    assert dr.findings == ()


def test_relu_before_an_average_over_positions_is_no_fault():
    """SqueezeNet and NiN end in a relu of one map per class and its average: each position has a slope of its own."""
    torch.manual_seed(0)
    y = torch.arange(240) % 3
    x = 0.3 * torch.randn(240, 1, 6, 6) + y[:, None, None, None]
    last = nn.Conv2d(8, 3, 1)
    nn.init.ones_(last.bias)
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), last, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert train(model, x, y, lr=2e-2, epochs=12, size=20).findings == ()
