"""Pretrained weights: read from a file, from the hub by name or from a run, and loaded into a network."""

from __future__ import annotations

import re
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from yisheng import transforms
from yisheng.core import files, registry
from yisheng.core.choice import AUTO, Choice
from yisheng.core.components import is_custom
from yisheng.core.config import Config
from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.natural_sort import sort_naturally
from yisheng.core.resolved_config import ResolvedConfig
from yisheng.core.run_folder import INTACT_COPY, RunFolder
from yisheng.core.spec import Spec
from yisheng.data import hub
from yisheng.data.hub import catalog
from yisheng.models import weights as published
from yisheng.training.finetune import compute_pixel_scale, explain_scale_mismatch

HUB_SET = "weights"
"""The hub's set of published weights."""


@dataclass(frozen=True)
class Pretrained:
    """Pretrained weights to start from.

    Args:
        tensors: by the names of the network's parameters.
        scale: the scaling of the inputs that they were trained with, or None if it is unknown.
    """

    tensors: Mapping[str, torch.Tensor]
    scale: Choice | None = None


def load_pretrained(config: Config) -> tuple[Config, Pretrained | None]:
    """Return the config with the network that its weights are for, and the weights.

    Published weights are for a network's published form, so ``style=published`` is used unless the config says
    otherwise; without ``model=`` the network is the one that they fit. A run's weights are for its network and options.

    Raises:
        UsageError: the hub has no weights of that name, or the network has to be named.
        DataError: the file cannot be downloaded, is damaged, or is not a file of weights.
    """
    if config.weights is None:
        return config, None
    path = Path(config.weights)
    if path.is_dir():
        run = RunFolder(path)
        run.require_current_format()
        if run.is_cross_validation:
            raise UsageError(
                Message("weights={path} is a cross-validation of several models", path=path),
                Message("use one of them, weights={path} for example", path=path / "fold-01"),
            )
        return _load_from_run(config, run)
    name = path.name
    if not path.is_file():
        if any(sign in config.weights for sign in "/\\~"):
            raise DataError(Message("weights={path} does not exist", path=path), Message("check the path"))
        name, path = _download(config.weights, config.model.name)
    tensors = published.read_weights(path)
    if is_custom(config.model):
        return config, Pretrained(tensors)
    model = _choose_model(config.model, name, tensors)
    mean, std = published.get_normalization(model.name)
    scale = Choice(name="imagenet", options={"mean": mean, "std": std})
    return config.model_copy(update={"model": model}), Pretrained(tensors, scale)


def load_into_network(
    model: nn.Module,
    pretrained: Pretrained | None,
    config: ResolvedConfig,
    requested_head_lr: float | None,
    scale: Any,
) -> tuple[float | None, tuple[str, ...]]:
    """Load the pretrained weights; return the learning-rate factor of the head, and notes for the user.

    Args:
        model: the network.
        pretrained: the weights, or None to leave the network as it is.
        config: the resolved config.
        requested_head_lr: the user's ``head_lr``, or None.
        scale: the fitted transform of the inputs.

    Raises:
        UsageError: the weights have no last layer for this data, and ``epochs=0`` would not train it.
        DataError: the weights do not fit the network.
    """
    if pretrained is None:
        return config.head_lr, ()
    result = published.load_weights(model, pretrained.tensors, name=config.model.name)
    notes = result.notes
    if config.epochs == 0 and result.new_head:
        raise UsageError(
            Message(
                "the weights have no last layer for this data, and epochs=0 would score a random one: {notes}",
                notes="; ".join(notes),
            ),
            Message("use epochs=10 to train it, or give data with the classes of the weights"),
        )
    if pretrained.scale is not None and pretrained.scale.name == "imagenet":
        mismatch = explain_scale_mismatch(scale, **pretrained.scale.options)
        notes += () if mismatch is None else (mismatch,)
    if not result.new_head and requested_head_lr is None:  # a pretrained head learns at the rate of the other layers
        return 1.0, notes
    return config.head_lr, notes


