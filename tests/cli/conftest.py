"""Run one command in this process: its two lines of error, its exit code, and whether it changed any file."""

import hashlib
import os
import re
import shutil
from pathlib import Path

import pytest

import yisheng
from yisheng.cli import main


def list_tree(folder):
    """Return every path below a folder with its kind and content; links are not followed."""
    tree = {}
    for base, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(base, name)
            if path.is_symlink():
                content = ("link", str(path.readlink()))
            elif path.is_file():
                content = ("file", hashlib.sha256(path.read_bytes()).hexdigest())
            else:
                content = ("folder", path.lstat().st_mode)
            tree[path.relative_to(folder).as_posix()] = content
    return tree


@pytest.fixture(scope="session")
def trained_runs(tmp_path_factory):
    """Return two small finished runs by the name of their data: rows and images."""
    out = tmp_path_factory.mktemp("trained")
    return {
        name: yisheng.train(data=name, model="mlp", hidden=[8], epochs=1, out=out / name, quiet=True).path
        for name in ("iris", "digits")
    }


@pytest.fixture
def workdir(tmp_path, monkeypatch):
    """Return the current folder of a command, with a file in it that must stay as it is."""
    folder = tmp_path / "workdir"
    folder.mkdir()
    (folder / "precious.txt").write_text("do not touch")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(workdir, trained_runs):
    """Return a copy of the finished run on rows, the folder ``run``."""
    return Path(shutil.copytree(trained_runs["iris"], workdir / "run"))


@pytest.fixture
def image_run(workdir, trained_runs):
    """Return a copy of the finished run on images, the folder ``image-run``."""
    return Path(shutil.copytree(trained_runs["digits"], workdir / "image-run"))


@pytest.fixture
def assert_error(workdir, capsys):
    """Return a function that runs a command, which must end with this code and two lines, and change no file."""

    def run_command(words, code, cause):
        tree = list_tree(workdir)
        capsys.readouterr()
        returned = main([str(word) for word in words])
        printed = capsys.readouterr()
        assert returned == code, printed.err
        assert printed.out == ""
        assert "Traceback" not in printed.err
        problem, remedy = printed.err.rstrip("\n").split("\n")[-2:]
        assert problem.startswith("yisheng: ")
        assert re.search(cause, f"{problem}\n{remedy}"), printed.err
        assert re.match(r"  \S.{5,}", remedy)
        assert max(len(problem), len(remedy)) < 2000
        assert list_tree(workdir) == tree

    return run_command
