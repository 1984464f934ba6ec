"""The contents of ``environment.json``: what a training depends on, and whether that has changed since."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from yisheng.core import provenance
from yisheng.core.components import describe_sources
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset
from yisheng.core.discovery import plugins
from yisheng.core.errors import DataError, UsageError
from yisheng.core.kinds import KIND_LABELS
from yisheng.core.messages import Message
from yisheng.core.registry import UnknownNameError

MAX_THREADS: Final = 1024
"""A larger recorded number of threads is taken for damage."""
FORCE: Final = Message("use force=true to continue anyway")


def describe_environment(config: Config, data: Dataset, data_sha256: str, device: object) -> dict[str, Any]:
    """Return what a training that begins now depends on.

    Args:
        config: the config.
        data: the data set.
        data_sha256: its fingerprint.
        device: where the training computes.
    """
    return {
        **provenance.describe_environment(),
        "device": str(device),
        "own_code": describe_sources(config.custom_choices()),
        "data": {"name": data.name, "rows": len(data), "sha256": data_sha256},
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "finished": False,
    }


def explain_unknown_name(error: UnknownNameError, folder: Path, environment: Any) -> DataError:
    """Return the error about a component that a run has and this process has not: it is a plugin's or a notebook's.

    Args:
        error: from looking the component up.
        folder: of the run.
        environment: contents of its ``environment.json``, or None.
    """
    recorded = environment.get("plugins") if isinstance(environment, Mapping) else None
    names = [name for name in recorded if isinstance(name, str)] if isinstance(recorded, list) else []
    missing = [name for name in names if name not in plugins()]
    remedy = Message(
        "register it again if it is your own, or install its plugin and name the package in YISHENG_PLUGINS"
    )
    if missing:
        remedy = Message(
            "install the plugin it is from, and set YISHENG_PLUGINS={plugins}", plugins=",".join([*plugins(), *missing])
        )
    label = KIND_LABELS.get(error.kind, error.kind)
    return DataError(
        Message(
            "{folder} was trained with the {label} {name}, which is not known here",
            folder=folder,
            label=label,
            name=f"{error.name!r}",
        ),
        remedy,
    )


def recorded_data_sha256(environment: Mapping[str, Any]) -> str | None:
    """Return the recorded fingerprint of the training data, or None if the record is damaged."""
    data = environment.get("data")
    return data.get("sha256") if isinstance(data, Mapping) else None


def recorded_threads(environment: Mapping[str, Any]) -> int | None:
    """Return the recorded number of compute threads, or None if the record is missing or implausible."""
    threads = environment.get("threads")
    return threads if isinstance(threads, int) and 1 <= threads <= MAX_THREADS else None


def require_unchanged(environment: Mapping[str, Any], data_sha256: str, config: Config) -> None:
    """Refuse to resume a training on other data or with other code than it began with.

    Args:
        config: the config, with the user's own components that were given again.
        environment: contents of ``environment.json``.
        data_sha256: fingerprint of the data as it is now.

    Raises:
        DataError: the data differs, or the record is damaged.
        UsageError: a version or the code differs.
    """
    recorded = recorded_data_sha256(environment)
    if recorded is None:
        raise DataError(
            Message("environment.json is damaged: it does not describe the data"),
            Message("copy it from an intact run folder, or {FORCE}", FORCE=FORCE),
        )
    if recorded != data_sha256:
        raise DataError(
            Message("the data is not what it was when the run began (SHA-256 differs)"),
            Message("restore the data, or {FORCE}", FORCE=FORCE),
        )
    versions = provenance.versions()
    for name in ("yisheng", "torch"):
        if environment.get(name) != versions[name]:
            raise UsageError(
                Message(
                    "the run began with {name} {name_2}, this is {versions}: the result would not be exactly the same",
                    name=name,
                    name_2=environment.get(name),
                    versions=versions[name],
                ),
                Message("install that version, or {FORCE}", FORCE=FORCE),
            )
    recorded_sources = environment.get("own_code")
    for key, source in describe_sources(config.custom_choices()).items():
        recorded_source = recorded_sources.get(key) if isinstance(recorded_sources, Mapping) else None
        if isinstance(recorded_source, Mapping) and recorded_source.get("sha256") != source["sha256"]:
            raise UsageError(
                Message(
                    "the source of {key}={source} changed since the run began: the result would not be exactly "
                    "the same",
                    key=key,
                    source=source["reference"],
                ),
                Message("restore it, or {FORCE}", FORCE=FORCE),
            )
    if environment.get("code") != provenance.hash_sources():
        raise UsageError(
            Message(
                "the sources of yisheng or of a plugin changed since the run began: the result would not be "
                "exactly the same",
            ),
            Message("restore them, or {FORCE}", FORCE=FORCE),
        )
