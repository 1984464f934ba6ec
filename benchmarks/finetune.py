"""Compare fine-tuning with a linear probe and with training from scratch, on few images.

The data is hymenoptera: 244 photographs of ants and bees for training, 153 for testing. Nothing is chosen on the test
images: every run trains on all 244 and its last epoch counts; the settings below were chosen by cross-validation on the
244 (`cv=true` prints that of the present settings). All three methods use the same pixels.

    python benchmarks/finetune.py [seeds=5] [network=squeezenet1-1,squeezenet1-0] [part=probe,finetune,scratch]
                                  [cv=true] [key=value ...]       further settings of the config
    python benchmarks/finetune.py part=head [network=squeezenet1-1,resnet18] [rounds=2] [size=128] [epochs=5,15]

`part=head` trains the head alone, with the frozen layers computed in every epoch and once, and compares processor time
and weights. The weights of ResNet-18 are random there: its time does not depend on them.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from yisheng.core.process import prepare

prepare()

import numpy as np  # noqa: E402
import torch  # noqa: E402  # after prepare(), which sets environment variables
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV, StratifiedKFold  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

import yisheng  # noqa: E402
from yisheng import models  # noqa: E402
from yisheng.core import machine  # noqa: E402
from yisheng.core.dataset import Dataset  # noqa: E402
from yisheng.core.spec import Spec  # noqa: E402
from yisheng.data import hub  # noqa: E402
from yisheng.data.datasets.folder import folder  # noqa: E402
from yisheng.models import weights  # noqa: E402
from yisheng.transforms.imagenet import imagenet  # noqa: E402

FILES = {"squeezenet1-0": "squeezenet1_0_in1k_fp16.pth", "squeezenet1-1": "squeezenet1_1_in1k_fp16.pth"}
COMMON: dict[str, Any] = {
    "batch": 16,
    "augment": [{"name": "flip"}, {"name": "resized-crop", "area": [0.35, 1.0]}],
    "scale": "imagenet",
    "validation": 0,
    "checkpoint_every": 600,
}
FINETUNE: dict[str, Any] = {"optimizer": "nesterov", "lr": 0.001, "epochs": 15}
HEAD: dict[str, Any] = {"finetune": "head", "ood": False, "doctor": "off", "checkpoint_every": 600}
SCRATCH: dict[str, Any] = {"optimizer": "adamw", "lr": 0.001, "weight_decay": 0.05, "epochs": 40}


def load_images(size: int = 224) -> Dataset:
    """Return hymenoptera with its second part as the test part."""
    path = hub.fetch("hymenoptera", "folder")["train"].parent
    data = folder(path=str(path), size=size)
    assert data.part is not None
    return replace(data, name="hymenoptera", part=np.where(data.part == 0, 0, 2).astype(np.int8))


def extract_features(data: Dataset, network: str) -> np.ndarray:
    """Return the means ``(N, 512)`` of the last 512 feature maps of the published network."""
    published = Spec("classification", data.spec.shape, classes=tuple(map(str, range(1000))))
    net = models.build(network, published)
    weights.load_weights(net, weights.read_weights(hub.fetch_file("weights", FILES[network])), name=network)
    net.eval()
    scale = imagenet.fit(data.x[:1])
    with torch.inference_mode():
        maps = [
            net.get_submodule("features")(scale.apply(torch.from_numpy(np.array(data.x[at : at + 32])))).mean((2, 3))
            for at in range(0, len(data), 32)
        ]
    return torch.cat(maps).numpy()


def evaluate_probes(data: Dataset, network: str) -> None:
    """Fit logistic regressions on the frozen features: scikit-learn's default, and one tuned by cross-validation."""
    x, train, test = extract_features(data, network), data.part == 0, data.part == 2
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    strengths = {"logisticregression__C": [0.001, 0.01, 0.1, 1.0, 10.0]}
    for name, model in (
        ("linear probe, C=1", LogisticRegression(max_iter=10_000)),
        (
            "linear probe, standardized, C by 5 folds",
            GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000)), strengths, cv=folds),
        ),
    ):
        start = time.perf_counter()
        model.fit(x[train], data.y[train])
        print_row(network, name, [model.score(x[test], data.y[test])], time.perf_counter() - start)


def train(data: Dataset, settings: dict[str, Any], seed: int) -> tuple[float, float]:
    """Train once; return the test accuracy and the seconds of training."""
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        run = yisheng.train(data=data, out=out, quiet=True, seed=seed, **settings)
        accuracy, seconds = run.scores["test"]["accuracy"].value, time.perf_counter() - start
    print(f"{settings['model']} seed {seed}: {accuracy:.3f} in {seconds:.0f} s", file=sys.stderr, flush=True)
    return accuracy, seconds


