"""The JSON schema of config files: it accepts what the program accepts, and refuses what it refuses."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from yisheng.cli import main
from yisheng.core import registry
from yisheng.core.choice import KINDS
from yisheng.core.config import Config
from yisheng.core.config_schema import make_config_schema
from yisheng.core.errors import YishengError
from yisheng.core.settings import merge_settings, read_settings

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.toml"))


@pytest.fixture(scope="module")
def validator():
    schema = make_config_schema()
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_there_are_examples():
    assert len(CONFIGS) > 10


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_config_is_valid(path, validator):
    assert list(validator.iter_errors(tomllib.loads(path.read_text(encoding="utf-8")))) == []


VALID = {
    "empty": "",
    "a choice by name": "model = 'lenet'\noptimizer = 'adam'\nlr = 0.01",
    "other writing": "data = 'Fashion_MNIST'\nmodel = 'LeNet'",
    "hyphens in keys": "clip-norm = 1\nweight-decay = 0.1\nlog-every = 5",
    "other names of keys": "batch_size = 32\nlearning_rate = 0.1\nmax_epochs = 3",
    "other names in a table": "[optimizer]\nname = 'sgd'\nwd = 0.1\nlearning-rate = 1",
    "a table without a name": "[optimizer]\nlr = 0.1",
    "a table of auto": "[optimizer]\nname = 'auto'\nlr = 0.1",
    "a path": "data = 'photos/train'",
    "a path in a table": "[data]\nname = 'table'\npath = 'a.csv'\ntarget = 'y'",
    "code of one's own": "model = 'net.py:Net'\nloss = 'package.losses:mine'",
    "code of one's own with options": "[model]\nname = 'net.py:Net'\nwidth = 7\nanything = [1, 2]",
    "augmentations": "augment = 'flip, crop'",
    "augmentations in a list": "augment = ['flip', 'net.py:noise']",
    "augmentations with options": "[[augment]]\nname = 'crop'\npad = 2",
    "no augmentation": "augment = 'none'",
    "metrics": "metrics = ['f1-macro', 'gain.py:gain']",
    "auto": "epochs = 'auto'\nbatch = 'auto'\nmodel = 'auto'\nboosting = 'auto'",
    "absent": "folds = 'none'\ninit_conv = 'none'\nweights = ''",
    "a duration": "budget = '5m'",
    "a duration in seconds": "budget = 90",
    "a list": "[model]\nname = 'mlp'\nhidden = [64, 32]",
    "one number for a list": "[model]\nname = 'mlp'\ndropout = 0.5",
    "sizes": "validation = 0.2\ntest = 500",
    "a file of test rows": "data = 'train.csv'\ntest = 'test.csv'",
}
INVALID = {
    "an unknown key": "epoch = 3",
    "an unknown table": "[modle]\nname = 'mlp'",
    "an unknown name": "model = 'lenett'",
    "an unknown name in a table": "[model]\nname = 'lenett'",
    "an option of another component": "[model]\nname = 'mlp'\nstyle = 'textbook'",
    "an option of another choice": "[optimizer]\nname = 'sgd'\nhidden = 3",
    "words for a number": "epochs = 'three'",
    "a fraction for a count": "epochs = 1.5",
    "a list for a number": "epochs = [1]",
    "a number that is too low": "batch = 0",
    "a size between numbers": "validation = 1.5",
    "a negative number": "l1 = -1",
    "yes and no for a number": "epochs = true",
    "a number for yes or no": "scratch = 3",
    "a word that is not among the values": "precision = 'fp16'",
    "a choice as a number": "data = 3",
    "a choice as a list": "data = ['iris']",
    "a name as a number": "[model]\nname = 3",
    "an unknown augmentation": "augment = ['flip', 'flop']",
    "augmentation in one table": "[augment]\nname = 'flip'",
    "a range of an option": "[optimizer]\nname = 'sgd'\nlr = -1",
    "a pattern": "fold = '2of5'",
    "a duration of words": "budget = 'five minutes'",
    "a table of a plain key": "[epochs]\nvalue = 3",
}


@pytest.mark.parametrize("name", VALID)
def test_valid_configs_are_accepted(name, validator):
    assert list(validator.iter_errors(tomllib.loads(VALID[name]))) == []


@pytest.mark.parametrize("name", INVALID)
def test_wrong_configs_are_refused_by_the_schema_and_by_the_program(name, validator, tmp_path):
    assert not validator.is_valid(tomllib.loads(INVALID[name]))
    (tmp_path / "run.toml").write_text(INVALID[name])
    with pytest.raises(YishengError):
        merge_settings(read_settings(tmp_path / "run.toml"))


@pytest.mark.parametrize("key", KINDS)
def test_every_component_with_its_defaults_is_accepted(key, validator):
    for entry in registry.entries(KINDS[key]):
        options = {o.name: o.default for o in entry.options.values() if isinstance(o.default, int | float | str)}
        assert list(validator.iter_errors({key: {"name": entry.name, **options}})) == [], entry.name


def test_every_key_has_its_description(validator):
    for key, info in Config.model_fields.items():
        assert validator.schema["properties"][key]["description"] == info.description


@given(
    st.dictionaries(
        st.sampled_from(
            ["epochs", "batch", "l1", "seed", "clip_norm", "patience", "validation", "scratch", "precision"]
        ),
        st.integers(-2, 2**63) | st.floats(-1, 3) | st.booleans() | st.sampled_from(["auto", "none", "bf16", "x"]),
        max_size=3,
    )
)
@settings(max_examples=200, deadline=None)
def test_what_the_schema_accepts_the_program_accepts_and_reverse(validator, config):
    """The program also takes whole numbers with a point for counts, and 0 and 1 for yes and no; the schema does not."""
    try:
        merge_settings([(key, value, "file") for key, value in config.items()])
        accepted = True
    except YishengError as error:
        accepted = "contradict" in str(error) or "no meaning" in str(error)
    if validator.is_valid(config):
        assert accepted
    elif accepted:
        plain = {key: value for key, value in config.items() if isinstance(value, int) and not isinstance(value, bool)}
        assert plain or any(isinstance(value, float) and value.is_integer() for value in config.values())


def test_the_command_prints_and_writes_the_schema(capsys, tmp_path):
    assert main(["config", "schema"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == make_config_schema()
    path = tmp_path / "yisheng.schema.json"
    assert main(["config", "schema", f"out={path}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"out": str(path)}
    assert json.loads(path.read_text(encoding="utf-8")) == printed


@pytest.mark.parametrize("words", [["schema", "lr=1"], ["schema", "schema"], ["scheme"]])
def test_wrong_words_are_refused(words, capsys):
    assert main(["config", *words]) == 2
    assert "yisheng config" in capsys.readouterr().err
