"""Export every registered network to ONNX; print the largest difference of onnxruntime's predictions.

The networks are not trained: they have their initial weights, batch-norm averages of 256 training rows, and a last
layer scaled to outputs with a standard deviation of about 3. Transforms (scaling, the target's scale) are fitted on
real training rows. The predictions of 1,000 real test rows are compared, one row at a time and 64 at a time, from the
same file. Fashion-MNIST is enlarged to the smallest size that a network takes; VGG has an eighth of its channels.

    python benchmarks/export.py [model=NAME,NAME,...]
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from yisheng.core.entry import Entry
from yisheng.core.process import prepare

prepare()

import numpy as np  # noqa: E402
import torch  # noqa: E402

import yisheng  # noqa: E402
from yisheng import transforms  # noqa: E402
from yisheng.core import registry  # noqa: E402
from yisheng.core.dataset import Dataset  # noqa: E402
from yisheng.core.errors import UsageError  # noqa: E402
from yisheng.core.spec import Spec  # noqa: E402
from yisheng.data.images.resize import resize  # noqa: E402
from yisheng.data.split import hold_out  # noqa: E402
from yisheng.inference import artifact  # noqa: E402
from yisheng.inference.export import onnx_file  # noqa: E402
from yisheng.inference.export.verify import verify_export  # noqa: E402
from yisheng.inference.predictor import Predictor  # noqa: E402

TEST_ROWS, TRAINING_ROWS = 1000, 256
SIDES = (28, 32, 48, 64, 96)
FEWER_CHANNELS = {"ratio": 8}
TABLES = {"house-prices": 0.7, "california-housing": 0.2}
"""Fraction of test rows of each table; of the few house prices, most are needed for 1,000 test rows."""


def main(words: list[str]) -> None:
    """Print the table, a row after each network."""
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
                export_for_table(entry, data, test)
        if fits(entry, Spec("regression", (1, 28, 28))):
            export_for_images(entry)


def fits(entry: Entry, spec: Spec) -> bool:
    """Return whether a network declares that it takes such data."""
    return bool(entry.meta.get("fits", lambda _: True)(spec))


def export_for_images(entry: Entry) -> None:
    """Export a network for Fashion-MNIST at the smallest size that it takes."""
    options = {key: value for key, value in FEWER_CHANNELS.items() if key in entry.options}
    data = yisheng.data.load("fashion-mnist")
    side = next(side for side in SIDES if can_build(entry, side, options))
    rows = np.concatenate([np.flatnonzero(data.part == 0)[:TRAINING_ROWS], np.flatnonzero(data.part == 2)[:TEST_ROWS]])
    x = np.stack([resize(data.x[row, 0], (side, side), "squash")[None] for row in rows])
    spec = Spec("classification", (1, side, side), classes=data.spec.classes)
    compare_export(
        entry,
        options,
        f"fashion-mnist, {side}",
        spec,
        x[:TRAINING_ROWS],
        x[TRAINING_ROWS:],
        {"input": ("standard", ()), "target": None},
    )


def can_build(entry: Entry, side: int, options: dict[str, Any]) -> bool:
    """Return whether a network can be built for square images of this size."""
    try:
        with torch.device("meta"):
            entry.build(Spec("classification", (1, side, side), classes=tuple("0123456789")), **options)
    except UsageError:
        return False
    return True


def export_for_table(entry: Entry, name: str, test: float) -> None:
    """Export a network for a table."""
    data: Dataset = yisheng.data.load(name)
    split = hold_out(data, validation=0.1, test=test, seed=0)
    target = transforms.fit("log", data.y, rows=split.train)
    fitted = {"input": ("columns", data.spec.columns), "target": target}
    compare_export(entry, {}, name, data.spec, data.x[split.train], data.x[np.sort(split.test[:TEST_ROWS])], fitted)


def compare_export(
    entry: Entry,
    options: dict[str, Any],
    data: str,
    spec: Spec,
    train: np.ndarray,
    test: np.ndarray,
    fitted: dict[str, Any],
) -> None:
    """Write a run folder without training, export it, and print the differences."""
    assert len(test) == TEST_ROWS
    start = time.perf_counter()
    name, columns = fitted["input"]
    scale = transforms.fit(name, train, columns=columns)
    torch.manual_seed(0)
    model = entry.build(transforms.transform_spec(scale, spec), **options)
    inputs = scale.apply(torch.from_numpy(np.ascontiguousarray(train[:TRAINING_ROWS])))
    with torch.no_grad():
        for batch in inputs.split(64):
            model.train()(batch)
        sd = model.eval()(inputs).std()
        *_, weight, bias = model.parameters()
        for parameter in (weight, bias):
            parameter *= (3 if spec.classes else 1) / sd
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        artifact.save(
            folder,
            weights=model.state_dict(),
            name=entry.name,
            options=options,
            spec=spec,
            fitted_transforms={"input": scale, "target": fitted["target"]},
            best={"epoch": 0, "score": "loss", "value": None},
            parameters=sum(parameter.numel() for parameter in model.parameters()),
        )
        predictor, x = Predictor(folder), np.ascontiguousarray(test)
        session = onnx_file.load(yisheng.export(folder).path)
        outputs = verify_export(session, predictor.compute_outputs, x, spec, alone=TEST_ROWS)
    single, batch = outputs.largest[1], outputs.largest[64]
    size = sum(p.numel() for p in model.parameters())
    print(f"{entry.name:<15}{data:<22}{size:>11,}{single:>15.1e}{batch:>14.1e}{outputs.allowed:>10.1e}", flush=True)
    print(f"  ({time.perf_counter() - start:.0f} s)", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
