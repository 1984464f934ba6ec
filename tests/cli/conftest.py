"""The door: one command in this process, its two lines, its exit code, and whether anything was touched."""

import hashlib
import os
import re
import shutil
from pathlib import Path

import pytest

import yisheng
from yisheng.cli import main


def tree(folder):
    """Every path below a folder with what is there, links not followed."""
    found = {}
    for base, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(base, name)
            if path.is_symlink():
                what = ("link", str(path.readlink()))
            elif path.is_file():
                what = ("file", hashlib.sha256(path.read_bytes()).hexdigest())
            else:
                what = ("other", path.lstat().st_mode)
            found[path.relative_to(folder).as_posix()] = what
    return found


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Two small finished runs by the name of their data: rows and images."""
    out = tmp_path_factory.mktemp("trained")
    return {
        name: yisheng.train(data=name, model="mlp", hidden=[8], epochs=1, out=out / name, quiet=True).path
        for name in ("iris", "digits")
    }


@pytest.fixture
def world(tmp_path, monkeypatch):
    """The folder in which a bad input is given, with something in it that must stay as it is."""
    folder = tmp_path / "world"
    folder.mkdir()
    (folder / "precious.txt").write_text("do not touch")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(world, trained):
    """A copy of the finished run on rows, as ``run`` in the world."""
    return Path(shutil.copytree(trained["iris"], world / "run"))


@pytest.fixture
def images(world, trained):
    """A copy of the finished run on images, as ``images`` in the world."""
    return Path(shutil.copytree(trained["digits"], world / "images"))


@pytest.fixture
def refused(world, capsys):
    """Give some words; they must be refused with this code and cause, in two lines, and nothing touched."""

    def give(words, code, cause):
        before = tree(world)
        capsys.readouterr()
        got = main([str(word) for word in words])
        said = capsys.readouterr()
        assert got == code, said.err
        assert said.out == ""
        assert "Traceback" not in said.err
        problem, remedy = said.err.rstrip("\n").split("\n")[-2:]
        assert problem.startswith("yisheng: ")
        assert re.search(cause, f"{problem}\n{remedy}"), said.err
        assert re.match(r"  \S.{5,}", remedy)
        assert max(len(problem), len(remedy)) < 2000
        assert tree(world) == before

    return give