def cross_validate(data: Dataset, network: str, settings: dict[str, Any]) -> None:
    """Print the accuracy of the last epoch on each of five folds of the training part, without the test part."""
    training_rows = data.part == 0
    inner = replace(data, x=np.asarray(data.x)[training_rows], y=data.y[training_rows], part=None, rows=None)
    settings = {key: value for key, value in settings.items() if key != "validation"}
    scores, start = [], time.perf_counter()
    for k in range(1, 6):
        with tempfile.TemporaryDirectory() as out:
            run = yisheng.train(data=inner, out=out, quiet=True, seed=k, test=0, fold=f"{k}/5", **settings)
            lines = [json.loads(line) for line in (run.path / "events.jsonl").read_text().splitlines()]
            scores.append([line["scores"]["accuracy"] for line in lines if line["event"] == "epoch"][-1])
    print_row(network, "fine-tuned, folds of the training part", scores, (time.perf_counter() - start) / 5)


def _shift_copies(data: Dataset, copies: int = 7) -> Dataset:
    """Return the images with copies that are shifted sideways: 2,779 of 397, as many as a small project has."""
    x = np.concatenate([np.roll(data.x, 9 * copy, axis=3) for copy in range(copies)])
    assert data.part is not None
    return replace(data, x=x, y=np.tile(data.y, copies), part=np.tile(data.part, copies), rows=None)


def compare_caching(data: Dataset, network: str, epochs: int, rounds: int) -> None:
    """Print the processor time of training the head, with the frozen layers computed in every epoch and once."""
    seconds: dict[str, list[float]] = {"off": [], "auto": []}
    weights_of: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        file = "imagenet"
        if network not in FILES:
            file = str(Path(folder) / "random.pth")
            spec = Spec("classification", data.spec.shape, classes=("a", "b"))
            torch.save(models.build(network, spec).state_dict(), file)
        for _ in range(rounds):
            for cache, values in seconds.items():
                start = time.process_time()
                settings = {**HEAD, "model": network, "weights": file, "epochs": epochs, "feature_cache": cache}
                run = yisheng.train(data=data, out=folder, quiet=True, **settings)
                values.append(time.process_time() - start)
                weights_of[cache] = (run.path / "model.safetensors").read_bytes()
    off, auto = (statistics.median(values) for values in seconds.values())
    ratios = [a / b for a, b in zip(*seconds.values(), strict=True)]
    bits = "the same" if len(set(weights_of.values())) == 1 else "different"
    ratio = f"{off / auto:.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    print(f"| {network} | {epochs} | {off:.1f} | {auto:.1f} | {ratio} | {bits} |", flush=True)


def print_row(network: str, name: str, values: list[float], seconds: float) -> None:
    """Print a row of the table."""
    sd = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    per_seed = ", ".join(f"{value:.3f}" for value in values)
    print(f"| {network} | {name} | {statistics.mean(values):.3f}{sd} | {per_seed} | {seconds:.0f} |", flush=True)


def main(words: list[str]) -> None:
    """Measure, and print the table in Markdown."""
    options = dict(word.split("=", 1) for word in words)
    seeds = range(int(options.pop("seeds", "5")))
    networks = options.pop("network", "squeezenet1-1,squeezenet1-0").split(",")
    parts = options.pop("part", "probe,finetune,scratch").split(",")
    cv = options.pop("cv", "false") == "true"
    if parts == ["head"]:
        data, rounds = _shift_copies(load_images(int(options.pop("size", "128")))), int(options.pop("rounds", "2"))
        print("| network | epochs | every epoch, s | once, s | ratio | weights |\n|---|---|---|---|---|---|")
        for network in networks:
            for epochs in options.get("epochs", "5,15").split(","):
                compare_caching(data, network, int(epochs), rounds)
        return
    data = load_images()
    versions = f"torch {torch.__version__}, {torch.get_num_threads()} threads, Python {platform.python_version()}"
    print(f"{machine.describe_processor()[0]}, {machine.count_cores()} cores, {versions}\n")
    print("| network | method | test accuracy, mean ± sd | each seed | s per run |\n|---|---|---|---|---|")
    for network in networks:
        tuned = {**COMMON, **FINETUNE, "model": network, "weights": "imagenet", **options}
        if cv:
            cross_validate(data, network, tuned)
            continue
        if "probe" in parts:
            evaluate_probes(data, network)
        for part, settings in (("finetune", tuned), ("scratch", {**COMMON, **SCRATCH, "model": network, **options})):
            if part in parts:
                results = [train(data, settings, seed) for seed in seeds]
                name = "fine-tuned" if part == "finetune" else "from scratch"
                print_row(network, f"{name}, {settings['epochs']} epochs", *_summarize(results))


def _summarize(results: list[tuple[float, float]]) -> tuple[list[float], float]:
    """Return the accuracies, and the median of the seconds."""
    return [accuracy for accuracy, _ in results], statistics.median(seconds for _, seconds in results)


if __name__ == "__main__":
    main(sys.argv[1:])
