import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from yisheng.core.config import Choice, Config
from yisheng.core.errors import DataError, UsageError
from yisheng.core.settings import merge_settings, read_settings
from yisheng.core.types import Spec

IMAGES = Spec("classification", (1, 8, 8), classes=tuple("0123456789"))
ROWS = Spec("regression", (3,))


def shell(*words):
    return merge_settings([(*word.split("=", 1), "command line") for word in words])


def test_an_option_finds_its_owner():
    config = shell("model=mlp", "hidden=64,32", "lr=0.5", "optimizer=sgd").config
    assert tuple(config.model.options["hidden"]) == (64, 32)
    assert config.optimizer.options == {"lr": 0.5}


def test_a_word_in_the_place_of_a_list_is_left_whole():
    one, two = (shell("loss=cross-entropy", f"class_weight={value}").config for value in ("balanced", "1,2,3"))
    assert one.loss.options == {"class_weight": "balanced"}
    assert two.loss.options == {"class_weight": (1, 2, 3)}


def test_options_of_an_automatic_choice_wait_for_the_data():
    config = shell("hidden=7").config
    assert tuple(config.resolve(ROWS, 100).model.options["hidden"]) == (7,)
    with pytest.raises(UsageError, match="model=lenet has no option 'hidden'"):
        config.resolve(IMAGES, 100)


def test_later_origins_win_and_are_told(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text('epochs = 3\nlr = 0.2\nseed = 4\n[model]\nname = "mlp"\nhidden = [5]\n')
    found = merge_settings([*read_settings(file), ("lr", "0.3", "command line")])
    assert found.config.epochs == 3
    assert found.config.optimizer.options["lr"] == 0.3
    assert found.origins == {
        "epochs": "file",
        "seed": "file",
        "model": "file",
        "model.hidden": "file",
        "optimizer.lr": "command line",
    }


def test_another_choice_drops_the_options_of_the_one_before(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text('[optimizer]\nname = "sgd"\nlr = 0.9\n')
    assert merge_settings([*read_settings(file), ("optimizer", "adam", "command line")]).config.optimizer.options == {}
    assert merge_settings([*read_settings(file), ("optimizer", "sgd", "command line")]).config.optimizer.options == {
        "lr": 0.9
    }


@pytest.mark.parametrize(
    ("word", "wanted"),
    [
        ("epoch=3", "did you mean epochs"),
        ("model=lenett", "did you mean lenet"),
        ("data=mnits", "did you mean mnist"),
        ("epochs=0", "epochs must be"),
        ("epochs=many", "epochs must be"),
        ("lr=-1", "lr must be"),
        ("lr=nan", "lr must be"),
        ("lr=inf", "lr must be"),
        ("seed=1.5", "seed must be"),
        ("validation=1.5", "validation must be"),
        ("validation=-0.1", "validation must be"),
        ("fold=0/5", "fold must be"),
        ("fold=2", "fold must be"),
        ("clip_norm=0", "clip_norm must be"),
        ("alpha=0.9", "alpha is not an option of augment=none, optimizer=auto"),
        ("model.depth=3", "no option 'depth'"),
        ("modle.hidden=3", "did you mean model"),
        ("batch=abc", "batch must be"),
    ],
)
def test_bad_words_are_refused_with_what_is_wanted(word, wanted):
    with pytest.raises(UsageError, match=re.escape(wanted)):
        shell(word)


@pytest.mark.parametrize(
    "content",
    [
        "epochs = ",
        "[optimizer]\nlr = 0.1\nlr = 0.2",
        "[nonsense]\na = 1",
        "model = 3",
        "epochs = [1]",
        "\x00",
        "[" * 5000,
    ],
)
def test_bad_files_are_refused(tmp_path, content):
    file = tmp_path / "r.toml"
    file.write_text(content)
    with pytest.raises(UsageError):
        merge_settings(read_settings(file))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_settings(tmp_path / "no.toml")


@pytest.mark.parametrize("spec", [IMAGES, ROWS])
def test_a_settled_config_survives_toml(tmp_path, spec):
    config = shell("clip_norm=1", "init=normal", "fold=2/5").config.resolve(spec, 1000)
    file = tmp_path / "r.toml"
    file.write_text(config.to_toml())
    again = merge_settings(read_settings(file)).config
    assert again.to_dict() == config.to_dict()
    assert again.resolve(spec, 1000).to_dict() == config.to_dict()
    open_choices = ("device", "validation", "test", "split", "precision", "memory_format")
    assert "auto" not in {str(v) for k, v in config.to_dict().items() if k not in open_choices}


def test_choices_that_do_not_fit_the_data_are_refused():
    with pytest.raises(UsageError, match="loss=mse needs"):
        shell("loss=mse").config.resolve(IMAGES, 100)
    with pytest.raises(UsageError, match="model=lenet needs"):
        shell("model=lenet").config.resolve(ROWS, 100)
    with pytest.raises(UsageError, match="score=accuracy does not fit"):
        shell("score=accuracy").config.resolve(ROWS, 100)


@given(n=st.integers(1, 10**7), accumulate=st.integers(1, 8))
def test_automatic_batch_and_epochs_are_sensible(n, accumulate):
    config = Config(accumulate=accumulate).resolve(ROWS, n)
    assert 16 <= config.batch <= 128
    assert 10 <= config.epochs <= 100


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=4))
def test_any_words_give_a_config_or_a_usage_error(words):
    try:
        merge_settings([(key, value, "command line") for key, value in words])
    except UsageError as error:
        assert error.problem  # noqa: PT017  # either way is right; a traceback is not
        assert error.remedy  # noqa: PT017


