"""The book's files by name, through the hub: its cache, your mirrors, resumed downloads, checksums."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.files import explain_write_error, replace_file
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path
from yisheng.d2l.notices import announce
from yisheng.data import archives, hub
from yisheng.data.hub import catalog, checksums
from yisheng.data.hub.cache import ensure_cached
from yisheng.data.hub.catalog import Checksum, HubFile, HubSet

DATA_URL = "http://d2l-data.s3-accelerate.amazonaws.com/"
HUB_SET = "d2l"
NAMES_IN_OTHER_SETS = {
    "kaggle_house_train": ("house-prices", "kaggle_house_pred_train.csv"),
    "kaggle_house_test": ("house-prices", "kaggle_house_pred_test.csv"),
    "airfoil": ("airfoil", "airfoil_self_noise.dat"),
}
"""The hub's set and file of the book's names that are not in the set d2l."""
CACHE_DIR = os.path.join("..", "data")  # noqa: PTH118  # the book's default, as text


def list_book_files() -> dict[str, tuple[str, str]]:
    """Return address and SHA-1 of the book's files by name, as the hub's catalog has them."""
    files = {file.form: file for file in catalog.find(HUB_SET).files}
    for name, (set_name, file_name) in NAMES_IN_OTHER_SETS.items():
        files[name] = catalog.find(set_name).get_file(file_name)
    return {
        name: (next((url for url in file.urls if url.startswith(DATA_URL)), file.urls[0]), _get_sha1(file))
        for name, file in files.items()
    }


def _get_sha1(file: HubFile) -> str:
    return next(checksum.value for checksum in file.sums if checksum.algorithm == "sha1")


DATA_HUB: dict[str, tuple[str, str]] = list_book_files()
"""Address and SHA-1 of each file by name; add your own: ``DATA_HUB["mine"] = (url, sha1)``."""


def download(name: str, cache_dir: str | os.PathLike[str] = CACHE_DIR, sha1_hash: str | None = None) -> str:
    """Return the path of a file by its name in `DATA_HUB`, or by its address, downloaded if necessary.

    The hub keeps its own copy: a file is downloaded once for all folders. A file of the same name but other content
    that is in the folder already is kept as ``NAME.old``.

    Args:
        name: a name in `DATA_HUB`, or an http(s) address.
        cache_dir: folder for the file.
        sha1_hash: expected SHA-1, if ``name`` is an address.

    Raises:
        UsageError: ``DATA_HUB`` has no such name.
        DataError: the file cannot be downloaded, or has wrong content.
        StorageError: the folder cannot be written to.

    Yisheng's own: ``yisheng data fetch house-prices``; `yisheng.data.hub`.
    """
    url, sha1 = _find_address(name, sha1_hash)
    target = parse_path(cache_dir, "cache_dir") / url.rpartition("/")[2]
    if target.is_file() and sha1 is not None and _compute_sha1(target) == sha1:
        return os.fspath(target)
    source = _fetch(url, sha1)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_file():
            if target.stat().st_size == source.stat().st_size and _compute_sha1(target) == _compute_sha1(source):
                return os.fspath(target)
            _keep_old(target)
        with replace_file(target, sync=False) as temporary:
            shutil.copyfile(source, temporary)
    except OSError as error:
        raise explain_write_error(error, target) from None
    return os.fspath(target)


def download_extract(name: str, folder: str | None = None) -> str:
    """Download a zip or tar, extract it next to itself, and return the path of what it holds.

    Args:
        name: a name in `DATA_HUB`, or an http(s) address.
        folder: the folder in the archive; by default the archive's name without its ending.

    Raises:
        UsageError: ``DATA_HUB`` has no such name.
        DataError: the file cannot be downloaded, is damaged, or not an archive.
        StorageError: the folder cannot be written to.
    """
    archive = Path(download(name))
    stem = archive.name.removesuffix(".gz").rpartition(".")[0]
    target = archive.parent / (folder or stem)
    marker = archive.with_name(f".{archive.name}.extracted")
    state = f"{archive.stat().st_size} {archive.stat().st_mtime_ns}"
    if not (target.exists() and marker.is_file() and marker.read_text(encoding="ascii", errors="replace") == state):
        _extract_next_to(archive)
        marker.write_text(state, encoding="ascii")
    if not target.exists():
        members = ", ".join(sorted(path.name for path in archive.parent.iterdir() if path.is_dir())) or "none"
        raise DataError(
            Message("{archive} holds no folder {name}", archive=archive, name=target.name),
            Message("name one with folder=; there are: {members}", members=members),
        )
    return os.fspath(target)


def download_all() -> None:
    """Download every file of `DATA_HUB`, about 4 GB.

    Raises:
        DataError: a file cannot be downloaded.
    """
    for name in DATA_HUB:
        download(name)


def _find_address(name: str, sha1: str | None) -> tuple[str, str | None]:
    if not isinstance(name, str):
        raise UsageError(
            Message("download requires a name or an address, got {name}", name=f"{name!r}"),
            Message('write download("hotdog")'),
        )
    if name.startswith(("http://", "https://")):
        return name, sha1
    if name not in DATA_HUB:
        raise UsageError(Message("DATA_HUB has no file {name}", name=f"{name!r}"), suggest(name, DATA_HUB))
    url, published = DATA_HUB[name]
    return url, sha1 or published


def _fetch(url: str, sha1: str | None) -> Path:
    """Return the hub's copy of a file: one of its catalog, or one that only `DATA_HUB` describes."""
    for set_name in (HUB_SET, *dict(NAMES_IN_OTHER_SETS.values())):
        for file in catalog.find(set_name).files:
            if sha1 is not None and any(checksum.value == sha1 for checksum in file.sums):
                return hub.fetch_file(set_name, file.name)
    sums = () if sha1 is None else (Checksum("file", "sha1", sha1.lower()),)
    file = HubFile(url.rpartition("/")[2] or "index", sums=sums, urls=(url,))
    return ensure_cached(HubSet(HUB_SET, "", "", "", (), (file,)), file)


def _compute_sha1(path: Path) -> str:
    return checksums.compute_digests(path, "file", ("sha1",))["sha1"]


def _keep_old(target: Path) -> None:
    """Rename a file that has other content than expected."""
    old = target.with_name(f"{target.name}.old")
    number = 1
    while old.exists():
        number += 1
        old = target.with_name(f"{target.name}.old{number}")
    target.rename(old)
    announce(Message("{target} had other content than published; it is kept as {old}", target=target, old=old))


def _extract_next_to(archive: Path) -> None:
    """Extract an archive into its own folder: a file that is there already with the same size is kept."""
    with tempfile.TemporaryDirectory(prefix=f".{archive.name}.", dir=archive.parent) as work:
        content = archives.extract(archive, Path(work, "content"))
        for source in sorted(path for path in content.rglob("*") if path.is_file()):
            target = archive.parent / source.relative_to(content)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                if not (target.is_file() and target.stat().st_size == source.stat().st_size):
                    source.replace(target)
            except OSError as error:
                raise explain_write_error(error, target) from None
