"""What several of the functions do with their arguments: settings, data in memory, networks of the user's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ParamSpec, TypeAlias, TypeVar

from yisheng.core.dataset import Dataset
from yisheng.core.errors import UsageError
from yisheng.core.events import Event
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path
from yisheng.core.run_folder import RunFolder
from yisheng.core.settings import Setting, keyword_settings, read_settings

EventCallback: TypeAlias = Callable[..., Iterator[Event]]
"""A callback: a generator function of the events of a training, and of its state if it has a second parameter."""


P = ParamSpec("P")
R = TypeVar("R")


def require_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of settings: arguments without a keyword are an error that shows how to name them."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if args:
            raise UsageError(
                Message(
                    "{name} got {count} values without a keyword",
                    name=f"yisheng.{function.__name__}",
                    count=len(args),
                ),
                Message("name them, as in yisheng.{name}(data=(x, y), model=Net)", name=function.__name__),
            )
        return function(**kwargs)  # type: ignore[call-arg]  # there are no positional ones

    return call


def list_callbacks(callbacks: EventCallback | Sequence[EventCallback]) -> tuple[EventCallback, ...]:
    """Return the user's callbacks; a single one may be given without a list."""
    return (callbacks,) if callable(callbacks) else tuple(callbacks)


def copy_weights_back(folder: Path, network: Any) -> None:
    """Load a run's best weights into the user's network, if the run was given one rather than its class."""
    if network is None or isinstance(network, str | type):
        return
    from torch import nn

    from yisheng.models.weights import read_weights

    if isinstance(network, nn.Module):
        weights = read_weights(RunFolder(folder).file(RunFolder.WEIGHTS))
        without_place = network.load_state_dict(weights, strict=False).unexpected_keys
        if without_place:  # layers that the network creates in its first forward pass
            logger.info(
                Message("the given network has no {names}; use run.model, which has", names=", ".join(without_place))
            )


def separate_dataset(
    config: str | Path | None, data: Any, settings: Mapping[str, Any]
) -> tuple[Dataset | None, dict[str, Any]]:
    """Return the data set in memory, if data is an object, and the settings with ``data``."""
    from yisheng.experiments.memory_data import separate_data

    def file_keys() -> set[str]:
        return {key for key, _, _ in collect_settings(config, {})}

    return separate_data(data, settings, names_model=config is not None, file_keys=file_keys)


def collect_settings(config: str | Path | None, settings: Mapping[str, Any]) -> list[Setting]:
    """Return the settings of a config file, then those from Python."""
    from_file = [] if config is None else read_settings(parse_path(config, "config"))
    return [*from_file, *keyword_settings(settings)]
