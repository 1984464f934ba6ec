"""A sheet of a run's test images with their true and predicted labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from yisheng.core.choice import IN_MEMORY
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.core.seeds import derive
from yisheng.core.spec import Spec
from yisheng.data.fingerprint import fingerprint
from yisheng.experiments.load_data import load_dataset, split_dataset
from yisheng.inference import ensemble
from yisheng.inference.prediction import Prediction
from yisheng.inference.predictor import Predictor
from yisheng.reporting.formatting import format_percent
from yisheng.reporting.run_facts import RunFacts

if TYPE_CHECKING:
    from yisheng.reporting.run_figures.figure import RunFigure
    from yisheng.reporting.run_figures.image_sheet import Tile

IMAGES_IN_A_ROW = 9


def draw_predicted_images(folder: Path, facts: RunFacts, data: Dataset | None, n: int, seed: int) -> RunFigure:
    """Return random images of the test part, without one of the validation part, with true and predicted labels.

    Args:
        folder: of the run or cross-validation.
        facts: contents of its files.
        data: the data set, if the config cannot name it.
        n: number of images.
        seed: which images.

    Raises:
        DataError: the data cannot be read, or is not that of the training.
    """
    from yisheng.reporting.run_figures.image_sheet import SEPARATOR, draw_image_sheet

    data, rows, part, predictor = _select_rows(RunFolder(folder), data)
    rng = np.random.Generator(np.random.PCG64(derive(seed, "plot")))
    chosen = rng.choice(rows, min(n, len(rows)), replace=False)
    x, y = np.asarray(data.x[chosen]), data.y[chosen]
    predictions = predictor.build_predictions(predictor.compute_outputs(x), [str(row) for row in chosen], [()] * len(x))
    tiles = [make_tile(image, target, p, data.spec) for image, target, p in zip(x, y, predictions, strict=True)]
    count = f"{len(tiles)} images of the {part} part: true label above"
    details = f"{count}, predicted label below" + (" (× wrong)" if data.spec.classes else "")
    details += f" ({SEPARATOR.join(data.spec.target_names)})" if len(data.spec.target_names) > 1 else ""
    return draw_image_sheet(tiles, facts.name, details, columns=IMAGES_IN_A_ROW)


def make_tile(image: np.ndarray, target: np.ndarray, prediction: Prediction, spec: Spec) -> Tile:
    """Return an image ``(C, H, W)`` with the labels of its target and of its prediction."""
    from yisheng.reporting.run_figures.image_sheet import Tile, format_numbers, to_pixels

    if spec.task == "regression":
        value = prediction.prediction
        predicted = format_numbers(list(value.values())) if isinstance(value, dict) else format_numbers(value)
        true = format_numbers(np.atleast_1d(target).tolist())
        return Tile(to_pixels(image), true, f"{predicted} {spec.unit}".strip(), None)
    if spec.task == "multilabel":
        labels = [name for name, present in zip(spec.classes, target, strict=True) if present > 0.5]
        is_correct = set(labels) == set(prediction.prediction)
        return Tile(to_pixels(image), ", ".join(labels) or "none", prediction.format_value(), is_correct)
    true = spec.classes[int(target)]
    probability = next(iter(prediction.probabilities.values()))
    note = f"{format_percent(probability)} sure"
    return Tile(to_pixels(image), true, prediction.prediction, prediction.prediction == true, note)


def _select_rows(run: RunFolder, data: Dataset | None) -> tuple[Dataset, np.ndarray, str, Predictor]:
    """Return the data of a run, the rows of its test part, and the model; of a cross-validation without one, a fold."""
    fold = run if not run.is_cross_validation else RunFolder(ensemble.find_first_fold(run.path))
    config = fold.config
    if data is None and config.data.name == IN_MEMORY:
        raise DataError(
            Message("{path} was trained on data in memory, which its folder does not hold", path=run.path),
            Message('give it again in Python: run.plot("images", data=...)'),
        )
    data = load_dataset(config) if data is None else data
    if run.data_sha256 != fingerprint(data):
        raise DataError(
            Message(
                "the data is not what it was in training (SHA-256 differs): rows of training might be shown "
                "as test rows",
            ),
            Message("restore the data, or train again"),
        )
    split = split_dataset(config, data)
    if len(split.test):
        return data, split.test, "test", Predictor(run.path)
    if not len(split.validation):
        raise DataError(
            Message("{path} has neither test nor validation images", path=run.path), Message("train with test=0.1")
        )
    return data, split.validation, "validation", Predictor(fold.path)
