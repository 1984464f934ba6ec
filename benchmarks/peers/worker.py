"""Train as one contestant on the rows of a file; print seconds, accuracy and memory as JSON.

    python worker.py CONTESTANT MODEL EPOCHS ROWS.npz

The script runs in the peers' environment and does not import Yisheng. Every contestant trains the same network by plain
SGD (batch 256, learning rate 0.1, for LeNet 0.9) on the same rows, and is scored on the same validation rows after each
epoch, in the way its users would write it. Rows are images as bytes, scaled numbers of a table, or paths of JPEG files.
Images are scaled, and the network is built, compiled and trained on some rows, before the clock starts; for a table and
for files, all of this is repeated while it runs.
"""

from __future__ import annotations

import functools
import json
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

BATCH = 256
RATES = {"lenet": 0.9, "jpeg": 0.9}
"""Learning rates other than 0.1: LeNet with sigmoids hardly learns at smaller ones."""
Rows = dict[str, np.ndarray]
Train = Callable[[Rows, int], float]
"""Trains on rows for a number of epochs; returns the validation accuracy."""


def main(words: list[str]) -> None:
    """Warm up with one epoch on some rows, then train and print seconds, accuracy and memory."""
    contestant, model, epochs, path = words
    warnings.simplefilter("ignore")
    rows = dict(np.load(path))
    if rows["x"].dtype == np.uint8 and not contestant.startswith("textbook"):
        rows.update({part: _to_floats(rows, part).numpy() for part in ("x", "x_valid")})
    count = 8 * BATCH + len(rows["x"]) % BATCH  # includes the size of the last batch
    warm_up_rows = {**rows, "x": rows["x"][:count], "y": rows["y"][:count]}
    train = CONTESTANTS[contestant](model)
    train(warm_up_rows, 1)
    start, start_cpu = time.perf_counter(), time.process_time() + _children_cpu()
    if model in ("table", "jpeg"):
        train = CONTESTANTS[contestant](model)
    accuracy = train(rows, int(epochs))
    wall, cpu = time.perf_counter() - start, time.process_time() + _children_cpu() - start_cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "accuracy": accuracy, "peak_mib": peak}))


