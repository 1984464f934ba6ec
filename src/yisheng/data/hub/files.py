"""The hub: files of known data sets by name, checked, from wherever they can be had.

    hub.path("mnist", "train-labels-idx1-ubyte.gz")      one file, fetched if need be
    hub.fetch("mnist")                                   all files of a set
    hub.unpack("cifar10", "train.zip")                   an archive as a folder
    hub.import_file("Downloads/train.zip")               a file that the user brought
    hub.bundle(["mnist"], "usb/mnist.zip")               what a machine without a network needs
    hub.verify("mnist")                                  reads everything again

What is known of the sets stands in `yisheng.data.hub.catalog`, the environment variables in
`yisheng.data.hub.locations`, how files travel in `yisheng.data.hub.download`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yisheng.core.errors import DataError
from yisheng.data.hub import catalog, checksums, locations
from yisheng.data.hub.cache import adopt, at_hand, by_hand, found, locked, obtain
from yisheng.data.hub.catalog import HubFile, HubSet


@dataclass(frozen=True)
class Checked:
    """The state of one file in the cache: ``ok``, ``unverified``, ``damaged`` or ``missing``, and why."""

    set: str
    file: str
    state: Literal["ok", "unverified", "damaged", "missing"]
    detail: str = ""


def sets() -> list[str]:
    """Names of all sets that the hub knows."""
    return catalog.names()


def path(name: str, file: str, folder: str | os.PathLike[str] | None = None) -> Path:
    """One file of a set, checked: from the user's folder if one is named, else from the cache.

    Args:
        name: the set.
        file: the file's name in the catalogue. What is returned may be its decompressed form, whose
            name lacks the ``.gz``.
        folder: a folder of the user's to read from; nothing is fetched or written then.

    Raises:
        UsageError: the hub knows no such set or file.
        DataError: the file is not there or not what it should be, or cannot be fetched.
        StorageError: the cache cannot be written to.
    """
    owner = catalog.find(name)
    item = owner.file(file)
    return obtain(owner, item) if folder is None else _in_folder(owner, item, Path(folder).expanduser())


def fetch(name: str, form: str | None = None) -> dict[str, Path]:
    """All files of a set, by name.

    Args:
        name: the set.
        form: which form of it, or which extra. Without it: a form that is at hand, else one that the
            user's mirrors hold, else the first one of the catalogue.

    Raises:
        UsageError: the hub knows no such set or form.
        DataError: a file cannot be had.
        StorageError: the cache cannot be written to.
    """
    owner = catalog.find(name)
    if form is not None:
        return _bring_form(owner, form)
    for known in owner.forms:
        here = {item.name: at_hand(owner, item) for item in owner.form(known)}
        if all(here.values()):
            return {item: where for item, where in here.items() if where}
    if len(owner.forms) > 1 and locations.mirrors():
        for known in owner.forms:
            try:
                brought = _bring_form(owner, known, mirrors_only=True)
            except DataError:
                continue
            if known != owner.forms[0]:
                locations.say(
                    f"{owner.name}: took the form {known!r}, which a mirror holds, instead of {owner.forms[0]!r}"
                )
            return brought
    return _bring_form(owner, owner.forms[0])


def unpack(name: str, file: str) -> Path:
    """A zip or tar of a set as a folder, extracted once.

    Raises:
        UsageError: the hub knows no such set or file.
        DataError: the archive cannot be had, is damaged, or is not safe to extract.
        StorageError: the cache cannot be written to.
    """
    from yisheng.data import archives

    owner = catalog.find(name)
    source = obtain(owner, owner.file(file))
    target = locations.folder(owner.name) / f"{file}.unpacked"
    if not target.is_dir():
        with locked(owner, target.name) as folder:
            for left in folder.glob(f".{target.name}.*.extracting"):  # of a process that was killed
                shutil.rmtree(left, ignore_errors=True)
            if not target.is_dir():
                archives.extract(source, target)
    return target


def import_file(source: str | os.PathLike[str]) -> list[tuple[str, str]]:
    """Take a file that the user brought, known by its checksum, or a bundle, into the cache.

    Args:
        source: the file, under any name.

    Returns:
        Set and file of what was taken: one pair for a file, all of its pairs for a bundle.

    Raises:
        DataError: it is no file of any known set, or damaged.
        StorageError: the cache cannot be written to.
    """
    from yisheng.data.hub import bundles

    path = Path(source).expanduser()
    if not path.is_file():
        raise DataError(f"{path} is no file", "check the path")
    if bundles.is_bundle(path):
        return bundles.take(path)
    owner, file, form = bundles.identify(path)
    adopt(owner, form, path)
    return [(owner.name, file)]


def bundle(names: Sequence[str], out: str | os.PathLike[str]) -> Path:
    """Pack all files of some sets, fetched if need be, into one file for `import_file` elsewhere.

    Args:
        names: the sets; ``set:form`` names a form or an extra.
        out: the file to write, a zip.

    Raises:
        UsageError: the hub knows no such set.
        DataError: a file cannot be had.
        StorageError: ``out`` or the cache cannot be written to.
    """
    from yisheng.data.hub import bundles

    packed: list[tuple[str, str, Path]] = []
    for name in names:
        known, _, form = name.partition(":")
        packed += [(catalog.find(known).name, item, where) for item, where in fetch(known, form or None).items()]
    return bundles.pack(packed, Path(out).expanduser())


def verify(name: str | None = None) -> list[Checked]:
    """Read the files in the cache again, whatever was found before.

    Args:
        name: the set; None for all. Missing files are listed only for one set that is named.

    Raises:
        UsageError: the hub knows no such set.
    """
    checked = []
    for known in catalog.names() if name is None else [name]:
        owner = catalog.find(known)
        for item in owner.files:
            here = found(locations.folder(owner.name), item)
            for where, form in here:
                verdict = checksums.check(where, form, again=True)
                checked.append(Checked(owner.name, where.name, verdict.state, verdict.detail))
            if not here and name is not None:
                checked.append(Checked(owner.name, item.name, "missing", by_hand(owner, item)))
    return checked


def _bring_form(owner: HubSet, form: str, *, mirrors_only: bool = False) -> dict[str, Path]:
    try:
        return {item.name: obtain(owner, item, mirrors_only=mirrors_only) for item in owner.form(form)}
    except DataError as error:
        others = [known for known in owner.forms if known not in (form, "")]
        hint = f"; or take another form of the set: {', '.join(others)}" if others else ""
        raise DataError(error.problem, error.remedy + hint) from None


def _in_folder(owner: HubSet, item: HubFile, folder: Path) -> Path:
    """The file in a folder of the user's, in either form."""
    here = found(folder, item)
    for where, form in here:
        verdict = checksums.check(where, form)
        if verdict.good:
            return where
        raise DataError(
            f"{where} is not the file of {owner.name}: {verdict.detail}",
            "bring the right one, or leave the folder out to have it fetched",
        )
    also = f" or {item.unpacked.name}" if item.unpacked else ""
    what = "does not exist" if not folder.is_dir() else f"holds no {item.name}{also}"
    raise DataError(f"the folder {folder} {what}", by_hand(owner, item))
