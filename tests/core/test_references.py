"""References to a user's own code."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest
from torch import nn

from yisheng.core.errors import UsageError
from yisheng.core.references import hash_source, import_reference, is_reference, make_reference, short_name

NET = """
import neighbor
from torch import nn

class Net(nn.Module):
    class Inner:
        width = neighbor.WIDTH
"""


@pytest.fixture
def net_file(tmp_path: Path) -> Path:
    """Return a file of code that imports a file next to it."""
    (tmp_path / "neighbor.py").write_text("WIDTH = 7")
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("net.py:Net", True),
        ("a/b/net.py:Outer.Net", True),
        ("C:\\lab\\net.py:Net", True),
        ("package.module:Net", True),
        ("in-memory:Net", True),
        ("lenet", False),
        ("C:\\lab\\net.py", False),
        ("C:/data", False),
        ("https://host/net.py", False),
        ("net.py:", False),
        (":Net", False),
        ("net.py:2", False),
    ],
)
def test_is_reference(text: str, expected: bool) -> None:
    assert is_reference(text) is expected


def test_import_file_with_neighbor(net_file: Path) -> None:
    path = list(sys.path)
    network = import_reference(f"{net_file}:Net")
    assert issubclass(network, nn.Module)
    assert import_reference(f"{net_file}:Net.Inner").width == 7
    assert import_reference(f"{net_file}:Net") is network
    assert sys.path == path


def test_changed_file_is_imported_again(net_file: Path) -> None:
    before = import_reference(f"{net_file}:Net")
    net_file.write_text(NET.replace("WIDTH", "WIDTH + 1"))
    after = import_reference(f"{net_file}:Net")
    assert (before.Inner.width, after.Inner.width) == (7, 8)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def f(:", "SyntaxError"),
        ("x = 1\ny = 1 / 0", "(line 2)"),
        ("import no_such_module_xyz", "no_such_module_xyz"),
    ],
)
def test_error_of_imported_file_names_it_and_the_line(tmp_path: Path, code: str, words: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(code)
    modules = set(sys.modules)
    with pytest.raises(UsageError) as caught:
        import_reference(f"{path}:Net")
    assert words in caught.value.problem
    assert not [name for name in set(sys.modules) - modules if name.startswith("broken")]


@pytest.mark.parametrize(
    "text", ["no_file.py:Net", "no_module_xyz:Net", "math:no_such_name", "in-memory:Net", "torch.nn:Linear.missing"]
)
def test_what_cannot_be_imported(text: str) -> None:
    with pytest.raises(UsageError):
        import_reference(text)


def test_similar_name_is_suggested(net_file: Path) -> None:
    with pytest.raises(UsageError) as caught:
        import_reference(f"{net_file}:Nett")
    assert "Net" in caught.value.remedy


def test_make_reference_imports_again(net_file: Path) -> None:
    network = import_reference(f"{net_file}:Net")
    assert make_reference(network) == f"{net_file}:Net"
    assert import_reference(make_reference(nn.Linear)) is nn.Linear


def test_make_reference_of_what_cannot_be_imported() -> None:
    class Local(nn.Module): ...

    assert make_reference(nn.Linear(1, 1)) == "in-memory:Linear"
    assert make_reference(Local) == "in-memory:Local"
    assert make_reference(functools.partial(nn.Linear, 1)) == "in-memory:Linear"
    assert make_reference(lambda: None) == "in-memory:function"


def test_hash_source_follows_the_file(net_file: Path) -> None:
    network = import_reference(f"{net_file}:Net")
    before = hash_source(network)
    assert before == hash_source(network())
    net_file.write_text(NET + "\n# changed")
    assert hash_source(network) != before
    assert hash_source(len) is None


def test_short_name() -> None:
    assert [short_name(name) for name in ("a/net.py:Net", "p.m:Outer.Net", "in-memory:f2", "lenet")] == [
        "Net",
        "Net",
        "f2",
        "lenet",
    ]
