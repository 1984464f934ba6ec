"""Configs: settings from words, files and Python are merged, checked, resolved for data, and written again."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from yisheng.core.choice import Choice
from yisheng.core.config import Config
from yisheng.core.errors import DataError, UsageError
from yisheng.core.resolved_config import ResolvedConfig, resolve_config
from yisheng.core.settings import keyword_settings, merge_settings, read_settings
from yisheng.core.spec import Spec

IMAGES = Spec("classification", (1, 8, 8), classes=tuple("0123456789"))
ROWS = Spec("regression", (3,))


def merge_words(*words):
    """Return the merged settings of words of the command line."""
    return merge_settings([(*word.split("=", 1), "command line") for word in words])


def test_an_option_belongs_to_the_choice_that_has_it():
    config = merge_words("model=mlp", "hidden=64,32", "lr=0.5", "optimizer=sgd").config
    assert tuple(config.model.options["hidden"]) == (64, 32)
    assert config.optimizer.options == {"lr": 0.5}


def test_an_option_may_be_a_word_or_a_list():
    balanced, listed = (
        merge_words("loss=cross-entropy", f"class_weight={value}").config for value in ("balanced", "1,2,3")
    )
    assert balanced.loss.options == {"class_weight": "balanced"}
    assert listed.loss.options == {"class_weight": (1, 2, 3)}


def test_options_of_an_automatic_choice_are_checked_with_the_data():
    config = merge_words("hidden=7").config
    assert tuple(resolve_config(config, ROWS, 100).model.options["hidden"]) == (7,)
    with pytest.raises(UsageError, match="model=lenet has no option 'hidden'"):
        resolve_config(config, IMAGES, 100)


def test_later_origins_win(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text('epochs = 3\nlr = 0.2\nseed = 4\n[model]\nname = "mlp"\nhidden = [5]\n')
    merged = merge_settings([*read_settings(file), ("lr", "0.3", "command line")])
    assert merged.config.epochs == 3
    assert merged.config.optimizer.options["lr"] == 0.3
    assert merged.origins == {
        "epochs": "file",
        "seed": "file",
        "model": "file",
        "model.hidden": "file",
        "optimizer.lr": "command line",
    }


def test_another_choice_drops_the_options_of_the_previous_one(tmp_path):
    file = tmp_path / "r.toml"
    file.write_text('[optimizer]\nname = "sgd"\nlr = 0.9\n')
    assert merge_settings([*read_settings(file), ("optimizer", "adam", "command line")]).config.optimizer.options == {}
    assert merge_settings([*read_settings(file), ("optimizer", "sgd", "command line")]).config.optimizer.options == {
        "lr": 0.9
    }


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("epoch=3", "did you mean epochs"),
        ("model=lenett", "did you mean lenet"),
        ("data=mnits", "did you mean mnist"),
        ("epochs=-1", "epochs must be"),
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
        ("alpha=0.9", "alpha is not an option of augment=none, model=auto, optimizer=auto"),
        ("model.depth=3", "no option 'depth'"),
        ("modle.hidden=3", "did you mean model"),
        ("batch=abc", "batch must be"),
    ],
)
def test_wrong_words_are_refused(word, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        merge_words(word)


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
def test_files_that_are_not_configs_are_refused(tmp_path, content):
    file = tmp_path / "r.toml"
    file.write_text(content)
    with pytest.raises(UsageError):
        merge_settings(read_settings(file))


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        read_settings(tmp_path / "no.toml")


@pytest.mark.parametrize("spec", [IMAGES, ROWS])
def test_a_resolved_config_survives_toml(tmp_path, spec):
    config = resolve_config(merge_words("clip_norm=1", "init=normal", "fold=2/5").config, spec, 1000)
    file = tmp_path / "r.toml"
    file.write_text(config.to_toml())
    from_file = merge_settings(read_settings(file)).config
    assert from_file.to_dict() == config.to_dict()
    assert resolve_config(from_file, spec, 1000).to_dict() == config.to_dict()
    may_be_auto = ("device", "validation", "test", "split")
    assert "auto" not in {str(v) for k, v in config.to_dict().items() if k not in may_be_auto}


def test_choices_that_do_not_fit_the_data_are_refused():
    with pytest.raises(UsageError, match="loss=mse needs"):
        resolve_config(merge_words("loss=mse").config, IMAGES, 100)
    with pytest.raises(UsageError, match="model=lenet needs"):
        resolve_config(merge_words("model=lenet").config, ROWS, 100)
    with pytest.raises(UsageError, match="score=accuracy does not fit"):
        resolve_config(merge_words("score=accuracy").config, ROWS, 100)


@given(n=st.integers(1, 10**7), accumulate=st.integers(1, 8))
def test_automatic_batch_and_epochs_are_in_their_limits(n, accumulate):
    config = resolve_config(Config(accumulate=accumulate), ROWS, n)
    assert 16 <= config.batch <= 128
    assert 10 <= config.epochs <= 100


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=12), st.text(max_size=12)), max_size=4))
def test_any_words_give_a_config_or_a_usage_error(words):
    try:
        merge_settings([(key, value, "command line") for key, value in words])
    except UsageError as error:
        assert error.problem  # noqa: PT017  # only a traceback is wrong
        assert error.remedy  # noqa: PT017


@settings(max_examples=300, deadline=None)
@given(
    key=st.sampled_from([*Config.model_fields, "lr", "weight_decay", "hidden", "model.hidden"]),
    value=st.text(max_size=20),
)
def test_any_value_gives_a_config_or_a_usage_error(key, value):
    try:
        merge_settings([(key, value, "command line")])
    except (UsageError, DataError) as error:
        assert error.remedy  # noqa: PT017


def test_augmentations_keep_their_order_and_options(tmp_path):
    config = merge_words("augment=crop,flip", "pad=2", "augment.flip.p=0.25").config
    assert [(c.name, dict(c.options)) for c in config.augment] == [("crop", {"pad": 2}), ("flip", {"p": 0.25})]
    file = tmp_path / "r.toml"
    file.write_text(config.to_toml())
    assert merge_settings(read_settings(file)).config.augment == config.augment
    assert merge_settings([*read_settings(file), ("augment", "none", "command line")]).config.augment == ()
    assert merge_settings([*read_settings(file), ("pad", "3", "command line")]).config.augment[0].options == {"pad": 3}


@pytest.mark.parametrize(
    ("words", "message"),
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
def test_keys_that_do_not_fit_one_another_are_refused(words, message):
    with pytest.raises(UsageError, match=re.escape(message)):
        merge_words(*words)


def test_the_key_test_is_a_size_or_a_file(tmp_path):
    for name in ("train.csv", "test.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n")
    table = f"data={tmp_path / 'train.csv'}"
    assert merge_words(table, f"test={tmp_path / 'test.csv'}").config.data.options["test"] == str(tmp_path / "test.csv")
    assert merge_words(table, "test=0.3").config.test == 0.3
    assert "test" not in merge_words(table, "test=auto").config.data.options
    with pytest.raises(UsageError, match="test must be"):
        merge_words("data=digits", "test=rows.csv")


def test_resolving_fills_options_and_defaults_of_finetuning():
    spec = Spec("classification", (1, 8, 8), classes=("a", "b"))
    config = resolve_config(merge_words("augment=crop", "weights=x.pth").config, spec, 100)
    assert config.augment[0].options["pad"] == 4
    assert (config.finetune, config.head_lr) == ("all", 10.0)
    with pytest.raises(UsageError, match="augment=flip needs"):
        resolve_config(merge_words("augment=flip").config, Spec("regression", (3,)), 100)


def test_the_caller_can_define_auto():
    spec = Spec("classification", (3, 8, 8), classes=("a", "b"))
    auto = {"scale": Choice(name="imagenet", options={"mean": (0.5, 0.5, 0.5)})}
    assert resolve_config(merge_words().config, spec, 100, auto=auto).scale.options["mean"] == (0.5, 0.5, 0.5)
    assert resolve_config(merge_words("scale=unit").config, spec, 100, auto=auto).scale.name == "unit"
    assert resolve_config(merge_words().config, spec, 100).scale.name == "standard"


def test_a_resolved_config_cannot_hold_auto():
    config = resolve_config(merge_words("model=mlp").config, ROWS, 100)
    assert isinstance(config, ResolvedConfig)
    assert (config.precision, config.memory_format, config.boosting) == ("fp32", "contiguous", False)
    undecided = {"epochs": "auto", "batch": "auto", "precision": "auto", "memory_format": "auto", "boosting": "auto"}
    for change in ({key: value} for key, value in undecided.items()):
        with pytest.raises(ValidationError):
            ResolvedConfig(**{**dict(config), **change})
    for change in ({"score": "auto"}, {"loss": Choice(name="auto")}, {"augment": (Choice(name="auto"),)}):
        with pytest.raises(ValidationError, match="must not be auto"):
            ResolvedConfig(**{**dict(config), **change})


def test_python_settings_may_be_mappings_and_numpy_values():
    settings = keyword_settings({"model": {"name": "mlp", "hidden": np.array([4, 5])}, "lr": np.float64(0.5)})
    config = merge_settings(settings).config
    assert (config.model.options, config.optimizer.options) == ({"hidden": (4, 5)}, {"lr": 0.5})
    with pytest.raises(UsageError, match="model must have a name"):
        list(keyword_settings({"model": {"hidden": [8]}}))


def test_one_number_stands_for_a_list_in_every_form(tmp_path):
    (tmp_path / "run.toml").write_text('[model]\nname = "mlp"\nhidden = 64\n')
    forms = [
        read_settings(tmp_path / "run.toml"),
        [("model", "mlp", "command line"), ("hidden", "64", "command line")],
        keyword_settings({"model": "mlp", "hidden": 64}),
        keyword_settings({"model": "mlp", "hidden": np.int64(64)}),
        keyword_settings({"model": {"name": "mlp", "hidden": [64]}}),
    ]
    for form in forms:
        assert merge_settings(form).config.model.options["hidden"] == (64,)
    for hidden in (-1, 2.5, True):
        with pytest.raises(UsageError):
            merge_settings(keyword_settings({"model": "mlp", "hidden": hidden}))
    with pytest.raises(UsageError):  # exactly two numbers
        merge_settings(keyword_settings({"optimizer": "adam", "betas": 0.9}))


def test_weights_may_be_a_path(tmp_path):
    for value in (tmp_path, str(tmp_path)):
        assert merge_settings(keyword_settings({"weights": value})).config.weights == str(tmp_path)


def test_augment_may_be_none_or_a_single_mapping():
    assert merge_settings(keyword_settings({"augment": None})).config.augment == ()
    (crop,) = merge_settings(keyword_settings({"augment": {"name": "crop", "pad": 1}})).config.augment
    assert crop == Choice(name="crop", options={"pad": 1})


def test_aliases_of_keys_and_options():
    config = merge_words("optimiser=adamw", "wd=0.1", "learning-rate=0.2", "batch_size=8").config
    assert config.optimizer.options == {"weight_decay": 0.1, "lr": 0.2}
    assert config.batch == 8


def test_a_file_alone_is_no_network():
    with pytest.raises(UsageError, match=r"model=nets/net.py names a file") as caught:
        merge_words("model=nets/net.py")
    assert "model=nets/net.py:NAME" in str(caught.value)
