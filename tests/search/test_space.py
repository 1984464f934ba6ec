"""A search space reads values as a config does, and reports errors before anything is trained."""

import math
import string
import tomllib

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from yisheng.core.errors import DataError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.core.settings import merge_settings
from yisheng.experiments.search.plan import plan_search, read_plan, write_plan
from yisheng.search.axes import Axis, Range, parse_axis
from yisheng.search.build_space import build_space


def from_command_line(**settings):
    return [(key, value, "command line") for key, value in settings.items()]


def build(**settings):
    return build_space(from_command_line(**settings))


def test_alternatives_ranges_and_lists():
    space = build(
        model="mlp", lr="0.01,1e-1", hidden="[64,32],[128]", weight_decay="log(1e-6,1e-2)", batch="int(8,64)", epochs=7
    )
    assert [(axis.name, axis.key, axis.kind) for axis in space.axes] == [
        ("lr", "optimizer.lr", "choice"),
        ("hidden", "model.hidden", "choice"),
        ("weight_decay", "optimizer.weight_decay", "log"),
        ("batch", "batch", "int"),
    ]
    assert space.axes[0].values == (0.01, 0.1)
    assert space.axes[1].values == ([64, 32], [128])
    config = space.config({"lr": 0.1, "hidden": [64, 32], "weight_decay": 0.001, "batch": 16})
    expected = merge_settings(
        from_command_line(model="mlp", lr="0.1", hidden="64,32", weight_decay="0.001", batch="16", epochs="7")
    ).config
    assert config == expected
    assert space.config({"lr": 0.1, "hidden": [64, 32], "weight_decay": 0.001, "batch": 16}, epochs=3).epochs == 3


def test_numbers_are_alternatives_in_text_and_in_python():
    assert build(hidden="64,256").axes[0].values == ([64], [256])
    assert build(hidden=[64, [64, 32]]).axes[0].values == ([64], [64, 32])
    assert build(lr=Range("log", 1e-4, 1)).axes == build(lr="log(1e-4,1)").axes
    assert build(lr=[0.1, "0.2"]).axes[0].values == (0.1, 0.2)
    assert build(learning_rate="0.1,0.2").axes[0].name == "lr"


def test_components_and_their_options_can_be_axes():
    space = build(optimizer="sgd,adam", lr="0.1,0.2", model="linear,mlp", augment="flip,crop", data="digits")
    assert [axis.values for axis in space.axes] == [
        ("sgd", "adam"),
        (0.1, 0.2),
        ("linear", "mlp"),
        (["flip"], ["crop"]),
    ]
    config = space.config({"optimizer": "adam", "lr": 0.2, "model": "linear", "augment": ["crop"]})
    assert (config.optimizer.name, config.model.name, config.augment[0].name) == ("adam", "linear", "crop")
    assert build(**{"model.dropout": "uniform(0,0.5)"}).axes[0].key == "model.dropout"
    assert build(clip_norm="none,1.0").axes[0].values == ("none", 1.0)
    assert build(clip_norm="none,1.0").config({"clip_norm": "none"}).clip_norm is None


def test_numbers_and_words_of_the_data_can_be_axes():
    space = build(data="polynomial", degree="1,3", noise="uniform(0,1)", **{"data.seed": "0,1"}, n="100")
    assert [(axis.name, axis.key, axis.kind) for axis in space.axes] == [
        ("degree", "data.degree", "choice"),
        ("noise", "data.noise", "uniform"),
        ("data.seed", "data.seed", "choice"),
    ]
    assert space.data_axes == space.axes
    config = space.config({"degree": 3, "noise": 0.5, "data.seed": 1})
    assert dict(config.data.options) == {"degree": 3, "noise": 0.5, "seed": 1, "n": 100}
    assert build(data="polynomial", degree=[1, 3]).axes == build(data="polynomial", degree="1,3").axes


def test_the_seed_of_the_config_is_not_that_of_the_data():
    with pytest.raises(UsageError, match="seeds=3"):
        build(data="polynomial", seed="0,1", lr="0.1,0.2")


