"""The help of every command: no line wider than the terminal, and every key that works."""

import re

import pytest

from yisheng.cli import list_commands, main
from yisheng.cli._terminal import wrap_table, wrap_text

SUBCOMMANDS = {
    "data": ("list", "info digits", "show digits", "fetch mnist", "import x", "verify", "bundle mnist"),
    "runs": ("", "rename a b", "delete a", "export a"),
}
INPUTS = {
    "tune": "lr=0.1,0.2",
    "predict": "run x",
    "compare": "run run",
    "look": "run",
    "explain": "adam",
    "models": "mlp",
}
OPEN = ("models", "data")
"""Their further keys are the options of the network or data set that is named."""
WITHOUT_INPUTS = ("config", "env", "train", "lr-find", "watch", "runs")


def help_of(command, capsys):
    assert main([command, "--help"]) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [50, 80, 200])
@pytest.mark.parametrize("command", list_commands())
def test_no_line_is_wider_than_the_terminal(command, width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    text = help_of(command, capsys)
    assert max(map(len, text.splitlines())) <= width
    assert re.search(rf"^usage: yisheng {command}\b", text, re.MULTILINE)
    assert main([]) == 2
    assert max(map(len, capsys.readouterr().out.splitlines())) <= width


@pytest.mark.parametrize("command", list_commands())
def test_every_key_is_in_the_help(command, capsys, monkeypatch):
    """The error about an unknown key lists the keys that work; each is in the help."""
    monkeypatch.setenv("COLUMNS", "120")
    text = help_of(command, capsys)
    for words in SUBCOMMANDS.get(command, ("" if command in WITHOUT_INPUTS else INPUTS.get(command, "run"),)):
        assert main([command, *words.split(), "no_such_key=1"]) == 2
        error = capsys.readouterr().err
        assert "no_such_key" in error
        listing = re.search(r"[Kk]nown: (.*)", error)
        assert listing, error
        keys = [key for key in listing[1].split(", ") if key not in ("json", "quiet", "help")]
        missing = [key for key in keys if not re.search(rf"(?<!\w){re.escape(key)}(?![\w-])", text)]
        assert not missing or command in OPEN, missing


@pytest.mark.parametrize("command", list_commands())
@pytest.mark.parametrize("flag", ["--quiet", "--json", "quiet=true"])
def test_every_command_takes_quiet_and_json(command, flag, capsys):
    for words in SUBCOMMANDS.get(command, (INPUTS.get(command, ""),)):
        main([command, *words.split(), "no_such_key=1", flag])
        error = capsys.readouterr().err
        assert "unknown key 'quiet'" not in error
        assert "unknown key 'json'" not in error


def test_text_is_wrapped():
    usage = "usage: yisheng go [fast=true] [far=true]\n       yisheng go home     (when it is late)"
    text = f"{usage}\n\nGo where it is\nnice."
    assert wrap_text(text, 30).splitlines() == [
        "usage: yisheng go [fast=true]",
        "                  [far=true]",
        "       yisheng go home",
        "                  (when it is",
        "                  late)",
        "",
        "Go where it is nice.",
    ]
    assert wrap_text(text, 200).splitlines()[0] == "usage: yisheng go [fast=true] [far=true]"
    assert wrap_text("  a=1    one two three four five six", 22).splitlines()[0] == "  a=1    one two three"


def test_tables_are_wrapped():
    rows = [["key", "default", "what"], ["lr", "0.1", "the learning rate " * 4]]
    table = wrap_table(rows, 60).splitlines()
    assert table[0].split() == ["key", "default", "what"]
    assert max(map(len, table)) <= 60
    assert table[3].startswith(" " * 14 + "learning")
    narrow = wrap_table(rows, 40).splitlines()
    assert narrow[0] == "key default"
    assert max(map(len, narrow)) <= 40
