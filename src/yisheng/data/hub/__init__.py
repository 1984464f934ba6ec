"""The hub: files of known data sets by name, checked, from a mirror, a public address or the user.

    hub.fetch_file("mnist", "train-labels-idx1-ubyte.gz")   one file, downloaded if it is not in the cache
    hub.fetch("mnist")                                      all files of a set
    hub.unpack("cifar10", "train.zip")                      an archive as a folder
    hub.import_file("Downloads/train.zip")                  a file that the user has
    hub.bundle(["mnist"], "usb/mnist.zip")                  all that a machine without a network needs
    hub.verify("mnist")                                     read and check everything again

`yisheng.data.hub.catalog` describes the sets, `yisheng.data.hub.locations` and `yisheng.core.cache_folder` the
environment variables, and `yisheng.data.hub.download` the transfer.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yisheng.core import cache_folder
from yisheng.core.errors import DataError
from yisheng.core.messages import Message
from yisheng.core.paths import parse_out_path, parse_path
from yisheng.data.hub import catalog, checksums, locations
from yisheng.data.hub.cache import (
    add_to_cache,
    describe_manual_download,
    ensure_cached,
    find_cached,
    list_forms_in,
    lock_file,
)
from yisheng.data.hub.catalog import HubFile, HubSet


@dataclass(frozen=True)
class FileStatus:
    """The state of one file in the cache: ``ok``, ``unverified``, ``damaged`` or ``missing``, and why."""

    set: str
    file: str
    state: Literal["ok", "unverified", "damaged", "missing"]
    detail: str = ""


def fetch_file(set_name: str, file: str, folder: str | os.PathLike[str] | None = None) -> Path:
    """Return the path of one file of a set, checked: in the user's folder if one is named, else in the cache.

    Args:
        set_name: the set.
        file: the file's name in the catalog. The returned path may be that of its decompressed form, whose
            name has no ``.gz``.
        folder: a folder of the user to read from; nothing is downloaded or written then.

    Raises:
        UsageError: the catalog has no such set or file.
        DataError: the file is missing or has wrong content, or cannot be downloaded.
        StorageError: the cache cannot be written to.
    """
    hub_set = catalog.find(set_name)
    hub_file = hub_set.get_file(file)
    if folder is None:
        return ensure_cached(hub_set, hub_file)
    return _find_in_user_folder(hub_set, hub_file, parse_path(folder, "folder"))


def fetch(set_name: str, form: str | None = None) -> dict[str, Path]:
    """Return the paths of all files of a set, by file name.

    Args:
        set_name: the set.
        form: which form of it, or which extra. Default: a form that is in the cache, else one that the
            user's mirrors hold, else the first one of the catalog.

    Raises:
        UsageError: the catalog has no such set or form.
        DataError: a file cannot be downloaded.
        StorageError: the cache cannot be written to.
    """
    hub_set = catalog.find(set_name)
    if form is not None:
        return _fetch_form(hub_set, form)
    for candidate in hub_set.forms:
        cached = {file.name: find_cached(hub_set, file) for file in hub_set.get_form(candidate)}
        if all(cached.values()):
            return {name: path for name, path in cached.items() if path}
    default = hub_set.forms[0]
    if len(hub_set.forms) > 1 and locations.get_mirrors():
        for candidate in hub_set.forms:
            try:
                paths = _fetch_form(hub_set, candidate, mirrors_only=True)
            except DataError:
                continue
            if candidate != default:
                cache_folder.report(
                    Message(
                        "{name}: took the form {form}, which a mirror holds, instead of {default}",
                        name=hub_set.name,
                        form=f"{candidate!r}",
                        default=f"{default!r}",
                    )
                )
            return paths
    return _fetch_form(hub_set, default)


def unpack(set_name: str, file: str) -> Path:
    """Return the folder with the content of a zip or tar of a set, extracted once.

    Raises:
        UsageError: the catalog has no such set or file.
        DataError: the archive cannot be downloaded, is damaged, or is not safe to extract.
        StorageError: the cache cannot be written to.
    """
    from yisheng.data import archives

    hub_set = catalog.find(set_name)
    archive = ensure_cached(hub_set, hub_set.get_file(file))
    target = cache_folder.get_set_folder(hub_set.name) / f"{file}.unpacked"
    if not target.is_dir():
        with lock_file(hub_set, target.name) as folder:
            for abandoned in folder.glob(f".{target.name}.*.extracting"):  # by a process that was killed
                shutil.rmtree(abandoned, ignore_errors=True)
            if not target.is_dir():
                archives.extract(archive, target)
    return target


def import_file(source: str | os.PathLike[str]) -> list[tuple[str, str]]:
    """Copy a file of the user, identified by its checksum, or all files of a bundle into the cache.

    Args:
        source: the file, under any name.

    Returns:
        Set and file names: one pair for a file, all of its pairs for a bundle.

    Raises:
        DataError: it is not a file of a known set, or is damaged.
        StorageError: the cache cannot be written to.
    """
    from yisheng.data.hub import bundles

    path = parse_path(source, "file")
    if not path.is_file():
        raise DataError(Message("{path} is not a file", path=path), Message("check the path"))
    if bundles.is_bundle(path):
        return bundles.import_bundle(path)
    hub_set, name, form = bundles.identify(path)
    add_to_cache(hub_set, form, path)
    return [(hub_set.name, name)]


def bundle(set_names: Sequence[str], out: str | os.PathLike[str]) -> Path:
    """Write all files of some sets, downloaded if necessary, into one zip for `import_file` on another machine.

    Args:
        set_names: the sets; ``set:form`` names a form or an extra.
        out: the zip to write.

    Raises:
        UsageError: the catalog has no such set.
        DataError: a file cannot be downloaded.
        StorageError: ``out`` or the cache cannot be written to.
    """
    from yisheng.data.hub import bundles

    members: list[tuple[str, str, Path]] = []
    for set_name in set_names:
        name, _, form = set_name.partition(":")
        members += [(catalog.find(name).name, file, path) for file, path in fetch(name, form or None).items()]
    return bundles.write_bundle(members, parse_out_path(out))


def verify(set_name: str | None = None) -> list[FileStatus]:
    """Read and check the files in the cache again, whatever was verified before.

    Args:
        set_name: the set; None for all. Missing files are listed only for one named set.

    Raises:
        UsageError: the catalog has no such set.
    """
    statuses = []
    for name in catalog.names() if set_name is None else [set_name]:
        hub_set = catalog.find(name)
        for file in hub_set.files:
            cached = list_forms_in(cache_folder.get_set_folder(hub_set.name), file)
            for path, form in cached:
                result = checksums.check(path, form, reread=True)
                statuses.append(FileStatus(hub_set.name, path.name, result.state, result.detail))
            if not cached and set_name is not None:
                statuses.append(FileStatus(hub_set.name, file.name, "missing", describe_manual_download(hub_set, file)))
    return statuses


def _fetch_form(hub_set: HubSet, form: str, *, mirrors_only: bool = False) -> dict[str, Path]:
    try:
        return {file.name: ensure_cached(hub_set, file, mirrors_only=mirrors_only) for file in hub_set.get_form(form)}
    except DataError as error:
        alternatives = [name for name in hub_set.forms if name not in (form, "")]
        if not alternatives:
            raise
        hint = Message(
            "{remedy}; or use another form of the set: {forms}", remedy=error.remedy, forms=", ".join(alternatives)
        )
        raise DataError(error.problem, hint) from None


def _find_in_user_folder(hub_set: HubSet, file: HubFile, folder: Path) -> Path:
    """Return the path of the file, compressed or not, in a folder of the user."""
    for path, form in list_forms_in(folder, file):
        result = checksums.check(path, form)
        if result.usable:
            return path
        raise DataError(
            Message("{path} is not the file of {name}: {detail}", path=path, name=hub_set.name, detail=result.detail),
            Message("replace it by the right file, or leave folder= out to download it"),
        )
    if not folder.is_dir():
        problem = Message("the folder {folder} does not exist", folder=folder)
    elif file.decompressed:
        names = {"name": file.name, "decompressed": file.decompressed.name}
        problem = Message("the folder {folder} holds neither {name} nor {decompressed}", folder=folder, **names)
    else:
        problem = Message("the folder {folder} holds no {name}", folder=folder, name=file.name)
    raise DataError(problem, describe_manual_download(hub_set, file))
