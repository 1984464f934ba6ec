"""Targets in a user's own loop: what is wrong with them is found, and what only looks so is not."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng


def make_rows(n=512, classes=4, width=8):
    """Return rows of separable classes."""
    generator = torch.Generator().manual_seed(1)
    y = torch.randint(0, classes, (n,), generator=generator)
    x = torch.randn(n, width, generator=generator)
    x[torch.arange(n), y] += 2
    return x, y


def train(x, y, loss=F.cross_entropy, *, outputs=4, epochs=3, shuffle=True, net=None, **parts):
    """Train a small network and return the findings by check."""
    torch.manual_seed(0)
    net = net or nn.Sequential(nn.Linear(x.shape[1], 32), nn.ReLU(), nn.Linear(32, outputs))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    doctor = yisheng.doctor(net, optimizer, **parts)
    try:
        with doctor:
            for _ in range(epochs):
                order = torch.randperm(len(x)) if shuffle else torch.arange(len(x))
                for rows in order.split(32):
                    optimizer.zero_grad()
                    loss(net(x[rows]), y[rows]).backward()
                    optimizer.step()
    except (RuntimeError, ValueError, IndexError):
        pass
    return {finding.check: finding for finding in doctor.findings}


X, Y = make_rows()
ONE_HOT = F.one_hot(Y, 4).float()


def test_healthy_targets_have_no_finding():
    assert train(X, Y) == {}
    assert train(X, 0.9 * ONE_HOT + 0.025) == {}  # label smoothing
    assert train(X, (X > 0).float()[:, :4], F.binary_cross_entropy_with_logits) == {}
    assert train(X, X[:, :1], F.mse_loss, outputs=1) == {}


@pytest.mark.parametrize(
    ("y", "loss", "check", "word"),
    [
        (Y // 255, F.cross_entropy, "constant-targets", "(y / 255)"),
        (0.5 * ONE_HOT + 0.3, F.cross_entropy, "soft-targets", "divide each row by its sum"),
        (255 * ONE_HOT, F.cross_entropy, "soft-targets", "divide them by 255"),
        (255 * ONE_HOT, F.mse_loss, "soft-targets", "divide them by 255"),
        ((X > 0).float()[:, :4], F.cross_entropy, "soft-targets", "binary_cross_entropy_with_logits"),
        (Y + 1, F.cross_entropy, "refused-loss", "subtract 1"),
        (Y - 1, F.cross_entropy, "refused-loss", "from 0 to 3"),
        (Y + 10, F.cross_entropy, "refused-loss", "one unit per class (14)"),
        (Y.float(), F.cross_entropy, "refused-loss", "y.long()"),
        (Y.int(), F.cross_entropy, "refused-loss", "y.long()"),
        (Y[:, None], F.cross_entropy, "refused-loss", "y.squeeze(1)"),
        (Y, F.binary_cross_entropy_with_logits, "refused-loss", "y.view_as(output)"),
        (F.one_hot(Y, 4), F.binary_cross_entropy_with_logits, "refused-loss", "y.float()"),
    ],
)
def test_wrong_targets_are_found_with_their_remedy(y, loss, check, word):
    findings = train(X, y, loss)
    assert next(iter(findings)) == check
    assert word in findings[check].remedy
    assert findings[check].source.startswith("tests/diagnosis/test_loop_targets.py:")


def test_classes_that_begin_at_1_waste_an_output():
    assert list(train(X, Y + 1, outputs=5)) == ["unused-class"]
    assert train(X, Y, outputs=5) == {}  # the last class is absent, as in rows that do not have it yet
    ignoring = nn.CrossEntropyLoss(ignore_index=0)
    assert train(X, Y + 1, ignoring, outputs=5) == {}


def test_constant_targets_on_purpose_are_not_reported():
    """In contrastive learning the first of the candidates is the positive one."""

    def contrast(queries, keys):
        logits = torch.cat([(queries * keys).sum(1, keepdim=True), queries @ bank.T], 1)
        return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))

    bank = torch.randn(64, 4)
    assert train(X, X[:, :4], contrast) == {}


def test_tokens_that_are_to_be_copied():
    tokens = torch.randint(0, 20, (256, 12), generator=torch.Generator().manual_seed(0))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.output = nn.Embedding(20, 16), nn.Linear(16, 20)

        def forward(self, x):
            return self.output(self.embedding(x)).transpose(1, 2)

    assert "copied-targets" in train(tokens, tokens, net=Model())
    assert "copied-targets" not in train(tokens[:, :-1], tokens[:, 1:], net=Model())


def test_order_of_the_batches():
    assert train(X, Y, epochs=3) == {}
    finding = train(X, Y, epochs=3, shuffle=False)["fixed-batches"]
    assert (finding.severity, finding.evidence["batches"]) == ("note", 16)


def test_one_batch_in_all_steps_is_an_error_if_there_are_more_rows():
    findings = train(X[:32], Y[:32], epochs=40, shuffle=False, data=(X, Y))
    assert (findings["fixed-batches"].severity, findings["fixed-batches"].evidence["rows"]) == ("error", 512)
    assert "fixed-batches" not in train(X[:32], Y[:32], epochs=40, shuffle=False)  # it may be all there is


def test_loss_that_falls_to_nothing_in_a_dozen_steps():
    x = X.clone()
    x[:, :4] = 30 * ONE_HOT
    assert "instant-fit" in train(x, Y)


def test_bfloat16_is_seen():
    """Autocast in bfloat16 needs no scaling, and the doctor says so instead of "nothing ran in 16 bits"."""
    net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with yisheng.doctor(net, optimizer) as doctor:
        for _ in range(5):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(net(X), Y)
            loss.backward()
            optimizer.step()
    assert "bfloat16" in doctor.diagnose().unchecked["half-precision"]
