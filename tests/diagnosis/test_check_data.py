"""`yisheng.check_data`, and the rows that a loop's doctor is given."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F  # the usual name
from torch.utils.data import TensorDataset

import yisheng
from yisheng.core.errors import DataError, UsageError
from yisheng.diagnosis.row_checks import is_class_target


def make_rows(n=300, width=6, seed=0):
    """Return rows whose class depends on two columns."""
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(n, width)).astype(np.float32)
    return x, (x[:, 0] + x[:, 1] + 0.3 * draw.normal(size=n) > 0).astype(int)


def find_checks(*arguments, **options):
    return {cause.check: cause for cause in yisheng.check_data(*arguments, quick=True, **options).findings}


X, Y = make_rows()
X_TEST, Y_TEST = make_rows(100, seed=1)


def test_healthy_rows_have_no_finding_and_what_was_not_given_is_named():
    findings = yisheng.check_data(X, Y)
    assert findings.findings == []
    assert str(findings).splitlines()[0] == "data: nothing found; validation and test were not given"
    complete = yisheng.check_data(X, Y, validation=make_rows(80, seed=2), test=(X_TEST, Y_TEST))
    assert str(complete).splitlines()[0] == "data: nothing found"


@pytest.mark.parametrize("kind", ["arrays", "tensors", "torch data set", "frame with target", "frame and column"])
def test_every_kind_of_object_is_read(kind):
    """Half of the test rows are training rows."""
    x, y = np.concatenate([X_TEST[:50], X[:50]]), np.concatenate([Y_TEST[:50], Y[:50]])
    frames = [pd.DataFrame(part, columns=list("abcdef")) for part in (X, x)]
    arguments = {
        "arrays": ((X, Y), {"test": (x, y)}),
        "tensors": ((torch.tensor(X), torch.tensor(Y)), {"test": (torch.tensor(x), torch.tensor(y))}),
        "torch data set": (
            (TensorDataset(torch.tensor(X), torch.tensor(Y)),),
            {"test": TensorDataset(torch.tensor(x), torch.tensor(y))},
        ),
        "frame with target": ((frames[0].assign(label=Y), "label"), {"test": frames[1].assign(label=y)}),
        "frame and column": (
            (frames[0], pd.Series(Y, name="label")),
            {"test": (frames[1], pd.Series(y, name="label"))},
        ),
    }[kind]
    finding = find_checks(*arguments[0], **arguments[1])["leaking-rows"]
    assert (finding.severity, finding.evidence["rows"], finding.evidence["of"]) == ("error", 50, 100)


def test_folder_of_images(tmp_path):
    draw = np.random.default_rng(0)
    for part, count in (("train", 8), ("test", 4)):
        for label in ("cat", "dog"):
            (tmp_path / part / label).mkdir(parents=True)
            for number in range(count):
                pixels = draw.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / label / f"{part}{number}.png")
    (tmp_path / "test" / "cat" / "test0.png").write_bytes((tmp_path / "train" / "cat" / "train0.png").read_bytes())
    findings = yisheng.check_data(tmp_path, quick=True)
    assert [cause.check for cause in findings.findings if "train0.png" in cause.cause] in (
        ["leakage"],
        ["leaking-rows"],
    )


@pytest.mark.parametrize(
    ("x", "y", "check"),
    [
        (X, np.zeros(300, int), "target-kind"),
        (X, (Y / 255).astype(int), "target-kind"),
        (np.c_[X, 3.0 * Y + 1], Y, "target-in-inputs"),
        (np.c_[X, np.ones(300)], Y, "constant-columns"),
        (np.c_[X, 1e5 * X[:, 1] ** 2], Y, "unscaled-columns"),
        (100 * X + 7, Y, "unscaled-columns"),
        (np.r_[X, X[:20]], np.r_[Y, 1 - Y[:20]], "conflicting-rows"),
        (X, np.where(np.arange(300) < 10, 1, 0), "class-imbalance"),
    ],
)
def test_what_is_wrong_with_rows_is_found(x, y, check):
    assert check in find_checks(x, y)


def test_numbers_that_are_classes():
    """Targets of binary losses and one-hot rows are classes, not numbers with few different values."""
    assert find_checks(X, Y.astype(np.float32)) == {}
    assert find_checks(X, np.eye(2)[Y]) == {}
    assert not is_class_target(Y + 0.5)
    assert not is_class_target(np.ones((4, 3)))


def test_wrong_labels_and_other_distributions():
    digits = yisheng.data.load("digits")
    draw = np.random.default_rng(0)
    y = np.where(draw.random(len(digits)) < 0.3, draw.integers(0, 10, len(digits)), digits.y)
    x = digits.x.astype(np.float32) / 255
    half = len(x) // 2
    findings = yisheng.check_data(
        x[:half], y[:half], test=(x[half:] + 0.5 * draw.random(x[half:].shape, np.float32), y[half:])
    )
    checks = {cause.check: cause for cause in findings.findings}
    assert {"label-noise", "shifted-rows"} <= set(checks)
    assert "learning-curve" not in checks  # it always recommends something


@pytest.mark.parametrize(
    ("arguments", "options", "error", "word"),
    [
        ((X, Y[:10]), {}, DataError, "rows"),
        ((X,), {}, UsageError, "targets are missing"),
        ((object(),), {}, UsageError, "cannot be read"),
        (("nowhere/at/all.csv",), {}, DataError, "does not exist"),
        (("digits", Y), {}, UsageError, "leave y out"),
        ((X, Y), {"tset": (X, Y)}, UsageError, "tset"),
    ],
)
def test_rows_that_cannot_be_read_are_refused(arguments, options, error, word):
    with pytest.raises(error) as caught:
        yisheng.check_data(*arguments, **options)
    assert word in f"{caught.value.problem} {caught.value.remedy}"


def test_callers_generators_stay():
    np.random.seed(0)
    torch.manual_seed(0)
    states = np.random.get_state()[1].tolist(), torch.random.get_rng_state()
    yisheng.check_data(X, Y, test=(X_TEST, Y_TEST))
    assert np.random.get_state()[1].tolist() == states[0]
    assert torch.equal(torch.random.get_rng_state(), states[1])


def train(**parts):
    """Train a small network and return the doctor."""
    torch.manual_seed(0)
    x, y = torch.tensor(X), torch.tensor(Y)
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    with yisheng.doctor(net, optimizer, **parts) as doctor:
        for _ in range(5):
            for rows in torch.randperm(300).split(32):
                optimizer.zero_grad()
                F.cross_entropy(net(x[rows]), y[rows]).backward()
                optimizer.step()
    return doctor


def test_doctor_of_a_loop_checks_the_rows_that_it_is_given():
    doctor = train(data=(X, Y), test=(X[:50], Y[:50]))
    assert doctor.findings[0].check == "leaking-rows"
    assert str(doctor).splitlines()[0] == "training: nothing found; data: 1 error; validation was not given"


def test_rows_that_cannot_be_read_do_not_stop_the_diagnosis():
    diagnosis = train(data=(X, Y[:10])).diagnose()
    assert "data" in diagnosis.unchecked
    assert diagnosis.findings == ()


def test_parts_without_training_rows_are_refused():
    with pytest.raises(UsageError, match="without the training rows"):
        train(test=(X, Y))
