"""The book's training functions against plain PyTorch, and their messages."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from yisheng import d2l
from yisheng.core.errors import UsageError


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    yield
    d2l.plt.close("all")


def make_rows(n=96, features=6, classes=3):
    """Return rows whose class is that of their largest feature."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(n, features, generator=generator)
    return x, x[:, :classes].argmax(1)


def make_loader(batch_size=16, **shape):
    return d2l.load_array(make_rows(**shape), batch_size, is_train=False)


def make_images(n=32):
    generator = torch.Generator().manual_seed(2)
    y = torch.arange(n) % 2
    return DataLoader(TensorDataset(torch.randn(n, 1, 8, 8, generator=generator) + 2.0 * y[:, None, None, None], y), 8)


def test_synthetic_data_is_a_line_with_noise():
    w, b = torch.tensor([2, -3.4]), 4.2
    X, y = d2l.synthetic_data(w, b, 4000)
    noise = y.flatten() - X @ w - b
    assert float(noise.std()) == pytest.approx(0.01, rel=0.05)
    assert float(noise.mean()) == pytest.approx(0, abs=1e-3)
    fitted = np.linalg.lstsq(np.c_[X, np.ones(len(X))], y.numpy(), rcond=None)[0].ravel()
    np.testing.assert_allclose(fitted, [2, -3.4, 4.2], atol=2e-3)


def test_load_array_shuffles_for_training_only():
    x = torch.arange(100.0)[:, None]
    ordered = torch.cat([batch for (batch,) in d2l.load_array((x,), 7, is_train=False)])
    shuffled = torch.cat([batch for (batch,) in d2l.load_array((x,), 7)])
    assert torch.equal(ordered, x)
    assert not torch.equal(shuffled, x)
    assert torch.equal(shuffled.sort(dim=0).values, x)
    with pytest.raises(UsageError, match=r"same number of rows, got \[3, 2\]"):
        d2l.load_array((torch.ones(3), torch.ones(2)), 1)


def test_sgd_is_torchs_on_the_mean_loss():
    x, y = torch.randn(10, 4, dtype=torch.float64), torch.randn(10, 1, dtype=torch.float64)
    w = torch.randn(4, 1, dtype=torch.float64, requires_grad=True)
    library = w.detach().clone().requires_grad_()
    optimizer = torch.optim.SGD([library], lr=0.1)
    for _ in range(5):
        d2l.squared_loss(d2l.linreg(x, w, 0), y).sum().backward()
        d2l.sgd([w], 0.1, len(x))
        optimizer.zero_grad()
        (nn.functional.mse_loss(x @ library, y) / 2).backward()
        optimizer.step()
    torch.testing.assert_close(w, library)
    assert not w.grad.any()
    with pytest.raises(UsageError, match="parameter 0 has no gradient"):
        d2l.sgd([torch.ones(1)], 0.1, 1)


def test_corr2d_is_torchs_convolution():
    X, K = torch.randn(7, 9), torch.randn(3, 2)
    torch.testing.assert_close(d2l.corr2d(X, K), nn.functional.conv2d(X[None, None], K[None, None])[0, 0])