def test_names_and_notes_of_a_search_keep_their_commas():
    space = build(name="first, second", notes="lr 0.1, 0.2", lr="0.1,0.2")
    assert [axis.name for axis in space.axes] == ["lr"]
    assert (space.config({"lr": 0.1}).name, space.config({"lr": 0.1}).notes) == ("first, second", "lr 0.1, 0.2")


def test_options_of_the_data_keep_their_commas(tmp_path):
    table = tmp_path / "a.csv"
    table.write_text("x,z,y\n1,2,3\n")
    space = build(data=str(table), target="y", drop="x,z", lr="0.1,0.2")
    assert [axis.name for axis in space.axes] == ["lr"]
    config = space.config({"lr": 0.1})
    assert config == merge_settings(from_command_line(data=str(table), target="y", drop="x,z", lr="0.1")).config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lr": "log(0,1)"}, "above zero"),
        ({"lr": "log(-1,1)"}, "above zero"),
        ({"hidden": "logint(0,8)"}, "above zero"),
        ({"lr": "log(1,1e-4)"}, "empty range"),
        ({"lr": "uniform(0.1,0.1)"}, "empty range"),
        ({"lr": "int(1.5,3)"}, "integers"),
        ({"lr": "log(1)"}, "two numbers"),
        ({"lr": "log(1,2,3)"}, "two numbers"),
        ({"lr": "log(a,b)"}, "two numbers"),
        ({"lr": "log(nan,1)"}, "two finite numbers"),
        ({"lr": "uniform(0,inf)"}, "two finite numbers"),
        ({"lr": "lgo(1e-4,1)"}, "did you mean log"),
        ({"lr": "log(1e-4,1),0.5"}, "one of several alternatives"),
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
def test_wrong_settings_are_refused(settings, message):
    with pytest.raises(UsageError) as caught:
        build(**settings)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"search": "grid", "n": 5}, "no meaning"),
        ({"search": "gird"}, "did you mean grid"),
        ({"n": 0}, "n must be"),
        ({"n": 10**6}, "n must be"),
        ({"seeds": 0}, "seeds must be"),
        ({"seeds": True}, "seeds must be"),
        ({"processes": 0}, "processes must be"),
        ({"executor": "fast"}, "executor must be"),
        ({"executor": "stacked", "processes": 2}, "contradict"),
        ({"search": "halving", "options": {"eta": "1"}}, "eta"),
        ({"search": "halving", "options": {"etta": "3"}}, "did you mean eta"),
        ({"search": "halving", "options": {"epochs": "3"}}, "no option"),
    ],
)
def test_wrong_search_options_are_refused(extra, message):
    with pytest.raises(UsageError) as caught:
        plan_search(from_command_line(lr="0.1,0.2"), **extra)
    assert message in str(caught.value)


def test_grid_refuses_ranges_and_halving_refuses_epochs():
    with pytest.raises(UsageError, match="is a range"):
        plan_search(from_command_line(lr="log(1e-4,1)"), search="grid")
    with pytest.raises(UsageError, match="divides the epochs"):
        plan_search(from_command_line(lr="0.1,0.2", epochs="5,10"), search="halving")


@pytest.mark.parametrize("digits", [6, 7])
def test_too_large_grid_is_refused(digits):
    keys = ["lr", "weight_decay", "clip_norm", "clip_value", "batch", "epochs", "accumulate"]
    values = {
        key: ",".join(f"{n}" if key in keys[4:] else f"0.1{n:02d}" for n in range(1, 11)) for key in keys[:digits]
    }
    assert build_space(from_command_line(**values)).size == 10**digits
    with pytest.raises(UsageError, match="more than 100,000"):
        plan_search(from_command_line(**values))


def test_huge_space_can_be_sampled():
    keys = ("lr", "weight_decay", "clip_norm", "clip_value")
    values = {key: ",".join(f"0.{n:04d}" for n in range(1, 101)) for key in keys}
    with pytest.raises(UsageError, match="100,000,000 settings"):
        plan_search(from_command_line(**values))
    assert len(next(plan_search(from_command_line(**values), n=5).rounds(1))) == 5


