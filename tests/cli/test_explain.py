"""``yisheng explain``: what is told of a concept, that its lines run as they are printed, and its image."""

from __future__ import annotations

import doctest
import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

import yisheng
from yisheng.cli import main
from yisheng.core import registry
from yisheng.experiments.explain import explain

NAMES = registry.names("scratch")
PAGE = Path(__file__).parents[2] / "docs" / "concepts.md"
each = pytest.mark.parametrize("name", NAMES)


def said(capsys, *words):
    capsys.readouterr()
    assert main(["explain", *words]) == 0
    return capsys.readouterr().out


def test_the_list_names_every_concept(capsys):
    table = said(capsys).splitlines()
    assert [line.split()[0] for line in table[2:]] == NAMES
    assert list(json.loads(said(capsys, "--json"))) == NAMES


def test_the_page_names_every_concept_once():
    assert sorted(re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == NAMES


def test_what_is_told_of_adam(capsys):
    text = said(capsys, "adam")
    heads = ["adam", "equation", "arguments", "by hand", "usually", "when to use it", "source"]
    places = [re.search(rf"^{head}$", text, re.MULTILINE).start() for head in heads]
    assert places == sorted(places)
    assert "  w ← w − lr m̂ / (√v̂ + eps)" in text
    assert "  betas = (0.9, 0.999): what is kept of the two means" in text
    assert "      m = beta1 * m + (1 - beta1) * g" in text
    assert "  optimizer = torch.optim.Adam([w], lr=0.001)" in text
    assert "Kingma and Ba" in text
    assert text.endswith("There is an image too: yisheng explain adam out=adam.png\n")
    assert "@register" not in text
    assert '"""' not in text
    assert "noqa" not in said(capsys, "sgd")


def test_json_and_python_say_the_same(capsys):
    found, told = json.loads(said(capsys, "cross_correlation", "--json")), yisheng.explain("Cross-Correlation")
    assert str(told) == repr(told)
    assert found.pop("out") is None
    assert [a["name"] for a in found.pop("arguments")] == ["x", "w", "b", "stride", "padding"]
    assert found == {key: getattr(told, key) for key in found}
    assert [a.default for a in told.arguments] == [None, None, "None", "1", "0"]


@each
def test_nothing_is_left_out(name):
    told = explain(name)
    for part in ("about", "equation", "by_hand", "usual", "when", "source"):
        assert getattr(told, part).strip(), part
    assert told.arguments
    assert all(argument.help for argument in told.arguments)
    assert all(len(line) <= 122 for line in str(told).splitlines())


@each
def test_the_printed_lines_run_and_do_what_the_docstring_says(name):
    entry = registry.find("scratch", name)
    printed: dict[str, object] = {}
    exec(compile(explain(name).by_hand, name, "exec"), printed)
    assert callable(printed[entry.key])
    assert printed[entry.key] is not entry.build
    names = {**vars(sys.modules[entry.build.__module__]), **printed}
    example = doctest.DocTestParser().get_doctest(entry.build.__doc__, names, name, None, None)
    assert example.examples
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_an_image_is_written(form, capsys, tmp_path):
    path = tmp_path / f"adam.{form}"
    assert said(capsys, "adam", f"out={path}").endswith(f"Its image is in {path}\n")
    assert path.read_bytes().startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[form])
    if form == "png":
        with Image.open(path) as image:
            assert image.size == (960, 660)
            assert len(image.convert("RGB").getcolors(10**6)) > 50


def test_python_writes_one_too(tmp_path):
    assert yisheng.explain("k_fold", out=str(tmp_path / "folds.SVG")).image
    assert b"<svg" in (tmp_path / "folds.SVG").read_bytes()


def test_a_concept_of_a_script_is_told_too(tmp_path, monkeypatch):
    folder = tmp_path / "mine" / "scratch"
    folder.mkdir(parents=True)
    for place in (folder, folder.parent):
        (place / "__init__.py").write_text("")
    (folder / "doubling_of_mine.py").write_text(
        "from yisheng.core.registry import register\n\n"
        "FACTOR: int = 2\nUNUSED = 3\n\n\n"
        "def _times(x):\n    '''A product.'''\n    return FACTOR * x\n\n\n"
        "def plot(axes):\n    axes.plot([UNUSED])\n\n\n"
        "@register(equation='y = 2 x', usual='y = 2 * 1', when='Never.', plot=plot)\n"
        "def doubling_of_mine(x, *, by=_times):\n"
        "    '''Twice as much.\n\n    Args:\n        x: a number.\n        by: how.\n\n"
        "    Source: nobody, \"Nothing\".\n    '''\n"
        "    return by(x)  # noqa: E501  # or so\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("YISHENG_PLUGINS", "mine")
    told = explain("doubling-of-mine")
    assert told.by_hand == (
        "FACTOR: int = 2\n\n\n# A product.\ndef _times(x):\n    return FACTOR * x\n\n\n"
        "def doubling_of_mine(x, *, by=_times):\n    return by(x)"
    )
    assert [(a.name, a.default, a.help) for a in told.arguments] == [("x", None, "a number."), ("by", "_times", "how.")]
    assert (told.about, told.source, told.image) == ("Twice as much.", 'nobody, "Nothing".', True)


@pytest.mark.parametrize(
    ("words", "code", "cause"),
    [
        (["adamm"], 2, "unknown concept 'adamm'\n.*did you mean adam"),
        (["adam", "sgd"], 2, "at most one name"),
        (["adam", "colour=red"], 2, "unknown key 'colour'"),
        (["out=a.png"], 2, "unknown key 'out'"),
        (["max-pooling", "out=a.png"], 2, "no image of max-pooling"),
        (["adam", "out=a.gif"], 2, "ends in .pdf, .png or .svg"),
        (["adam", "out=png"], 2, "ends in .pdf, .png or .svg"),
        (["adam", "out=nowhere/a.png"], 1, "cannot be written"),
    ],
)
def test_what_is_refused(refused, words, code, cause):
    refused(["explain", *words], code, cause)


def test_python_refuses_what_is_no_name():
    with pytest.raises(yisheng.UsageError, match="named by text, got int"):
        yisheng.explain(3)
