"""Measure the out-of-distribution detector and the occlusion maps.

    python benchmarks/ood.py detect [epochs=2] [seed=0] [data=NAME]
    python benchmarks/ood.py occlude [epochs=2] [seed=0] [images=100]
    python benchmarks/ood.py cost run=RUN

``detect`` trains networks on images and tables and scores their own test part, where each warning is a false one, and
inputs that are out of distribution: the fraction with a warning, and the AUROC (1: all of them have higher scores than
the test part; 0.5: they cannot be distinguished). ``occlude`` covers pixels with the color of the border, in the order
of the occlusion map, and prints the loss of probability of the predicted class (Petsiuk, Das and Saenko 2018); compared
with a random order, the pixels that differ most from the border, and the map of the same network with new weights
(Adebayo et al. 2018). ``cost`` measures the processor time of predictions of a run of images or rows, with and without
the score.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

import yisheng
from yisheng.core.dataset import Dataset, Split
from yisheng.core.run_folder import RunFolder
from yisheng.core.spec import Spec
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.inference import artifact
from yisheng.inference.occlusion import compute_occlusion_map
from yisheng.inference.ood import THRESHOLD
from yisheng.inference.predictor import Predictor

IMAGES = (("mnist", "lenet"), ("mnist", "mlp"), ("mnist", "linear"), ("fashion-mnist", "lenet"), ("digits", "lenet"))
TABLES = ("iris", "breast-cancer", "titanic", "california-housing", "house-prices")
MAX_ROWS = 2000
COST_ROUNDS, COST_CALLS = 7, 20


def train(data: str, out: str, seed: int, **settings: Any) -> tuple[Path, Dataset, Split, float]:
    """Train; return the run folder, its data and parts, and the seconds."""
    start = time.perf_counter()
    run = yisheng.train(data=data, seed=seed, out=out, quiet=True, **settings)
    seconds = time.perf_counter() - start
    config = RunFolder(run.path).config
    dataset = load_dataset(config)
    return run.path, dataset, split_dataset(config, dataset), seconds


def make_ood_images(name: str, x: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return images that a network for a data set of small grayscale images was not trained on."""
    sets = {}
    for candidate in ("mnist", "fashion-mnist"):
        if x.shape[1:] == (1, 28, 28) and candidate != name:
            sets[candidate] = yisheng.data.load(candidate).x[-MAX_ROWS:]
    order = rng.permutation(x[0].size)
    return sets | {
        "noise": rng.integers(0, 256, x.shape).astype(np.uint8),
        "its own pixels, shuffled": x.reshape(len(x), -1)[:, order].reshape(x.shape),
        "inverted": 255 - x,
        "darkened to 0.3": (x * 0.3).astype(np.uint8),
        "blank": np.zeros_like(x[:100]),
        "upside down": np.ascontiguousarray(x[..., ::-1, :]),
    }


