"""Commands in Chinese: how the language is chosen, and that no English sentence is left on finished surfaces."""

import io
import json
import re
import signal
import subprocess
import sys

import pytest

from yisheng.cli import list_commands, main
from yisheng.core import registry
from yisheng.core.text_tables import text_width
from yisheng.experiments.explain_names import KIND_OF_KEY

CODE = re.compile(
    r"`[^`]*`"  # code
    r"|yisheng(?: [\w.-]+)*"  # a command
    r"|\"[^\"]*\""
    r"|\S*[=/\\._<>|\[\]{}()]\S*"  # options, paths, formulas
    r"|--?\w\S*"
)
"""What stays as it is in a Chinese text."""
SENTENCE = re.compile(r"\b[A-Za-z][a-z']+(?: [A-Za-z][a-z']+){2,}\b")
"""Three English words or more in a row."""


def english_sentences(text: str) -> list[str]:
    """Return what is left of English in a Chinese text."""
    return [match[0] for line in text.splitlines() for match in SENTENCE.finditer(CODE.sub("`", line))]


def run(capsys, *words):
    capsys.readouterr()
    assert main([*words, "lang=zh"]) == 0
    return capsys.readouterr()


def test_the_scan_finds_sentences():
    assert english_sentences("学习率 the loss became nan 于") == ["the loss became nan"]
    assert english_sentences("见 `yisheng train data=digits` 和 docs/why we train.md、lr=0.1 或 PyTorch") == []


def test_the_overview(capsys):
    text = run(capsys, "--help").out
    assert english_sentences(text) == []
    assert "用法： yisheng COMMAND" in text


