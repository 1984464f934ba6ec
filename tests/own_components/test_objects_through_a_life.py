"""Objects of the user's own from the training to its use, and what is refused on the way."""

import functools

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.utils.data import ChainDataset, IterableDataset, StackDataset

import yisheng
from tests.own_components.small_data import classes, train
from yisheng.core.errors import UsageError
from yisheng.core.input_spec import InputSpec
from yisheng.core.supplied_components import find_supplied, separate_components, supply_components
from yisheng.data.objects import to_dataset
from yisheng.inference.dataframes import read_dataframe
from yisheng.serving.json_tensors import _parse_tensor


class Masked(nn.Module):
    """A network that cannot take a mask of zeros, and whose layers get nested tensors in eval mode."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.output = nn.Linear(8, 2)

    def forward(self, ids, mask):
        states = self.encoder(self.embedding(ids), src_key_padding_mask=mask == 0)
        return self.output(states[:, 0])


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_transformer_with_a_mask_is_trained(tmp_path):
    random = np.random.default_rng(0)
    mask = np.ones((40, 5), np.int64)
    mask[:, 3:] = 0
    data = {"x": {"ids": random.integers(0, 9, (40, 5)), "mask": mask}, "y": random.integers(0, 2, 40)}
    run = yisheng.train(data=data, model=Masked, epochs=1, out=tmp_path, quiet=True)
    assert run.outputs({"ids": data["x"]["ids"][:3], "mask": mask[:3]}).shape == (3, 2)


def test_a_softmax_before_a_loss_of_ones_own_is_not_applied_twice(tmp_path):
    def nll(output, target):
        return nn.functional.nll_loss(output.log(), target, reduction="none")

    network = nn.Sequential(nn.Linear(6, 3), nn.Softmax(1))
    run = train(tmp_path, model=network, loss=nll)
    x = classes().x[:5]
    with torch.no_grad():
        np.testing.assert_allclose(run.outputs(x), network(run.prepare(x)).numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda: nn.Linear(6, 3).requires_grad_(False), "2 weights of the network are frozen"),
        (lambda: nn.Linear(6, 3).double(), "float32: call net.float"),
        (lambda: torch.jit.script(nn.Linear(6, 3)), "torch.jit"),
        (lambda: type("Forgets", (nn.Linear,), {"forward": lambda self, x: None})(6, 3), "returns None"),
        (lambda: type("Empty", (nn.Module,), {"forward": lambda self, x: x[:, :3]})(), "has no weights"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")
def test_a_network_that_cannot_be_trained_is_refused(make, cause, tmp_path):
    with pytest.raises(UsageError, match=cause):
        train(tmp_path, model=make())


def test_gray_images_without_channels_are_explained(tmp_path):
    with pytest.raises(UsageError, match=r"x\[:, None\]"):
        train(tmp_path, classes(shape=(8, 8)), model=nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3)))


def test_class_weights_of_two_classes(tmp_path):
    run = train(tmp_path, classes(2), model=nn.Linear(6, 2), class_weight=[1.0, 4.0])
    assert run.config["loss"] == {"name": "cross-entropy", "smoothing": 0.0, "class_weight": [1.0, 4.0]}
    with pytest.raises(UsageError, match="pos_weight is an option of loss=binary-cross-entropy"):
        train(tmp_path, classes(2), model=nn.Linear(6, 2), pos_weight=4.0)
    with pytest.raises(UsageError, match="class_weight takes no mapping"):
        train(tmp_path, classes(2), class_weight={0: 1.0, 1: 4.0})


def test_a_run_keeps_its_settings(tmp_path):
    def hits(y_true, y_pred):
        return (y_true == y_pred).mean()

    net = functools.partial(nn.Linear, 6, 3)
    data = classes()
    run = train(tmp_path, data, model=net, score=hits)
    with pytest.raises(UsageError, match="this run has no loss of your own"):
        yisheng.resume(run, data=data, model=net, metrics=[hits], loss=nn.MultiMarginLoss(), epochs=2)
    with pytest.raises(UsageError, match="lr= cannot be changed"):
        yisheng.resume(run, data=data, model=net, metrics=[hits], lr=0.5, epochs=2)
    assert yisheng.reproduce(run, data=data, model=net, score=hits, quiet=True).identical
    assert len(yisheng.resume(run, data=data, model=net, score=hits, epochs=2, quiet=True).history) == 2
    assert yisheng.load(run).path == run.path
    assert yisheng.evaluate(run)["test"]["accuracy"] == run.evaluate()["test"]["accuracy"]


def test_two_losses_of_one_class_are_alternatives_of_a_search():
    losses = [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(label_smoothing=0.1)]
    settings, objects = separate_components([("loss", losses, "command line")])
    names = settings[0][1]
    assert names == ["in-memory:CrossEntropyLoss", "in-memory:CrossEntropyLoss_2"]
    with supply_components(**objects):
        assert [find_supplied("loss", name) for name in names] == losses


@pytest.mark.parametrize("function", [yisheng.train, yisheng.fit, yisheng.tune, yisheng.lr_find])
def test_arguments_without_a_keyword_are_explained(function):
    with pytest.raises(UsageError, match=rf"yisheng.{function.__name__}\(data=\(x, y\), model=Net\)"):
        function((np.zeros((4, 2)), [0, 1, 0, 1]), nn.Linear)


X, Y = torch.arange(12.0).reshape(6, 2), torch.tensor([0, 1, 0, 1, 0, 1])


class Rows(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y.tolist(), strict=True))

    def __len__(self):
        return 6


@pytest.mark.parametrize(
    "data",
    [
        list(zip(X, Y.tolist(), strict=True)),
        [{"x": row, "label": label} for row, label in zip(X, Y.tolist(), strict=True)],
        Rows(),
        ChainDataset([Rows()]),
        StackDataset(x=X, y=Y),
        StackDataset(X, Y),
    ],
)
def test_items_of_any_container_are_read(data):
    dataset = to_dataset(data)
    assert np.array_equal(dataset.x, X.numpy())
    assert dataset.y.tolist() == Y.tolist()


def test_the_class_of_a_data_set_is_not_a_data_set():
    with pytest.raises(UsageError, match=r"create one: data=Rows"):
        to_dataset(Rows)


def test_columns_of_several_levels():
    columns = pd.MultiIndex.from_tuples([("size", "mean"), ("size", "max"), ("price", "")])
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=columns)
    data = to_dataset(frame, target=("price", ""))
    assert [column.name for column in data.spec.columns] == ["size.mean", "size.max"]
    assert to_dataset(frame, target="price").spec == data.spec
    np.testing.assert_allclose(read_dataframe(frame[:4], data.spec).x, data.x[:4])


def test_a_request_may_hold_a_single_value():
    assert _parse_tensor(3, InputSpec((), "int64"), "cat") == 3
    for value in ([3], "3", None, {}):
        with pytest.raises(yisheng.DataError, match="cat"):
            _parse_tensor(value, InputSpec((), "int64"), "cat")


def test_weights_that_are_all_zero_are_refused():
    with pytest.raises(yisheng.DataError, match="all sample weights are 0"):
        to_dataset((X, Y), sample_weight=np.zeros(6))