def test_the_books_resnet_has_its_layers():
    net = d2l.resnet18(10, 3)
    assert [name for name, _ in net.named_children()][3:7] == [f"resnet_block{n}" for n in (1, 2, 3, 4)]
    assert net(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    block = d2l.Residual(4, 4).eval()
    x = torch.rand(2, 4, 5, 5)
    inner = block.bn2(block.conv2(torch.relu(block.bn1(block.conv1(x)))))
    torch.testing.assert_close(block(x), torch.relu(inner + x))


def test_accuracy_counts():
    y_hat, y = torch.randn(50, 4), torch.randint(0, 4, (50,))
    assert d2l.accuracy(y_hat, y) == int((y_hat.argmax(1) == y).sum())
    assert d2l.accuracy(torch.tensor([1.0, 0.0]), torch.tensor([1, 1])) == 1
    maps, labels = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    assert d2l.accuracy(maps, labels) == int((maps.argmax(1) == labels).sum())
    with pytest.raises(UsageError, match=r"predictions \(3,\) and labels \(3, 1\)"):
        d2l.accuracy(torch.randn(3, 2), torch.zeros(3, 1))


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_evaluation_is_over_all_rows(reduction):
    """Batches of different sizes do not count the same."""
    net, loader = nn.Linear(6, 3), make_loader(batch_size=40)
    x, y = make_rows()
    loss = nn.CrossEntropyLoss(reduction=reduction)
    expected = nn.functional.cross_entropy(net(x), y).item()
    assert d2l.evaluate_loss(net, loader, loss) == pytest.approx(expected, rel=1e-5)
    fraction = float((net(x).argmax(1) == y).float().mean())
    assert d2l.evaluate_accuracy(net, loader) == pytest.approx(fraction)
    assert d2l.evaluate_accuracy_gpu(net, loader) == pytest.approx(fraction)
    assert d2l.evaluate_accuracy(lambda batch: net(batch), loader) == pytest.approx(fraction)
    assert not net.training


def test_evaluation_of_nothing_is_an_error():
    with pytest.raises(UsageError, match="no batch to evaluate"):
        d2l.evaluate_accuracy(nn.Linear(6, 3), [])
    with pytest.raises(UsageError, match="no batch to train on"):
        d2l.train_epoch_ch3(nn.Linear(6, 3), [], nn.CrossEntropyLoss(), lambda batch_size: None)
    with pytest.raises(UsageError, match="no batch to train on"):
        d2l.train_ch6(nn.Linear(6, 3), [], [], 1, 0.1, "cpu")
    with pytest.raises(UsageError, match="no batch to predict"):
        d2l.predict_ch3(nn.Linear(6, 3), [])


def train_plainly(net, loader, epochs, lr):
    """Train with SGD and cross-entropy; return the mean loss and the accuracy during the last epoch."""
    optimizer = torch.optim.SGD(net.parameters(), lr)
    total = hits = rows = 0
    for _ in range(epochs):
        total = hits = rows = 0
        for x, y in loader:
            optimizer.zero_grad()
            output = net(x)
            loss = nn.functional.cross_entropy(output, y)
            loss.backward()
            optimizer.step()
            total, rows = total + float(loss.detach()) * len(y), rows + len(y)
            hits += int((output.argmax(1) == y).sum())
    return total / rows, hits / rows


def clone(net):
    copy = nn.Linear(6, 3)
    copy.load_state_dict(net.state_dict())
    return copy


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_an_epoch_with_a_torch_optimizer_is_the_plain_one(reduction):
    net = nn.Linear(6, 3)
    reference = clone(net)
    expected = train_plainly(reference, make_loader(), 1, 0.5)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    results = d2l.train_epoch_ch3(net, make_loader(), nn.CrossEntropyLoss(reduction=reduction), optimizer)
    assert results == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(net.weight, reference.weight)


def test_an_epoch_from_scratch_is_the_plain_one(capsys):
    net = nn.Linear(6, 3)
    w, b = net.weight.detach().T.clone().requires_grad_(), net.bias.detach().clone().requires_grad_()
    expected = train_plainly(net, make_loader(), 1, 0.5)

    def cross_entropy(y_hat, y):
        return nn.functional.cross_entropy(y_hat, y, reduction="none")

    def updater(batch_size):
        d2l.sgd([w, b], 0.5, batch_size)

    results = d2l.train_epoch_ch3(lambda x: x @ w + b, make_loader(), cross_entropy, updater)
    assert results == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(w.T, net.weight)
    assert capsys.readouterr().err == ""
    d2l.train_epoch_ch3(lambda x: x @ w + b, make_loader(), nn.functional.cross_entropy, updater)
    assert "must not divide by the batch size again" in capsys.readouterr().err


def test_train_ch3_draws_and_requires_what_the_book_expects(capsys, monkeypatch):
    loader, loss = make_loader(), nn.CrossEntropyLoss(reduction="none")
    net = nn.Linear(6, 3)
    d2l.train_ch3(net, loader, loader, loss, 20, torch.optim.SGD(net.parameters(), lr=0.5))
    assert d2l.evaluate_accuracy(net, loader) > 0.9
    assert "figure: " in capsys.readouterr().err
    untrained = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(untrained.parameters(), lr=1e-9)
    with pytest.raises(AssertionError, match=r"training loss is \d.*expected below 0.5.*\n.*doctor=True"):
        d2l.train_ch3(untrained, loader, loader, loss, 1, optimizer)
    monkeypatch.setenv("YISHENG_D2L_FAST", "1")
    d2l.train_ch3(untrained, loader, loader, loss, 1, optimizer)
    assert "expected below 0.5" in capsys.readouterr().err


def test_train_ch6_is_the_plain_training_from_xavier_weights(capsys):
    net = nn.Linear(6, 3)
    reference = clone(net)
    torch.manual_seed(5)
    nn.init.xavier_uniform_(reference.weight)
    loss, accuracy = train_plainly(reference, make_loader(), 3, 0.3)
    torch.manual_seed(5)
    d2l.train_ch6(net, make_loader(), make_loader(), 3, 0.3, d2l.try_gpu())
    torch.testing.assert_close(net.weight, reference.weight)
    output = capsys.readouterr().out
    assert output.startswith("training on cpu\n")
    assert f"loss {loss:.3f}, train acc {accuracy:.3f}, test acc " in output
    assert "examples/sec on cpu" in output


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_train_ch13_reports_the_mean_loss(capsys, reduction):
    loader = make_images()
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    loss = nn.CrossEntropyLoss(reduction=reduction)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    d2l.train_ch13(net, loader, loader, loss, optimizer, 3)
    output = capsys.readouterr().out
    reported = float(output.split("loss ")[1].split(",")[0])
    assert reported < 0.7
    assert "examples/sec on ['cpu']" in output
    values, hits = d2l.train_batch_ch13(net, *next(iter(loader)), loss, optimizer, [d2l.cpu()])
    assert 0 < float(values) < 8 * 0.7
    assert 0 <= hits <= 8


def test_the_doctor_reports_a_wrong_loss(capsys):
    loader = make_loader()
    net = nn.Sequential(nn.Linear(6, 3), nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with pytest.raises(AssertionError):
        d2l.train_ch3(net, loader, loader, nn.CrossEntropyLoss(reduction="none"), 3, optimizer, doctor=True)
    assert "softmax" in capsys.readouterr().out.lower()
    d2l.train_ch6(net, loader, loader, 2, 0.1, "cpu", doctor=True)
    assert "softmax" in capsys.readouterr().out.lower()
    images = make_images()
    convolutional = nn.Sequential(nn.Flatten(), nn.Linear(64, 2), nn.Softmax(dim=1))
    optimizer = torch.optim.SGD(convolutional.parameters(), lr=0.1)
    d2l.train_ch13(convolutional, images, images, nn.CrossEntropyLoss(reduction="none"), optimizer, 2, doctor=True)
    assert "softmax" in capsys.readouterr().out.lower()


def test_the_doctor_refuses_functions():
    with pytest.raises(UsageError, match=r"doctor=True requires.*got function and function.*\n.*nn\.Sequential"):
        d2l.train_ch3(lambda x: x, [], [], nn.MSELoss(), 1, lambda batch_size: None, doctor=True)


def test_fast_mode_trains_few_epochs(capsys, monkeypatch):
    monkeypatch.setenv("YISHENG_D2L_FAST", "1")
    modes = []

    class Counted(nn.Linear):
        def forward(self, x):
            modes.append(self.training)
            return super().forward(x)

    d2l.train_ch6(Counted(6, 3), make_loader(batch_size=96), make_loader(batch_size=96), 50, 0.1, "cpu")
    assert modes.count(True) == 2
    monkeypatch.setenv("YISHENG_D2L_FAST", "perhaps")
    with pytest.raises(UsageError, match="YISHENG_D2L_FAST must be 1 or 0"):
        d2l.train_ch6(nn.Linear(6, 3), make_loader(), make_loader(), 50, 0.1, "cpu")


def test_predictions_are_titles(monkeypatch):
    titles = []
    monkeypatch.setattr("yisheng.d2l.training_ch3.show_images", lambda *args, titles=None: titles_of(args, titles))

    def titles_of(args, names):
        titles.append((args[0].shape, args[1:], names))

    x, y = torch.rand(8, 1, 4, 4), torch.tensor([0, 1, 2, 3, 4, 5, 6, 7])
    loader = DataLoader(TensorDataset(x, y), 8)
    d2l.predict_ch3(lambda batch: nn.functional.one_hot(torch.full((len(batch),), 9), 10).float(), loader, n=3)
    ((shape, grid, names),) = titles
    assert (tuple(shape), grid) == ((3, 4, 4), (1, 3))
    assert names == ["t-shirt\nankle boot", "trouser\nankle boot", "pullover\nankle boot"]


def test_devices():
    assert d2l.try_gpu(99) == d2l.cpu() == torch.device("cpu")
    assert d2l.gpu(1) == torch.device("cuda:1")
    assert len(d2l.try_all_gpus()) == max(1, d2l.num_gpus())


def test_times(capsys):
    timer = d2l.Timer()
    timer.stop()
    timer.start()
    timer.stop()
    assert timer.sum() == pytest.approx(sum(timer.times))
    assert timer.avg() == pytest.approx(timer.sum() / 2)
    assert timer.cumsum() == pytest.approx([timer.times[0], timer.sum()])
    with d2l.Benchmark("work"):
        pass
    assert capsys.readouterr().out.startswith("work: 0.0")
    timer.times.clear()
    with pytest.raises(UsageError, match="no lap"):
        timer.avg()


def test_too_many_values_for_an_accumulator():
    metric = d2l.Accumulator(1)
    with pytest.raises(UsageError, match="1 sums, got 2 values"):
        metric.add(1, 2)