def _choose_model(model: Choice, name: str, tensors: Any) -> Choice:
    """Return the network that published weights are for."""
    if model.name == AUTO:
        fitting = published.find_matching_networks(tensors)
        if len(fitting) != 1:
            networks = (
                Message("several networks ({names})", names=", ".join(fitting))
                if fitting
                else Message("no network that yisheng has")
            )
            raise UsageError(
                Message("the weights {name} fit {networks}", name=name, networks=networks),
                Message("name the network with model="),
            )
        model = Choice(name=fitting[0], options=model.options)
    style = registry.find("models", model.name).options.get("style")
    if style is not None and "published" in typing.get_args(style.type):
        return Choice(name=model.name, options={"style": "published", **model.options})
    return model


def _load_from_run(config: Config, run: RunFolder) -> tuple[Config, Pretrained]:
    """Return the config with the network of a run, and the run's best weights."""
    if config.epochs == 0:
        raise UsageError(
            Message(
                "weights={path} with epochs=0 would score a run without the scaling that it was trained with",
                path=run.path,
            ),
            Message("evaluate the run: yisheng evaluate {path} data=DATA", path=run.path),
        )
    tensors = published.read_weights(run.file(RunFolder.WEIGHTS))
    path = run.file(RunFolder.MODEL)
    description = files.read_json(path)
    try:
        network = Choice(name=description["model"]["name"], options=description["model"]["options"])
        spec, scale = Spec.from_json(description["spec"]), transforms.from_json(description["transforms"]["input"])
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(Message("{path} is damaged: {error}", path=path, error=error), INTACT_COPY) from None
    model = config.model
    if model.name == AUTO and is_custom(network):
        raise UsageError(
            Message("the network of {path} is code of your own", path=run.path),
            Message("name it: model={name}", name=network.name),
        )
    if model.component is None and model.name in (AUTO, network.name):
        model = Choice(name=network.name, options={**network.options, **model.options})
    choice = None
    if spec.is_image:
        mean, std = compute_pixel_scale(scale, spec.shape[0])
        choice = Choice(name="imagenet", options={"mean": mean, "std": std})
    return config.model_copy(update={"model": model}), Pretrained(tensors, choice)


def _download(name: str, model: str) -> tuple[str, Path]:
    """Return name and path of the hub's file of weights: by file name, by network, or ``imagenet`` for ``model``.

    If several files match, the first one that can be downloaded is used.
    """
    published_files = [file.name for file in catalog.find(HUB_SET).files]
    if name == "imagenet" and model == AUTO:
        raise UsageError(
            Message("weights=imagenet needs the network's name"), Message("add model=resnet18, for example")
        )
    label = _normalize(model if name == "imagenet" else name)
    matching = [
        file
        for file in published_files
        if label in (_normalize(file), _normalize(Path(file).stem), _normalize(_network_name(file)))
    ]
    if not matching:
        networks = sort_naturally({_network_name(file) for file in published_files})
        raise UsageError(
            Message("there are no published weights imagenet for {model}", model=model)
            if name == "imagenet"
            else Message("there is neither a file nor published weights named {name}", name=f"{name!r}"),
            suggest(name, ["imagenet", *networks, *published_files]),
        )
    errors: list[DataError] = []
    for file in matching:
        try:
            return file, hub.fetch_file(HUB_SET, file)
        except DataError as error:
            errors.append(error)
    raise errors[0]


def _network_name(file: str) -> str:
    """Return the network's name in the name of a file of weights.

    >>> _network_name("vgg11_bn-6002323d.pth"), _network_name("squeezenet1_1_in1k_fp16.pth")
    ('vgg11_bn', 'squeezenet1_1')
    """
    return re.split(r"-|_in1k", file)[0]


def _normalize(name: str) -> str:
    return name.lower().replace("-", "_")
