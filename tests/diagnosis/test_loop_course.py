"""The course of a user's own loop: evaluations are recognized or reported, and their losses are judged."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng
from yisheng.core.errors import UsageError


def make_noisy_rows(noise=7.0, *, shuffled=False, n=400, width=60):
    """Return two classes that depend on a direction and on noise."""
    generator = torch.Generator().manual_seed(3)
    x, direction = torch.randn(n, width, generator=generator), torch.randn(width, generator=generator)
    y = (x @ direction + noise * torch.randn(n, generator=generator) > 0).long()
    return x, y[torch.randperm(n, generator=generator)] if shuffled else y


def train(x, y, evaluate, *, epochs=60, net=None, lr=0.003):
    """Train on the first half of the rows; return the doctor."""
    torch.manual_seed(0)
    net = net or nn.Sequential(nn.Linear(x.shape[1], 128), nn.ReLU(), nn.Linear(128, 2))
    optimizer, half = torch.optim.Adam(net.parameters(), lr=lr), len(x) // 2
    with yisheng.doctor(net, optimizer) as doctor:
        for _ in range(epochs):
            for rows in torch.randperm(half).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(x[rows]), y[rows]).backward()
                optimizer.step()
            evaluate(doctor, net, x, y, half)
    return doctor


def evaluate_by_itself(_, net, x, y, half):
    """Evaluate as most programs do, on training rows and on others; the doctor is not called."""
    criterion = nn.CrossEntropyLoss()
    net.eval()
    with torch.no_grad():
        for part in (slice(half), slice(half, None)):
            batches = zip(x[part].split(64), y[part].split(64), strict=True)
            total = sum(criterion(net(a), b).item() * len(a) for a, b in batches)
            assert total > 0
    net.train()


def evaluate_both(_, net, x, y, half):
    def compute(x, y):
        with torch.inference_mode():
            return F.cross_entropy(net(x), y)

    compute(x[:half], y[:half])
    compute(x[half:], y[half:])


def report_loss(doctor, net, x, y, half):
    with torch.no_grad():
        loss = -net(x[half:]).log_softmax(1).gather(1, y[half:, None]).mean()
    doctor.validation(loss=float(loss))


def report_score(doctor, net, x, y, half):
    with torch.no_grad():
        doctor.validation(score=float((net(x[half:]).argmax(1) == y[half:]).double().mean()))


def ignore(*_):
    """Evaluate nothing."""


@pytest.mark.parametrize("evaluate", [evaluate_both, report_loss])
def test_overfitting_is_found(evaluate):
    finding = train(*make_noisy_rows(), evaluate).findings[0]
    assert (finding.check, finding.severity) == ("overfitting", "warning")
    assert "early stopping" in finding.remedy
    assert [other.cause for other in finding.alternatives] == [
        "labels are wrong",
        "the held-out rows come from another distribution",
    ]


@pytest.mark.parametrize("evaluate", [evaluate_both, report_loss])
def test_shuffled_labels_are_memorized_not_overfitted(evaluate):
    finding = train(*make_noisy_rows(noise=0, shuffled=True), evaluate).findings[0]
    assert finding.check == "memorization"
    assert "shuffled labels" in finding.remedy


@pytest.mark.parametrize("evaluate", [evaluate_by_itself, evaluate_both, report_loss, report_score])
def test_healthy_course_is_examined_and_has_no_finding(evaluate):
    diagnosis = train(*make_noisy_rows(noise=0.5, n=2000, width=4), evaluate, epochs=8).diagnose()
    assert diagnosis.findings == ()
    assert diagnosis.summary == "training: nothing found; validation: nothing found; data was not given"


def test_what_was_not_given_is_in_the_first_line():
    doctor = train(*make_noisy_rows(noise=0.5, n=2000, width=4), ignore, epochs=8)
    assert str(doctor).splitlines()[0] == "training: nothing found; validation and data were not given"
    assert "validation and data were not given" in doctor._repr_html_()


def test_line_that_cannot_separate_the_classes():
    """XOR: both losses level off together, and a hidden layer is what helps."""
    x = 2 * torch.rand(512, 2, generator=torch.Generator().manual_seed(0)) - 1
    y = (x[:, 0] * x[:, 1] > 0).long()
    finding = train(x, y, evaluate_both, net=nn.Linear(2, 2), lr=0.01, epochs=30).findings[0]
    assert (finding.check, finding.severity) == ("underfitting", "warning")
    assert "hidden layer" in finding.remedy
    assert train(x, y, evaluate_both, lr=0.01, epochs=30).findings == ()


@pytest.mark.parametrize("is_given", [True, False], ids=["rows given", "rows not given"])
def test_a_few_enormous_rows_are_not_memorization(is_given):
    """A column that is constant in training was divided by a tiny number: few rows have all of the mean loss."""
    x, y = make_noisy_rows(noise=0.5, n=2000, width=8)
    x = torch.cat([x, torch.zeros(len(x), 1)], 1)
    x[1000:1004, 8] = 1e5
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(9, 64), nn.ReLU(), nn.Linear(64, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.003)
    rows = {"data": (x[:1000], y[:1000]), "validation": (x[1000:], y[1000:])} if is_given else {}
    with yisheng.doctor(net, optimizer, **rows) as doctor:
        for _ in range(8):
            for part in torch.randperm(1000).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(x[part]), y[part]).backward()
                optimizer.step()
            with torch.no_grad():
                F.cross_entropy(net(x[1000:]), y[1000:])
    diagnosis = doctor.diagnose()
    assert diagnosis.findings[0].check == "evaluated-inputs"
    assert "input column 8 is enormous in evaluation" in diagnosis.findings[0].cause
    assert "memorization" not in str(diagnosis.to_findings().to_json())
    assert ("constant-columns" in {f.check for f in diagnosis.findings if f.severity == "warning"}) == is_given


@pytest.mark.parametrize(("decay", "checks"), [(0.9997, ["evaluated-network"]), (0.9, [])])
def test_evaluated_average_that_hardly_moves(decay, checks):
    """An average that has moved a few percent of the way improves a little, and learns nothing."""
    x, y = make_noisy_rows(noise=0.5, n=2000, width=8)
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 2))
    average, optimizer = copy.deepcopy(net), torch.optim.Adam(net.parameters(), lr=0.003)
    with yisheng.doctor(net, optimizer) as doctor:
        for _ in range(6):
            for part in torch.randperm(1000).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(x[part]), y[part]).backward()
                optimizer.step()
                with torch.no_grad():
                    for mean, p in zip(average.parameters(), net.parameters(), strict=True):
                        mean.lerp_(p, 1 - decay)
            with torch.no_grad():
                doctor.validation(loss=float(F.cross_entropy(average(x[1000:]), y[1000:])))
    assert [finding.check for finding in doctor.findings] == checks


def test_falling_score_is_overfitting():
    scores = [0.5, 0.7, 0.8, 0.85, 0.84, 0.82, 0.78, 0.74, 0.71, 0.69, 0.68, 0.67]

    def report(doctor, *_):
        doctor.validation(score=scores.pop(0))

    finding = train(*make_noisy_rows(), report, epochs=12).findings[0]
    assert (finding.check, finding.evidence["best evaluation"]) == ("overfitting", 4)


@pytest.mark.parametrize("arguments", [{}, {"loss": "low"}, {"score": None, "loss": None}])
def test_report_without_a_number_is_refused(arguments):
    net = nn.Linear(2, 2)
    with pytest.raises(UsageError, match="validation requires a loss or a score"):
        yisheng.doctor(net, torch.optim.SGD(net.parameters(), lr=0.1)).validation(**arguments)


def test_weights_and_generators_stay_the_same():
    """Evaluations are traced, and the bits of the weights and the numbers drawn later are those without a doctor."""

    def run(watched):
        torch.manual_seed(1)
        net = nn.Sequential(nn.Linear(60, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 2))
        optimizer = torch.optim.Adam(net.parameters(), lr=0.003)
        doctor = yisheng.doctor(net, optimizer)
        if watched:
            doctor.__enter__()
        for _ in range(3):
            for rows in torch.randperm(200).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(x[rows]), y[rows]).backward()
                optimizer.step()
            evaluate_by_itself(None, net, x, y, 200)
            net.train()
        if watched:
            doctor.__exit__(None, None, None)
            assert doctor.findings is not None
        return [p.detach().clone() for p in net.parameters()], torch.rand(3)

    x, y = make_noisy_rows()
    (plain, drawn), (watched, drawn_later) = run(False), run(True)
    assert all(map(torch.equal, plain, watched))
    assert torch.equal(drawn, drawn_later)


def test_evaluated_tensors_are_plain_afterwards():
    outputs = []

    def keep(_, net, x, y, half):
        with torch.no_grad():
            outputs.append(net(x[half:]))
            outputs.append(F.cross_entropy(outputs[-1], y[half:]))

    train(*make_noisy_rows(), keep, epochs=4)
    assert {type(output) for output in outputs} == {torch.Tensor}