def _children_cpu() -> float:
    """Return the CPU seconds of child processes that ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def learning_rate(model: str) -> float:
    """Return the learning rate of plain SGD."""
    return RATES.get(model, 0.1)


def build_network(model: str) -> Any:
    """Return the network in torch."""
    from torch import nn

    if model == "softmax":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    if model == "mlp":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    if model == "table":
        return nn.Sequential(nn.Linear(8, 256), nn.ReLU(), nn.Linear(256, 2))
    if model in ("lenet", "jpeg"):
        return nn.Sequential(
            *(nn.Conv2d(1, 6, 5, padding=2), nn.Sigmoid(), nn.AvgPool2d(2)),
            *(nn.Conv2d(6, 16, 5), nn.Sigmoid(), nn.AvgPool2d(2), nn.Flatten()),
            *(nn.Linear(400, 120), nn.Sigmoid(), nn.Linear(120, 84), nn.Sigmoid(), nn.Linear(84, 10)),
        )
    return _build_resnet18()


def _build_resnet18() -> Any:
    """Return ResNet-18 for small images."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
            self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm2d(channels_out), nn.BatchNorm2d(channels_out)
            is_identity = stride == 1 and channels_in == channels_out
            projection = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out)
            )
            self.shortcut = nn.Identity() if is_identity else projection

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            inner = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))
            return (inner + self.shortcut(x)).relu()

    stages = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1)]
    stages += [(256, 512, 2), (512, 512, 1)]
    start = [nn.Conv2d(1, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    blocks = [Block(*stage) for stage in stages]
    return nn.Sequential(*start, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def _to_floats(rows: Rows, part: str) -> Any:
    """Return a part's inputs as a float32 tensor; images are scaled to [0, 1]."""
    import torch

    values = rows[part]
    if values.dtype == np.float32:
        return torch.from_numpy(values)
    if values.dtype.kind == "U":
        values = np.stack([_decode(path) for path in values])
    return torch.from_numpy(values).float().div(255)[:, None]


def _decode(path: str) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.array(image)


def plain(model: str) -> Train:
    """Return a plain loop over scaled float32 tensors in memory: only updates and validation."""
    import torch

    torch.manual_seed(0)
    net, loss = build_network(model), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate(model))

    def train(rows: Rows, epochs: int) -> float:
        x, y = _to_floats(rows, "x"), torch.from_numpy(rows["y"])
        x_valid, y_valid = _to_floats(rows, "x_valid"), torch.from_numpy(rows["y_valid"])
        correct = 0
        for _ in range(epochs):
            net.train()
            for batch in torch.randperm(len(x)).split(BATCH):
                optimizer.zero_grad()
                loss(net(x[batch]), y[batch]).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                pairs = zip(x_valid.split(BATCH), y_valid.split(BATCH), strict=True)
                correct = sum(int((net(batch).argmax(1) == targets).sum()) for batch, targets in pairs)
        return correct / len(x_valid)

    return train


def floor(model: str) -> Train:
    """Return the same number of updates on one batch in memory: a lower bound for every loop."""
    import torch

    torch.manual_seed(0)
    net, loss = build_network(model), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate(model))

    def train(rows: Rows, epochs: int) -> float:
        x, y = _to_floats(rows, "x")[:BATCH].clone(), torch.from_numpy(rows["y"])[:BATCH]
        for _ in range(epochs * -(-len(rows["x"]) // BATCH)):
            optimizer.zero_grad()
            loss(net(x), y).backward()
            optimizer.step()
        return float("nan")

    return train


def _make_dataset(rows: Rows, part: str, targets: str) -> Any:
    """Return the textbook's data set: each sample is read as a PIL image and converted to a tensor."""
    import torch
    from PIL import Image

    values = rows[part]

    def make_sample(row: int) -> torch.Tensor:
        if values.dtype == np.float32:
            return torch.from_numpy(values[row])
        image = _decode(values[row]) if values.dtype.kind == "U" else np.array(Image.fromarray(values[row]))
        return torch.from_numpy(image)[None].float().div(255)

    class Samples(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(values)

        def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
            return make_sample(row), int(rows[targets][row])

    return Samples()


def textbook(model: str, workers: int = 0) -> Train:
    """Return the textbook's loop: a Dataset of PIL images and a DataLoader."""
    import torch

    torch.manual_seed(0)
    net, loss = build_network(model), torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.parameters(), lr=learning_rate(model))
    options = {"batch_size": BATCH, "num_workers": workers, "persistent_workers": workers > 0}

    def train(rows: Rows, epochs: int) -> float:
        batches = torch.utils.data.DataLoader(_make_dataset(rows, "x", "y"), shuffle=True, **options)
        valid = torch.utils.data.DataLoader(_make_dataset(rows, "x_valid", "y_valid"), **options)
        correct = 0
        for _ in range(epochs):
            net.train()
            for x, y in batches:
                optimizer.zero_grad()
                loss(net(x), y).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                correct = sum(int((net(x).argmax(1) == y).sum()) for x, y in valid)
        return correct / len(rows["x_valid"])

    return train


def lightning(model: str) -> Train:
    """Return Lightning's trainer over a TensorDataset, without progress, checkpoints and log."""
    import logging

    import torch

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    import lightning as L

    class Net(L.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.correct = build_network(model), 0

        def training_step(self, batch: Any, _number: int) -> Any:
            return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])

        def on_validation_epoch_start(self) -> None:
            self.correct = 0

        def validation_step(self, batch: Any, _number: int) -> None:
            self.correct += int((self.net(batch[0]).argmax(1) == batch[1]).sum())

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=learning_rate(model))

    torch.manual_seed(0)
    net = Net()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}

    def train(rows: Rows, epochs: int) -> float:
        parts = [
            torch.utils.data.TensorDataset(_to_floats(rows, x), torch.from_numpy(rows[y]))
            for x, y in (("x", "y"), ("x_valid", "y_valid"))
        ]
        batches = torch.utils.data.DataLoader(parts[0], BATCH, shuffle=True)
        valid = torch.utils.data.DataLoader(parts[1], BATCH)
        trainer = L.Trainer(
            max_epochs=epochs, accelerator="cpu", enable_model_summary=False, num_sanity_val_steps=0, **quiet
        )
        trainer.fit(net, batches, valid)
        return net.correct / len(rows["x_valid"])

    return train


