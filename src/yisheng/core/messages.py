"""Messages for people: whole sentences with named values, English until they are shown in the user's language.

A `Message` is its English text, so files, comparisons and programs need not know about languages. It also keeps its
template and values; `translate` makes the text in another language from them, where a text is printed or drawn. The
translations are the catalogs ``locale/*/LC_MESSAGES/yisheng.mo``, which `scripts/messages.py` writes.

    raise UsageError(Message("{key} must be at least {minimum}, got {value}", key="epochs", minimum=1, value=0), ...)
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import string
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from gettext import NullTranslations

ENGLISH: Final = "en"
LANGUAGES: Final = (ENGLISH, "zh")
AUTO: Final = "auto"
LANGUAGE_VARIABLE: Final = "YISHENG_LANG"
LOCALE_VARIABLES: Final = ("LC_ALL", "LC_MESSAGES", "LANG")
"""Variables of the environment that name the language, the first one that is set wins."""
_language: ContextVar[str | None] = ContextVar("yisheng_language", default=None)


class Message(str):
    """A text for people, in English, that can be translated.

    Args:
        template: a whole sentence with named fields; with values, braces of its own are doubled.
        **values: of the fields: numbers and units formatted before, names, other messages, or an error, which is its
            own message: that of ``ValueError(Message(...))`` can be translated.

    >>> message = Message("the loss became {loss} at step {step}", loss="nan", step=12)
    >>> message
    'the loss became nan at step 12'
    >>> message.template, dict(message.values)
    ('the loss became {loss} at step {step}', {'loss': 'nan', 'step': 12})
    """

    template: str
    values: Mapping[str, Any]

    def __new__(cls, template: str, /, **values: object) -> Self:
        plain = {name: v if isinstance(v, Message | int | float) else message_of(v) for name, v in values.items()}
        message = super().__new__(cls, template.format_map(plain) if plain else template)
        message.template = template
        message.values = MappingProxyType(plain)
        return message

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process builds the message from."""
        return _restore_message, (self.template, dict(self.values))

    def to_json(self) -> dict[str, Any]:
        """Return template and values as plain data; NaN and infinity, which JSON does not have, are texts.

        >>> Message("{n} rows", n=3).to_json()
        {'template': '{n} rows', 'values': {'n': 3}}
        >>> Message("the loss is {loss}", loss=float("nan")).to_json()["values"]
        {'loss': 'nan'}
        """
        values = {name: _to_plain(value) for name, value in self.values.items()}
        return {"template": self.template, "values": values}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Message:
        """Return the message of plain data, which may come from anywhere: a field must be a name and nothing else.

        Raises:
            ValueError: a field of the template has an attribute, an index or a format.

        >>> Message.from_json({"template": "{n} rows", "values": {"n": 3}})
        '3 rows'
        >>> Message.from_json(Message('send {"rows": []}').to_json())
        'send {"rows": []}'
        """
        fields = string.Formatter().parse(data["template"]) if data["values"] else ()  # else its braces are text
        for _, field, form, _ in fields:
            if field is not None and (form or not field.isidentifier()):
                raise ValueError(f"field {field!r} of a stored message is not a plain name")
        values = {name: cls.from_json(v) if isinstance(v, Mapping) else v for name, v in data["values"].items()}
        return cls(data["template"], **values)


def _to_plain(value: Any) -> Any:
    if isinstance(value, Message):
        return value.to_json()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _restore_message(template: str, values: dict[str, Any]) -> Message:
    return Message(template, **values)


def plural_message(count: int, singular: str, plural: str, /, **values: object) -> Message:
    """Return a message whose English depends on a count: with 1 the first template, otherwise the second.

    >>> plural_message(2, "{n} row is left out", "{n} rows are left out", n=2)
    '2 rows are left out'
    """
    return as_message(singular if count == 1 else plural, **values)


def join_messages(texts: Iterable[str]) -> str:
    """Return texts as a list in one text, with commas between them; those that are messages can be translated.

    >>> join_messages([Message("{n} rows", n=3), "x.csv"])
    '3 rows, x.csv'
    """
    items = list(texts)
    joined = items[0] if items else ""
    for item in items[1:]:
        joined = Message("{items}, {item}", items=joined, item=item)
    return joined


def join_alternatives(texts: Iterable[str]) -> str:
    """Return texts in one text, with "or" before the last; those that are messages can be translated.

    >>> join_alternatives(["'a'", "'b'", Message("a number")])
    "'a', 'b' or a number"
    """
    *names, last = texts
    return Message("{names} or {last}", names=join_messages(names), last=last) if names else last


