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
from yisheng.core import run_folder
from yisheng.core.types import Dataset, Spec, Split
from yisheng.experiments import load_data
from yisheng.inference import artifact
from yisheng.inference.occlusion import heat
from yisheng.inference.ood import LEVEL
from yisheng.inference.predictor import Predictor

IMAGES = (("mnist", "lenet"), ("mnist", "mlp"), ("mnist", "linear"), ("fashion-mnist", "lenet"), ("digits", "lenet"))
TABLES = ("iris", "breast-cancer", "titanic", "california-housing", "house-prices")
MOST = 2000


def trained(data: str, out: str, seed: int, **settings: Any) -> tuple[Path, Dataset, Split, float]:
    """A new run, its data and parts, and how many seconds it took."""
    began = time.perf_counter()
    run = yisheng.train(data=data, seed=seed, out=out, quiet=True, **settings)
    seconds = time.perf_counter() - began
    config = run_folder.config(run.path)
    dataset = load_data.dataset(config)
    return run.path, dataset, load_data.split(config, dataset), seconds


def strange_images(own: str, x: np.ndarray, chance: np.random.Generator) -> dict[str, np.ndarray]:
    """What a network for small grey images was not trained on."""
    found = {}
    for name in ("mnist", "fashion-mnist"):
        if x.shape[1:] == (1, 28, 28) and name != own:
            found[name] = yisheng.data.load(name).x[-MOST:]
    order = chance.permutation(x[0].size)
    return found | {
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
    found = {}
    for times in (5, 20):
        shifted = [x.copy() for _ in numbers]
        for one, column in zip(shifted, numbers, strict=True):
            one[:, column] += times * deviation[column]
        found[f"one column + {times} deviations"] = np.concatenate(shifted)[:: max(1, len(numbers) // 8)]
    mixed, larger = x.copy(), x.copy()
    for column in numbers:
        mixed[:, column] = chance.permutation(mixed[:, column])
    larger[:, numbers] *= 10
    return found | {"numbers of different rows": mixed, "all numbers x 10": larger}


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
            x = np.ascontiguousarray(dataset.x[rows[:MOST]])
            spec = dataset.spec
            shown = (
                strange_images(data, x, chance)
                if spec.is_image
                else strange_rows(spec, dataset.x[split.train], x, chance)
            )
            label = f"{data}, {folder.name.rpartition('-')[2]}"
            usual = predictor.judge(x)[1]
            assert usual is not None
            print(f"{label:<28}{'its own test part':<28}{len(x):>7,}{(usual > LEVEL).mean():>11.1%}", flush=True)
            for name, inputs in shown.items():
                far = predictor.judge(inputs)[1]
                assert far is not None
                truth = np.r_[np.zeros(len(usual)), np.ones(len(far))]
                area = roc_auc_score(truth, np.r_[usual, far])
                print(f"{label:<28}{name:<28}{len(inputs):>7,}{(far > LEVEL).mean():>11.1%}{area:>8.3f}", flush=True)


def looked(words: dict[str, str]) -> None:
    """The table of what is lost."""
    import torch

    epochs, seed, count = (
        int(words.get(key, default)) for key, default in (("epochs", 2), ("seed", 0), ("images", 100))
    )
    shares = (0.05, 0.1, 0.2)
    print(f"{'network':<24}{'order of the pixels':<32}" + "".join(f"{f'{share:.0%} covered':>14}" for share in shares))
    with tempfile.TemporaryDirectory() as out:
        for data, model in IMAGES[:4]:
            folder, dataset, split, _ = trained(data, out, seed, model=model, epochs=epochs)
            predictor, chance = Predictor(folder), np.random.default_rng(seed)
            one = predictor.members[0]
            x = dataset.x[chance.permutation(split.test)[:count]]
            before = predictor.outputs(x)
            answers = before.argmax(1)

            began = time.perf_counter()
            ours = [heat(one, image) for image in x]
            each = (time.perf_counter() - began) / len(x)
            other = artifact.load(folder)
            torch.manual_seed(seed)
            for module in other.model.modules():
                if hasattr(module, "reset_parameters"):
                    module.reset_parameters()
            foreign = [heat(other, image) for image in x]
            border = [np.median(np.r_[p[0, 0], p[0, -1], p[0, :, 0], p[0, :, -1]]) for p in x]
            ways = {
                "by chance": [chance.random(image.shape[1:]) for image in x],
                "farthest from the border": [np.abs(p[0] - b) for p, b in zip(x.astype(float), border, strict=True)],
                "heat of new weights": foreign,
                "heat": ours,
            }
            for name, orders in ways.items():
                lost = []
                for share in shares:
                    covered = x.copy()
                    for image, order, paper in zip(covered, orders, border, strict=True):
                        chosen = np.argsort(-order, axis=None, kind="stable")[: round(share * order.size)]
                        image[0].flat[chosen] = paper
                    after = predictor.outputs(covered)
                    lost.append(float((before - after)[np.arange(len(x)), answers].mean()))
                print(f"{data + ', ' + model:<24}{name:<32}" + "".join(f"{value:>14.2f}" for value in lost), flush=True)
            same = np.nanmean(
                [spearmanr(a.ravel(), b.ravel())[0] for a, b in zip(ours, foreign, strict=True) if b.any()]
            )
            print(f"{'':<24}rank correlation with the heat of new weights {same:.2f}; {each * 1e3:.0f} ms an image")


if __name__ == "__main__":
    verb, *rest = sys.argv[1:] or ["unlike"]
    {"unlike": unlike, "looked": looked}[verb](dict(word.split("=", 1) for word in rest))
