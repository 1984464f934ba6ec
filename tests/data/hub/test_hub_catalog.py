"""The catalogue's own entries are whole, and other people's are checked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.errors import DataError, UsageError
from yisheng.core.registry import DuplicateNameError
from yisheng.data.hub import catalog

ASKED = {
    "mnist",
    "fashion-mnist",
    "kmnist",
    "emnist",
    "qmnist",
    "cifar10",
    "cifar100",
    "svhn",
    "imagenette",
    "imagenette-160",
    "imagenette-320",
    "flowers-102",
    "pets",
    "hymenoptera",
    "house-prices",
    "titanic",
    "california-housing",
    "adult",
    "pima",
    "airfoil",
    "weights",
}
UNVERIFIED = {("hymenoptera", "hymenoptera_data.zip"), ("hymenoptera", "train"), ("hymenoptera", "val")}


def test_every_promised_set_is_there() -> None:
    assert set(catalog.names()) >= ASKED


@pytest.mark.parametrize("name", catalog.names())
def test_an_entry_is_whole(name: str) -> None:
    owner = catalog.find(name)
    assert owner.name == name
    assert owner.about
    assert owner.source
    assert owner.license
    assert set(owner.forms) <= {f.form for f in owner.files}
    for file in owner.files:
        assert file.urls or file.note, f"{file.name}: a file without an address needs a note"
        assert bool(file.sums) == ((name, file.name) not in UNVERIFIED)
        assert len(set(file.urls)) == len(file.urls)
        assert all(url.startswith("https://") for url in file.urls if "://download." in url or "github" in url)
        assert file.max_size > 0
        if any(s.scope == "content" for s in file.sums):
            assert file.content_size
            assert file.name.endswith(catalog.COMPRESSED_SUFFIXES)
            assert file.decompressed is not None
            assert file.decompressed.name + ".gz" == file.name


def test_no_two_files_of_the_catalogue_share_a_checksum() -> None:
    sums = [(s.scope, s.value) for name in catalog.names() for file in catalog.find(name).files for s in file.sums]
    assert len(set(sums)) == len(sums)


def test_a_set_is_found_by_either_spelling() -> None:
    assert catalog.find("Fashion_MNIST").name == "fashion-mnist"


def test_a_plugin_adds_sets_but_takes_none(catalogue: Any) -> None:
    catalogue.add("tiny", {"name": "a.bin"})
    assert catalog.find("tiny").files[0].name == "a.bin"
    catalogue.add("mnist", {"name": "a.bin"})
    with pytest.raises(DuplicateNameError, match="two sets named mnist"):
        catalog.find("mnist")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("files = [", "Invalid"),
        ("files = []", "needs files"),
        ("about = 'x'", "files"),
        ("files = 3", "int"),
        ("files = [3]", "int"),
        ("files = [{name = 'a'}, {name = 'a'}]", "different names"),
        ("files = [{name = '../a'}]", "not a plain file name"),
        ("files = [{name = '.hidden'}]", "not a plain file name"),
        ("files = [{name = 3}]", "string"),
        ("files = [{name = 'a', hash = 'x'}]", "unknown key hash"),
        ("files = [{name = 'a', urls = ['ftp://x/a']}]", "not an http"),
        ("files = [{name = 'a', urls = ['https://u:p@x/a']}]", "not an http"),
        ("files = [{name = 'a', sums = ['sha256:00']}]", "not a checksum"),
        (f"files = [{{name = 'a', sums = ['content:md5:{'0' * 32}']}}]", "not compressed"),
        ("files = [{name = 'a', size = true}]", "size"),
        ("files = [{name = 'a', size = -1}]", "size"),
        ("files = [{name = 'a', size = 'big'}]", "size"),
        ("forms = ['x']\nfiles = [{name = 'a'}]", "no file has the form x"),
    ],
)
def test_a_damaged_entry_is_refused(catalogue: Any, text: str, why: str) -> None:
    (catalogue.folder / "tiny.toml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=why):
        catalog.find("tiny")


def test_an_unknown_set_or_file_is_a_usage_error(home: Path) -> None:
    with pytest.raises(UsageError, match="did you mean cifar10"):
        catalog.find("cifar-10")
    with pytest.raises(UsageError, match=r"did you mean train-labels-idx1-ubyte\.gz"):
        catalog.find("mnist").get_file("train-labels-idx1-ubyte")
    for name in ("", "../mnist", "mnist.toml", "a\0b"):
        with pytest.raises(UsageError):
            catalog.find(name)


@given(st.text(max_size=90) | st.from_regex(r"(file|lines|content):(sha256|md5|sha1):[0-9a-f]{0,70}", fullmatch=True))
def test_a_sum_is_read_or_refused(text: str) -> None:
    try:
        read = catalog.parse_checksum(text)
    except ValueError:
        return
    assert f"{read.scope}:{read.algorithm}:{read.value}" == text
    assert re.fullmatch("[0-9a-f]+", read.value)
    assert read.matches(read.value)
