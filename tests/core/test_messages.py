"""Messages: English as text, translated where they are shown, and chosen by option, environment or locale."""

import copy
import json
import pickle
import subprocess
import sys
import warnings

import pytest

from yisheng.core import messages
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message, as_message, current_language, plural_message, translate, use_language


def message():
    inner = Message("{low} to {high}", low="0.1", high="0.2")
    return Message("{severity}: {cause}; {remedy}", severity=Message("note"), cause=inner, remedy="x{y}")


def test_a_message_is_its_english_text():
    assert message() == "note: 0.1 to 0.2; x{y}"
    assert json.dumps(message()) == '"note: 0.1 to 0.2; x{y}"'
    assert f"{message()}".startswith("note: ")
    assert {message(): 1}["note: 0.1 to 0.2; x{y}"] == 1


def test_values_are_translated_too():
    assert translate(message(), "zh") == "提示：0.1 至 0.2；x{y}"
    assert translate(message(), "en") == message()
    assert translate("note", "zh") == "note", "other text may be a name in the user's data"


def test_a_text_without_values_may_have_braces():
    assert as_message('the address is printed as {"address": ...}') == 'the address is printed as {"address": ...}'
    assert as_message(message()).template == message().template


@pytest.mark.parametrize("copied", [
    lambda m: pickle.loads(pickle.dumps(m)),
    copy.deepcopy,
    lambda m: Message.from_json(json.loads(json.dumps(m.to_json()))),
])  # fmt: skip
def test_template_and_values_survive(copied):
    assert copied(message()) == message()
    assert translate(copied(message()), "zh") == translate(message(), "zh")


@pytest.mark.parametrize("template", ["{n:>999999999}", "{n.real}", "{n[0]}", "{}", "{n"])
def test_a_stored_template_has_plain_fields(template):
    with pytest.raises(ValueError, match="plain name|expected"):
        Message.from_json({"template": template, "values": {"n": 3}})


def test_values_are_text_or_numbers():
    values = Message("{path} {n} {x}", path=(), n=3, x=0.5).values
    assert dict(values) == {"path": "()", "n": 3, "x": 0.5}


def test_a_missing_value_is_an_error():
    with pytest.raises(KeyError):
        Message("{a} and {b}", a=1)


def test_plural():
    texts = [plural_message(n, "{n} row", "{n} rows", n=n) for n in (0, 1, 2)]
    assert texts == ["0 rows", "1 row", "2 rows"]


def test_an_error_is_shown_in_the_language(monkeypatch):
    error = UsageError(Message("unknown command {command!r}", command="go"), Message("run the command again"))
    assert error.problem == "unknown command 'go'"
    assert str(error) == "unknown command 'go'\n  run the command again"
    with use_language("zh"):
        assert str(error) == "未知命令 'go'\n  请再次运行该命令"
        assert error.problem == "unknown command 'go'", "programs compare the English text"


CHOICES = {
    "the variable wins": ({"YISHENG_LANG": "zh", "LC_ALL": "en_US.UTF-8"}, "zh"),
    "English although the locale is Chinese": ({"YISHENG_LANG": "EN", "LANG": "zh_CN.UTF-8"}, "en"),
    "auto": ({"YISHENG_LANG": "auto", "LANG": "zh_CN.UTF-8"}, "zh"),
    "empty is auto": ({"YISHENG_LANG": "", "LANG": "zh_TW"}, "zh"),
    "LC_ALL before LC_MESSAGES": ({"LC_ALL": "C", "LC_MESSAGES": "zh_CN.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
    "LC_MESSAGES before LANG": ({"LC_MESSAGES": "zh_CN.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
    "an empty variable is none": ({"LC_ALL": "", "LANG": "zh-Hans"}, "zh"),
    "a locale without translation": ({"LANG": "de_DE.UTF-8"}, "en"),
    "nothing is set": ({}, "en"),
}


@pytest.mark.parametrize("case", CHOICES)
def test_the_language_is_chosen(case, monkeypatch):
    environment, language = CHOICES[case]
    for variable in (messages.LANGUAGE_VARIABLE, *messages.LOCALE_VARIABLES):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    assert current_language() == language
    with use_language("zh"):
        assert current_language() == "zh"


def test_an_unknown_language_warns_once(monkeypatch):
    monkeypatch.setenv("YISHENG_LANG", "tlh")
    messages._warn_unknown.cache_clear()
    with pytest.warns(UserWarning, match="YISHENG_LANG must be zh, en or auto, got 'tlh'"):
        assert current_language() == "en"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert current_language() == "en"


@pytest.mark.parametrize(("identifier", "language"), [(0x0804, "zh"), (0x0404, "zh"), (0x0409, "en"), (0x0407, "en")])
def test_the_language_of_windows(identifier, language):
    assert messages.language_of_windows(identifier) == language


def test_messages_in_english_read_no_catalog():
    """The catalog and gettext are loaded when something is translated for the first time."""
    code = (
        "import sys; from yisheng.core.messages import Message, translate; translate(Message('note'), 'en');"
        "assert 'gettext' not in sys.modules; assert translate(Message('note'), 'zh') == '提示'"
    )
    subprocess.run([sys.executable, "-X", "utf8", "-c", code], check=True, timeout=60)
