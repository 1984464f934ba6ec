"""Every registered network as an ONNX file: the largest difference between onnxruntime's answers and ours.

The networks are not trained: weights as they are initialised, batch norm's averages of 256 training rows, and the last
layer scaled so that the outputs have a standard deviation of about 3. What is fitted (scaling, the target's scale) is
fitted on real training rows, and the answers compared are those of 1,000 real test rows, one at a time and 64 at a
time, from the one file. Fashion-MNIST is enlarged to the smallest side that a network takes; the VGG nets have an
eighth of their channels.

    python benchmarks/export.py [model=NAME,NAME,...]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from yisheng.core.process import prepare

prepare()

import numpy as np  # noqa: E402
import torch  # noqa: E402

import yisheng  # noqa: E402
from yisheng import transforms  # noqa: E402
from yisheng.core import registry  # noqa: E402
from yisheng.core.errors import UsageError  # noqa: E402
from yisheng.core.types import Dataset, Spec  # noqa: E402
from yisheng.data.images.resize import resize  # noqa: E402
from yisheng.data.split import hold_out  # noqa: E402
from yisheng.inference import artifact  # noqa: E402
from yisheng.inference.export import onnx_file  # noqa: E402
from yisheng.inference.export.verify import verify_export  # noqa: E402
from yisheng.inference.predictor import Predictor  # noqa: E402

ROWS, TRAIN = 1000, 256
SIDES = (28, 32, 48, 64, 96)
NARROW = {"ratio": 8}
TABLES = {"house-prices": 0.7, "california-housing": 0.2}
"""The part of the rows that is for testing: house prices are few, most of them are needed."""


def main(words: list[str]) -> None:
    """Print the table, a line when its network is done."""
    options = dict(word.split("=", 1) for word in words)
    names = options["model"].split(",") if "model" in options else registry.names("models")
    print(
        f"{'model':<15}{'data':<22}{'parameters':>11}{'one at a time':>15}{'64 at a time':>14}{'allowed':>10}",
        flush=True,
    )
    for name in names:
        entry = registry.find("models", name)
        if fits(entry, Spec("regression", (3,))):
            for data, test in TABLES.items():
                of_table(entry, data, test)
        if fits(entry, Spec("regression", (1, 28, 28))):
            of_images(entry)


def fits(entry: registry.Entry, spec: Spec) -> bool:
    """Whether a network says that it takes such data."""
    return bool(entry.meta.get("fits", lambda _: True)(spec))


def of_images(entry: registry.Entry) -> None:
    """Fashion-MNIST at the smallest side that a network takes."""
    options = {key: value for key, value in NARROW.items() if key in entry.options}
    data = yisheng.data.load("fashion-mnist")
    side = next(side for side in SIDES if takes(entry, side, options))
    rows = np.concatenate([np.flatnonzero(data.part == 0)[:TRAIN], np.flatnonzero(data.part == 2)[:ROWS]])
    x = np.stack([resize(data.x[row, 0], (side, side), "squash")[None] for row in rows])
    spec = Spec("classification", (1, side, side), classes=data.spec.classes)
    tell(
        entry,
        options,
        f"fashion-mnist, {side}",
        spec,
        x[:TRAIN],
        x[TRAIN:],
        {"input": ("standard", ()), "target": None},
    )


def takes(entry: registry.Entry, side: int, options: dict[str, Any]) -> bool:
    """Whether a network can be built for images of that side."""
    try:
        with torch.device("meta"):
            entry.build(Spec("classification", (1, side, side), classes=tuple("0123456789")), **options)
    except UsageError:
        return False
    return True


def of_table(entry: registry.Entry, name: str, test: float) -> None:
    """A table with categories and missing values, or one of numbers."""
    data: Dataset = yisheng.data.load(name)
    split = hold_out(data, validation=0.1, test=test, seed=0)
    target = transforms.fit("log", data.y, rows=split.train)
    fitted = {"input": ("columns", data.spec.columns), "target": target}
    tell(entry, {}, name, data.spec, data.x[split.train], data.x[np.sort(split.test[:ROWS])], fitted)


def tell(
    entry: registry.Entry,
    options: dict[str, Any],
    data: str,
    spec: Spec,
    train: np.ndarray,
    test: np.ndarray,
    fitted: dict[str, Any],
) -> None:
    """Make a run folder without training, export it and compare."""
    assert len(test) == ROWS
    start = time.perf_counter()
    name, columns = fitted["input"]
    scale = transforms.fit(name, train, columns=columns)
    torch.manual_seed(0)
    model = entry.build(transforms.transform_spec(scale, spec), **options)
    inputs = scale.apply(torch.from_numpy(np.ascontiguousarray(train[:TRAIN])))
    with torch.no_grad():
        for some in inputs.split(64):
            model.train()(some)
        difference = model.eval()(inputs).std()
        *_, weight, bias = model.parameters()
        for last in (weight, bias):
            last *= (3 if spec.classes else 1) / difference
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        artifact.save(
            folder,
            weights=model.state_dict(),
            name=entry.name,
            options=options,
            spec=spec,
            fitted_transforms={"input": scale, "target": fitted["target"]},
            best={"epoch": 0, "score": "loss", "value": None},
        )
        predictor, x = Predictor(folder), np.ascontiguousarray(test)
        answer = onnx_file.load(yisheng.export(folder).path)
        outputs = verify_export(answer, predictor.compute_outputs, x, spec, alone=ROWS)
    single, batch = outputs.largest[1], outputs.largest[64]
    size = sum(p.numel() for p in model.parameters())
    print(f"{entry.name:<15}{data:<22}{size:>11,}{single:>15.1e}{batch:>14.1e}{outputs.allowed:>10.1e}", flush=True)
    print(f"  ({time.perf_counter() - start:.0f} s)", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
