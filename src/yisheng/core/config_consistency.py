"""Keys of a config that contradict each other, or need one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from yisheng.core.choice import AUTO, plain_value
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message


def require_consistent(plain: Mapping[str, Any]) -> None:
    """Raise an error for keys that contradict each other or need one another.

    Args:
        plain: values of the config by key, those that are set.

    Raises:
        UsageError: two keys do not go together.

    >>> require_consistent({"repeats": 3})
    Traceback (most recent call last):
    ...
    yisheng.core.errors.UsageError: repeats=3 needs folds
      use folds=5 too
    """
    for name in ("finetune", "head_lr"):
        if plain.get(name) is not None and plain.get("weights") is None:
            raise UsageError(
                Message("{name}={plain} needs pretrained weights", name=name, plain=plain[name]),
                Message("use weights=FILE or weights=NAME"),
            )
    if plain.get("feature_cache", AUTO) not in (AUTO, "off") and plain.get("finetune") != "head":
        raise UsageError(
            Message("feature_cache={plain} is for frozen layers", plain=plain["feature_cache"]),
            Message("use finetune=head too, or leave it out"),
        )
    if plain.get("budget") not in (None, AUTO):
        for name in ("epochs", "scratch"):
            if plain.get(name) not in (None, AUTO, False):
                raise UsageError(
                    Message(
                        "budget={plain} (seconds) and {name}={plain_2} contradict: a budget decides how many epochs "
                        "one training gets",
                        plain=f"{plain['budget']:g}",
                        name=name,
                        plain_2=plain_value(plain[name]),
                    ),
                    Message("leave budget or {name} out", name=name),
                )
    if plain.get("epochs") == 0:
        for name in ("folds", "scratch", "patience", "boosting", "budget"):
            if plain.get(name) not in (None, False, AUTO, 0):
                raise UsageError(
                    Message(
                        "epochs=0 trains nothing, so {name}={plain} has no meaning",
                        name=name,
                        plain=plain_value(plain[name]),
                    ),
                    Message("leave {name} out, or use epochs=10", name=name),
                )
    for name, required, example in (("repeats", "folds", "5"), ("repeat", "fold", "1/5")):
        if plain.get(name, 1) != 1 and plain.get(required) is None:
            raise UsageError(
                Message("{name}={plain} needs {required}", name=name, plain=plain[name], required=required),
                Message("use {required}={example} too", required=required, example=example),
            )
    if plain.get("calibrate") and (plain.get("folds") or plain.get("fold")):
        raise UsageError(
            Message("calibrate=true would fit the temperature to the very rows that a fold is scored on"),
            Message("leave calibrate out, or train a single run"),
        )
    if plain.get("patience") and (plain.get("folds") or plain.get("fold")):
        raise UsageError(
            Message("patience would choose an epoch by the very rows that a fold is scored on"),
            Message("leave patience out, and give epochs="),
        )
