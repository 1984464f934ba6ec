"""Files carried by hand: known by their checksums, or packed into a bundle with a list.

A bundle is a zip, stored without compression: ``yisheng-bundle.json`` and ``<set>/<file>``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from yisheng.core.errors import DataError, UsageError
from yisheng.core.files import read_json, replacing
from yisheng.data import compression, file_trees
from yisheng.data.hub import catalog, checksums, locations
from yisheng.data.hub.cache import adopt
from yisheng.data.hub.catalog import HubFile, HubSet

MANIFEST = "yisheng-bundle.json"
FORMAT = 1
_OLDEST = (1980, 1, 1, 0, 0, 0)


def identify(path: Path) -> tuple[HubSet, str, HubFile]:
    """The set, its file and the form of that (as it is, or decompressed) that a file is, by its checksums.

    A file that nobody published a checksum of is known by its name.

    Raises:
        DataError: it is none.
    """
    known = [(owner, name, form) for owner, name, form in _everything() if not form.folder]
    wanted = {(s.of, s.algorithm) for _, _, form in known for s in form.sums}
    limit = max(form.content_size or 0 for _, _, form in known)
    digests: dict[tuple[str, str], str] = {}
    for of in sorted({of for of, _ in wanted}):
        if of != "content" or checksums.is_compressed(path):
            names = tuple(sorted(algorithm for which, algorithm in wanted if which == of))
            try:
                got = checksums.digests(path, of, names, limit=limit)
            except compression.ERRORS:
                continue
            digests.update({(of, algorithm): value for algorithm, value in got.items()})
    for owner, name, form in known:
        if any((s.of, s.algorithm) in digests and s.fits(digests[s.of, s.algorithm]) for s in form.sums):
            return owner, name, form
    namesakes = [(owner, name, form) for owner, name, form in known if form.name == path.name]
    for owner, name, form in namesakes:
        if not form.sums:
            return owner, name, form
    sha256 = digests.get(("file", "sha256"), "unreadable")
    if namesakes:
        which = " or ".join(owner.name for owner, _, _ in namesakes)
        problem = f"{path} has the name of a file of {which}, but not its content (sha256 {sha256})"
        raise DataError(problem, "it is damaged or another version: bring it again")
    raise DataError(f"{path} is no file of a known set (sha256 {sha256})", "`yisheng data list` names the known sets")


def is_bundle(path: Path) -> bool:
    """Whether a file was written by `pack`."""
    try:
        with zipfile.ZipFile(path) as packed:
            return MANIFEST in packed.namelist()
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):  # no zip, or of a kind we do not write
        return False


def pack(files: list[tuple[str, str, Path]], out: Path) -> Path:
    """Write a bundle of ``(set, file, path)``; an old one at ``out`` stays whole until the end."""
    if not out.parent.is_dir():
        raise UsageError(f"the folder {out.parent} does not exist", "make it first")
    listed = []
    with replacing(out) as temporary, zipfile.ZipFile(temporary, "w") as packed:
        for name, file, path in files:
            listed.append({"set": name, "file": file, "name": path.name, "sha256": _sha256(path)})
            for inner, source in file_trees.listing(path) if path.is_dir() else [("", path)]:
                member = zipfile.ZipInfo("/".join(filter(None, (name, path.name, inner))), _OLDEST)
                member.file_size = source.stat().st_size
                with source.open("rb") as stream, packed.open(member, "w") as target:
                    shutil.copyfileobj(stream, target, 1 << 20)
        manifest = json.dumps({"format": FORMAT, "files": listed}, indent=2)
        packed.writestr(zipfile.ZipInfo(MANIFEST, _OLDEST), manifest)
    return out


def take(path: Path) -> list[tuple[str, str]]:
    """Take all files of a bundle into the cache, each checked as if it had been fetched.

    Raises:
        DataError: the bundle is damaged, or holds a file that it should not.
        StorageError: the cache cannot be written to.
    """
    from yisheng.data import archives

    root = locations.home() / "data"
    with locations.writing(root):
        root.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".import-", dir=root))
    try:
        folder = archives.extract(path, work / "bundle")
        taken = []
        for owner, form, item, sha256 in _manifest(path, folder):
            source = folder / owner.name / form.name
            if not source.exists() or _sha256(source) != sha256:
                raise DataError(f"{path} is damaged at {owner.name}/{form.name}", "copy the bundle again")
            adopt(owner, form, source)
            taken.append((owner.name, item))
        return taken
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _manifest(path: Path, folder: Path) -> Iterator[tuple[HubSet, HubFile, str, str]]:
    data = read_json(folder / MANIFEST, limit=16 << 20)
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("files"), list):
        raise DataError(f"{path} is not a bundle of format {FORMAT}", "pack it with the same version of yisheng")
    for entry in data["files"]:
        name, item, form_name, sha256 = (_text(entry, key, path) for key in ("set", "file", "name", "sha256"))
        owner = catalog.find(name)
        file = owner.file(item)
        form = next((f for f in (file, file.unpacked) if f and f.name == form_name), None)
        if form is None:
            raise DataError(f"{path} lists {form_name!r}, which is no form of {name}/{item}", "pack the bundle again")
        yield owner, form, item, sha256


def _text(entry: Any, key: str, path: Path) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, str):
        raise DataError(f"the list in the bundle {path} is damaged: a file without {key}", "pack the bundle again")
    return value


def _everything() -> Iterator[tuple[HubSet, str, HubFile]]:
    for owner in map(catalog.find, catalog.names()):
        for file in owner.files:
            yield from ((owner, file.name, form) for form in (file, file.unpacked) if form)


def _sha256(path: Path) -> str:
    if path.is_dir():
        return file_trees.digest(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