def test_search_auto_chooses_a_sampler():
    assert plan_search(from_command_line(lr="0.1,0.2")).sampler == "grid"
    assert plan_search(from_command_line(lr="0.1,0.2")).n is None
    plan = plan_search(from_command_line(lr="log(0.1,1)"))
    assert (plan.sampler, plan.n) == ("random", 40)
    assert plan_search(from_command_line(lr="0.1,0.2,0.3"), n=2).sampler == "random"


def test_search_plan_is_written_and_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("x,y\n1,3\n")
    settings = [("model", "mlp", "file"), ("model.dropout", 0.1, "file"), ("augment", ["flip"], "file")]
    settings += from_command_line(
        data="a.csv", target="y", hidden="[64,32],[8]", weight_decay="log(1e-6,1e-2)", clip_norm="none,1", folds="3"
    )
    settings += from_command_line(batch="int(8,64)", schedule="constant")
    plan = plan_search(settings, n=7, seeds=2, search="coarse", options={"rounds": 3}, executor="serial", processes=2)
    write_plan(RunFolder(tmp_path), plan)
    monkeypatch.chdir("/")
    restored = read_plan(RunFolder(tmp_path))
    setting = {"hidden": [8], "weight_decay": 0.001, "clip_norm": "none", "batch": 9}
    assert restored.space.axes == plan.space.axes
    assert restored.space.config(setting) == plan.space.config(setting)
    assert restored.space.config(setting).data.options["path"] == str(tmp_path / "a.csv")
    assert (restored.sampler, restored.n, restored.seeds, restored.executor, restored.processes) == (
        "coarse",
        7,
        2,
        "serial",
        2,
    )
    assert [t.setting for t in next(restored.rounds(5))] == [t.setting for t in next(plan.rounds(5))]


@pytest.mark.parametrize("damage", ["lr", "axes", "search", "toml", "value"])
def test_damaged_search_plan_is_an_error(tmp_path, damage):
    write_plan(RunFolder(tmp_path), plan_search(from_command_line(lr="0.1,0.2")))
    path = tmp_path / "search.toml"
    content = tomllib.loads(path.read_text())
    if damage == "lr":
        content["axes"][0]["name"] = "lrr"
    elif damage == "value":
        content["axes"][0]["values"] = ["x", "y"]
    elif damage != "toml":
        del content[damage]
    path.write_text("[" if damage == "toml" else tomli_w.dumps(content))
    with pytest.raises(DataError, match="damaged"):
        read_plan(RunFolder(tmp_path))


@given(st.text(alphabet=string.digits + string.ascii_letters + "[](),. -e", max_size=40))
def test_any_text_is_parsed_or_refused(text):
    try:
        alternatives = parse_axis("lr", text)
    except UsageError:
        return
    assert isinstance(alternatives, Range) or (isinstance(alternatives, tuple) and alternatives)


@given(st.lists(st.lists(st.integers(1, 999), min_size=1, max_size=4), min_size=1, max_size=5))
def test_lists_in_brackets_are_alternatives(lists):
    text = ",".join(f"[{','.join(map(str, values))}]" for values in lists)
    assert [[int(number) for number in alternative.split(",")] for alternative in parse_axis("hidden", text)] == lists


@given(
    st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.floats(0, 1, exclude_max=True), st.sampled_from(["log", "uniform"])
)
def test_drawn_number_is_in_its_range(a, b, u, kind):
    low, high = min(a, b), max(a, b)
    if low < high:
        axis = Axis("lr", "optimizer.lr", kind, low=low, high=high)
        assert low <= axis.value_at(u) <= high
        assert math.isclose(axis.value_at_position(axis.position_of(axis.value_at(u))), axis.value_at(u), rel_tol=1e-6)


@given(st.integers(1, 50), st.integers(1, 50), st.floats(0, 1, exclude_max=True), st.sampled_from(["int", "logint"]))
def test_drawn_integer_is_an_integer(a, extra, u, kind):
    axis = Axis("batch", "batch", kind, low=a, high=a + extra)
    assert isinstance(axis.value_at(u), int)
    assert a <= axis.value_at(u) <= a + extra
    assert axis.count == extra + 1
    assert axis.value_at_position(axis.position_of(axis.value_at(u))) == axis.value_at(u)
