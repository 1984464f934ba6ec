"""The names of the book's object-oriented edition."""

import copy

import pytest
import torch
from torch import nn

from yisheng import d2l
from yisheng.core.errors import UsageError


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    yield
    d2l.plt.close("all")


class Rows(d2l.DataModule):
    """Rows of three classes, of which the last quarter is the validation."""

    def __init__(self, batch_size=16, n=64):
        super().__init__()
        self.save_hyperparameters()
        generator = torch.Generator().manual_seed(1)
        self.X = torch.randn(n, 4, generator=generator)
        self.y = self.X[:, :3].argmax(1)

    def get_dataloader(self, train):
        rows = slice(0, 48) if train else slice(48, None)
        return self.get_tensorloader((self.X, self.y), train, rows)


class Net(d2l.Classifier):
    def __init__(self, lr=0.5):
        super().__init__()
        self.save_hyperparameters()
        self.net = nn.Linear(4, 3)


def test_hyperparameters_are_attributes():
    net = Net(lr=0.25)
    assert net.lr == 0.25
    assert net.hparams == {"lr": 0.25}
    assert Rows(8).batch_size == 8


def test_a_trainer_trains_as_a_plain_loop_does():
    net, data = Net(), Rows()
    reference = copy.deepcopy(net.net)
    torch.manual_seed(3)
    optimizer = torch.optim.SGD(reference.parameters(), lr=0.5)
    for _ in range(3):
        for x, y in data.train_dataloader():
            optimizer.zero_grad()
            nn.functional.cross_entropy(reference(x), y).backward()
            optimizer.step()
        list(data.val_dataloader())
    torch.manual_seed(3)
    trainer = d2l.Trainer(max_epochs=3)
    trainer.fit(net, data)
    torch.testing.assert_close(net.net.weight, reference.weight)
    assert (trainer.train_batch_idx, trainer.val_batch_idx, trainer.num_val_batches) == (9, 3, 1)
    x, y = data.X[48:], data.y[48:]
    assert net.board.data["val_acc"][-1] == (3, pytest.approx(float((reference(x).argmax(1) == y).float().mean())))
    assert len(net.board.data["train_loss"]) == 9  # two points in an epoch of three batches: one for each
    assert not net.training


def test_gradients_are_clipped():
    class Steep(Net):
        def loss(self, y_hat, y):
            return 1000 * super().loss(y_hat, y)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=1.0)

    net, data = Steep(), Rows(batch_size=48)
    start = [parameter.detach().clone() for parameter in net.parameters()]
    d2l.Trainer(max_epochs=1, gradient_clip_val=0.1).fit(net, data)
    moved = torch.cat([(p.detach() - s).flatten() for p, s in zip(net.parameters(), start, strict=True)])
    assert float(moved.norm()) == pytest.approx(0.1, rel=1e-3)


def test_linear_regression_finds_the_line():
    data = d2l.SyntheticRegressionData(w=torch.tensor([2, -3.4]), b=4.2)
    assert [len(loader.dataset) for loader in (data.train_dataloader(), data.val_dataloader())] == [1000, 1000]
    model = d2l.LinearRegression(lr=0.03)
    d2l.Trainer(max_epochs=5).fit(model, data)
    w, b = model.get_w_b()
    torch.testing.assert_close(w, torch.tensor([[2, -3.4]]), atol=0.02, rtol=0)
    assert float(b) == pytest.approx(4.2, abs=0.02)


def test_sgd_is_torchs():
    w = torch.randn(3, requires_grad=True)
    library = w.detach().clone().requires_grad_()
    for parameter, optimizer in ((w, d2l.SGD([w], 0.1)), (library, torch.optim.SGD([library], 0.1))):
        for _ in range(3):
            optimizer.zero_grad()
            parameter.pow(2).sum().backward()
            optimizer.step()
    torch.testing.assert_close(w, library)


def test_a_classifier_scores():
    y_hat, y = torch.randn(2, 5, 3), torch.randint(0, 3, (2, 5))
    net = Net()
    assert float(net.accuracy(y_hat, y)) == pytest.approx(float((y_hat.argmax(-1) == y).float().mean()))
    assert net.accuracy(y_hat, y, averaged=False).shape == (10,)
    expected = nn.functional.cross_entropy(y_hat.reshape(10, 3), y.reshape(10))
    torch.testing.assert_close(net.loss(y_hat, y), expected)


def test_lazy_networks_are_created_and_initialized(capsys):
    net = d2l.LeNet()
    net.apply_init([torch.rand(1, 1, 28, 28)], d2l.init_cnn)
    assert sum(parameter.numel() for parameter in net.parameters()) == 61_706
    bound = (6 / (5 * 5 * (1 + 6))) ** 0.5
    assert bound * 0.8 < float(net.net[0].weight.detach().abs().max()) <= bound
    net = d2l.ResNet(((2, 64), (2, 128), (2, 256), (2, 512)))
    net.layer_summary((1, 1, 96, 96))
    assert capsys.readouterr().out.splitlines()[-1].endswith("torch.Size([1, 10])")
    assert sum(parameter.numel() for parameter in net.parameters()) == 11_178_378


@pytest.mark.parametrize("kind", ["lazy", "plain"])
def test_the_doctor_watches_a_trainer(capsys, kind):
    net, data = Net(), Rows()
    layer = nn.LazyLinear(3) if kind == "lazy" else nn.Linear(4, 3)
    net.net = nn.Sequential(layer, nn.Softmax(dim=1))
    d2l.Trainer(max_epochs=3, doctor=True).fit(net, data)
    assert "softmax" in capsys.readouterr().out.lower()
    assert len(d2l.plt.get_fignums()) == 1


def test_copies_of_a_model_have_no_figure_of_their_own():
    net = Net()
    d2l.Trainer(max_epochs=1).fit(net, Rows())
    clone = copy.deepcopy(net)
    assert clone.trainer is net.trainer
    assert clone.board.fig is None
    assert clone.board.data == net.board.data


def test_what_a_class_lacks_is_named():
    with pytest.raises(UsageError, match=r"Module has no loss\n.*define loss"):
        d2l.Module().loss(None, None)
    with pytest.raises(UsageError, match=r"Module has no net\n.*self\.net"):
        d2l.Module()(None)
    with pytest.raises(UsageError, match="has no optimizer"):
        d2l.Module().configure_optimizers()
    with pytest.raises(UsageError, match="has no loader"):
        d2l.DataModule().train_dataloader()
    with pytest.raises(UsageError, match=r"has no trainer\n.*Trainer\(max_epochs"):
        Net().plot("loss", 1, train=True)


@pytest.mark.realdata
def test_fashion_mnist_and_house_prices(tmp_path, monkeypatch):
    monkeypatch.setenv("YISHENG_D2L_FAST", "1")
    data = d2l.FashionMNIST(resize=(32, 32))
    batch = next(iter(data.val_dataloader()))
    assert batch[0].shape == (64, 1, 32, 32)
    data.visualize(batch)
    assert data.text_labels([0, 9]) == ["t-shirt", "ankle boot"]
    monkeypatch.chdir(tmp_path)
    houses = d2l.KaggleHouse(batch_size=64)
    assert (houses.raw_train.shape, houses.raw_val.shape) == ((1460, 81), (1459, 80))
