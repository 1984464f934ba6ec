"""Files that a user carries to another machine: identified by their checksums, or packed into a bundle with a list.

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

from yisheng.core import cache_folder
from yisheng.core.errors import DataError, UsageError
from yisheng.core.files import read_json, replace_file
from yisheng.core.messages import Message
from yisheng.data import compression, file_trees
from yisheng.data.hub import catalog, checksums
from yisheng.data.hub.cache import add_to_cache
from yisheng.data.hub.catalog import HubFile, HubSet

MANIFEST = "yisheng-bundle.json"
FORMAT_VERSION = 1
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""The time of every member, so that the same files make the same bundle."""


def identify(path: Path) -> tuple[HubSet, str, HubFile]:
    """Return the set, the file's name and its form (compressed or not) that match a file's checksums.

    A file without a published checksum is identified by its name.

    Raises:
        DataError: no file of the catalog matches.
    """
    candidates = [(hub_set, name, form) for hub_set, name, form in _list_forms() if not form.folder]
    digests = _compute_all_digests(path, [form for _, _, form in candidates])
    for hub_set, name, form in candidates:
        if any((s.scope, s.algorithm) in digests and s.matches(digests[s.scope, s.algorithm]) for s in form.sums):
            return hub_set, name, form
    namesakes = [(hub_set, name, form) for hub_set, name, form in candidates if form.name == path.name]
    for hub_set, name, form in namesakes:
        if not form.sums:
            return hub_set, name, form
    sha256 = digests.get(("file", "sha256"), "unreadable")
    if namesakes:
        problem = Message(
            "{path} has the name of a file of {names}, but not its content (sha256 {sha256})",
            path=path,
            names=", ".join(hub_set.name for hub_set, _, _ in namesakes),
            sha256=sha256,
        )
        raise DataError(problem, Message("it is damaged or another version: download it again"))
    raise DataError(
        Message("{path} is not a file of a known set (sha256 {sha256})", path=path, sha256=sha256),
        Message("`yisheng data list` prints the names of the sets"),
    )


def is_bundle(path: Path) -> bool:
    """Return whether a file was written by `write_bundle`."""
    try:
        with zipfile.ZipFile(path) as archive:
            return MANIFEST in archive.namelist()
    except (
        OSError,
        zipfile.BadZipFile,
        ValueError,
        NotImplementedError,
    ):  # not one of `write_bundle`
        return False


def write_bundle(members: list[tuple[str, str, Path]], out: Path) -> Path:
    """Write a bundle of ``(set, file, path)``; an old one at ``out`` stays intact until the end."""
    if not out.parent.is_dir():
        raise UsageError(Message("the folder {parent} does not exist", parent=out.parent), Message("create it first"))
    entries = []
    with replace_file(out) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for set_name, file, path in members:
            entries.append({"set": set_name, "file": file, "name": path.name, "sha256": _compute_sha256(path)})
            for inner, source in file_trees.list_files(path) if path.is_dir() else [("", path)]:
                info = zipfile.ZipInfo("/".join(filter(None, (set_name, path.name, inner))), _FIXED_TIME)
                info.file_size = source.stat().st_size
                with source.open("rb") as stream, archive.open(info, "w") as target:
                    shutil.copyfileobj(stream, target, 1 << 20)
        manifest = json.dumps({"format": FORMAT_VERSION, "files": entries}, indent=2)
        archive.writestr(zipfile.ZipInfo(MANIFEST, _FIXED_TIME), manifest)
    return out


def import_bundle(path: Path) -> list[tuple[str, str]]:
    """Copy all files of a bundle into the cache, each checked against the catalog like a download.

    Raises:
        DataError: the bundle is damaged, or holds a file that is not in the catalog.
        StorageError: the cache cannot be written to.
    """
    from yisheng.data import archives

    root = cache_folder.get_cache_folder() / "data"
    with cache_folder.explain_write_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".import-", dir=root))
    try:
        folder = archives.extract(path, work / "bundle")
        imported = []
        for hub_set, form, file, sha256 in _read_manifest(path, folder):
            source = folder / hub_set.name / form.name
            if not source.exists() or _compute_sha256(source) != sha256:
                raise DataError(
                    Message(
                        "{path} is damaged at {set_name}/{file_name}",
                        path=path,
                        set_name=hub_set.name,
                        file_name=form.name,
                    ),
                    Message("copy the bundle again"),
                )
            add_to_cache(hub_set, form, source)
            imported.append((hub_set.name, file))
        return imported
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _read_manifest(path: Path, folder: Path) -> Iterator[tuple[HubSet, HubFile, str, str]]:
    data = read_json(folder / MANIFEST, limit=16 << 20)
    if not isinstance(data, dict) or data.get("format") != FORMAT_VERSION or not isinstance(data.get("files"), list):
        raise DataError(
            Message("{path} is not a bundle of format {FORMAT_VERSION}", path=path, FORMAT_VERSION=FORMAT_VERSION),
            Message("write it with this version of yisheng"),
        )
    for entry in data["files"]:
        set_name, file, form_name, sha256 = (_get_text(entry, key, path) for key in ("set", "file", "name", "sha256"))
        hub_set = catalog.find(set_name)
        published = hub_set.get_file(file)
        form = next((f for f in (published, published.decompressed) if f and f.name == form_name), None)
        if form is None:
            raise DataError(
                Message(
                    "{path} lists {form_name}, which is not a form of {set_name}/{file}",
                    path=path,
                    form_name=f"{form_name!r}",
                    set_name=set_name,
                    file=file,
                ),
                Message("write it again"),
            )
        yield hub_set, form, file, sha256


def _get_text(entry: Any, key: str, path: Path) -> str:
    value = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(value, str):
        raise DataError(
            Message("the list in the bundle {path} is damaged: a file without {key}", path=path, key=key),
            Message("write the bundle again"),
        )
    return value


def _list_forms() -> Iterator[tuple[HubSet, str, HubFile]]:
    """Yield both forms of every file of the catalog."""
    for hub_set in map(catalog.find, catalog.names()):
        for file in hub_set.files:
            yield from ((hub_set, file.name, form) for form in (file, file.decompressed) if form)


def _compute_all_digests(path: Path, forms: list[HubFile]) -> dict[tuple[str, str], str]:
    """Compute every digest that one of the forms could have, by scope and algorithm."""
    needed = {(s.scope, s.algorithm) for form in forms for s in form.sums}
    limit = max(form.content_size or 0 for form in forms)
    digests: dict[tuple[str, str], str] = {}
    for scope in sorted({scope for scope, _ in needed}):
        if scope != "content" or checksums.is_compressed(path):
            algorithms = tuple(sorted(algorithm for s, algorithm in needed if s == scope))
            try:
                values = checksums.compute_digests(path, scope, algorithms, limit=limit)
            except compression.DECOMPRESSION_ERRORS:
                continue
            digests.update({(scope, algorithm): value for algorithm, value in values.items()})
    return digests


def _compute_sha256(path: Path) -> str:
    if path.is_dir():
        return file_trees.compute_digest(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
