"""``out=`` that is a link, a pipe or a device: refused or followed; nothing that existed becomes something else."""

import os
import shutil
from pathlib import Path

import pytest

from yisheng.cli import main
from yisheng.core.errors import UsageError
from yisheng.core.paths import parse_out_path

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such links and pipes")
FILES = {
    "export": "export run format=safetensors out={out} force=true",
    "draw": "data show digits n=2 out={out}",
    "explain": "explain adam out={out}",
    "plot": "plot run out={out}",
    "archive": "runs export run out={out} force=true",
    "compare": "compare run again out={out}",
    "predict": "predict run rows.csv out={out}",
}
SUFFIXES = {"export": ".st", "draw": ".png", "explain": ".png", "plot": ".png", "archive": ".zip", "compare": ".html"}
FOLDERS = {
    "train": "train data=iris model=linear epochs=1 boosting=false out={out}",
    "tune": "tune data=iris model=linear lr=0.1,0.2 epochs=1 out={out}",
    "folds": "train data=iris model=linear epochs=1 folds=2 boosting=false out={out}",
    "lr-find": "lr-find data=iris model=linear out={out}",
}
ALL = {**FILES, **FOLDERS}


@pytest.fixture(autouse=True)
def _inputs(run):
    shutil.copytree(run, "again")
    Path("rows.csv").write_text(
        "sepal length (cm),sepal width (cm),petal length (cm),petal width (cm)\n" + "5,3,1,0\n" * 5
    )


def words_of(name, out):
    return ALL[name].format(out=out).split()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["a link to nothing", "a link to itself", "a link to a missing folder"])
def test_links_to_nothing_are_refused_everywhere(workdir, assert_error, name, kind):
    out = Path(f"link{SUFFIXES.get(name, '.csv')}")
    out.symlink_to({"a link to nothing": "nowhere", "a link to itself": out.name}.get(kind, "missing/folder/a"))
    assert_error(words_of(name, out), 2, "is a link to .*, where nothing is")


@pytest.mark.parametrize("name", ALL)
def test_pipes_and_devices_are_refused_everywhere(workdir, assert_error, name):
    out = f"pipe{SUFFIXES.get(name, '.csv')}"
    os.mkfifo(out)
    assert_error(words_of(name, out), 2, "is a pipe or a device")


def test_a_device_is_never_replaced():
    with pytest.raises(UsageError, match="is a pipe or a device"):
        parse_out_path("/dev/null")


@pytest.mark.parametrize("name", FILES)
def test_a_link_to_a_file_stays_a_link(workdir, name, capsys):
    suffix = SUFFIXES.get(name, ".csv")
    (workdir / "elsewhere").mkdir()
    target, link = workdir / "elsewhere" / f"old{suffix}", workdir / f"link{suffix}"
    target.write_bytes(b"old")
    link.symlink_to(target)
    assert main(words_of(name, link.name)) == 0, capsys.readouterr().err
    assert link.is_symlink()
    assert target.read_bytes() != b"old"
    assert sorted(path.name for path in target.parent.iterdir()) == [target.name]


def test_a_link_to_a_folder_of_runs_is_used_as_it_is(workdir, capsys):
    (workdir / "disk").mkdir()
    (workdir / "runs").symlink_to("disk")
    assert main(["train", "data=iris", "model=linear", "epochs=1", "boosting=false"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "runs/0001-iris-linear"
    assert (workdir / "disk" / "0001-iris-linear" / "model.json").exists()
