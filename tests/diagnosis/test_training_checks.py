"""Each training check finds its fault in a small training, and nothing once the fault is fixed."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.diagnosis.small_trainings import make_classes, make_line, make_mlp
from tests.diagnosis.test_probe_checks import PROGRAMS as PROBE_PROGRAMS
from yisheng.core import registry
from yisheng.diagnosis.doctor import doctor

LOOP_CHECKS = {
    "adversarial-target",
    "aliased-rows",
    "batch-statistics",
    "blank-class",
    "bounded-code",
    "bounded-scores",
    "broadcast-loss",
    "clamped-weights",
    "class-dimension",
    "clipped-scaled-gradients",
    "constant-targets",
    "copied-targets",
    "detached-loss",
    "detached-state",
    "discarded-batches",
    "discarded-gradients",
    "distillation-temperature",
    "double-weighting",
    "duplicated-operand",
    "drifting-inputs",
    "evaluated-scores",
    "final-states",
    "fixed-batches",
    "focal-weighting",
    "frozen-noise",
    "ignored-actions",
    "ineffective-freezing",
    "instant-fit",
    "interpolated-targets",
    "inverted-mask",
    "learned-loss-weights",
    "merged-twice",
    "misaligned-targets",
    "missing-activation",
    "non-finite-gradients",
    "opposed-score",
    "optimizer-betas",
    "outweighed-loss",
    "padded-targets",
    "pooled-channels",
    "random-outputs",
    "refused-loss",
    "relative-loss",
    "repeated-layers",
    "repeated-seed",
    "reset-optimizer",
    "reshaped-heads",
    "reshaped-images",
    "reshaped-outputs",
    "reversed-objective",
    "scaled-gradients",
    "schedule-period",
    "self-similarity",
    "shared-normalization",
    "shared-transform",
    "shifted-labels",
    "soft-targets",
    "stale-target",
    "strong-entropy",
    "strong-smoothing",
    "swapped-arguments",
    "trained-teacher",
    "unbounded-loss",
    "unconnected-nodes",
    "undetached-advantage",
    "undetached-targets",
    "uniform-noise",
    "unloaded-weights",
    "unpassed-state",
    "unread-steps",
    "unrelated-noise",
    "unsynchronized-replicas",
    "untrained-vectors",
    "unused-class",
}
"""Checks of a loop: see test_loop_targets.py, test_loop_faults.py, test_loop_settings.py, test_loop_copies.py,
test_loop_terms.py, test_loop_habits.py, test_loop_gradients.py, test_loss_sides.py,
test_loop_tokens.py, test_loop_sequences.py, test_loop_images.py, test_loss_forms.py, test_forward_pass.py,
test_reversed_terms.py and test_selected_weights.py."""
PROGRAMS = {}
"""By check: functions ``f(fixed, steps) -> doctor`` that train with or without the fault, and their steps."""


def program(check, steps=120):
    def register(train):
        PROGRAMS.setdefault(check, []).append((train, steps))
        return train

    return register


def train(model, optimizer, x, y, loss=F.cross_entropy, steps=120, clear=True, update=True, shuffle=True):
    with doctor(model, optimizer) as dr:
        for step in range(steps):
            rows = torch.randint(0, len(x), (32,)) if shuffle else torch.arange(step * 16, step * 16 + 16) % len(x)
            if clear:
                optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            if update:
                optimizer.step()
    return dr


def make_sgd(model, lr=0.1, **options):
    return torch.optim.SGD(model.parameters(), lr=lr, **options)


@program("uncovered-parameters")
def omit_layer_from_optimizer(fixed, steps):
    model = make_mlp(8, 16, 3)
    optimizer = make_sgd(model if fixed else model[2])
    return train(model, optimizer, *make_classes(), steps=steps)


class NetworkWithList(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        layers = [nn.Linear(8, 16)]
        self.layers, self.last = nn.ModuleList(layers) if fixed else layers, nn.Linear(16, 3)

    def forward(self, x):
        return self.last(F.relu(self.layers[0](x)))


@program("unregistered-parameters")
def keep_layers_in_list(fixed, steps):
    model = NetworkWithList(fixed)
    return train(model, make_sgd(model), *make_classes(), steps=steps)


@program("frozen-parameters")
def freeze_layer(fixed, steps):
    model = make_mlp(8, 16, 3)
    model[0].requires_grad_(fixed)
    return train(model, make_sgd(model), *make_classes(), steps=steps)


class DetachedNetwork(nn.Module):
    def __init__(self, fixed):
        super().__init__()
        self.fixed, self.first, self.last = fixed, nn.Linear(8, 16), nn.Linear(16, 3)

    def forward(self, x):
        x = F.relu(self.first(x))
        return self.last(x if self.fixed else x.detach())


@program("no-gradient")
def detach_features(fixed, steps):
    model = DetachedNetwork(fixed)
    return train(model, make_sgd(model), *make_classes(), steps=steps)


@program("no-gradient")
def clear_gradients_before_update(fixed, steps):
    model = make_mlp(8, 16, 3)
    optimizer = make_sgd(model)
    x, y = make_classes()
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
def initialize_with_constant(fixed, steps):
    model = make_mlp(8, 16, 3)
    if not fixed:
        for p in model.parameters():
            nn.init.constant_(p, 0.1)
    return train(model, make_sgd(model), *make_classes(), steps=steps)


@program("symmetric-weights")
def initialize_with_zeros(fixed, steps):
    model = make_mlp(8, 16, 3, activation=nn.Tanh)
    if not fixed:
        for p in model.parameters():
            nn.init.zeros_(p)
    return train(model, make_sgd(model), *make_classes(), steps=steps)


def use_loss(wrong, correct=F.cross_entropy, outputs=3, targets=None, make_data=make_classes):
    def train_with_loss(fixed, steps):
        model = make_mlp(8, 16, outputs)
        x, y = make_data()
        return train(
            model, make_sgd(model), x, y if targets is None else targets(y), correct if fixed else wrong, steps=steps
        )

    return train_with_loss


def binary_targets(y):
    return (y == 0).float()[:, None]


PROGRAMS["loss-pairing"] = [
    (program_with_loss, 60)
    for program_with_loss in (
        use_loss(lambda out, y: F.cross_entropy(out.softmax(1), y)),
        use_loss(lambda out, y: F.cross_entropy(torch.sigmoid(out), y)),
        use_loss(lambda out, y: F.cross_entropy(F.relu(out), y)),
        use_loss(lambda out, y: F.nll_loss(out, y)),
        use_loss(lambda out, y: F.nll_loss(out.softmax(1), y)),
        use_loss(lambda out, y: F.nll_loss(out.log_softmax(0), y), lambda out, y: F.nll_loss(out.log_softmax(1), y)),
        use_loss(
            lambda out, y: -out.softmax(0)[range(len(y)), y].log().mean(),
            lambda out, y: -out.softmax(1)[range(len(y)), y].log().mean(),
        ),
        use_loss(
            lambda out, y: F.binary_cross_entropy_with_logits(out.sigmoid(), y),
            F.binary_cross_entropy_with_logits,
            1,
            binary_targets,
        ),
        use_loss(
            lambda out, y: F.binary_cross_entropy(out.softmax(1), y),
            lambda out, y: F.binary_cross_entropy(out.sigmoid(), y),
            1,
            binary_targets,
        ),
        use_loss(
            lambda out, y: (out - y.squeeze(1)).pow(2).mean(),
            lambda out, y: (out - y).pow(2).mean(),
            1,
            make_data=make_line,
        ),
        use_loss(lambda out, y: -F.mse_loss(out, y), F.mse_loss, 1, make_data=make_line),
    )
]
PROGRAMS["target-range"] = [
    (program_with_loss, 60)
    for program_with_loss in (
        use_loss(lambda out, y: F.mse_loss(out.sigmoid(), y), F.mse_loss, 1, make_data=make_line),
        use_loss(lambda out, y: ((F.relu(out) - y) ** 2).mean(), F.mse_loss, 1, make_data=make_line),
        use_loss(
            lambda out, y: F.binary_cross_entropy_with_logits(out, y + 1),
            F.binary_cross_entropy_with_logits,
            1,
            binary_targets,
        ),
    )
]


@program("carried-gradients")
def keep_gradients(fixed, steps):
    model = make_mlp(8, 16, 3)
    return train(model, make_sgd(model), *make_classes(), steps=steps, clear=fixed)


@program("missing-update")
def omit_update(fixed, steps):
    model = make_mlp(8, 16, 3)
    return train(model, make_sgd(model), *make_classes(), steps=steps, update=fixed)


@program("mode")
def train_in_evaluation_mode(fixed, steps):
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)).train(fixed)
    return train(model, make_sgd(model), *make_classes(), steps=steps)


@program("mode")
def evaluate_in_training_mode(fixed, steps):
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 3))
    optimizer = make_sgd(model)
    x, y = make_classes()
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
def sort_rows_by_class(fixed, steps):
    x, y = make_classes()
    order = y.argsort()
    model = make_mlp(8, 16, 3)
    return train(model, make_sgd(model), x[order], y[order], steps=steps, shuffle=fixed)


@program("inputs")
def scale_inputs_up(fixed, steps):
    x, y = make_classes()
    model = make_mlp(8, 16, 3)
    return train(model, make_sgd(model), x if fixed else x * 500, y, steps=steps)


@program("inputs")
def insert_missing_value(fixed, steps):
    x, y = make_classes()
    if not fixed:
        x[100, 2] = float("nan")
    model = make_mlp(8, 16, 3)
    return train(model, make_sgd(model), x, y, steps=steps)


@program("target-scale")
def shift_targets(fixed, steps):
    x, y = make_line()
    model = make_mlp(8, 16, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return train(model, optimizer, x, y if fixed else 300 + 50 * y, F.mse_loss, steps=steps)


@program("low-learning-rate")
def use_low_rate(fixed, steps):
    model = make_mlp(8, 16, 3)
    return train(model, make_sgd(model, 0.1 if fixed else 1e-5), *make_classes(), steps=steps)


@program("high-learning-rate")
def use_high_rate(fixed, steps):
    model = make_mlp(8, 16, 1)
    return train(model, make_sgd(model, 0.05 if fixed else 5.0), *make_line(), F.mse_loss, steps=steps)


@program("high-learning-rate")
def use_high_rate_of_adam(fixed, steps):
    model = make_mlp(8, 16, 16, 3)
    x, y = make_classes(classes=6)
    x = x + 3 * torch.randn_like(x)
    model[4] = nn.Linear(16, 6)
    return train(model, torch.optim.Adam(model.parameters(), lr=5e-3 if fixed else 2.0), x, y, steps=steps)


@program("non-finite-loss")
def take_logarithm_of_zero(fixed, steps):
    def loss(out, y):
        p = (300 * out).softmax(1)
        return F.cross_entropy(out, y) if fixed else -(F.one_hot(y, 3) * p.log()).sum(1).mean()

    model = make_mlp(8, 16, 3)
    return train(model, make_sgd(model), *make_classes(), loss, steps=steps)


@program("vanishing-gradients")
def stack_sigmoids(fixed, steps):
    model = make_mlp(8, *[16] * 8, 3, activation=nn.Sigmoid) if not fixed else make_mlp(8, 16, 3)
    return train(model, make_sgd(model), *make_classes(), steps=steps)


@program("exploding-gradients")
def initialize_with_large_weights(fixed, steps):
    model = make_mlp(8, 32, 32, 32, 32, 3)
    for p in model.parameters():
        if p.ndim > 1 and not fixed:
            nn.init.normal_(p, std=1.5)
    x, y = make_classes()
    return train(model, make_sgd(model, 1e-1 if fixed else 1e-6), x, y, steps=steps)


@program("initial-loss")
def initialize_with_large_head(fixed, steps):
    model = make_mlp(8, 16, 3)
    if not fixed:
        nn.init.normal_(model[2].weight, std=60)
    return train(model, make_sgd(model, 1e-2), *make_classes(), steps=steps)


@program("dead-relu")
def initialize_with_dead_units(fixed, steps):
    model = make_mlp(8, 16, 16, 3)
    if not fixed:
        nn.init.constant_(model[2].bias, -50)
    return train(model, make_sgd(model), *make_classes(), steps=steps)


@program("saturated-activation")
def initialize_with_saturated_units(fixed, steps):
    model = make_mlp(8, 32, 32, 3, activation=nn.Tanh)
    if not fixed:
        nn.init.normal_(model[0].weight, std=30)
        nn.init.normal_(model[2].weight, std=30)
    x, y = make_classes()
    y = y if fixed else y[torch.randperm(len(y))]
    return train(model, make_sgd(model), x, y, steps=steps)


@program("strong-decay")
def use_strong_decay(fixed, steps):
    model = make_mlp(8, 16, 3)
    return train(model, make_sgd(model, weight_decay=1e-4 if fixed else 2.0), *make_classes(), steps=steps)


@program("oscillation", 160)
def oscillate_with_period(fixed, steps):
    model = nn.Linear(8, 1)
    optimizer = make_sgd(model, 0.03 if fixed else 0.6)
    x, y = make_line()
    with doctor(model, optimizer) as dr:
        for _ in range(steps):
            optimizer.zero_grad()
            F.l1_loss(model(x), y).backward()
            optimizer.step()
    return dr


@program("oscillation", 200)
def oscillate_irregularly(fixed, steps):
    model = make_mlp(8, 32, 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005 if fixed else 0.1, betas=(0.5, 0.9))
    x, y = make_line()
    y = torch.sin(3 * y)
    with doctor(model, optimizer) as dr:
        for _ in range(steps):
            optimizer.zero_grad()
            F.mse_loss(model(x), y).backward()
            optimizer.step()
    return dr


@program("plateau", 600)
def train_on_noisy_labels(fixed, steps):
    x, y = make_classes()
    if not fixed:
        y = torch.where(torch.rand(len(y), generator=torch.Generator().manual_seed(1)) < 0.4, y.roll(7), y)
    model = nn.Linear(8, 3)
    return train(model, make_sgd(model, 0.1), x, y, steps=steps)


@program("small-batch-norm", 60)
@program("small-batch-norm", 400)
def normalize_three_rows(fixed, steps):
    model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = make_sgd(model, 0.02)
    x, y = make_classes()
    with doctor(model, optimizer) as dr:
        for _ in range(steps):
            rows = torch.randint(0, len(x), (32 if fixed else 3,))
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
    return dr


@program("half-precision", 30)
def compute_gradients_in_float16(fixed, steps):
    model = make_mlp(8, 16, 3)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cpu", enabled=fixed)
    x, y = make_classes()
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
def keep_weights_in_bfloat16(fixed, steps):
    model = make_mlp(8, 16, 3).to(torch.float32 if fixed else torch.bfloat16)
    x, y = make_classes()
    x = x.to(model[0].weight.dtype)
    return train(
        model, make_sgd(model, 1e-3, momentum=0.9), x, y, lambda out, y: F.cross_entropy(out.float(), y), steps=steps
    )


CASES = [
    pytest.param(check, run, steps, id=f"{check}-{run.__name__}-{i}")
    for check, programs in PROGRAMS.items()
    for i, (run, steps) in enumerate(programs)
]


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(("check", "run", "steps"), CASES)
def test_check_finds_its_fault_first_and_nothing_once_it_is_fixed(check, run, steps):
    torch.manual_seed(1)
    findings = run(False, steps).findings
    assert findings, "nothing found"
    assert findings[0].check == check, [finding.check for finding in findings]
    assert findings[0].evidence
    torch.manual_seed(1)
    assert not run(True, steps).findings


def test_every_check_has_a_program():
    assert set(registry.names("diagnosis.training_checks")) == {*PROGRAMS, *PROBE_PROGRAMS, *LOOP_CHECKS}


def test_skipped_checks_give_a_reason():
    model = make_mlp(8, 16, 3)
    optimizer = make_sgd(model)
    with doctor(model, optimizer) as dr:
        unchecked = dr.diagnose().unchecked
    assert set(unchecked) == set(registry.names("diagnosis.training_checks")) - {
        "frozen-parameters",
        "uncovered-parameters",
    }
    assert all(unchecked.values())
    diagnosis = train(model, optimizer, *make_classes(), steps=120).diagnose()
    assert set(diagnosis.unchecked) == {
        "adversarial-target",
        "batch-norm-statistics",
        "blank-class",
        "bounded-code",
        "bounded-scores",
        "broadcast-loss",
        "clipped-scaled-gradients",
        "collapsed-outputs",
        "detached-loss",
        "detached-state",
        "discarded-batches",
        "discarded-gradients",
        "distillation-temperature",
        "double-weighting",
        "duplicated-operand",
        "evaluated-inputs",
        "evaluated-network",
        "evaluated-scores",
        "exploding-gradients",
        "final-states",
        "focal-weighting",
        "frozen-noise",
        "half-precision",
        "ignored-actions",
        "interpolated-targets",
        "inverted-mask",
        "learned-loss-weights",
        "merged-twice",
        "missed-classes",
        "missing-positions",
        "mode",
        "opposed-score",
        "optimizer-betas",
        "outweighed-loss",
        "padded-targets",
        "permuted-classes",
        "plateau",
        "pooled-channels",
        "read-padding",
        "relative-loss",
        "reset-optimizer",
        "reshaped-heads",
        "reshaped-images",
        "reshaped-outputs",
        "saturated-activation",
        "scaled-gradients",
        "self-similarity",
        "shared-normalization",
        "shared-transform",
        "shifted-labels",
        "small-batch-norm",
        "soft-targets",
        "sorted-targets",
        "stale-target",
        "strong-decay",
        "strong-dropout",
        "strong-entropy",
        "strong-smoothing",
        "swapped-arguments",
        "target-outliers",
        "target-range",
        "target-scale",
        "trained-teacher",
        "unconnected-nodes",
        "undetached-advantage",
        "undetached-targets",
        "unloaded-weights",
        "unpassed-state",
        "unread-steps",
        "unrelated-noise",
        "unsynchronized-replicas",
        "untrained-vectors",
        "vanishing-gradients",
        "visible-target",
        "weights-reset",
    }
    assert "no sigmoid or tanh was recorded" in diagnosis.unchecked["saturated-activation"]
    assert "3 layers with weights" in diagnosis.unchecked["exploding-gradients"]