def make_ood_rows(spec: Spec, train: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return rows with shifted, scaled or permuted numbers."""
    numbers = [n for n in range(x.shape[1]) if not spec.columns or spec.columns[n].kind == "number"]
    sds = np.nanstd(train, axis=0)
    sets = {}
    for times in (5, 20):
        shifted = [x.copy() for _ in numbers]
        for rows, column in zip(shifted, numbers, strict=True):
            rows[:, column] += times * sds[column]
        sets[f"one column + {times} deviations"] = np.concatenate(shifted)[:: max(1, len(numbers) // 8)]
    mixed, larger = x.copy(), x.copy()
    for column in numbers:
        mixed[:, column] = rng.permutation(mixed[:, column])
    larger[:, numbers] *= 10
    return sets | {"numbers of different rows": mixed, "all numbers x 10": larger}


def detect(words: dict[str, str]) -> None:
    """Print how many inputs get a warning."""
    epochs, seed = int(words.get("epochs", 2)), int(words.get("seed", 0))
    print(f"{'trained on':<28}{'inputs':<28}{'number':>7}{'warned of':>11}{'AUROC':>8}")
    with tempfile.TemporaryDirectory() as out:
        for data, model in [*IMAGES, *((name, "auto") for name in TABLES)]:
            if words.get("data", data) != data:
                continue
            settings = {"model": model, "epochs": epochs} if data in dict(IMAGES) else {}
            settings = {"model": model} if data == "digits" else settings
            folder, dataset, split, _ = train(data, out, seed, **settings)
            predictor, rng = Predictor(folder), np.random.default_rng(seed)
            rows = split.test if len(split.test) else split.validation
            x = np.ascontiguousarray(dataset.x[rows[:MAX_ROWS]])
            spec = dataset.spec
            if spec.is_image:
                sets = make_ood_images(data, x, rng)
            else:
                sets = make_ood_rows(spec, dataset.x[split.train], x, rng)
            label = f"{data}, {folder.name.rpartition('-')[2]}"
            test_scores = predictor.compute_outputs_and_ood_scores(x)[1]
            assert test_scores is not None
            print(
                f"{label:<28}{'its own test part':<28}{len(x):>7,}{(test_scores > THRESHOLD).mean():>11.1%}", flush=True
            )
            for name, inputs in sets.items():
                scores = predictor.compute_outputs_and_ood_scores(inputs)[1]
                assert scores is not None
                truth = np.r_[np.zeros(len(test_scores)), np.ones(len(scores))]
                auroc = roc_auc_score(truth, np.r_[test_scores, scores])
                print(
                    f"{label:<28}{name:<28}{len(inputs):>7,}{(scores > THRESHOLD).mean():>11.1%}{auroc:>8.3f}",
                    flush=True,
                )


def occlude(words: dict[str, str]) -> None:
    """Print how much probability covered pixels cost."""
    import torch

    epochs, seed, count = (
        int(words.get(key, default)) for key, default in (("epochs", 2), ("seed", 0), ("images", 100))
    )
    fractions = (0.05, 0.1, 0.2)
    print(
        f"{'network':<24}{'order of the pixels':<32}"
        + "".join(f"{f'{fraction:.0%} covered':>14}" for fraction in fractions)
    )
    with tempfile.TemporaryDirectory() as out:
        for data, model in IMAGES[:4]:
            folder, dataset, split, _ = train(data, out, seed, model=model, epochs=epochs)
            predictor, rng = Predictor(folder), np.random.default_rng(seed)
            trained_artifact = predictor.artifacts[0]
            x = dataset.x[rng.permutation(split.test)[:count]]
            probabilities = predictor.compute_outputs(x)
            predicted = probabilities.argmax(1)

            start = time.perf_counter()
            maps = [compute_occlusion_map(trained_artifact, image) for image in x]
            seconds_per_image = (time.perf_counter() - start) / len(x)
            random_artifact = artifact.load(folder)
            torch.manual_seed(seed)
            for module in random_artifact.model.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
            random_maps = [compute_occlusion_map(random_artifact, image) for image in x]
            border = [np.median(np.r_[p[0, 0], p[0, -1], p[0, :, 0], p[0, :, -1]]) for p in x]
            orders = {
                "random": [rng.random(image.shape[1:]) for image in x],
                "farthest from the border": [np.abs(p[0] - b) for p, b in zip(x.astype(float), border, strict=True)],
                "occlusion map of new weights": random_maps,
                "occlusion map": maps,
            }
            for name, image_orders in orders.items():
                losses = []
                for fraction in fractions:
                    covered = x.copy()
                    for image, order, color in zip(covered, image_orders, border, strict=True):
                        chosen = np.argsort(-order, axis=None, kind="stable")[: round(fraction * order.size)]
                        image[0].flat[chosen] = color
                    probabilities_after = predictor.compute_outputs(covered)
                    losses.append(float((probabilities - probabilities_after)[np.arange(len(x)), predicted].mean()))
                print(
                    f"{data + ', ' + model:<24}{name:<32}" + "".join(f"{value:>14.2f}" for value in losses), flush=True
                )
            correlation = np.nanmean(
                [spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(maps, random_maps, strict=True) if b.any()]
            )
            print(
                f"{'':<24}rank correlation with the map of new weights {correlation:.2f}; "
                f"{seconds_per_image * 1e3:.0f} ms per image"
            )


def cost(words: dict[str, str]) -> None:
    """Print the processor time of predictions with and without scores, the smallest of `COST_ROUNDS`."""
    import torch

    torch.set_num_threads(1)
    predictor, rng = Predictor(Path(words["run"])), np.random.default_rng(0)
    spec = predictor.spec
    x = rng.integers(0, 256, (2048, *spec.shape)).astype(spec.image_values.stored if spec.is_image else np.float32)

    def measure(compute: Callable[[np.ndarray], Any], block: np.ndarray) -> float:
        times = []
        for _ in range(COST_ROUNDS):
            start = time.thread_time()
            for _ in range(COST_CALLS):
                compute(block)
            times.append(time.thread_time() - start)
        return 1e6 * min(times) / COST_CALLS / len(block)

    print("| batch | prediction, us each | with the score | ratio |\n|---|---|---|---|")
    for count in (1, 8, 64, 256, 2048):
        plain = measure(predictor.compute_outputs, x[:count])
        scored = measure(predictor.compute_outputs_and_ood_scores, x[:count])
        print(f"| {count} | {plain:,.1f} | {scored:,.1f} | {scored / plain:.2f} |", flush=True)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:] or ["detect"]
    {"detect": detect, "occlude": occlude, "cost": cost}[command](dict(word.split("=", 1) for word in arguments))
