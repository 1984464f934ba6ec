"""A search space is read as the config reads, and what is wrong with it is said before anything is trained."""

import math
import string
import tomllib

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.config import resolve
from yisheng.core.errors import DataError, UsageError
from yisheng.experiments.search.settings import read, study, write
from yisheng.search import space as spaces
from yisheng.search.axes import Axis, Range, parse


def words(**settings):
    return [(key, value, "command line") for key, value in settings.items()]


def space(**settings):
    return spaces.space(words(**settings))


def test_alternatives_ranges_and_lists():
    found = space(model="mlp", lr="0.01,1e-1", hidden="[64,32],[128]", wd="log(1e-6,1e-2)", batch="int(8,64)", epochs=7)
    assert [(axis.name, axis.key, axis.kind) for axis in found.axes] == [
        ("lr", "optimizer.lr", "choice"),
        ("hidden", "model.hidden", "choice"),
        ("wd", "optimizer.wd", "log"),
        ("batch", "batch", "int"),
    ]
    assert found.axes[0].values == (0.01, 0.1)
    assert found.axes[1].values == ([64, 32], [128])
    config = found.config({"lr": 0.1, "hidden": [64, 32], "wd": 0.001, "batch": 16})
    wanted = resolve(words(model="mlp", lr="0.1", hidden="64,32", wd="0.001", batch="16", epochs="7")).config
    assert config == wanted
    assert found.config({"lr": 0.1, "hidden": [64, 32], "wd": 0.001, "batch": 16}, epochs=3).epochs == 3


def test_two_numbers_are_two_networks_and_python_says_the_same():
    assert space(hidden="64,256").axes[0].values == ([64], [256])
    assert space(hidden=[64, [64, 32]]).axes[0].values == ([64], [64, 32])
    assert space(lr=Range("log", 1e-4, 1)).axes == space(lr="log(1e-4,1)").axes
    assert space(lr=[0.1, "0.2"]).axes[0].values == (0.1, 0.2)
    assert space(learning_rate="0.1,0.2").axes[0].name == "lr"


def test_choices_can_be_axes_and_their_options_too():
    found = space(optimizer="sgd,adam", lr="0.1,0.2", model="linear,mlp", augment="flip,crop", data="digits")
    assert [axis.values for axis in found.axes] == [
        ("sgd", "adam"),
        (0.1, 0.2),
        ("linear", "mlp"),
        (["flip"], ["crop"]),
    ]
    config = found.config({"optimizer": "adam", "lr": 0.2, "model": "linear", "augment": ["crop"]})
    assert (config.optimizer.name, config.model.name, config.augment[0].name) == ("adam", "linear", "crop")
    assert space(**{"model.dropout": "uniform(0,0.5)"}).axes[0].key == "model.dropout"
    assert space(clip_norm="none,1.0").axes[0].values == ("none", 1.0)
    assert space(clip_norm="none,1.0").config({"clip_norm": "none"}).clip_norm is None


