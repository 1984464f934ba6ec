"""``yisheng plot``: figures as files, and errors that list what a run has."""

import json

import pytest
from PIL import Image

from yisheng.cli import main
from yisheng.experiments.plot import KINDS
from yisheng.experiments.search_plots import KINDS as SEARCH_KINDS


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_figure_is_written_in_the_format_of_its_ending(image_run, workdir, capsys, suffix):
    assert main(["plot", "image-run", "confusion-matrix", f"out=figures.{suffix}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "run": "image-run",
        "kind": "confusion-matrix",
        "out": f"figures.{suffix}",
    }
    start = (workdir / f"figures.{suffix}").read_bytes()[:64]
    assert {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[suffix] in start


def test_the_default_is_the_curves_in_the_current_folder(run, workdir, capsys):
    assert main(["plot", "run"]) == 0
    assert capsys.readouterr().out.strip() == "run-curves.png"
    with Image.open(workdir / "run-curves.png") as image:
        assert image.width > 1000


def test_number_and_seed_choose_the_images(image_run, workdir):
    contents = []
    for words in (["seed=1"], ["seed=1"], ["seed=2"], ["n=3"]):
        assert main(["plot", "image-run", "images", "out=a.png", *words]) == 0
        contents.append((workdir / "a.png").read_bytes())
    assert contents[0] == contents[1] != contents[2]
    assert len(contents[3]) < len(contents[0])


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        (["plot"], 2, "needs a run folder"),
        (["plot", "run", "a", "b"], 2, "needs a run folder"),
        (["plot", "run", "?"], 2, "known: .*curves"),
        (["plot", "run", "curve"], 2, "did you mean curves"),
        (["plot", "run", "images"], 2, "its inputs are not images"),
        (["plot", "run", "predicted"], 2, "it is a classification"),
        (["plot", "run", "folds"], 2, "it is a single run"),
        (["plot", "run", "trials"], 2, "there is no figure"),
        (["plot", "run", "curves", "out=a.gif"], 2, "ends in .png, .svg or .pdf"),
        (["plot", "run", "curves", "n=0"], 2, "n must be"),
        (["plot", "run", "curves", "dpi=3"], 2, "unknown key"),
        (["plot", "nothing"], 3, "is not a run folder"),
    ],
)
def test_errors_name_what_a_run_has(assert_error, run, words, code, cause):
    assert_error(words, code, cause)


def test_help_lists_every_figure(capsys):
    assert main(["plot", "--help"]) == 0
    text = capsys.readouterr().out
    for name in (*KINDS, *SEARCH_KINDS):
        assert f"  {name} " in text
