"""What is sent to the processes of a cluster: configs, data or how to load it, and what both must have in common."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from yisheng.core import provenance
from yisheng.core.components import describe_sources
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.logging import logger
from yisheng.core.messages import Message
from yisheng.data.fingerprint import fingerprint

Loader: TypeAlias = Callable[[], Dataset]
"""Loads a data set; it can be sent to another process."""
MAX_SENT_BYTES: Final = 1 << 30
"""Larger data is not sent: each process loads it from where the config says, and compares its fingerprint."""
_received: list[tuple[str, Dataset]] = []
"""In a process of the cluster: the latest data by its token."""


@dataclass(frozen=True)
class Origin:
    """What the results of a process depend on, apart from its jobs.

    Args:
        versions: of Python and of the packages that compute.
        sources: hash of the code of this package and its plugins.
    """

    versions: Mapping[str, str]
    sources: str

    def explain_difference(self, origin: Origin) -> str:
        """Return in what another process differs, or ""."""
        for name in sorted({*self.versions, *origin.versions}):
            if self.versions.get(name) != origin.versions.get(name):
                versions = {"version": origin.versions.get(name), "required": self.versions.get(name)}
                return Message("{name} {version} instead of {required}", name=name, **versions)
        return "" if self.sources == origin.sources else Message("other sources of yisheng or of a plugin")


@functools.cache
def find_origin() -> Origin:
    """Return the origin of this process."""
    return Origin(provenance.versions(), provenance.hash_sources())


@dataclass(frozen=True)
class SentData:
    """A data set for other processes: the data itself, or how to load it.

    Args:
        token: a name of this data that no other has.
        data: the data; None if it is too large to be sent.
        load: returns it, in another process too.
        sha256: its fingerprint, to compare what was loaded.
    """

    token: str
    data: Dataset | None
    load: Loader | None = None
    sha256: str = ""


@dataclass(frozen=True)
class SentConfig:
    """A config for another process, which imports the user's own components itself.

    Args:
        text: the config as JSON.
        sources: reference and hash of the source of each own component, by key.
    """

    text: str
    sources: Mapping[str, Any]


def send_config(config: Config) -> SentConfig:
    """Return what is sent of a config."""
    return SentConfig(config.model_dump_json(), describe_sources(config.custom_choices()))


def receive_config(sent: SentConfig) -> Config:
    """Return the config in a process of the cluster.

    Raises:
        UsageError: a component of the user's own cannot be imported here, or has another source.
    """
    config = Config(**json.loads(sent.text)).import_components()
    actual = describe_sources(config.custom_choices())
    for key, source in sent.sources.items():
        if actual.get(key, {}).get("sha256") != source["sha256"]:
            raise UsageError(
                Message("a machine of the cluster has another {key}={source}", key=key, source=source["reference"]),
                Message("copy the file to all machines"),
            )
    return config


def describe_data(data: Dataset, load: Loader | None) -> SentData:
    """Return what is sent of a data set.

    Args:
        data: the data set.
        load: loads it in another process; None if only this one has it.

    Raises:
        UsageError: it is too large, and only this process has it.
    """
    nbytes = sum(getattr(data, name).nbytes for name in ("x", "y") if getattr(data, name) is not None)
    if nbytes <= MAX_SENT_BYTES:
        return SentData(uuid.uuid4().hex, data)
    if load is None:
        raise UsageError(
            Message(
                "the data has {nbytes} GB, and more than {MAX_SENT_BYTES} GB is not sent to a cluster",
                nbytes=f"{nbytes / 2**30:.1f}",
                MAX_SENT_BYTES=MAX_SENT_BYTES >> 30,
            ),
            Message("put it into files that all machines reach, and name them with data="),
        )
    logger.info(Message("{size} GB of data: each process loads it by itself", size=f"{nbytes / 2**30:.1f}"))
    return SentData(uuid.uuid4().hex, None, load, fingerprint(data))


def receive_data(sent: SentData) -> Dataset:
    """Return the data in a process of the cluster; the latest is kept for the next task.

    Raises:
        DataError: this machine has other data in the place that the config names.
    """
    if not _received or _received[0][0] != sent.token:
        _received[:] = [(sent.token, sent.data if sent.data is not None else _load(sent))]
    return _received[0][1]


def _load(sent: SentData) -> Dataset:
    """Load data that was too large to be sent, and compare it."""
    assert sent.load is not None
    data = sent.load()
    if fingerprint(data) != sent.sha256:
        raise DataError(
            Message("a machine of the cluster has other data in the place that the config names"),
            Message("copy the same files to all machines"),
        )
    return data