def test_options_of_the_data_keep_their_commas(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("x,z,y\n1,2,3\n")
    found = space(data=str(table), target="y", drop="x,z", lr="0.1,0.2")
    assert [axis.name for axis in found.axes] == ["lr"]
    config = found.config({"lr": 0.1})
    assert config == resolve(words(data=str(table), target="y", drop="x,z", lr="0.1")).config


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"lr": "log(0,1)"}, "above zero"),
        ({"lr": "log(-1,1)"}, "above zero"),
        ({"hidden": "logint(0,8)"}, "above zero"),
        ({"lr": "log(1,1e-4)"}, "empty range"),
        ({"lr": "uniform(0.1,0.1)"}, "empty range"),
        ({"lr": "int(1.5,3)"}, "whole numbers"),
        ({"lr": "log(1)"}, "two numbers"),
        ({"lr": "log(1,2,3)"}, "two numbers"),
        ({"lr": "log(a,b)"}, "two numbers"),
        ({"lr": "log(nan,1)"}, "two finite numbers"),
        ({"lr": "uniform(0,inf)"}, "two finite numbers"),
        ({"lr": "lgo(1e-4,1)"}, "did you mean log"),
        ({"lr": "log(1e-4,1),0.5"}, "no alternative among others"),
        ({"lr": "0.1,0.2", "hiden": "8"}, "unknown key 'hiden'"),
        ({"lr": "0.1,0.2", "hiden": "8,16"}, "did you mean"),
        ({"lr": "0.1,x"}, "lr must be"),
        ({"lr": "0.1,-1"}, "lr must be"),
        ({"lr": "uniform(-1,1)"}, "lr must be"),
        ({"lr": "0.1,"}, "empty alternative"),
        ({"lr": "0.1,1e-1"}, "twice"),
        ({"hidden": "[64,32],[64, 32]"}, "twice"),
        ({"hidden": "[64,32"}, "bracket"),
        ({"batch": "log(8,64)"}, "logint"),
        ({"batch": "uniform(8,64)"}, "int"),
        ({"optimizer": "log(1,2)"}, "is a name"),
        ({"optimizer": "sgd,adaam"}, "did you mean adam"),
        ({"optimizer": "sgd,adam", "momentum": "0.5,0.9"}, "momentum"),
        ({"lr": "0.1"}, "nothing varies"),
        ({}, "nothing varies"),
        ({"seed": "1,2", "lr": "0.1,0.2"}, "seeds=3"),
        ({"fold": "1/5,2/5", "lr": "0.1,0.2"}, "folds=5"),
        ({"folds": "int(3,5)", "lr": "0.1,0.2"}, "cannot be searched over"),
        ({"data": "wine,iris", "lr": "0.1,0.2"}, "one data set"),
        ({"test": "0.1,0.2", "lr": "0.1,0.2"}, "cannot be searched over"),
        ({"score": "rmse,mae", "lr": "0.1,0.2"}, "cannot be searched over"),
        ({"device": "cpu,cuda", "lr": "0.1,0.2"}, "cannot be searched over"),
        ({"lr": "0.1,0.2", "learning_rate": "0.1,0.3"}, "twice"),
        ({"lr": [], "batch": "8"}, "no alternatives"),
        ({"lr": list(range(1, 2000))}, "alternatives"),
        ({"model": [{"name": "mlp"}, {"name": "linear"}]}, "names"),
    ],
)
def test_what_is_wrong_is_said(settings, said):
    with pytest.raises(UsageError) as caught:
        space(**settings)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"search": "grid", "n": 5}, "no meaning"),
        ({"search": "gird"}, "did you mean grid"),
        ({"n": 0}, "n must be"),
        ({"n": 10**6}, "n must be"),
        ({"seeds": 0}, "seeds must be"),
        ({"seeds": True}, "seeds must be"),
        ({"processes": 0}, "processes must be"),
        ({"how": "fast"}, "how must be"),
        ({"how": "stacked", "processes": 2}, "contradict"),
        ({"search": "halving", "options": {"eta": "1"}}, "eta"),
        ({"search": "halving", "options": {"etta": "3"}}, "did you mean eta"),
        ({"search": "halving", "options": {"epochs": "3"}}, "no option"),
    ],
)
def test_what_is_wrong_with_the_search_is_said(more, said):
    with pytest.raises(UsageError) as caught:
        study(words(lr="0.1,0.2"), **more)
    assert said in str(caught.value)


def test_a_grid_has_no_ranges_and_halving_no_epochs():
    with pytest.raises(UsageError, match="is a range"):
        study(words(lr="log(1e-4,1)"), search="grid")
    with pytest.raises(UsageError, match="divides the epochs"):
        study(words(lr="0.1,0.2", epochs="5,10"), search="halving")


@pytest.mark.parametrize("digits", [6, 7])
def test_too_large_a_grid_is_counted_and_never_listed(digits):
    keys = ["lr", "wd", "clip_norm", "clip_value", "batch", "epochs", "accumulate"]
    values = {
        key: ",".join(f"{n}" if key in keys[4:] else f"0.1{n:02d}" for n in range(1, 11)) for key in keys[:digits]
    }
    assert spaces.space(words(**values)).size == 10**digits
    with pytest.raises(UsageError, match="more than 100,000"):
        study(words(**values))


