"""``yisheng explain``: the text about a concept, its code, which runs as it is printed, and its image."""

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
every_concept = pytest.mark.parametrize("name", NAMES)


def run_explain(capsys, *words):
    """Return what the command prints."""
    capsys.readouterr()
    assert main(["explain", *words]) == 0
    return capsys.readouterr().out


def test_the_list_names_every_concept(capsys):
    table = run_explain(capsys).splitlines()
    assert [line.split()[0] for line in table[2:]] == NAMES
    assert list(json.loads(run_explain(capsys, "--json"))) == NAMES


def test_the_page_names_every_concept_once():
    assert sorted(re.findall(r"^\| `([a-z0-9-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == NAMES


def test_the_text_about_adam(capsys):
    text = run_explain(capsys, "adam")
    assert text.startswith("adam (Adam算法, Adam优化器)\n")
    heads = ["equation", "arguments", "from scratch", "library", "when to use it", "source"]
    positions = [re.search(rf"^{head}$", text, re.MULTILINE).start() for head in heads]
    assert positions == sorted(positions)
    assert "  w ← w − lr m̂ / (√v̂ + eps)" in text
    assert "  betas = (0.9, 0.999): fractions of the two means" in text
    assert "      m = beta1 * m + (1 - beta1) * g" in text
    assert "  optimizer = torch.optim.Adam([w], lr=0.001)" in text
    assert "Kingma and Ba" in text
    assert text.endswith("For its image: yisheng explain adam out=adam.png\n")
    assert "@register" not in text
    assert '"""' not in text
    assert "noqa" not in run_explain(capsys, "sgd")


def test_json_and_python_give_the_same(capsys):
    plain, explanation = (
        json.loads(run_explain(capsys, "cross_correlation", "--json")),
        yisheng.explain("Cross-Correlation"),
    )
    assert str(explanation) == repr(explanation)
    assert plain.pop("out") is None
    assert [a["name"] for a in plain.pop("arguments")] == ["x", "w", "b", "stride", "padding"]
    for key in ("chinese", "aliases", "see"):
        assert tuple(plain.pop(key)) == getattr(explanation, key)
    assert plain == {key: getattr(explanation, key) for key in plain}
    assert [a.default for a in explanation.arguments] == [None, None, "None", "1", "0"]


@every_concept
def test_every_part_is_filled(name):
    explanation = explain(name)
    for part in ("about", "equation", "from_scratch", "usual", "when", "source"):
        assert getattr(explanation, part).strip(), part
    assert explanation.arguments
    assert all(argument.help for argument in explanation.arguments)
    assert all(len(line) <= 122 for line in str(explanation).splitlines())


@every_concept
def test_the_printed_code_runs_and_passes_the_doctest(name):
    entry = registry.find("scratch", name)
    printed: dict[str, object] = {}
    exec(compile(explain(name).from_scratch, name, "exec"), printed)
    assert callable(printed[entry.key])
    assert printed[entry.key] is not entry.build
    names = {**vars(sys.modules[entry.build.__module__]), **printed}
    example = doctest.DocTestParser().get_doctest(entry.build.__doc__, names, name, None, None)
    assert example.examples
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0


@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_an_image_is_written(form, capsys, tmp_path):
    path = tmp_path / f"adam.{form}"
    assert run_explain(capsys, "adam", f"out={path}").endswith(f"Its image is in {path}\n")
    assert path.read_bytes().startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[form])
    if form == "png":
        with Image.open(path) as image:
            assert image.size == (960, 660)
            assert len(image.convert("RGB").getcolors(10**6)) > 50


def test_python_writes_an_image_too(tmp_path):
    assert yisheng.explain("k_fold", out=str(tmp_path / "folds.SVG")).image
    assert b"<svg" in (tmp_path / "folds.SVG").read_bytes()


def test_a_concept_of_a_plugin_is_explained(tmp_path, monkeypatch):
    folder = tmp_path / "mine" / "scratch"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent):
        (package / "__init__.py").write_text("")
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
    explanation = explain("doubling-of-mine")
    assert explanation.from_scratch == (
        "FACTOR: int = 2\n\n\n# A product.\ndef _times(x):\n    return FACTOR * x\n\n\n"
        "def doubling_of_mine(x, *, by=_times):\n    return by(x)"
    )
    assert [(a.name, a.default, a.help) for a in explanation.arguments] == [
        ("x", None, "a number."),
        ("by", "_times", "how."),
    ]
    assert (explanation.about, explanation.source, explanation.image) == ("Twice as much.", 'nobody, "Nothing".', True)


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
def test_wrong_words_are_refused(assert_error, words, code, cause):
    assert_error(["explain", *words], code, cause)


def test_python_refuses_other_types_than_text():
    with pytest.raises(yisheng.UsageError, match="named by text, got int"):
        yisheng.explain(3)
