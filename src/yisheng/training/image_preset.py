"""What small images are trained with when nothing names a network: a preset that learns much in little time.

It is the network `airbench` with the optimizer `muon`, shifts by two pixels, horizontal flips if mirrored images have
the same class, both in training and in prediction, and within a budget smoothed labels.
"""

from __future__ import annotations

import math

from yisheng.core import registry
from yisheng.core.choice import AUTO, Choice
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.messages import Message

PRESET_MODEL = "airbench"
MIN_PRESET_PIXELS, MAX_PRESET_PIXELS = 16, 96
"""Height and width of the images that the preset is made for."""
PEAK_LR, WARMUP = 0.14, 0.1
"""Muon's peak learning rate is PEAK_LR / sqrt(epochs); WARMUP is the fraction of the run in which it rises. Chosen by
runs of 4 and 16 epochs, scored on validation rows of Fashion-MNIST."""
PRESET_BATCH = 256
COLOR_CHANNELS = 3
DEFAULT_WIDTHS = (16, 32, 64)
"""Widths of the network without a budget: the narrowest that `yisheng.training.budget` chooses from."""
EPOCHS_OF_LENET, MIN_DEFAULT_EPOCHS = 0.4, 4
"""An epoch with the default widths takes 2.3 to 2.6 times that of LeNet: so many times its epochs take its time."""


def fits_preset(config: Config, dataset: Dataset) -> bool:
    """Return whether the preset applies: a classification of small images, and no other network or weights named."""
    spec = dataset.spec
    if not spec.is_image or spec.task != "classification" or config.weights is not None:
        return False
    has_preset_size = min(spec.shape[1:]) >= MIN_PRESET_PIXELS and max(spec.shape[1:]) <= MAX_PRESET_PIXELS
    return has_preset_size and config.model.name in (AUTO, PRESET_MODEL)


def choose_for_small_images(config: Config, dataset: Dataset, rows: int) -> tuple[Config, tuple[str, ...]]:
    """Return the config with the preset, if it leaves the network open and the images are in color, and a note.

    In the time of LeNet's default training the preset classifies many more color images rightly; of images in shades
    of gray, which the textbook's lessons use, about as many, and those keep LeNet.

    Args:
        config: of any model; what it names stays.
        dataset: the data.
        rows: of the training part.
    """
    is_color = dataset.spec.is_image and dataset.spec.shape[0] == COLOR_CHANNELS
    if not is_color or config.model != Choice(name=AUTO) or config.scratch or not fits_preset(config, dataset):
        return config, ()
    batch = PRESET_BATCH if config.batch == AUTO and rows >= 32 * PRESET_BATCH else config.batch
    epochs = config.epochs
    if epochs == AUTO:
        epochs = max(MIN_DEFAULT_EPOCHS, math.ceil(EPOCHS_OF_LENET * config.choose_epochs(rows)))
    changes = {"batch": batch, "epochs": epochs, "loss": config.loss}  # probabilities of smoothed labels are too even
    config = apply_preset(config, DEFAULT_WIDTHS).model_copy(update=changes)
    note = Message(
        "small color images, and no network named: model={model} with optimizer={optimizer} (model=lenet trains LeNet)",
        model=config.model.name,
        optimizer=config.optimizer.name,
    )
    return set_learning_rate(config, max(1, int(epochs))), (note,)


def apply_preset(config: Config, widths: tuple[int, ...]) -> Config:
    """Return the config with the preset's values for everything that the user did not give."""
    name = config.data.name
    mirrored = name in registry.names("data.datasets") and bool(registry.find("data.datasets", name).meta.get("mirror"))
    shift = Choice(name="crop", options={"pad": 2})
    preset = {
        "model": Choice(name=PRESET_MODEL, options={"mirror": mirrored, "widths": widths, **config.model.options}),
        "optimizer": Choice(name="muon", options=config.optimizer.options),
        "loss": Choice(name="cross-entropy", options={"smoothing": 0.1, **config.loss.options}),
        "augment": (Choice(name="flip"), shift) if mirrored else (shift,),
        "batch": PRESET_BATCH,
    }
    user_values = {
        "optimizer": config.optimizer.name != AUTO,
        "loss": config.loss.name != AUTO,
        "augment": [choice.name for choice in config.augment] != [AUTO],
        "batch": config.batch != AUTO,
    }
    return config.model_copy(update={key: value for key, value in preset.items() if not user_values.get(key)})


def set_learning_rate(config: Config, epochs: int) -> Config:
    """Return the config with a learning rate for its epochs, unless the user gave one: the fewer, the larger."""
    changes: dict[str, Choice] = {}
    if config.optimizer.name == "muon":
        lr = round(min(0.1, max(0.02, PEAK_LR / epochs**0.5)), 4)
        changes["optimizer"] = Choice(name="muon", options={"lr": lr, **config.optimizer.options})
    if config.schedule.name == "one-cycle":
        changes["schedule"] = Choice(name="one-cycle", options={"warmup": WARMUP, **config.schedule.options})
    return config.model_copy(update=changes)
