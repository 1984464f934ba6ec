"""Words of the command line, settings and config files: any input gives a value or an error with a remedy.

`YISHENG_RANDOM=1 YISHENG_EXAMPLES=10000` makes these thorough; see CONTRIBUTING.
"""

import contextlib
import json

import pytest
import tomli_w
from hypothesis import assume, example, given
from hypothesis import strategies as st

from yisheng.cli import main
from yisheng.cli._arguments import Arguments
from yisheng.core.choice import KINDS
from yisheng.core.config import Config
from yisheng.core.errors import DataError, UsageError
from yisheng.core.settings import merge_settings, read_settings

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("configs")


def require_two_parts(error):
    assert error.problem
    assert len(error.remedy) > 3


# The command line

KEYS = st.sampled_from(["lr", "data", "model", "epochs", "--lr", "--json", "-x", "--", "-", "hidden", "optimizer.lr"])
WORDS = st.lists(KEYS | st.text(max_size=12) | st.tuples(KEYS, st.text(max_size=8)).map("=".join), max_size=6)


@given(WORDS)
def test_words_are_parsed_or_refused(words):
    try:
        arguments = Arguments.parse("train", words)
    except UsageError as error:
        require_two_parts(error)
        return
    parsed = [*arguments.inputs, *arguments.settings, *arguments.settings.values()]
    assert all(isinstance(word, str) for word in parsed)
    assert not any("\0" in word for word in words)
    assert all(word in words for word in arguments.inputs)


@given(WORDS, st.sampled_from(["config", "models", "data", "report", "evaluate", "nonsense"]))
def test_commands_that_do_no_work_end_with_a_code(words, command):
    assume("toml=true" not in words)
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(None):
        assert main([command, *words]) in (0, 2, 3)


# Settings and config files

SETTING_KEYS = st.sampled_from(
    [*Config.model_fields, "lr", "hidden", "optimizer.lr", "model.hidden", "init.std", "weight_decay"]
)
SETTING_VALUES = PLAIN | st.sampled_from(["auto", "none", "mlp", "iris", "sgd", "0.1", "64,32", "1/5", "true", "[]"])


@given(st.lists(st.tuples(SETTING_KEYS | st.text(max_size=8), SETTING_VALUES), max_size=5))
def test_settings_make_a_config_or_are_refused(settings):
    try:
        merged = merge_settings([(key, value, "command line") for key, value in settings])
    except (UsageError, DataError) as error:  # a value of data= may look like a path
        require_two_parts(error)
        return
    assert set(merged.origins.values()) <= {"command line"}
    for key in KINDS:
        choice = getattr(merged.config, key)
        assert choice is None or isinstance(choice.name, str)


@given(st.lists(st.tuples(SETTING_KEYS, SETTING_VALUES), max_size=4))
def test_a_written_config_is_read_again(folder, settings):
    try:
        config = merge_settings([(key, value, "command line") for key, value in settings]).config
    except (UsageError, DataError):  # a value of data= may look like a path
        return
    path = folder / "written.toml"
    path.write_text(config.to_toml(), encoding="utf-8")
    plain, read_again = (
        json.dumps(c.to_dict(), default=str)  # a tuple is equal to a list
        for c in (config, merge_settings(read_settings(path)).config)
    )
    assert read_again == plain


def without_none(value):
    """Return plain data without None, since TOML has no null."""
    if isinstance(value, dict):
        return {k: without_none(v) for k, v in value.items() if v is not None}
    return [without_none(v) for v in value if v is not None] if isinstance(value, list) else value


TOML = (
    st.dictionaries(SETTING_KEYS | st.text(min_size=1, max_size=6), PLAIN.filter(lambda v: v is not None), max_size=4)
    .map(lambda data: json.loads(json.dumps(data), parse_constant=float))
    .map(without_none)
    .map(lambda data: tomli_w.dumps(data).encode(errors="surrogatepass"))
)


@given(st.binary(max_size=80) | TOML | st.text(max_size=60).map(lambda t: t.encode(errors="surrogatepass")))
@example(b"lr = " + b"[" * 2_000)
@example(b"epochs = " + b"9" * 5_000)
@example(b"\xef\xbb\xbflr = 1")
def test_config_files_are_read_or_refused(folder, content):
    path = folder / "any.toml"
    path.write_bytes(content)
    with contextlib.suppress(UsageError, DataError):  # a value of data= may look like a path
        merge_settings(read_settings(path))
