"""Texts for people in files: stored in English, and in ``messages`` with template and values, for other languages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from yisheng.core.messages import Message, restore_message

MESSAGES: Final = "messages"
"""Key of the templates and values."""


def add_messages(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain data with the template and values of its messages in ``messages``, for other languages.

    >>> add_messages({"rows": 3, "status": Message("{n} rows", n=3)})["messages"]
    {'status': {'template': '{n} rows', 'values': {'n': 3}}}
    >>> add_messages({"rows": 3})
    {'rows': 3}
    """
    stored = {name: _pack(value) for name, value in plain.items() if name != MESSAGES}
    messages = {name: packed for name, packed in stored.items() if packed is not None}
    texts = {name: value for name, value in plain.items() if name != MESSAGES}
    return {**texts, MESSAGES: messages} if messages else texts


def restore_messages(data: Any) -> Any:
    """Return data that `add_messages` returned, with its texts as messages; damaged ones stay texts.

    >>> restore_messages(add_messages({"status": Message("{n} rows", n=3)}))["status"].template
    '{n} rows'
    """
    stored = data.get(MESSAGES) if isinstance(data, Mapping) else None
    if not isinstance(stored, Mapping):
        return data
    return {**data, **{name: _restore(data[name], packed) for name, packed in stored.items() if name in data}}


def _pack(value: Any) -> Any:
    if isinstance(value, Message):
        return value.to_json()
    if isinstance(value, list | tuple) and any(isinstance(item, Message) for item in value):
        return [_pack(item) for item in value]
    return None


def _restore(text: Any, packed: Any) -> Any:
    if isinstance(text, list) and isinstance(packed, list) and len(text) == len(packed):
        return [_restore(*pair) for pair in zip(text, packed, strict=True)]
    return restore_message(text, packed) if isinstance(text, str) else text
