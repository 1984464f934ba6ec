"""Losses that are written out are read as torch's are: targets, operations, means and sums."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from yisheng.diagnosis.case import Case
from yisheng.diagnosis.doctor import doctor
from yisheng.diagnosis.pairing import Pairing, read_pairing
from yisheng.diagnosis.recorder.recorder import Recorder

ROWS, CLASSES = 32, 3
Y = torch.arange(ROWS) % CLASSES
Z = torch.linspace(-1, 3, ROWS)
ONE_HOT = F.one_hot(Y, CLASSES)


def exponentials_over_their_sum(o: torch.Tensor) -> torch.Tensor:
    return o.exp() / o.exp().sum(1, keepdim=True)


CROSS_ENTROPIES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "gather": lambda o: -F.log_softmax(o, 1).gather(1, Y[:, None]).mean(),
    "gather and squeeze": lambda o: -F.log_softmax(o, -1).gather(-1, Y.view(-1, 1)).squeeze(-1).mean(),
    "tensor index": lambda o: -F.log_softmax(o, 1)[torch.arange(ROWS), Y].mean(),
    "range index": lambda o: -F.log_softmax(o, 1)[range(ROWS), Y].mean(),
    "log of softmax": lambda o: -torch.log(o.softmax(1)[range(ROWS), Y]).mean(),
    "log of softmax and a constant": lambda o: -torch.log(o.softmax(1).gather(1, Y[:, None]) + 1e-9).mean(),
    "exponentials": lambda o: (-torch.log(exponentials_over_their_sum(o)[range(ROWS), Y])).mean(),
    "shifted exponentials": lambda o: (
        -torch.log(exponentials_over_their_sum(o - o.max(1, keepdim=True).values.detach())[range(ROWS), Y]).mean()
    ),
    "one-hot": lambda o: -(ONE_HOT * F.log_softmax(o, 1)).sum(1).mean(),
    "one-hot and a count": lambda o: -(ONE_HOT.float() * torch.log(o.softmax(1))).sum() / ROWS,
    "logsumexp": lambda o: (torch.logsumexp(o, 1) - o[range(ROWS), Y]).mean(),
    "a mean of single losses": lambda o: F.cross_entropy(o, Y, reduction="none").mean(),
    "a quarter": lambda o: -F.log_softmax(o, 1).gather(1, Y[:, None]).mean() / 4,
}


def linear_output(classes: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    x, w = torch.randn(ROWS, 5, generator=generator), torch.randn(classes, 5, generator=generator)
    return F.linear(x, w.requires_grad_(), torch.zeros(classes))


@pytest.mark.parametrize("name", CROSS_ENTROPIES)
def test_cross_entropy_is_read_like_that_of_torch(name: str) -> None:
    output = linear_output(CLASSES)
    pairing, expected = read_pairing(CROSS_ENTROPIES[name](output)), read_pairing(F.cross_entropy(output, Y))
    assert (pairing.loss, pairing.reduction, pairing.softmax_axis, pairing.shape) == ("nll", "mean", 1, (ROWS, CLASSES))
    assert pairing.target is not None
    assert torch.equal(pairing.target, Y)
    assert pairing.output is not None
    assert expected.output is not None
    assert torch.allclose(pairing.output, expected.output, atol=1e-6)
    assert pairing.operations in (("log_softmax",), ("log", "softmax"))


def test_operations_below_a_written_softmax_are_read() -> None:
    output = linear_output(CLASSES).relu()
    pairing = read_pairing(-torch.log(exponentials_over_their_sum(output)[range(ROWS), Y]).mean())
    assert pairing.operations == ("log", "softmax", "relu")


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda o: -F.log_softmax(o, 1)[range(ROWS), Y].sum(), "sum"),
        (lambda o: F.cross_entropy(o, Y, reduction="none").sum(), "sum"),
        (lambda o: F.cross_entropy(o, Y, reduction="sum"), "sum"),
        (lambda o: F.cross_entropy(o, Y, reduction="none").max(), "none"),
    ],
)
def test_reduction_of_cross_entropy_is_that_of_its_value(
    loss: Callable[[torch.Tensor], torch.Tensor], expected: str
) -> None:
    assert read_pairing(loss(linear_output(CLASSES))).reduction == expected


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (lambda o: ((o - Z[:, None]) ** 2).mean(), ("mean", 1.0)),
        (lambda o: ((o - Z[:, None]) ** 2 / 2).mean(), ("mean", 0.5)),
        (lambda o: ((o - Z[:, None]) ** 2 / 2).sum(), ("sum", 0.5)),
        (lambda o: ((o - Z[:, None]) ** 2).mean() / 4, ("mean", 1.0)),
        (lambda o: (o - Z[:, None]).abs().mean(), ("mean", 1.0)),
        (lambda o: (o - Z[:, None]).abs().max(), ("none", 1.0)),
        (lambda o: F.mse_loss(9 * o, Z[:, None]).sqrt(), ("none", 1.0)),
        (lambda o: F.mse_loss(o, Z[:, None], reduction="none").mean(), ("mean", 1.0)),
    ],
)
def test_reduction_of_an_error_is_that_of_its_value(
    loss: Callable[[torch.Tensor], torch.Tensor], expected: tuple[str, float]
) -> None:
    pairing = read_pairing(loss(linear_output(1)))
    assert (pairing.reduction, pairing.factor) == expected


def test_actions_of_a_policy_are_no_targets() -> None:
    advantages = torch.linspace(-1, 2, ROWS)
    pairing = read_pairing(-(F.log_softmax(linear_output(CLASSES), 1).gather(1, Y[:, None])[:, 0] * advantages).mean())
    assert pairing.target is None
    assert pairing.is_weighted


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_guessing_is_known_of_written_errors(factor: float) -> None:
    case = record(1, lambda o: (factor * (o - Z[:, None]) ** 2).mean())
    assert case.baseline_loss == pytest.approx(factor * float(Z.var(correction=0)), rel=1e-5)


def test_guessing_is_known_of_smoothed_labels() -> None:
    smoothed = ONE_HOT * 0.9 + 0.1 / CLASSES
    case = record(CLASSES, lambda o: F.cross_entropy(o, smoothed))
    assert case.baseline_loss == pytest.approx(float(torch.special.entr(smoothed.mean(0)).sum()), rel=1e-5)


def test_guessing_is_unknown_of_uncertain_distributions() -> None:
    teacher = torch.full((ROWS, CLASSES), 1 / CLASSES)
    assert math.isnan(record(CLASSES, lambda o: F.cross_entropy(o, teacher)).baseline_loss)


def record(outputs: int, loss: Callable[[torch.Tensor], torch.Tensor]) -> Case:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, outputs))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    with Recorder(network, optimizer) as recorder:
        for _ in range(2):
            optimizer.zero_grad()
            loss(network(torch.ones(ROWS, 4))).backward()
            optimizer.step()
    return Case.from_recorder(recorder)


def test_pairing_of_other_losses_is_unchanged() -> None:
    assert read_pairing(linear_output(2).square().sum()) == Pairing("", ("pow",), is_only_term=False)


def learn(
    *, shuffled: bool = False, closure: bool = False, clears: bool = True, rate: float = 0.1, dropout: float = 0.5
) -> list[str]:
    """Train a small network, and return the checks that the doctor names."""
    torch.manual_seed(0)
    x = torch.randn(1600, 8)
    y = torch.bucketize(x[:, 0].contiguous(), torch.tensor([-0.5, 0.5]))
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    targets = y[torch.randperm(1600)] if shuffled else y
    with doctor(network, optimizer) as observer:
        for _ in range(10):
            network.train()
            for rows in torch.randperm(1500).split(50):
                update(network, optimizer, x[rows], targets[rows], closure, clears)
            network.eval()
            with torch.no_grad():
                F.cross_entropy(network(x[1500:]), y[1500:])
    return [finding.check for finding in observer.findings]


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    closure: bool,
    clears: bool,
) -> None:
    def compute() -> float:
        if clears:
            optimizer.zero_grad()
        loss = F.cross_entropy(network(x), y)
        loss.backward()
        return float(loss.detach())

    if closure:
        optimizer.step(compute)
    else:
        compute()
        optimizer.step()


def test_nothing_learned_is_said_of_shuffled_labels() -> None:
    assert learn(shuffled=True, dropout=0.8, rate=0.01)[:1] == ["baseline-not-beaten"]


def test_nothing_is_said_of_labels_that_are_learned() -> None:
    assert learn() == []


@pytest.mark.parametrize("clears", [True, False])
def test_gradients_carried_into_a_closure(clears: bool) -> None:
    assert learn(closure=True, clears=clears, rate=0.05)[:1] == ([] if clears else ["carried-gradients"])


def test_a_network_that_has_learned_nothing_does_not_overfit() -> None:
    checks = learn(rate=1e-7)
    assert checks[:1] == ["low-learning-rate"]
    assert "overfitting" not in checks