@settings(max_examples=300, deadline=None)
@given(key=st.sampled_from([*Config.model_fields, "lr", "weight_decay", "hidden", "model.hidden"]), value=st.text(max_size=20))
def test_any_value_gives_a_config_or_a_usage_error(key, value):
    try:
        merge_settings([(key, value, "command line")])
    except (UsageError, DataError) as error:
        assert error.remedy  # noqa: PT017


def test_augmentations_come_in_their_order_with_their_options(tmp_path):
    config = shell("augment=crop,flip", "pad=2", "augment.flip.p=0.25").config
    assert [(c.name, dict(c.options)) for c in config.augment] == [("crop", {"pad": 2}), ("flip", {"p": 0.25})]
    file = tmp_path / "r.toml"
    file.write_text(config.to_toml())
    assert merge_settings(read_settings(file)).config.augment == config.augment
    assert merge_settings([*read_settings(file), ("augment", "none", "command line")]).config.augment == ()
    assert merge_settings([*read_settings(file), ("pad", "3", "command line")]).config.augment[0].options == {"pad": 3}


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (["augment=flop"], "did you mean flip"),
        (["augment=flip,flip"], "twice"),
        (["augment=flip", "augment.crop.pad=3"], "use augment=crop"),
        (["pad=3"], "it belongs to augment=crop"),
        (["augment=flip", "augment.flip.q=3"], "no option 'q'"),
        (["augment=flip", "augment.flip.p=3"], "p must be"),
        (["finetune=head"], "needs pretrained weights"),
        (["head_lr=3"], "needs pretrained weights"),
        (["weights=x.pth", "finetune=tail"], "finetune must be"),
        (["precision=fp8"], "precision must be"),
        (["repeats=3"], "needs folds"),
        (["repeat=3"], "needs fold"),
        (["folds=5", "patience=2"], "very rows"),
        (["folds=1"], "folds must be"),
    ],
)
def test_bad_augmentations_and_fine_tunings_are_refused(words, wanted):
    with pytest.raises(UsageError, match=re.escape(wanted)):
        shell(*words)


def test_test_is_a_size_or_a_file_where_the_data_takes_one(tmp_path):
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n")
    table = f"data={tmp_path / 'train.csv'}"
    assert shell(table, f"test={tmp_path / 'test.csv'}").config.data.options["test"] == str(tmp_path / "test.csv")
    assert shell(table, "test=0.3").config.test == 0.3
    assert "test" not in shell(table, "test=auto").config.data.options
    with pytest.raises(UsageError, match="test must be"):
        shell("data=digits", "test=rows.csv")


def test_settling_writes_out_augmentations_and_what_weights_bring():
    spec = Spec("classification", (1, 8, 8), classes=("a", "b"))
    settled = shell("augment=crop", "weights=x.pth").config.resolve(spec, 100)
    assert settled.augment[0].options["pad"] == 4
    assert (settled.finetune, settled.head_lr) == ("all", 10.0)
    with pytest.raises(UsageError, match="augment=flip needs"):
        shell("augment=flip").config.resolve(Spec("regression", (3,)), 100)


def test_what_auto_means_can_be_told_by_who_knows_the_data():
    spec = Spec("classification", (3, 8, 8), classes=("a", "b"))
    told = {"scale": Choice(name="imagenet", options={"mean": (0.5, 0.5, 0.5)})}
    assert shell().config.resolve(spec, 100, auto=told).scale.options["mean"] == (0.5, 0.5, 0.5)
    assert shell("scale=unit").config.resolve(spec, 100, auto=told).scale.name == "unit"
    assert shell().config.resolve(spec, 100).scale.name == "standard"
