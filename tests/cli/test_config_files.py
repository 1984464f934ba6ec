"""Config files that are wrong: each has its cause, its remedy and its exit code."""

import os
import tomllib
from pathlib import Path

import pytest

from yisheng.cli import main

CONFIGS = {
    "no TOML": (b"epochs = = 3", "not TOML"),
    "not in UTF-8": (b"data = '\xff\xfe'", "not TOML"),
    "UTF-16": ("data = 'iris'".encode("utf-16"), "not TOML"),
    "binary": (bytes(range(256)), "not TOML"),
    "JSON": (b'{"data": "iris"}', "not TOML"),
    "YAML": (b"data: iris\nepochs: 3\n", "not TOML"),
    "a key twice": (b"lr = 1\nlr = 2\n", "not TOML"),
    "cut off": (b"[model]\nname = 'ml", "not TOML"),
    "deep nesting": (b"lr = " + b"[" * 5_000 + b"]" * 5_000, "not TOML|lr must be"),
    "a long number": (b"epochs = " + b"9" * 10_000, "not TOML|epochs must be"),
    "unknown key": (b"epoch = 3", "did you mean epochs"),
    "unknown table": (b"[modle]\nname = 'mlp'", "did you mean model"),
    "table of a plain key": (b"[epochs]\nname = 3", "not a part of a config"),
    "table without sense": (b"[epochs]\nvalue = 3", "not a part of a config"),
    "tables in a list": (b"[[model]]\nname = 'mlp'", "model must be a name"),
    "a choice as number": (b"data = 3", "data must be a name"),
    "a choice as list": (b"data = ['iris']", "data must be a name"),
    "a name as number": (b"[model]\nname = 3", "model must be a name"),
    "an option of a table": (b"[model]\nname = 'mlp'\n[model.hidden]\na = 1", "hidden must be"),
    "an option that is not there": (b"[model]\nname = 'mlp'\nwidth = 3", "no option 'width'"),
    "words for a number": (b"epochs = 'three'", "epochs must be"),
    "a list for a number": (b"epochs = [1]", "epochs must be"),
    "a fraction for a count": (b"epochs = 1.5", "epochs must be"),
    "a date": (b"epochs = 1979-05-27", "epochs must be"),
    "infinite": (b"clip_norm = inf", "clip_norm must be"),
    "not a number": (b"[optimizer]\nname = 'sgd'\nlr = nan", "lr must be"),
    "a nul character": (b'data = "ir\\u0000is"', "unknown data set"),
    "a nul in a path": (b'[data]\nname = "mnist"\nfolder = "a\\u0000b"', "."),
    "mixed lists": (b"[model]\nname = 'mlp'\nhidden = [1, 'x', {a = 2}]", "hidden must be"),
    "too large": (b"# " + b"x" * (1 << 20), "larger than 1 MiB"),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_wrong_config_files_are_refused(name, assert_error, workdir):
    content, cause = CONFIGS[name]
    (workdir / "run.toml").write_bytes(content)
    assert_error(["train", "config=run.toml"], 2, cause)


WINDOWS_PATHS = [
    r"C:\Users\me\a.csv",
    r"C:\temp\new.csv",
    r"D:\data",
    r"C:\x",
    r"C:\U",
    r"\\server\share\a.csv",
    r"data\train.csv",
    r"..\fotos\neu",
    r"C:/data\folds\rest.csv",
]


@pytest.mark.parametrize("key", ["data", "weights", "data.path"])
@pytest.mark.parametrize("path", WINDOWS_PATHS)
def test_backslashes_between_double_quotes_are_refused_with_the_right_line(workdir, capsys, path, key):
    content = f'lr = 0.1\n{key} = "{path}"\n' if "." not in key else f'[data]\npath = "{path}"\n'
    (workdir / "run.toml").write_text(content)
    code = main(["config", "config=run.toml"])
    remedy = capsys.readouterr().err.splitlines()[-1]
    assert code == 2
    key = key.rpartition(".")[2] if "." in key and "not TOML" in remedy else key
    assert f"'{path}'" in remedy
    line = remedy.rpartition("single quotes: ")[2]
    assert tomllib.loads(line.replace("data.path", "path"))[key.rpartition(".")[2]] == path


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such file names")
def test_names_with_control_characters_are_read(workdir, capsys):
    (workdir / "a\tb.csv").write_text("x,y\n1,2\n" * 40)
    (workdir / "run.toml").write_text('data = "./a\\tb.csv"\n[optimizer]\nname = "sgd"\n')
    assert main(["config", "config=run.toml", "target=y"]) == 0, capsys.readouterr().err


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero here")
def test_an_endless_config_is_refused(assert_error):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), limits[1]))
    try:
        assert_error(["train", "config=/dev/zero"], 2, "larger than 1 MiB")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_a_config_with_a_byte_order_mark_is_read(workdir, capsys):
    (workdir / "run.toml").write_bytes(b"\xef\xbb\xbflr = 0.5\n")
    assert main(["config", "config=run.toml"]) == 0
    assert "optimizer.lr" in capsys.readouterr().out


def test_configs_that_are_not_files_are_refused(assert_error, workdir):
    (workdir / "folder.toml").mkdir()
    (workdir / "loop.toml").symlink_to("loop.toml")
    (workdir / "gone.toml").symlink_to("nowhere")
    assert_error(["train", "config=folder.toml"], 2, "folder.toml")
    assert_error(["train", "config=loop.toml"], 2, "loop.toml")
    assert_error(["train", "config=gone.toml"], 2, "gone.toml")
    assert_error(["train", "config=" + "a" * 300], 2, "File name too long")
