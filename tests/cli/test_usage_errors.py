"""Wrong words on the command line: each has its cause, its remedy and its exit code."""

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
    ("train epochs=-1", 2, "epochs must be .*greater than or equal to 0"),
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
    (f"train data=iris out={'a' * 300}", 2, "File name too long"),
    ("train data=iris out=/proc/nowhere", 1, "/proc"),
    ("config nonsense=1", 2, "unknown key 'nonsense'"),
    ("config model.depth=3", 2, "depth"),
    ("config extra", 2, "keys and values only"),
    ("env please", 2, "no inputs"),
    ("env all=1", 2, "unknown key 'all'"),
    ("models lenett", 2, "did you mean lenet"),
    ("models a b", 2, "at most one name"),
    ("models lenet depth=3", 2, "unknown key 'depth'"),
    ("data", 2, "got none"),
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
    ("data import nowhere.zip", 3, "nowhere.zip is not a file"),
    ("data import .", 3, "is not a file"),
    ("data import precious.txt", 3, "not a file of a known set"),
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
    (f"predict {'a' * 300} a.png", 2, "File name too long"),
    ("predict precious.txt a.png", 3, "precious.txt"),
    ("evaluate", 2, "one run folder"),
    ("evaluate nowhere", 3, "not a run folder"),
    ("evaluate precious.txt", 3, "not a run folder"),
    (f"evaluate {'a' * 300}", 2, "File name too long"),
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
def test_wrong_words_are_refused(words, code, cause, assert_error):
    assert_error(words.split(" "), code, cause)


def test_words_that_no_shell_passes_are_refused(assert_error):
    assert_error(["train", "data=iris", "out=a\0b"], 2, "NUL")
    assert_error(["predict", "\0"], 2, "NUL")
    assert_error(["train", "x" * 1_000], 2, "keys and values only")
    assert_error(["train", "lr=" + "9" * 5_000], 2, "lr must be")
    assert_error(["train", "epochs=" + "9" * 5_000], 2, "epochs must be")
    assert_error(["train", "x" * 1_000_000 + "=1"], 2, "unknown key")
    assert_error(["train", "lr=0.1\n0.2"], 2, "lr must be")
    assert_error(["\n"], 2, "unknown command")
    assert_error(["evaluate", "one\ntwo"], 3, "not a run folder")
    assert_error(["evaluate", "\udcff"], 2, r"must be a path in UTF-8, got .*\\xff\n.*rename")


def test_no_words_print_the_overview(capsys):
    assert main([]) == 2
    assert "usage: yisheng COMMAND" in capsys.readouterr().out


def test_an_unforeseen_exception_is_two_lines_too(assert_error, monkeypatch):
    import yisheng.experiments.environment

    def raise_error():
        raise RuntimeError("an odd message\nin two lines")

    monkeypatch.setattr(yisheng.experiments.environment, "collect_facts", raise_error)
    assert_error(["env"], 1, "RuntimeError: an odd message in two lines\n.*YISHENG_DEBUG=1")
    monkeypatch.setenv("YISHENG_DEBUG", "1")
    with pytest.raises(RuntimeError, match="an odd message"):
        main(["env"])


PROCESSES = [
    (["train", "epoch=3"], 2, b"did you mean epochs"),
    (["evaluate", "nowhere"], 3, b"not a run folder"),
    (["train", "config=."], 2, b"cannot be read|is a folder"),
    (["data", "bundle", "mnits", "out=a.zip"], 2, b"did you mean mnist"),
    ([b"evaluate", b"\xff\xfe"], 2, rb"must be a path in UTF-8, got .*\\xff\\xfe\n.*rename"),
]


@pytest.mark.parametrize(("words", "code", "cause"), PROCESSES)
def test_errors_in_a_separate_process(words, code, cause, workdir):
    process = subprocess.run([sys.executable, "-m", "yisheng", *words], capture_output=True)
    assert process.returncode == code, process.stderr
    assert re.search(cause, process.stderr)
    assert len(process.stderr.splitlines()) == 2
    assert b"Traceback" not in process.stderr
    assert process.stdout == b""
    assert [path.name for path in workdir.iterdir()] == ["precious.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_for_standard_output_is_reported():
    with Path("/dev/full").open("wb") as full:
        process = subprocess.run([sys.executable, "-m", "yisheng", "models"], stdout=full, stderr=subprocess.PIPE)
    assert process.returncode == 1
    assert b"No space left" in process.stderr
    assert b"Traceback" not in process.stderr
