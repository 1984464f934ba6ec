"""Words, configs and environments that are wrong: each has its cause, its remedy and its exit code."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from yisheng.cli import main

WORDS = [
    ("trian", 2, "unknown command 'trian'"),
    ("TRAIN", 2, "did you mean train"),
    ("_text", 2, "unknown command"),
    ("../cli/train", 2, "unknown command"),
    ("train iris", 2, "keys and values only"),
    ("train epoch=3", 2, "did you mean epochs"),
    ("train epochs", 2, "keys and values only"),
    ("train --epochs", 2, "needs a value"),
    ("train --epochs --lr 3", 2, "needs a value"),
    ("train -e 3", 2, "unknown option '-e'"),
    ("train =3", 2, "keys and values only"),
    ("train --=3", 2, "unknown key ''|needs a value"),
    ("train lr=0.1 lr=0.2", 2, "given twice"),
    ("train lr=0.1 --lr 0.1", 2, "given twice"),
    ("train batch-size=8 batch_size=9", 2, "given twice"),
    ("train json=perhaps", 2, "true or false"),
    ("train epochs=0", 2, "epochs must be .*greater than or equal to 1"),
    ("train epochs=-1", 2, "epochs must be"),
    ("train epochs=2.5", 2, "epochs must be"),
    ("train epochs=three", 2, "got 'three'"),
    ("train epochs=", 2, "epochs must be"),
    ("train epochs=1e99", 2, "epochs must be"),
    ("train epochs=٣", 2, "epochs must be"),
    ("train batch=0", 2, "batch must be"),
    ("train accumulate=0", 2, "accumulate must be"),
    ("train seed=-1", 2, "seed must be"),
    ("train seed=99999999999999999999", 2, "seed must be"),
    ("train lr=fast", 2, "lr must be"),
    ("train lr=-1", 2, "lr must be"),
    ("train lr=nan", 2, "lr must be"),
    ("train lr=inf", 2, "lr must be"),
    ("train optimizer=sgdd", 2, "did you mean sgd"),
    ("train optimizer=sgd optimizer.lrr=1", 2, "no option 'lrr'"),
    ("train nonsense.lr=1", 2, "is not a choice of a config"),
    ("train data=mnits", 2, "did you mean mnist"),
    ("train data=titanic.csv", 3, "does not exist"),
    ("train data=../../nowhere/passwd", 3, "does not exist"),
    ("train data=", 2, "unknown data set"),
    ("train data=in-memory", 3, "in memory"),
    ("train data=digits degree=3", 2, "degree"),
    ("train data=polynomial degree=99", 2, "degree must be"),
    ("train data=polynomial n=1", 2, "n must be"),
    ("train data=polynomial noise=nan", 2, "noise must be"),
    ("train data=mnist folder=nowhere", 3, "nowhere"),
    ("train data=mnist folder=precious.txt", 3, "precious.txt"),
    ("train model=lenett", 2, "did you mean lenet"),
    ("train data=iris model=lenet", 2, "needs .*image"),
    ("train model=mlp hidden=0", 2, "hidden must be"),
    ("train model=mlp hidden=1000000000000", 2, "hidden must be"),
    ("train model=mlp hidden=-3,4", 2, "hidden must be"),
    ("train model=mlp hidden=a,b", 2, "hidden must be"),
    ("train data=iris model=mlp hidden=1048576,1048576", 1, "not enough memory"),
    ("train model=mlp dropout=1", 2, "dropout must be"),
    ("train model=mlp dropout=-0.1", 2, "dropout must be"),
    ("train model=mlp activation=zap", 2, "activation must be"),
    ("train data=iris loss=mse", 2, "loss=mse needs"),
    ("train data=diabetes loss=cross-entropy", 2, "loss=cross-entropy needs"),
    ("train data=iris score=rmse", 2, "score=rmse does not fit"),
    ("train data=iris score=confusion-matrix", 2, "is a table"),
    ("train data=iris score=acuracy", 2, "did you mean accuracy"),
    ("train data=iris validation=1000", 2, "validation"),
    ("train data=iris validation=1.5", 2, "validation must be"),
    ("train data=iris validation=-1", 2, "validation must be"),
    ("train data=iris validation=nan", 2, "validation must be"),
    ("train data=iris validation=0.5 test=0.6", 2, "."),
    ("train data=iris test=150", 2, "."),
    ("train data=iris fold=6/5", 2, "no fold 6 of 5"),
    ("train data=iris fold=0/5", 2, "fold must be"),
    ("train data=iris fold=1/5000", 2, "."),
    ("train data=iris fold=1/99999999999999999999", 2, "."),
    ("train data=iris fold=a/b", 2, "fold must be"),
    ("train data=iris fold=1/5 validation=0.1", 2, "contradict"),
    ("train patience=-1", 2, "patience must be"),
    ("train clip_norm=0", 2, "clip_norm must be"),
    ("train clip_value=-1", 2, "clip_value must be"),
    ("train log_every=0", 2, "log_every must be"),
    ("train checkpoint_every=-1", 2, "checkpoint_every must be"),
    ("train checkpoint_every=nan", 2, "checkpoint_every must be"),
    ("train decay_bias=maybe", 2, "decay_bias must be"),
    ("train device=cuda:99", 2, "cannot be used here"),
    ("train device=banana", 2, "cannot be used here"),
    ("train device=meta", 2, "cannot be used here"),
    ("train device=", 2, "cannot be used here"),
    ("train config=missing.toml", 2, "missing.toml"),
    ("train config=", 2, "."),
    ("train data=iris out=precious.txt", 1, "precious.txt"),
    ("train data=iris out=precious.txt/deeper", 1, "precious.txt"),
    (f"train data=iris out={'a' * 300}", 1, "File name too long"),
    ("train data=iris out=/proc/nowhere", 1, "/proc"),
    ("config nonsense=1", 2, "unknown key 'nonsense'"),
    ("config model.depth=3", 2, "depth"),
    ("config extra", 2, "keys and values only"),
    ("env please", 2, "no inputs"),
    ("env all=1", 2, "unknown key 'all'"),
    ("models lenett", 2, "did you mean lenet"),
    ("models a b", 2, "at most one name"),
    ("models lenet depth=3", 2, "unknown key 'depth'"),
    ("data", 2, "got nothing"),
    ("data shwo digits", 2, "did you mean show"),
    ("data list all", 2, "nothing after list"),
    ("data list sort=name", 2, "unknown key 'sort'"),
    ("data info", 2, "name one data set"),
    ("data info digits iris", 2, "name one data set"),
    ("data info digits degree=3", 2, "degree"),
    ("data info adult", 2, "yisheng data fetch adult"),
    ("data show digits n=0", 2, "n must be"),
    ("data show digits n=2000", 2, "1 to 1000"),
    ("data show digits n=many", 2, "n must be"),
    ("data show digits n=99999999999", 2, "n must be"),
    ("data show digits seed=x", 2, "seed must be"),
    ("data show digits seed=-1", 2, "seed must be"),
    ("data show digits out=no/such/folder/a.png", 1, "no/such/folder"),
    ("data show digits out=.", 1, "."),
    ("data show digits out=precious.txt/a.png", 1, "precious.txt"),
    ("data fetch", 2, "name of one set"),
    ("data fetch mnist titanic", 2, "name of one set"),
    ("data fetch mnits", 2, "did you mean mnist"),
    ("data fetch digits", 2, "built in"),
    ("data fetch cifar10 form=jpg", 2, "did you mean jpeg"),
    ("data fetch mnist to=here", 2, "unknown key 'to'"),
    ("data import", 2, "one file"),
    ("data import nowhere.zip", 3, "nowhere.zip is no file"),
    ("data import .", 3, "is no file"),
    ("data import precious.txt", 3, "no file of a known set"),
    ("data verify mnits", 2, "did you mean mnist"),
    ("data verify a b", 2, "at most one set"),
    ("data bundle mnist", 2, "out="),
    ("data bundle out=a.zip", 2, "one or more sets"),
    ("data bundle mnits out=a.zip", 2, "did you mean mnist"),
    ("data bundle titanic:kagle out=a.zip", 2, "did you mean kaggle"),
    ("predict", 2, "run folder"),
    ("predict nowhere", 3, "nowhere"),
    ("predict nowhere a.png", 3, "nowhere"),
    ("predict nowhere rows=1,2", 3, "nowhere"),
    ("predict nowhere a.png top=0", 2, "top must be"),
    (f"predict {'a' * 300} a.png", 3, "File name too long"),
    ("predict precious.txt a.png", 3, "precious.txt"),
    ("evaluate", 2, "one run folder"),
    ("evaluate nowhere", 3, "not a run folder"),
    ("evaluate precious.txt", 3, "not a run folder"),
    (f"evaluate {'a' * 300}", 3, "not a run folder"),
    ("evaluate nowhere folder=3", 2, "unknown key 'folder'"),
    ("report nowhere", 3, "not a run folder"),
    ("report a b", 2, "one run folder"),
    ("resume nowhere", 3, "not a run folder"),
    ("resume nowhere epochs=0", 2, "epochs must be"),
    ("resume nowhere epochs=x", 2, "epochs must be"),
    ("resume nowhere lr=1", 2, "unknown key 'lr'"),
    ("reproduce", 2, "one run folder"),
    ("reproduce nowhere", 3, "not a run folder"),
    ("reproduce nowhere epochs=1", 2, "unknown key 'epochs'"),
]


@pytest.mark.parametrize(("words", "code", "cause"), WORDS, ids=[words[:60] for words, *_ in WORDS])
def test_words(words, code, cause, refused):
    refused(words.split(" "), code, cause)


def test_words_that_no_shell_would_give(refused):
    refused(["train", "data=iris", "out=a\0b"], 2, "NUL")
    refused(["predict", "\0"], 2, "NUL")
    refused(["train", "x" * 1_000], 2, "keys and values only")
    refused(["train", "lr=" + "9" * 5_000], 2, "lr must be")
    refused(["train", "epochs=" + "9" * 5_000], 2, "epochs must be")
    refused(["train", "x" * 1_000_000 + "=1"], 2, "unknown key")
    refused(["train", "lr=0.1\n0.2"], 2, "lr must be")
    refused(["\n"], 2, "unknown command")
    refused(["evaluate", "one\ntwo"], 3, "not a run folder")
    refused(["evaluate", "\udcff"], 3, "not a run folder")


def test_no_words_at_all_tell_what_there_is(capsys):
    assert main([]) == 2
    assert "usage: yisheng COMMAND" in capsys.readouterr().out


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


@pytest.mark.parametrize("what", CONFIGS)
def test_config_files(what, refused, world):
    content, cause = CONFIGS[what]
    (world / "run.toml").write_bytes(content)
    refused(["train", "config=run.toml"], 3 if what == "a nul in a path" else 2, cause)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="no /dev/zero here")
def test_a_config_without_end(refused):
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + (1 << 30), before[1]))
    try:
        refused(["train", "config=/dev/zero"], 2, "larger than 1 MiB")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_config_with_a_byte_order_mark_is_read(world, capsys):
    (world / "run.toml").write_bytes(b"\xef\xbb\xbflr = 0.5\n")
    assert main(["config", "config=run.toml"]) == 0
    assert "optimizer.lr" in capsys.readouterr().out


def test_config_files_that_are_no_files(refused, world):
    (world / "folder.toml").mkdir()
    (world / "loop.toml").symlink_to("loop.toml")
    (world / "gone.toml").symlink_to("nowhere")
    refused(["train", "config=folder.toml"], 2, "folder.toml")
    refused(["train", "config=loop.toml"], 2, "loop.toml")
    refused(["train", "config=gone.toml"], 2, "gone.toml")
    refused(["train", "config=" + "a" * 300], 2, "File name too long")


PLUGINS = {
    "missing": ("nowhere_at_all", {}, 2, "nowhere_at_all"),
    "a path": ("../plugins", {}, 2, "plugins"),
    "dots": ("..", {}, 2, r"'\.\.'"),
    "words": ("not a package", {}, 2, "not a package"),
    "a module": ("bad_module", {"bad_module.py": ""}, 2, "bad_module"),
    "raises": ("bad_raises", {"bad_raises/__init__.py": "1 / 0"}, 2, "bad_raises"),
    "no Python": ("bad_syntax", {"bad_syntax/models/m.py": "def ("}, 2, "bad_syntax"),
    "model raises": (
        "bad_model",
        {"bad_model/models/mlp_x.py": "from yisheng import register\n1 / 0\n@register\ndef mlp_x(spec): ..."},
        2,
        "mlp_x",
    ),
    "a name twice": (
        "bad_name",
        {"bad_name/models/mlp.py": "from yisheng import register\n@register\ndef mlp(spec): ..."},
        1,
        "two things named mlp",
    ),
}


@pytest.mark.parametrize("what", PLUGINS)
def test_plugins(what, refused, tmp_path, monkeypatch):
    name, content, code, cause = PLUGINS[what]
    for path, text in content.items():
        (tmp_path / "plugins" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plugins" / path).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    monkeypatch.setenv("YISHENG_PLUGINS", name)
    words = ["train", "data=iris", "model=mlp-x" if what == "model raises" else "model=mlp"]
    refused(words, code, cause)


ENVIRONMENT = [
    ("YISHENG_HOME", "{world}/precious.txt", "data fetch mnist", 2, "is not a folder"),
    ("YISHENG_HOME", "{world}/precious.txt/deeper", "data fetch titanic", 1, "cannot be written"),
    ("YISHENG_HOME", "/proc/nowhere", "data fetch titanic", 1, "cannot be written"),
    ("YISHENG_HOME", "~nobody-of-that-name/x", "data fetch titanic", 2, "no such user"),
    ("YISHENG_HOME", "{world}/" + "a" * 300, "data fetch titanic", 1, "File name too long"),
    ("YISHENG_HOME", "{world}/precious.txt", "train data=mnist", 2, "is not a folder"),
    ("YISHENG_MIRROR", "nonsense", "data fetch titanic", 2, "no mirror"),
    ("YISHENG_MIRROR", "ftp://a/b", "data fetch titanic", 2, "no mirror"),
    ("YISHENG_MIRROR", "file://relative", "train data=mnist", 2, "no mirror"),
    ("YISHENG_MIRROR", "https://me:secret@host/x", "data fetch titanic", 2, "without a password"),
    ("YISHENG_MIRROR", "file:///nowhere/at/all", "data fetch titanic", 3, "does not exist"),
    ("YISHENG_MIRROR", "", "data fetch titanic", 3, "YISHENG_OFFLINE=1"),
    ("YISHENG_OFFLINE", "perhaps", "data fetch titanic", 2, "must be 1 or 0"),
]


@pytest.mark.parametrize(("name", "value", "words", "code", "cause"), ENVIRONMENT)
def test_environment_variables(name, value, words, code, cause, refused, world, monkeypatch):
    monkeypatch.setenv("YISHENG_MIRROR", "file:///nowhere")
    monkeypatch.setenv(name, value.format(world=world))
    refused(words.split(), code, cause)


def test_an_unforeseen_exception_is_two_lines_too(refused, monkeypatch):
    import yisheng.experiments.environment

    def broken():
        raise RuntimeError("something odd\nin two lines")

    monkeypatch.setattr(yisheng.experiments.environment, "facts", broken)
    refused(["env"], 1, "RuntimeError: something odd in two lines\n.*YISHENG_DEBUG=1")
    monkeypatch.setenv("YISHENG_DEBUG", "1")
    with pytest.raises(RuntimeError, match="something odd"):
        main(["env"])


PROCESSES = [
    (["train", "epoch=3"], 2, b"did you mean epochs"),
    (["evaluate", "nowhere"], 3, b"not a run folder"),
    (["train", "config=."], 2, b"cannot be read|is a folder"),
    (["data", "bundle", "titanic", "out=precious.txt/a.zip"], 2, b"does not exist"),
    ([b"evaluate", b"\xff\xfe"], 3, b"not a run folder"),
]


@pytest.mark.parametrize(("words", "code", "cause"), PROCESSES)
def test_in_a_process_of_its_own(words, code, cause, world):
    done = subprocess.run([sys.executable, "-m", "yisheng", *words], capture_output=True)
    assert done.returncode == code, done.stderr
    assert re.search(cause, done.stderr)
    assert len(done.stderr.splitlines()) == 2
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""
    assert [path.name for path in world.iterdir()] == ["precious.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_behind_standard_output_is_told():
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-m", "yisheng", "models"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"No space left" in done.stderr
    assert b"Traceback" not in done.stderr