def restore_message(text: str, stored: Any) -> str:
    """Return the message of plain data if it is that of a stored text; of a damaged file the text alone.

    >>> restore_message("3 rows", Message("{n} rows", n=3).to_json()).template
    '{n} rows'
    """
    try:
        message = Message.from_json(stored)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        return text
    return message if message == text else text


def replace_in_values(text: str, old: str, new: str) -> str:
    """Return a text with other words in it; in a message they are replaced in its values.

    >>> replace_in_values(Message("{path} is empty", path="/tmp/x.csv"), "/tmp/x.csv", "your table").template
    '{path} is empty'
    """
    if not isinstance(text, Message):
        return text.replace(old, new)
    values = {k: replace_in_values(v, old, new) if isinstance(v, str) else v for k, v in text.values.items()}
    return as_message(text.template, **values)


def message_of(value: object) -> str:
    """Return the text of a value; of an error the message that it was raised with.

    >>> message_of(ValueError(Message("{n} rows", n=3))).template
    '{n} rows'
    """
    if isinstance(value, BaseException) and len(value.args) == 1 and isinstance(value.args[0], Message):
        return value.args[0]
    return str(value)


def as_message(text: str, /, **values: object) -> Message:
    """Return a text that is marked for translation elsewhere as a message: a help text, a sentence of a docstring."""
    return text if isinstance(text, Message) else Message(text, **values)


def translate(text: str, language: str | None = None) -> str:
    """Return a message in a language; text that is not a message is returned unchanged.

    Args:
        text: the message.
        language: one of `LANGUAGES`; by default the current one.

    >>> translate(Message("learning rate over the run"), "zh"), translate("a file name", "zh")
    ('学习率在训练过程中的变化', 'a file name')
    """
    language = language or current_language()
    if not isinstance(text, Message) or not text:
        return text
    if language == ENGLISH:
        return str(text)
    template = read_catalog(language).gettext(text.template)
    values = {name: translate(v, language) if isinstance(v, str) else v for name, v in text.values.items()}
    return template.format_map(values) if values else template


@functools.cache
def read_catalog(language: str) -> NullTranslations:
    """Return the translations into a language."""
    import gettext

    path = Path(__file__).parents[1] / "locale" / language / "LC_MESSAGES" / "yisheng.mo"
    with path.open("rb") as file:
        return gettext.GNUTranslations(file)


@contextlib.contextmanager
def use_language(language: str) -> Iterator[None]:
    """Show messages in a language during the block, in this thread.

    >>> with use_language("zh"):
    ...     current_language()
    'zh'
    """
    token = _language.set(language)
    try:
        yield
    finally:
        _language.reset(token)


def current_language() -> str:
    """Return the language that messages are shown in.

    That of `use_language`, else of ``YISHENG_LANG``, else that of the locale.
    """
    language = _language.get()
    if language is not None:
        return language
    choice = os.environ.get(LANGUAGE_VARIABLE, "").strip().lower() or AUTO
    if choice not in (*LANGUAGES, AUTO):
        _warn_unknown(choice)
        return ENGLISH
    return detect_language() if choice == AUTO else choice


@functools.cache
def _warn_unknown(choice: str) -> None:
    """Warn once; the command line refuses such a value."""
    warnings.warn(f"{LANGUAGE_VARIABLE} must be zh, en or auto, got {choice!r}; using en", stacklevel=4)


def detect_language() -> str:
    """Return the language of the locale: by the environment, on Windows else by the system's settings.

    >>> language_of_locale("zh_CN.UTF-8"), language_of_locale("C")
    ('zh', 'en')
    """
    for variable in LOCALE_VARIABLES:
        locale = os.environ.get(variable)
        if locale:
            return language_of_locale(locale)
    if sys.platform == "win32":
        import ctypes

        return language_of_windows(ctypes.windll.kernel32.GetUserDefaultUILanguage())
    return ENGLISH


def language_of_locale(locale: str) -> str:
    """Return the language for the name of a locale, such as ``zh_CN.UTF-8``; English if there is no translation."""
    code = locale.replace("-", "_").partition("_")[0].partition(".")[0].lower()
    return code if code in LANGUAGES else ENGLISH


def language_of_windows(identifier: int) -> str:
    """Return the language for a language identifier of Windows, whose low ten bits are the primary language.

    >>> language_of_windows(0x0804), language_of_windows(0x0409)
    ('zh', 'en')
    """
    return "zh" if identifier & 0x3FF == 0x04 else ENGLISH