def test_a_space_that_no_memory_holds_is_refused_and_still_drawn_from():
    keys = ("lr", "wd", "clip_norm", "clip_value")
    values = {key: ",".join(f"0.{n:04d}" for n in range(1, 101)) for key in keys}
    with pytest.raises(UsageError, match="100,000,000 settings"):
        study(words(**values))
    assert len(next(study(words(**values), n=5).rounds(1))) == 5


def test_what_auto_means():
    assert study(words(lr="0.1,0.2")).search == "grid"
    assert study(words(lr="0.1,0.2")).n is None
    assert (study(words(lr="log(0.1,1)")).search, study(words(lr="log(0.1,1)")).n) == ("random", 40)
    assert study(words(lr="0.1,0.2,0.3"), n=2).search == "random"


def test_a_study_is_written_and_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("x,y\n1,3\n")
    settings = [("model", "mlp", "file"), ("model.dropout", 0.1, "file"), ("augment", ["flip"], "file")]
    settings += words(
        data="a.csv", target="y", hidden="[64,32],[8]", wd="log(1e-6,1e-2)", clip_norm="none,1", folds="3"
    )
    settings += words(batch="int(8,64)", schedule="constant")
    made = study(settings, n=7, seeds=2, search="coarse", options={"rounds": 3}, how="serial", processes=2)
    write(tmp_path, made)
    monkeypatch.chdir("/")
    again = read(tmp_path)
    setting = {"hidden": [8], "wd": 0.001, "clip_norm": "none", "batch": 9}
    assert again.space.axes == made.space.axes
    assert again.space.config(setting) == made.space.config(setting)
    assert again.space.config(setting).data.options["path"] == str(tmp_path / "a.csv")
    assert (again.search, again.n, again.seeds, again.how, again.processes) == ("coarse", 7, 2, "serial", 2)
    assert [t.setting for t in next(again.rounds(5))] == [t.setting for t in next(made.rounds(5))]


@pytest.mark.parametrize("damage", ["lr", "axes", "search", "toml", "value"])
def test_a_damaged_study_is_told_of(tmp_path, damage):
    write(tmp_path, study(words(lr="0.1,0.2")))
    path = tmp_path / "study.toml"
    about = tomllib.loads(path.read_text())
    if damage == "lr":
        about["axes"][0]["name"] = "lrr"
    elif damage == "value":
        about["axes"][0]["values"] = ["x", "y"]
    elif damage != "toml":
        del about[damage]
    path.write_text("[" if damage == "toml" else tomli_w.dumps(about))
    with pytest.raises(DataError, match="damaged"):
        read(tmp_path)


@given(st.text(alphabet=string.digits + string.ascii_letters + "[](),. -e", max_size=40))
def test_whatever_is_written_is_read_or_refused(text):
    try:
        found = parse("lr", text)
    except UsageError:
        return
    assert isinstance(found, Range) or (isinstance(found, tuple) and found)


@given(st.lists(st.lists(st.integers(1, 999), min_size=1, max_size=4), min_size=1, max_size=5))
def test_lists_in_brackets_are_alternatives(lists):
    text = ",".join(f"[{','.join(map(str, values))}]" for values in lists)
    assert [[int(word) for word in words.split(",")] for words in parse("hidden", text)] == lists


@given(
    st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.floats(0, 1, exclude_max=True), st.sampled_from(["log", "uniform"])
)
def test_a_draw_lies_in_its_range(a, b, u, kind):
    low, high = min(a, b), max(a, b)
    if low < high:
        axis = Axis("lr", "optimizer.lr", kind, low=low, high=high)
        assert low <= axis.at(u) <= high
        assert math.isclose(axis.raw(axis.place(axis.at(u))), axis.at(u), rel_tol=1e-6)


@given(st.integers(1, 50), st.integers(1, 50), st.floats(0, 1, exclude_max=True), st.sampled_from(["int", "logint"]))
def test_a_whole_draw_is_whole(a, more, u, kind):
    axis = Axis("batch", "batch", kind, low=a, high=a + more)
    assert isinstance(axis.at(u), int)
    assert a <= axis.at(u) <= a + more
    assert axis.count == more + 1
    assert axis.raw(axis.place(axis.at(u))) == axis.at(u)
