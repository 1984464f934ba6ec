"""The catalog's own entries are complete, and those of plugins are checked."""

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

REQUIRED_SETS = {
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


def test_required_sets_are_in_the_catalog() -> None:
    assert set(catalog.names()) >= REQUIRED_SETS


@pytest.mark.parametrize("name", catalog.names())
def test_entry_is_complete(name: str) -> None:
    hub_set = catalog.find(name)
    assert hub_set.name == name
    assert hub_set.about
    assert hub_set.source
    assert hub_set.license
    assert set(hub_set.forms) <= {f.form for f in hub_set.files}
    for file in hub_set.files:
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


def test_no_two_files_of_the_catalog_share_a_checksum() -> None:
    sums = [(s.scope, s.value) for name in catalog.names() for file in catalog.find(name).files for s in file.sums]
    assert len(set(sums)) == len(sums)


def test_set_is_found_with_underscores_and_capitals() -> None:
    assert catalog.find("Fashion_MNIST").name == "fashion-mnist"


def test_plugin_adds_sets_but_replaces_none(plugin_catalog: Any) -> None:
    plugin_catalog.add("tiny", {"name": "a.bin"})
    assert catalog.find("tiny").files[0].name == "a.bin"
    plugin_catalog.add("mnist", {"name": "a.bin"})
    with pytest.raises(DuplicateNameError, match="two sets named mnist"):
        catalog.find("mnist")


@pytest.mark.parametrize(
    ("text", "problem"),
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
def test_damaged_entry_is_refused(plugin_catalog: Any, text: str, problem: str) -> None:
    (plugin_catalog.folder / "tiny.toml").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=problem):
        catalog.find("tiny")


def test_unknown_set_or_file_is_a_usage_error(home: Path) -> None:
    with pytest.raises(UsageError, match="did you mean cifar10"):
        catalog.find("cifar-10")
    with pytest.raises(UsageError, match=r"did you mean train-labels-idx1-ubyte\.gz"):
        catalog.find("mnist").get_file("train-labels-idx1-ubyte")
    for name in ("", "../mnist", "mnist.toml", "a\0b"):
        with pytest.raises(UsageError):
            catalog.find(name)


@given(st.text(max_size=90) | st.from_regex(r"(file|lines|content):(sha256|md5|sha1):[0-9a-f]{0,70}", fullmatch=True))
def test_any_text_is_parsed_as_a_checksum_or_refused(text: str) -> None:
    try:
        checksum = catalog.parse_checksum(text)
    except ValueError:
        return
    assert f"{checksum.scope}:{checksum.algorithm}:{checksum.value}" == text
    assert re.fullmatch("[0-9a-f]+", checksum.value)
    assert checksum.matches(checksum.value)