def skorch(model: str) -> Train:
    """Return skorch's NeuralNetClassifier on tensors, with the validation rows."""
    import torch
    from skorch import NeuralNetClassifier
    from skorch.dataset import Dataset
    from skorch.helper import predefined_split

    torch.manual_seed(0)
    module = build_network(model)

    def train(rows: Rows, epochs: int) -> float:
        valid = Dataset(_to_floats(rows, "x_valid"), torch.from_numpy(rows["y_valid"]))
        net = NeuralNetClassifier(
            module,
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.SGD,
            lr=learning_rate(model),
            batch_size=BATCH,
            max_epochs=epochs,
            train_split=predefined_split(valid),
            iterator_train__shuffle=True,
            verbose=0,
        )
        net.fit(_to_floats(rows, "x"), torch.from_numpy(rows["y"]))
        return float(net.history[-1, "valid_acc"])

    return train


def keras(model: str) -> Train:
    """Return Keras on the backend in KERAS_BACKEND, with its default compilation."""
    import keras as K

    K.utils.set_random_seed(0)
    layer = K.layers
    inner = {
        "softmax": lambda: [layer.Flatten()],
        "mlp": lambda: [layer.Flatten(), layer.Dense(256, "relu")],
        "lenet": lambda: [
            *(layer.Conv2D(6, 5, padding="same", activation="sigmoid"), layer.AveragePooling2D(2)),
            *(layer.Conv2D(16, 5, activation="sigmoid"), layer.AveragePooling2D(2), layer.Flatten()),
            *(layer.Dense(120, "sigmoid"), layer.Dense(84, "sigmoid")),
        ],
    }
    if model == "table":
        net = K.Sequential([K.Input((8,)), layer.Dense(256, "relu"), layer.Dense(2)])
    elif model == "resnet18":
        net = _build_keras_resnet18(K)
    else:
        net = K.Sequential([K.Input((28, 28, 1)), *inner[model](), layer.Dense(10)])
    loss = K.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(K.optimizers.SGD(learning_rate(model)), loss, metrics=["accuracy"])

    def train(rows: Rows, epochs: int) -> float:
        x, x_valid = (_to_floats(rows, part).numpy() for part in ("x", "x_valid"))
        if model != "table":
            x, x_valid = x[:, 0, :, :, None], x_valid[:, 0, :, :, None]
        valid = {"validation_data": (x_valid, rows["y_valid"]), "validation_batch_size": BATCH}
        history = net.fit(x, rows["y"], BATCH, epochs, verbose=0, **valid)
        return float(history.history["val_accuracy"][-1])

    return train


def _build_keras_resnet18(K: Any) -> Any:
    """Return ResNet-18 for small images in Keras."""
    layer = K.layers

    def conv_norm(x: Any, units: int, kernel: int, stride: int) -> Any:
        x = layer.Conv2D(units, kernel, stride, padding="same", use_bias=False)(x)
        return layer.BatchNormalization()(x)

    start = K.Input((28, 28, 1))
    x = layer.ReLU()(conv_norm(start, 64, 3, 1))
    for channels_in, channels_out, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        for step, width in ((stride, channels_in), (1, channels_out)):
            shortcut = x if step == 1 and width == channels_out else conv_norm(x, channels_out, 1, step)
            x = layer.ReLU()(
                conv_norm(layer.ReLU()(conv_norm(x, channels_out, 3, step)), channels_out, 3, 1) + shortcut
            )
    return K.Model(start, layer.Dense(10)(layer.GlobalAveragePooling2D()(x)))


def _keras_on(backend: str) -> Callable[[str], Train]:
    """Return `keras` with a backend."""

    def make(model: str) -> Train:
        os.environ["KERAS_BACKEND"] = backend
        return keras(model)

    return make


CONTESTANTS: dict[str, Callable[[str], Train]] = {
    "plain": plain,
    "floor": floor,
    "textbook": textbook,
    "textbook (2 workers)": functools.partial(textbook, workers=2),
    "lightning": lightning,
    "skorch": skorch,
    "keras on torch": _keras_on("torch"),
    "keras on jax": _keras_on("jax"),
}

if __name__ == "__main__":
    main(sys.argv[1:])
