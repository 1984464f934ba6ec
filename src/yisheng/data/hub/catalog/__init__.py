"""The catalog: one TOML file per set, with addresses, sizes and checksums.

    about = "Handwritten digits"
    forms = ["python", "jpeg"]           # forms of the complete set, best first; omitted if there is one

    [[files]]
    name = "train.zip"                   # its name in the cache and on a mirror
    form = "jpeg"                        # a form that is not listed above is an extra, fetched by its name
    size = 51841273                      # bytes of the file
    sums = ["file:sha256:f9e1..."]       # versions that are accepted; see `Checksum`
    urls = ["https://..."]               # tried in this order, after the user's mirrors

A plugin (see `yisheng.core.registry`) adds sets with its own files in ``<plugin>/data/catalog/``.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

from yisheng.core.discovery import hyphenate, plugins
from yisheng.core.errors import DataError, UsageError, suggest
from yisheng.core.messages import Message
from yisheng.core.natural_sort import sort_naturally

Scope = Literal["file", "content", "lines"]
Algorithm = Literal["sha256", "sha1", "md5"]
HEX_DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}
COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz")
MAX_UNKNOWN_SIZE = 2 << 30
"""Most bytes to read of a file without a published size: 2 GiB, more than any such file in the catalog has."""


@dataclass(frozen=True)
class Checksum:
    """A published checksum of one accepted version of a file.

    Args:
        scope: what was summed: the ``file`` as it is; its ``content`` after decompression, so that the
            compression of any mirror is accepted; or its ``lines``, with CRLF read as LF.
        algorithm: ``sha256`` if it is known, else what the publisher gave.
        value: hexadecimal digits. A SHA-256 may be its first digits only (8 or more), if no more
            is published.
    """

    scope: Scope
    algorithm: Algorithm
    value: str

    def matches(self, digest: str) -> bool:
        """Return whether a digest is this checksum."""
        return digest.startswith(self.value)

    def __str__(self) -> str:
        scope = {"file": "", "content": " of the decompressed content", "lines": " of its lines"}[self.scope]
        prefix = "" if len(self.value) == HEX_DIGITS[self.algorithm] else " beginning with"
        return f"{self.algorithm}{scope}{prefix} {self.value}"


@dataclass(frozen=True)
class HubFile:
    """One file of a set.

    Args:
        name: its name in the cache and on a mirror.
        form: the form of the set that it belongs to.
        size: bytes of the published file, or None; a mirror may have compressed it differently.
        content_size: bytes of the decompressed content, or None.
        sums: checksums of the accepted versions; empty if none is published.
        urls: addresses, in the order to try.
        folder: it is a folder of files, which only ``file://`` mirrors can hold.
        note: what a user should know about it.
    """

    name: str
    form: str = ""
    size: int | None = None
    content_size: int | None = None
    sums: tuple[Checksum, ...] = ()
    urls: tuple[str, ...] = ()
    folder: bool = False
    note: str = ""

    @property
    def decompressed(self) -> HubFile | None:
        """Return its decompressed form, as people keep it in their own folders; None if that cannot be checked."""
        content = tuple(replace(s, scope="file") for s in self.sums if s.scope == "content")
        if not self.name.endswith(COMPRESSED_SUFFIXES) or (self.sums and not content):
            return None
        return replace(self, name=self.name.rpartition(".")[0], size=self.content_size, content_size=None, sums=content)

    @property
    def has_fixed_bytes(self) -> bool:
        """Return whether every copy has the same bytes, so that another mirror may resume a download."""
        return bool(self.sums) and all(s.scope == "file" for s in self.sums)

    @property
    def max_size(self) -> int:
        """Return the number of bytes after which it cannot be the file."""
        if self.size is not None and self.has_fixed_bytes:
            return self.size
        largest = max(2 * (self.size or 0), self.content_size or 0)
        return largest + (1 << 20) if largest else MAX_UNKNOWN_SIZE

    def accepts_size(self, size: int) -> bool:
        """Return whether the file can have that many bytes."""
        return size == self.size if self.size is not None and self.has_fixed_bytes else size <= self.max_size


@dataclass(frozen=True)
class HubSet:
    """A set of the catalog: its files and its origin."""

    name: str
    about: str
    source: str
    license: str
    forms: tuple[str, ...]
    files: tuple[HubFile, ...]

    def get_file(self, name: str) -> HubFile:
        """Return the file of that name.

        Raises:
            UsageError: the set has none.
        """
        for file in self.files:
            if file.name == name:
                return file
        raise UsageError(
            Message("{set_name} has no file {file_name}", set_name=self.name, file_name=f"{name!r}"),
            suggest(name, (f.name for f in self.files)),
        )

    def get_form(self, form: str) -> tuple[HubFile, ...]:
        """Return the files of one form.

        Raises:
            UsageError: the set has no such form.
        """
        files = tuple(f for f in self.files if f.form == form)
        if not files:
            raise UsageError(
                Message("{name} has no form {form}", name=self.name, form=f"{form!r}"),
                suggest(form, {f.form for f in self.files if f.form}),
            )
        return files


def names() -> list[str]:
    """Return the sorted names of all sets, without reading their files."""
    return sort_naturally({path.stem for folder in _folders() for path in folder.glob("*.toml")})


def find(name: str) -> HubSet:
    """Return the set of that name.

    Raises:
        UsageError: there is none; the error lists the known ones.
        DuplicateNameError: a plugin has another one of that name.
        DataError: its catalog file is damaged.

    >>> find("mnist").get_file("t10k-labels-idx1-ubyte.gz").content_size
    10008
    """
    import tomllib

    name = hyphenate(name)
    if name not in names():
        raise UsageError(Message("the hub knows no set {name}", name=f"{name!r}"), suggest(name, names()))
    path, *duplicates = [p for folder in _folders() if (p := folder / f"{name}.toml").is_file()]
    if duplicates:
        from yisheng.core.registry import DuplicateNameError

        raise DuplicateNameError(f"the hub has two sets named {name}: {path} and {duplicates[0]}", "rename one of them")
    try:
        return _read_set(name, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            Message("the catalog file {path} is damaged: {error}", path=path, error=error),
            Message("fix it, or reinstall its package"),
        ) from None


def _folders() -> list[Path]:
    """Return the folders of catalog files; the plugins themselves are not imported."""
    folders = [Path(__file__).parent]
    for package in plugins():
        top = package.partition(".")[0]
        spec = importlib.util.find_spec(top) if top.isidentifier() else None
        inner = package.split(".")[1:]
        roots = (spec.submodule_search_locations or []) if spec else []
        folders += [Path(root).joinpath(*inner, "data", "catalog") for root in roots]
    return [folder for folder in folders if folder.is_dir()]


def _read_set(name: str, data: Mapping[str, Any]) -> HubSet:
    files = tuple(_read_file(entry) for entry in data["files"])
    forms = tuple(data.get("forms", ("",)))
    file_names = [f.name for f in files]
    if not files or len(set(file_names)) != len(file_names):
        raise ValueError("a set needs files with different names")
    if unknown := set(forms) - {f.form for f in files}:
        raise ValueError(f"no file has the form {', '.join(sorted(unknown))}")
    about, source, license = (str(data.get(key, "")) for key in ("about", "source", "license"))
    return HubSet(name, about, source, license, forms, files)


def _read_file(data: Mapping[str, Any]) -> HubFile:
    if unknown := set(data) - {field.name for field in fields(HubFile)}:
        raise ValueError(f"unknown key {', '.join(sorted(unknown))}")
    name, urls = data["name"], tuple(data.get("urls", ()))
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._+-]*", name):
        raise ValueError(f"{name!r} is not a plain file name")
    for url in urls:
        if not re.fullmatch(r"https?://[^\s@]+", url):
            raise ValueError(f"{url!r} is not an http(s) address")
    for key in ("size", "content_size"):
        if not (data.get(key) is None or (type(data[key]) is int and data[key] > 0)):
            raise ValueError(f"{key} must be a number of bytes, got {data[key]!r}")
    sums = tuple(map(parse_checksum, data.get("sums", ())))
    if any(s.scope == "content" for s in sums) and not name.endswith(COMPRESSED_SUFFIXES):
        raise ValueError(f"{name} is not compressed, so it has no checksum of its content")
    return HubFile(**{**data, "sums": sums, "urls": urls})


def parse_checksum(text: str) -> Checksum:
    """Parse ``scope:algorithm:digits``.

    Raises:
        ValueError: it has another form.

    >>> print(parse_checksum("content:md5:" + "0" * 32))
    md5 of the decompressed content 00000000000000000000000000000000
    """
    match = re.fullmatch(r"(file|content|lines):(sha256|sha1|md5):([0-9a-f]+)", text)
    if match:
        length = HEX_DIGITS[match[2]]
        if len(match[3]) == length or (match[2] == "sha256" and 8 <= len(match[3]) < length):
            return Checksum(cast(Scope, match[1]), cast(Algorithm, match[2]), match[3])
    raise ValueError(f"{text!r} is not a checksum such as file:sha256:<64 digits>")
