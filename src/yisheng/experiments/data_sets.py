"""Data sets for the command ``data``: list, load, preview and fetch them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.core import files, registry
from yisheng.core.config import Config
from yisheng.core.discovery import hyphenate
from yisheng.core.entry import Entry
from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.paths import is_path
from yisheng.core.resolved_config import resolve_config
from yisheng.core.settings import Setting, merge_settings
from yisheng.data import hub, preview, tables
from yisheng.data.hub import catalog
from yisheng.experiments.load_data import load_dataset

if TYPE_CHECKING:
    from yisheng.data.hub import FileStatus

N_SAMPLES, N_AUGMENTED = 40, 10
"""Images of a preview, and rows of one with augmentations, by default."""
TARGET_OPTIONS = ("target", "test", "task", "labels")
"""Options of a table that are about its target."""


def list_data_sets() -> dict[str, dict[str, str]]:
    """Return the data sets by name: what they are (``about``), and where their ``files`` are from."""
    fetched = catalog.names()

    def describe_files(entry: Entry) -> str:
        if "opens" in entry.meta:
            return "yours"
        return "fetched" if entry.name in fetched else "built in"

    return {
        entry.name: {"about": entry.about, "files": describe_files(entry)}
        for entry in registry.entries("data.datasets")
    }


def list_file_sets() -> dict[str, dict[str, Any]]:
    """Return the hub's sets of files that no data set reads: what they are (``about``), and their ``forms``."""
    sets = {name: catalog.find(name) for name in catalog.names() if name not in registry.names("data.datasets")}
    return {name: {"about": files.about, "forms": list(filter(None, files.forms))} for name, files in sets.items()}


def require_hub_set(text: str) -> str:
    """Return the name of a hub's set as the catalog writes it.

    Args:
        text: its name, perhaps with a form: ``mnist:png``.

    Raises:
        UsageError: there is no such set, or it is built in.
    """
    name, *form = text.split(":")
    name = hyphenate(name)
    if name not in catalog.names() and name in registry.names("data.datasets"):
        raise UsageError(
            Message("{name} is built in: there are no files to fetch", name=name),
            Message("use it: yisheng train data={name}", name=name),
        )
    return ":".join([catalog.find(name).name, *form])


def fetch_files(text: str, form: str | None = None) -> tuple[str, dict[str, Path]]:
    """Return the name of a hub's set, and the paths of its files by name, downloaded if necessary.

    Raises:
        UsageError: there is no such set or form, or it is built in.
        DataError: a file cannot be downloaded.
        StorageError: the cache cannot be written to.
    """
    name = require_hub_set(text)
    return name, hub.fetch(name, form)


def import_files(path: Path) -> list[tuple[str, str]]:
    """Add a bundle or a single file to the cache; return set and file name of each.

    Raises:
        DataError: it is not a file of a known set, or is damaged.
        StorageError: the cache cannot be written to.
    """
    return hub.import_file(path)


def bundle_files(texts: Sequence[str], out: Path) -> tuple[list[str], Path]:
    """Write all files of some sets into one zip; return the names of the sets and the zip's path.

    Raises:
        UsageError: there is no such set, or it is built in.
        DataError: a file cannot be downloaded.
        StorageError: the zip or the cache cannot be written to.
    """
    names = [require_hub_set(text) for text in texts]
    return names, hub.bundle(names, out)


def verify_files(text: str | None) -> tuple[bool, list[FileStatus]]:
    """Read the files in the cache again; return whether all are intact, and the status of each.

    Args:
        text: a set, of which at least one form must be complete; None for all sets.

    Raises:
        UsageError: there is no such set, or it is built in.
    """
    name = None if text is None else require_hub_set(text)
    statuses = hub.verify(name)
    intact = all(status.state != "damaged" for status in statuses)
    if name is not None:
        hub_set, missing = catalog.find(name), {status.file for status in statuses if status.state == "missing"}
        forms = ({file.name for file in hub_set.get_form(form)} for form in hub_set.forms)
        intact = intact and any(missing.isdisjoint(form) for form in forms)
    return intact, statuses


def describe_status(status: FileStatus) -> dict[str, Any]:
    """Return the status of a file as plain data."""
    return asdict(status)


def describe_data_set(text: str, options: Mapping[str, str]) -> dict[str, Any]:
    """Return facts about a data set; see `yisheng.data.preview.describe`.

    Of a table whose target is not named, the columns and those that may be the target.

    Args:
        text: name of a data set, or the path of a folder, zip or table.
        options: its options.

    Raises:
        UsageError: the name or an option is unknown.
        DataError: the data cannot be read.
    """
    config = _parse_config(text, options, augment=None)
    choice = config.data.options
    if config.data.name == "table" and choice.get("path") and not tables.has_target(**choice):
        return tables.outline(**{key: value for key, value in choice.items() if key not in TARGET_OPTIONS})
    return preview.describe(load_dataset(config))


def draw_data_set(
    text: str,
    options: Mapping[str, str],
    *,
    augment: str | None = None,
    n: int | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> Path:
    """Write an image of some samples of a data set, or of samples before and after augmentation; return its path.

    Args:
        text: name of a data set, or the path of a folder, zip or table.
        options: its options, and those of the augmentations.
        augment: augmentations, as in a config.
        n: number of samples; 40, or 10 with augmentations.
        seed: of the choice of samples, and of the augmentations.
        out: PNG file; the data set's name by default.

    Raises:
        UsageError: a name or an option is unknown, or there are no images.
        DataError: the data cannot be read.
        StorageError: the file cannot be written.
    """
    config = _parse_config(text, options, augment=augment)
    dataset = load_dataset(config)
    if augment is None:
        image = preview.draw_samples(dataset, n=N_SAMPLES if n is None else n, seed=seed)
    else:
        choices = resolve_config(config, dataset.spec, len(dataset)).augment if config.augment else ()
        changes = [registry.build("transforms.augment", c.name, dataset.spec, **c.options) for c in choices]
        image = preview.draw_augmented(dataset, changes, n=N_AUGMENTED if n is None else n, seed=seed)
    path = Path(f"{dataset.name}{'' if augment is None else '-augmented'}.png") if out is None else out
    with files.replace_file(path) as temporary:
        image.save(temporary, format="PNG")
    return path


def _parse_config(text: str, options: Mapping[str, str], augment: str | None) -> Config:
    """Return a config with the data set and the augmentations; other keys of a config are errors."""
    datasets = registry.names("data.datasets")
    name = hyphenate(text)
    if name in catalog.names() and name not in datasets and not is_path(text):
        raise UsageError(
            Message("only the files of {name} are known, not how to read them", name=name),
            Message("fetch them: yisheng data fetch {name}", name=name),
        )
    if not text:
        raise UsageError(Message("the name of the data set is empty"), suggest("", datasets))
    settings: list[Setting] = [
        ("data", text, "command line"),
        ("augment", "none" if augment is None else augment, "command line"),
    ]
    chosen = merge_settings(settings).config
    data_options = registry.find("data.datasets", chosen.data.name).options
    augment_options = {o for c in chosen.augment for o in registry.find("transforms.augment", c.name).options}
    for key, value in options.items():
        is_augmentation = key.startswith("augment.") or (key in augment_options and key not in data_options)
        settings.append((key if is_augmentation else f"data.{key}", value, "command line"))
    return merge_settings(settings).config