@pytest.mark.parametrize("width", [50, 80, 200])
@pytest.mark.parametrize("command", list_commands())
def test_help_is_chinese_and_fits(command, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    text = run(capsys, command, "--help").out
    assert english_sentences(text) == []
    assert max(map(text_width, text.splitlines())) <= width
    assert re.search(rf"^用法： yisheng {command}\b", text, re.MULTILINE)


EXEMPT = ("公式", "从零实现", "库的调用", "出处", "另见")
"""Sections of an explanation that are code, formulas, references and names."""


def prose_of_explanation(text: str) -> str:
    sections = re.split(r"\n\n(?=\S)", text)
    return "\n".join(s for s in sections if s.split("\n")[0] not in EXEMPT)


@pytest.mark.parametrize("name", registry.names("scratch"))
def test_a_concept_is_explained_in_chinese(name, capsys):
    assert english_sentences(prose_of_explanation(run(capsys, "explain", name).out)) == []


@pytest.mark.parametrize("kind", KIND_OF_KEY)
def test_components_are_explained_in_chinese(kind, capsys):
    for name in registry.names(KIND_OF_KEY[kind]):
        text = run(capsys, "explain", f"{kind}.{name}").out
        assert english_sentences(prose_of_explanation(text)) == [], name


@pytest.mark.parametrize("name", ["key.epochs", "key.precision", "key.model", "option.lr", "权重衰减"])
def test_keys_and_options_are_explained_in_chinese(name, capsys):
    text = run(capsys, "explain", name).out
    assert english_sentences(prose_of_explanation(text)) == []
    assert re.search(r"[\u4e00-\u9fff]", text)


def test_lists_are_chinese_and_aligned(capsys):
    for words in (("explain",), ("models",), ("models", "mlp")):
        text = run(capsys, *words).out
        assert english_sentences(text) == []
    head, line, *rows = run(capsys, "explain").out.splitlines()
    starts = [match.start() for match in re.finditer(r"-+", line)]
    for row in [head, *rows]:
        columns, cells = 0, []
        for char in row:
            cells += [char] * text_width(char)
            columns += text_width(char)
        assert all(cells[start - 1] == " " for start in starts[1:])


def test_a_training_is_chinese(tmp_path, capsys):
    printed = run(capsys, "train", "data=iris", "epochs=2", f"out={tmp_path}", "doctor=off")
    assert english_sentences(printed.err) == []
    assert english_sentences(printed.out) == []
    assert "测试集" in printed.out
    assert re.search(r"^第 2/2 轮  训练损失 [\d.]+  验证损失", printed.err, re.MULTILINE)
    assert "最佳权重：第 " in printed.out
    run_folder = printed.out.splitlines()[-1]
    scores = json.loads((tmp_path / run_folder.rpartition("/")[2] / "scores.json").read_text(encoding="utf-8"))
    assert {"test", "validation", "baseline"} <= scores.keys(), "keys stay English"


def test_a_cross_validation_is_chinese(tmp_path, capsys):
    printed = run(capsys, "train", "data=iris", "epochs=1", "folds=2", f"out={tmp_path}", "doctor=off")
    assert english_sentences(printed.out + printed.err) == []


@pytest.mark.parametrize(
    "words",
    [
        ["tune", "data=iris", "model=linear", "epochs=1", "lr=0.01,0.1"],
        ["lr-find", "data=iris", "model=linear", "steps=20", "seeds=1"],
    ],
    ids=lambda words: words[0],
)
def test_a_search_and_a_range_test_are_chinese(words, tmp_path, capsys):
    printed = run(capsys, *words, "doctor=off", f"out={tmp_path}")
    assert english_sentences(printed.out + printed.err) == []
    assert re.search(r"[\u4e00-\u9fff]", printed.err)


def test_a_comparison_and_an_evaluation_are_chinese(tmp_path, capsys):
    runs = []
    for epochs in (1, 2):
        words = ["train", "data=iris", "model=linear", f"epochs={epochs}", "doctor=off", f"out={tmp_path}"]
        runs.append(run(capsys, *words).out.splitlines()[-1])
    for words in (["compare", *runs], ["evaluate", runs[0]], ["evaluate", runs[0], "data=iris", "part=test"]):
        printed = run(capsys, *words)
        assert english_sentences(printed.out + printed.err) == [], words
        assert re.search(r"[\u4e00-\u9fff]", printed.out)


@pytest.mark.slow
def test_an_ensemble_is_chinese(tmp_path, capsys):
    (tmp_path / "rows.csv").write_text("a,b,y\n" + "".join(f"{n % 7},{n % 11},{n % 3}\n" for n in range(150)))
    words = [f"data={tmp_path / 'rows.csv'}", "target=y", "budget=8s", "doctor=off", f"out={tmp_path / 'runs'}"]
    printed = run(capsys, "train", *words)
    assert english_sentences(printed.out + printed.err) == []
    assert "集成了" in printed.err


BAD_TABLES = {
    "no target": ("a,b\n1,2\n3,4\n5,6\n", ["target=c"]),
    "one value": ("a,y\n1,2\n3,2\n5,2\n", ["target=y"]),
    "no rows": ("a,y\n", ["target=y"]),
    "a wrong width": ("a,y\n1,2\n3\n5,6\n7,8\n", ["target=y"]),
    "an open quote": ('a,y\n1,"2\n3,4\n', ["target=y"]),
    "a text among numbers": ("a,y\n1,2\nx,3\n5,6\n", ["target=y", "kinds=a:number"]),
    "an unknown kind": ("a,y\n1,2\n2,3\n5,6\n", ["target=y", "kinds=a:color"]),
    "zero bytes": ("a,y\n1,2\n\0,3\n", ["target=y"]),
    "no format of dates": ("a,y\n1,2\n2,3\n", ["target=y", "kinds=a:date:x"]),
    "too many folds": ("a,y\n1,2\n3,4\n5,6\n", ["target=y", "folds=50"]),
    "a wrong part": ("a,y\n1,2\n3,4\n5,6\n", ["target=y", "test=2.5"]),
}


@pytest.mark.parametrize("case", BAD_TABLES)
def test_an_error_about_a_table_is_chinese(case, tmp_path, capsys):
    content, settings = BAD_TABLES[case]
    (tmp_path / "rows.csv").write_text(content, encoding="utf-8")
    assert main(["train", f"data={tmp_path / 'rows.csv'}", *settings, f"out={tmp_path / 'runs'}", "lang=zh"]) in (2, 3)
    problem, remedy = capsys.readouterr().err.splitlines()[-2:]
    assert english_sentences(f"{problem}\n{remedy}") == []
    assert all(re.search(r"[\u4e00-\u9fff]", line) for line in (problem, remedy))


def test_an_error_is_chinese_and_its_code_is_the_same(capsys):
    assert main(["trian", "--lang", "zh"]) == 2
    names = ", ".join(list_commands())
    assert capsys.readouterr().err == f"yisheng: 未知命令 'trian'\n  你是指 train 吗？可用的有：{names}\n"


DIVERGING = ["model=mlp", "optimizer=sgd", "lr=1e30", "epochs=2", "doctor=off"]
ERRORS = {
    "1: no space": (1, ["train", "data=iris", "epochs=1", "out=/proc/runs"]),
    "2: a value": (2, ["train", "data=iris", "epochs=many"]),
    "2: a name": (2, ["train", "data=iris", "model=mpl"]),
    "2: a config": (2, ["train", "config=missing.toml"]),
    "3: a missing file": (3, ["train", "data=missing.csv"]),
    "3: no run folder": (3, ["diagnose", "missing"]),
    "4: numbers that are not finite": (4, ["train", "data=iris", *DIVERGING]),
    "5: a missing package": (5, ["train", "data=iris", "model=lightgbm"]),
    "6: findings": (6, ["train", "data=iris", "model=mlp", "lr=1e-7", "epochs=40", "fail_on=warning"]),
}
"""Name of a case -> exit code and command."""


@pytest.mark.parametrize("case", ERRORS)
def test_errors_of_each_exit_code_are_chinese(case, tmp_path, capsys, monkeypatch):
    if case.startswith("1") and sys.platform != "linux":
        pytest.skip("a folder without space")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    code, words = ERRORS[case]
    assert main([*words, "--quiet", "lang=zh"]) == code
    text = capsys.readouterr().err
    problem, remedy = text.removeprefix("yisheng: ").splitlines()[-2:]
    assert english_sentences(text) == []
    assert re.search(r"[\u4e00-\u9fff]", problem)
    assert re.search(r"[\u4e00-\u9fff]", remedy)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a signal of POSIX")
def test_a_stopped_training_is_chinese(tmp_path):
    words = ["train", "data=digits", "epochs=5000", "lang=zh", "out=runs"]
    command = [sys.executable, "-m", "yisheng", *words]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    with subprocess.Popen(command, cwd=tmp_path, **pipes) as child:
        assert child.stderr is not None
        printed = [child.stderr.readline() for _ in range(6)]
        child.send_signal(signal.SIGINT)
        printed += child.stderr.readlines()
        assert child.wait(60) == 130
    assert english_sentences("".join(printed)) == []
    assert "检查点" in printed[-2]


def test_the_model_card_is_chinese_after_its_front_matter(tmp_path, capsys):
    run(capsys, "train", "data=iris", "model=linear", "epochs=1", f"out={tmp_path}", "doctor=off", "--quiet")
    (card,) = tmp_path.glob("*/README.md")
    _, front, text = card.read_text(encoding="utf-8").split("---\n", 2)
    assert "library_name: yisheng" in front
    assert english_sentences(text) == []
    assert "## 使用方法" in text


def test_a_diagnosis_is_chinese(tmp_path, capsys):
    run(capsys, "train", "data=iris", "model=mlp", "lr=1e-7", "epochs=40", f"out={tmp_path}", "--quiet")
    (folder,) = tmp_path.iterdir()
    text = run(capsys, "diagnose", str(folder)).out
    assert english_sentences(text) == []
    assert "学习率" in text


@pytest.mark.parametrize("words", [("lang=zh", "explain"), ("explain", "--lang=zh"), ("explain", "--lang", "zh")])
def test_the_option_may_be_anywhere(words, capsys):
    assert main(list(words)) == 0
    assert "概念" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["env", "lang=fr"], "lang must be zh, en or auto, got 'fr'"),
        (["env", "--lang"], "lang must be zh, en or auto, got ''"),
        (["env", "lang=zh", "lang=en"], "lang is given twice: 'zh' and 'en'"),
    ],
)
def test_a_wrong_language_is_an_error(words, problem, capsys):
    assert main(words) == 2
    assert problem in capsys.readouterr().err


def test_a_wrong_variable_is_an_error(capsys, monkeypatch):
    monkeypatch.setenv("YISHENG_LANG", "fr")
    assert main(["env"]) == 2
    assert "YISHENG_LANG must be zh, en or auto, got 'fr'" in capsys.readouterr().err
    assert main(["--version", "lang=en"]) == 0


def test_the_locale_decides_if_the_output_can_show_it(capsys, monkeypatch):
    monkeypatch.delenv("YISHENG_LANG")
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert main(["--help"]) == 0
    assert "命令：" in capsys.readouterr().out
    for encoding, word in (("ascii", b"commands:"), ("gb18030", "命令：".encode("gb18030"))):
        buffer = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding=encoding))
        assert main(["--help"]) == 0
        assert word in buffer.getvalue()


def test_the_environment_is_as_before(capsys, monkeypatch):
    import os

    monkeypatch.setenv("YISHENG_LANG", "en")
    assert main(["--version", "lang=zh"]) == 0
    assert os.environ["YISHENG_LANG"] == "en"
    monkeypatch.delenv("YISHENG_LANG")
    assert main(["--version", "lang=zh"]) == 0
    assert "YISHENG_LANG" not in os.environ
