"""Trained weights of a config: from a file, from the hub by name, or from a run."""

from __future__ import annotations

import re
import typing
from pathlib import Path
from typing import Any

from yisheng import transforms
from yisheng.core import files, registry
from yisheng.core.config import AUTO, Choice, Config
from yisheng.core.errors import DataError, UsageError, closest
from yisheng.core.types import Spec
from yisheng.data.hub import catalog
from yisheng.data.hub import files as hub
from yisheng.inference import artifact
from yisheng.inference.ensemble import is_study
from yisheng.models import weights as trained
from yisheng.training.finetune import pixel_scale
from yisheng.training.setup import Pretrained

HUB = "weights"
"""The hub's set of published weights."""


def pretrained(config: Config) -> tuple[Config, Pretrained | None]:
    """The weights that a config begins with, and the config with the network that they are for.

    Published weights are for a network's published form, so ``style=published`` is taken where nothing else is
    said; without ``model=`` the network is the one that they fit. A run's weights are for its network and options.

    Raises:
        UsageError: the hub has no weights of that name, or the network has to be named.
        DataError: the file cannot be had, is damaged, or is no file of weights.
    """
    if config.weights is None:
        return config, None
    path = Path(config.weights)
    if path.is_dir():
        if is_study(path):
            raise UsageError(f"weights={path} is a study of several runs", "name one of them: its fold-01, say")
        return _of_run(config, path)
    name = path.name
    if not path.is_file():
        if any(sign in config.weights for sign in "/\\~"):
            raise DataError(f"weights={path} does not exist", "check the path")
        name, path = _fetched(config.weights, config.model.name)
    tensors = trained.read(path)
    model = _published(config.model, name, tensors)
    mean, std = trained.preprocessing(model.name)
    scale = Choice(name="imagenet", options={"mean": mean, "std": std})
    return config.model_copy(update={"model": model}), Pretrained(tensors, scale)


def _published(model: Choice, name: str, tensors: Any) -> Choice:
    """The network that published weights are for."""
    if model.name == AUTO:
        fitting = trained.fitting_networks(tensors)
        if len(fitting) != 1:
            which = f"several networks ({', '.join(fitting)})" if fitting else "no network that is known"
            raise UsageError(f"the weights {name} fit {which}", "name the network with model=")
        model = Choice(name=fitting[0], options=model.options)
    style = registry.find("models", model.name).options.get("style")
    if style is not None and "published" in typing.get_args(style.type):
        return Choice(name=model.name, options={"style": "published", **model.options})
    return model


def _of_run(config: Config, folder: Path) -> tuple[Config, Pretrained]:
    """The best weights of a run, and the config with its network."""
    tensors = trained.read(folder / artifact.WEIGHTS)
    description = files.read_json(folder / artifact.DESCRIPTION)
    try:
        known = Choice.model_validate(description["model"])
        spec, scale = Spec.from_json(description["spec"]), transforms.from_json(description["transforms"]["input"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{folder / artifact.DESCRIPTION} is damaged: {error}", "take the run from a whole copy"
        ) from None
    model = config.model
    if model.name in (AUTO, known.name):
        model = Choice(name=known.name, options={**known.options, **model.options})
    choice = None
    if spec.is_image:
        mean, std = pixel_scale(scale, spec.shape[0])
        choice = Choice(name="imagenet", options={"mean": mean, "std": std})
    return config.model_copy(update={"model": model}), Pretrained(tensors, choice)


def _fetched(wanted: str, model: str) -> tuple[str, Path]:
    """The hub's file of that name: its own name, a network's, or ``imagenet`` for those of the config's network.

    Where several files are meant, the first that can be had is taken.
    """
    known = [file.name for file in catalog.find(HUB).files]
    if wanted == "imagenet" and model == AUTO:
        raise UsageError("weights=imagenet needs the network's name", "say model=resnet18, for example")
    label = _plain(model if wanted == "imagenet" else wanted)
    found = [name for name in known if label in (_plain(name), _plain(Path(name).stem), _plain(_network(name)))]
    if not found:
        names = sorted({_network(name) for name in known})
        raise UsageError(
            f"there is neither a file nor published weights named {wanted!r}"
            + (f" for {model}" if wanted == "imagenet" else ""),
            closest(wanted, ["imagenet", *names, *known]),
        )
    trouble: list[DataError] = []
    for name in found:
        try:
            return name, hub.path(HUB, name)
        except DataError as error:
            trouble.append(error)
    raise trouble[0]


def _network(file: str) -> str:
    """The network's name in the name of a file of weights.

    >>> _network("vgg11_bn-6002323d.pth"), _network("squeezenet1_1_in1k_fp16.pth")
    ('vgg11_bn', 'squeezenet1_1')
    """
    return re.split(r"-|_in1k", file)[0]


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")
