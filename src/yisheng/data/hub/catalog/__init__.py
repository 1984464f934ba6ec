"""What the hub can bring: one TOML file per set, with addresses, sizes and checksums.

    about = "Handwritten digits"
    forms = ["python", "jpeg"]           # whole-set forms, best first; left out where there is one

    [[files]]
    name = "train.zip"                   # under this name in the cache and on a mirror
    form = "jpeg"                        # a form not listed above is an extra, fetched when named
    size = 51841273                      # bytes of the file
    sums = ["file:sha256:f9e1..."]       # versions that are accepted; see `Sum`
    urls = ["https://..."]               # tried in this order, after the user's mirrors

A plugin (see `yisheng.core.registry`) adds sets with files of its own in ``<plugin>/data/catalog/``.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, cast

from yisheng.core.errors import DataError, UsageError, closest
from yisheng.core.registry import DuplicateNameError, dashed, plugins

Of = Literal["file", "content", "lines"]
Algorithm = Literal["sha256", "sha1", "md5"]
DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}
PACKED = (".gz", ".bz2", ".xz")
UNKNOWN_SIZE = 2 << 30
"""Most bytes that are read of a file whose size nobody published: 2 GiB, above any such file here."""


@dataclass(frozen=True)
class Sum:
    """A published checksum of one accepted version of a file.

    Args:
        of: what was summed: the ``file`` as it is; its ``content`` after decompression, so that any
            honest mirror's compression is accepted; or its ``lines``, with CRLF read as LF.
        algorithm: ``sha256`` where it is known, else what the publisher gave.
        value: hexadecimal digits. A SHA-256 may be its first digits only (8 or more), where no more
            is published.
    """

    of: Of
    algorithm: Algorithm
    value: str

    def fits(self, digest: str) -> bool:
        """Whether a digest is this sum."""
        return digest.startswith(self.value)

    def __str__(self) -> str:
        what = {"file": "", "content": " of the decompressed content", "lines": " of its lines"}[self.of]
        start = "" if len(self.value) == DIGITS[self.algorithm] else " beginning with"
        return f"{self.algorithm}{what}{start} {self.value}"


@dataclass(frozen=True)
class HubFile:
    """One file of a set.

    Args:
        name: its name in the cache and on a mirror.
        form: the form of the set that it belongs to.
        size: bytes of the published file, or None; another mirror may have compressed it otherwise.
        content_size: bytes of the decompressed content, or None.
        sums: versions that are accepted; empty where no checksum is published.
        urls: addresses, in the order to try.
        folder: it is a folder of files, which only ``file://`` mirrors can hold.
        note: what a user should know of it.
    """

    name: str
    form: str = ""
    size: int | None = None
    content_size: int | None = None
    sums: tuple[Sum, ...] = ()
    urls: tuple[str, ...] = ()
    folder: bool = False
    note: str = ""

    @property
    def unpacked(self) -> HubFile | None:
        """Its decompressed form, as people keep it in their own folders; None where that cannot be checked."""
        content = tuple(replace(s, of="file") for s in self.sums if s.of == "content")
        if not self.name.endswith(PACKED) or (self.sums and not content):
            return None
        return replace(self, name=self.name.rpartition(".")[0], size=self.content_size, content_size=None, sums=content)

    @property
    def fixed(self) -> bool:
        """Whether every copy has the same bytes, so that a download may go on from another mirror."""
        return bool(self.sums) and all(s.of == "file" for s in self.sums)

    @property
    def limit(self) -> int:
        """Most bytes to read of it before it is plain that it cannot be the file."""
        if self.size is not None and self.fixed:
            return self.size
        known = max(2 * (self.size or 0), self.content_size or 0)
        return known + (1 << 20) if known else UNKNOWN_SIZE

    def may_have(self, size: int) -> bool:
        """Whether a file of that many bytes can be it."""
        return size == self.size if self.size is not None and self.fixed else size <= self.limit


@dataclass(frozen=True)
class HubSet:
    """All files of one set, and what is known about it."""

    name: str
    about: str
    source: str
    licence: str
    forms: tuple[str, ...]
    files: tuple[HubFile, ...]

    def file(self, name: str) -> HubFile:
        """The file of that name.

        Raises:
            UsageError: the set has none.
        """
        for item in self.files:
            if item.name == name:
                return item
        raise UsageError(f"{self.name} has no file {name!r}", closest(name, (f.name for f in self.files)))

    def form(self, form: str) -> tuple[HubFile, ...]:
        """The files of one form.

        Raises:
            UsageError: the set has no such form.
        """
        files = tuple(f for f in self.files if f.form == form)
        if not files:
            raise UsageError(f"{self.name} has no form {form!r}", closest(form, {f.form for f in self.files if f.form}))
        return files


def names() -> list[str]:
    """Names of all sets, sorted; reads none of them."""
    return sorted({path.stem for folder in _folders() for path in folder.glob("*.toml")})


def find(name: str) -> HubSet:
    """The set of that name.

    Raises:
        UsageError: there is none; the error says which there are.
        DuplicateNameError: a plugin has another one of that name.
        DataError: its catalogue file is damaged.

    >>> find("mnist").file("t10k-labels-idx1-ubyte.gz").content_size
    10008
    """
    import tomllib

    name = dashed(name)
    if name not in names():
        raise UsageError(f"the hub knows no set {name!r}", closest(name, names()))
    path, *others = [p for folder in _folders() if (p := folder / f"{name}.toml").is_file()]
    if others:
        raise DuplicateNameError(f"the hub has two sets named {name}: {path} and {others[0]}", "rename one of them")
    try:
        return _read(name, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"the catalogue file {path} is damaged: {error}", "mend it, or install again") from None


def _folders() -> list[Path]:
    """Where catalogue files lie; the plugins themselves are not imported."""
    found = [Path(__file__).parent]
    for package in plugins():
        top = package.partition(".")[0]
        spec = importlib.util.find_spec(top) if top.isidentifier() else None
        inner = package.split(".")[1:]
        roots = (spec.submodule_search_locations or []) if spec else []
        found += [Path(root).joinpath(*inner, "data", "catalog") for root in roots]
    return [folder for folder in found if folder.is_dir()]


def _read(name: str, data: Mapping[str, Any]) -> HubSet:
    files = tuple(_file(item) for item in data["files"])
    forms = tuple(data.get("forms", ("",)))
    listed = [f.name for f in files]
    if not files or len(set(listed)) != len(listed):
        raise ValueError("a set needs files, each with a name of its own")
    if unknown := set(forms) - {f.form for f in files}:
        raise ValueError(f"no file has the form {', '.join(sorted(unknown))}")
    about, source, licence = (str(data.get(key, "")) for key in ("about", "source", "licence"))
    return HubSet(name, about, source, licence, forms, files)


def _file(data: Mapping[str, Any]) -> HubFile:
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
    sums = tuple(map(parse_sum, data.get("sums", ())))
    if any(s.of == "content" for s in sums) and not name.endswith(PACKED):
        raise ValueError(f"{name} is not compressed, so its content has no sum of its own")
    return HubFile(**{**data, "sums": sums, "urls": urls})


def parse_sum(text: str) -> Sum:
    """Read ``of:algorithm:digits``.

    Raises:
        ValueError: it is not of that form.

    >>> print(parse_sum("content:md5:" + "0" * 32))
    md5 of the decompressed content 00000000000000000000000000000000
    """
    match = re.fullmatch(r"(file|content|lines):(sha256|sha1|md5):([0-9a-f]+)", text)
    if match:
        whole = DIGITS[match[2]]
        if len(match[3]) == whole or (match[2] == "sha256" and 8 <= len(match[3]) < whole):
            return Sum(cast(Of, match[1]), cast(Algorithm, match[2]), match[3])
    raise ValueError(f"{text!r} is not a checksum such as file:sha256:<64 digits>")
