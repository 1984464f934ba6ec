"""Does it notice what is unlike the training data, and is what it marks in an image what counted?

    python benchmarks/familiar.py unlike [epochs=2] [seed=0] [data=NAME]
    python benchmarks/familiar.py looked [epochs=2] [seed=0] [images=100]

``unlike`` trains networks on images and tables and shows them their own test part, where each warning is a false one,
and what they were never trained on: the share that is warned of, and the AUROC (1: all of it is more unusual than the
test part; 0.5: not told apart). ``looked`` covers pixels in the order of the heat with the colour of the border and
shows how much probability the answer loses (Petsiuk, Das and Saenko 2018), beside pixels by chance, the pixels that
differ most from the border, and the heat of the same network with new weights (Adebayo et al. 2018).
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

import yisheng
from yisheng.core.run_folder import RunFolder
from yisheng.core.types import Dataset, Spec, Split
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.inference import artifact
from yisheng.inference.occlusion import compute_occlusion_map
from yisheng.inference.ood import THRESHOLD
from yisheng.inference.predictor import Predictor

IMAGES = (("mnist", "lenet"), ("mnist", "mlp"), ("mnist", "linear"), ("fashion-mnist", "lenet"), ("digits", "lenet"))
TABLES = ("iris", "breast-cancer", "titanic", "california-housing", "house-prices")
MAX_ROWS = 2000


def trained(data: str, out: str, seed: int, **settings: Any) -> tuple[Path, Dataset, Split, float]:
    """A new run, its data and parts, and how many seconds it took."""
    start = time.perf_counter()
    run = yisheng.train(data=data, seed=seed, out=out, quiet=True, **settings)
    seconds = time.perf_counter() - start
    config = RunFolder(run.path).config
    dataset = load_dataset(config)
    return run.path, dataset, split_dataset(config, dataset), seconds


def strange_images(test_images: str, x: np.ndarray, chance: np.random.Generator) -> dict[str, np.ndarray]:
    """What a network for small grey images was not trained on."""
    sets = {}
    for name in ("mnist", "fashion-mnist"):
        if x.shape[1:] == (1, 28, 28) and name != test_images:
            sets[name] = yisheng.data.load(name).x[-MAX_ROWS:]
    order = chance.permutation(x[0].size)
    return sets | {
        "noise": chance.integers(0, 256, x.shape).astype(np.uint8),
        "its own pixels, shuffled": x.reshape(len(x), -1)[:, order].reshape(x.shape),
        "inverted": 255 - x,
        "darkened to 0.3": (x * 0.3).astype(np.uint8),
        "blank": np.zeros_like(x[:100]),
        "upside down": np.ascontiguousarray(x[..., ::-1, :]),
    }


def strange_rows(spec: Spec, train: np.ndarray, x: np.ndarray, chance: np.random.Generator) -> dict[str, np.ndarray]:
    """Rows with numbers in other units, shifted or in each other's place."""
    numbers = [n for n in range(x.shape[1]) if not spec.columns or spec.columns[n].kind == "number"]
    deviation = np.nanstd(train, axis=0)
    sets = {}
    for times in (5, 20):
        shifted = [x.copy() for _ in numbers]
        for row, column in zip(shifted, numbers, strict=True):
            row[:, column] += times * deviation[column]
        sets[f"one column + {times} deviations"] = np.concatenate(shifted)[:: max(1, len(numbers) // 8)]
    mixed, larger = x.copy(), x.copy()
    for column in numbers:
        mixed[:, column] = chance.permutation(mixed[:, column])
    larger[:, numbers] *= 10
    return sets | {"numbers of different rows": mixed, "all numbers x 10": larger}


def unlike(words: dict[str, str]) -> None:
    """The table of what is noticed."""
    epochs, seed = int(words.get("epochs", 2)), int(words.get("seed", 0))
    print(f"{'trained on':<28}{'shown':<28}{'inputs':>7}{'warned of':>11}{'AUROC':>8}")
    with tempfile.TemporaryDirectory() as out:
        for data, model in [*IMAGES, *((name, "auto") for name in TABLES)]:
            if words.get("data", data) != data:
                continue
            settings = {"model": model, "epochs": epochs} if data in dict(IMAGES) else {}
            settings = {"model": model} if data == "digits" else settings
            folder, dataset, split, _ = trained(data, out, seed, **settings)
            predictor, chance = Predictor(folder), np.random.default_rng(seed)
            rows = split.test if len(split.test) else split.validation
            x = np.ascontiguousarray(dataset.x[rows[:MAX_ROWS]])
            spec = dataset.spec
            shown = (
                strange_images(data, x, chance)
                if spec.is_image
                else strange_rows(spec, dataset.x[split.train], x, chance)
            )
            label = f"{data}, {folder.name.rpartition('-')[2]}"
            usual = predictor.compute_outputs_and_ood_scores(x)[1]
            assert usual is not None
            print(f"{label:<28}{'its own test part':<28}{len(x):>7,}{(usual > THRESHOLD).mean():>11.1%}", flush=True)
            for name, inputs in shown.items():
                distances = predictor.compute_outputs_and_ood_scores(inputs)[1]
                assert distances is not None
                truth = np.r_[np.zeros(len(usual)), np.ones(len(distances))]
                area = roc_auc_score(truth, np.r_[usual, distances])
                print(
                    f"{label:<28}{name:<28}{len(inputs):>7,}{(distances > THRESHOLD).mean():>11.1%}{area:>8.3f}",
                    flush=True,
                )


def looked(words: dict[str, str]) -> None:
    """The table of what is lost."""
    import torch

    epochs, seed, count = (
        int(words.get(key, default)) for key, default in (("epochs", 2), ("seed", 0), ("images", 100))
    )
    shares = (0.05, 0.1, 0.2)
    print(
        f"{'network':<24}{'order of the pixels':<32}"
        + "".join(f"{f'{fraction:.0%} covered':>14}" for fraction in shares)
    )
    with tempfile.TemporaryDirectory() as out:
        for data, model in IMAGES[:4]:
            folder, dataset, split, _ = trained(data, out, seed, model=model, epochs=epochs)
            predictor, chance = Predictor(folder), np.random.default_rng(seed)
            one = predictor.artifacts[0]
            x = dataset.x[chance.permutation(split.test)[:count]]
            probabilities = predictor.compute_outputs(x)
            answers = probabilities.argmax(1)

            start = time.perf_counter()
            occlusion = [compute_occlusion_map(one, image) for image in x]
            by_method = (time.perf_counter() - start) / len(x)
            random_order = artifact.load(folder)
            torch.manual_seed(seed)
            for module in random_order.model.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
            foreign = [compute_occlusion_map(random_order, image) for image in x]
            border = [np.median(np.r_[p[0, 0], p[0, -1], p[0, :, 0], p[0, :, -1]]) for p in x]
            ways = {
                "by chance": [chance.random(image.shape[1:]) for image in x],
                "farthest from the border": [np.abs(p[0] - b) for p, b in zip(x.astype(float), border, strict=True)],
                "heat of new weights": foreign,
                "heat": occlusion,
            }
            for name, orders in ways.items():
                lost = []
                for fraction in shares:
                    covered = x.copy()
                    for image, order, paper in zip(covered, orders, border, strict=True):
                        chosen = np.argsort(-order, axis=None, kind="stable")[: round(fraction * order.size)]
                        image[0].flat[chosen] = paper
                    probabilities_after = predictor.compute_outputs(covered)
                    lost.append(float((probabilities - probabilities_after)[np.arange(len(x)), answers].mean()))
                print(f"{data + ', ' + model:<24}{name:<32}" + "".join(f"{value:>14.2f}" for value in lost), flush=True)
            equal = np.nanmean(
                [spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(occlusion, foreign, strict=True) if b.any()]
            )
            print(
                f"{'':<24}rank correlation with the heat of new weights {equal:.2f}; {by_method * 1e3:.0f} ms an image"
            )


if __name__ == "__main__":
    command, *arguments = sys.argv[1:] or ["unlike"]
    {"unlike": unlike, "looked": looked}[command](dict(word.split("=", 1) for word in arguments))
