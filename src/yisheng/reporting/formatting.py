"""Formatting of numbers, durations and score names as text."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from yisheng.core import registry
from yisheng.core.errors import YishengError
from yisheng.core.messages import Message, plural_message, translate
from yisheng.core.score_keys import split_score_key

MISSING = "–"
SCORE_WORDS = {"auc": "AUC", "f1": "F1", "mae": "MAE", "mse": "MSE", "r2": "R²", "rmse": "RMSE", "roc": "ROC"}
"""Spellings of words in the keys of scores."""
AVERAGE_SUFFIXES = ("ovr", "macro", "micro", "weighted")
"""Words in the keys of scores that describe averaging; they follow the name."""
SCORE_NAMES = {
    "accuracy": Message("accuracy"),
    "calibration error": Message("calibration error"),
    "hamming loss": Message("hamming loss"),
    "log loss": Message("log loss"),
    "log RMSE": Message("log RMSE"),
    "loss": Message("loss"),
    "precision": Message("precision"),
    "recall": Message("recall"),
    "subset accuracy": Message("subset accuracy"),
    "top-3 accuracy": Message("top-3 accuracy"),
    "top-5 accuracy": Message("top-5 accuracy"),
}
"""Names of scores that are words, as they are in a sentence."""
BASELINE_DESCRIPTIONS = {
    "classification": Message("guessing the most frequent class"),
    "multilabel": Message("guessing each label's most frequent value"),
    "regression": Message("predicting the mean"),
}
"""The baseline of each task in words."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def decimal_places(value: float, low: float | None = None, high: float | None = None) -> int:
    """Return the decimal places for three significant digits, or for as many as the interval can distinguish.

    >>> decimal_places(0.9111), decimal_places(0.9111, 0.905, 0.917)
    (3, 3)
    >>> decimal_places(53.118, 49.2, 57.3), decimal_places(0.99912, 0.9990, 0.9993)
    (1, 4)
    """
    decimals = 3 if not math.isfinite(value) or value == 0 else 2 - _magnitude(value)
    decimals = 3 if 0.1 <= abs(value) <= 1 else decimals
    if low is not None and high is not None and math.isfinite(high - low) and high > low:
        decimals = max(decimals, -_magnitude((high - low) / 2))
    return min(max(decimals, 0), 12)


def format_number(value: float | None, decimals: int | None = None) -> str:
    """Return a number as text for people.

    Args:
        value: the number; None is shown as a dash, NaN as ``not a number``.
        decimals: decimal places; None uses `decimal_places`.

    >>> format_number(0.9111), format_number(25312.4), format_number(3.2e-9), format_number(-0.0001, 3)
    ('0.911', '25,312', '3.2e-09', '0.000')
    >>> format_number(None), format_number(float("nan"))
    ('–', 'not a number')
    """
    if value is None:
        return MISSING
    if math.isnan(value):
        return Message("not a number")
    if math.isinf(value):
        return Message("infinite") if value > 0 else Message("minus infinite")
    if value and not 1e-5 <= abs(value) < 1e9:
        return _use_minus_sign(f"{value:.3g}")
    text = f"{value:,.{decimal_places(value) if decimals is None else decimals}f}"
    return _use_minus_sign(text) if text.strip("-0.,") else text.removeprefix("-")


def format_tick(value: float, digits: int = 6) -> str:
    """Return a number in as few characters as possible, for the tick of an axis.

    >>> format_tick(0.25), format_tick(25000.0), format_tick(-3.0), format_tick(2e7), format_tick(0.0)
    ('0.25', '25,000', '−3', '2e+07', '0')
    >>> format_tick(0.0499967, 3)
    '0.05'
    """
    return _use_minus_sign(f"{value:,.{digits}g}" if value == 0 or 1e-4 <= abs(value) < 1e6 else f"{value:.3g}")


def format_percent(fraction: float | None) -> str:
    """Return a fraction as a percentage; 100% and 0% only if they are exact.

    >>> format_percent(0.123), format_percent(0.99999), format_percent(1.0), format_percent(0.0001)
    ('12.3%', '>99.9%', '100%', '<0.1%')
    """
    if fraction is None or not math.isfinite(fraction):
        return MISSING
    if fraction in (0, 1):
        return f"{fraction:.0%}"
    if 0.9995 <= fraction < 1:
        return ">99.9%"
    return "<0.1%" if 0 < fraction < 0.0005 else f"{fraction:.1%}"


def format_count(count: int, noun: str) -> str:
    """Return a count with its noun.

    >>> format_count(1, "row"), format_count(1797, "row")
    ('1 row', '1,797 rows')
    """
    n = f"{count:,}"
    messages = {
        "row": plural_message(count, "{n} row", "{n} rows", n=n),
        "parameter": plural_message(count, "{n} parameter", "{n} parameters", n=n),
        "step": plural_message(count, "{n} step", "{n} steps", n=n),
        "check": plural_message(count, "{n} check", "{n} checks", n=n),
        "error": plural_message(count, "{n} error", "{n} errors", n=n),
        "warning": plural_message(count, "{n} warning", "{n} warnings", n=n),
        "note": plural_message(count, "{n} note", "{n} notes", n=n),
        "model": plural_message(count, "{n} model", "{n} models", n=n),
        "fold": plural_message(count, "{n} fold", "{n} folds", n=n),
        "group": plural_message(count, "{n} group", "{n} groups", n=n),
        "trial": plural_message(count, "{n} trial", "{n} trials", n=n),
        "draw": plural_message(count, "{n} draw", "{n} draws", n=n),
        "candidate": plural_message(count, "{n} candidate", "{n} candidates", n=n),
        "training": plural_message(count, "{n} training", "{n} trainings", n=n),
        "run": plural_message(count, "{n} run", "{n} runs", n=n),
    }
    return messages.get(noun) or (f"{n} {noun}" if count == 1 else f"{n} {noun}s")


def score_name(key: str) -> str:
    """Return the name of a score within a sentence.

    >>> score_name("log_rmse"), score_name("top_3_accuracy"), score_name("roc_auc_ovr_macro")
    ('log RMSE', 'top-3 accuracy', 'ROC AUC, one against the rest (macro)')
    >>> score_name("rmse[body height]")
    'RMSE of body height'
    """
    metric, target = split_score_key(key)
    if target:
        return Message("{metric} of {target}", metric=score_name(metric), target=target)
    parts = key.split("_")
    words = " ".join(SCORE_WORDS.get(part, part) for part in parts if part not in AVERAGE_SUFFIXES)
    words = re.sub(r"^top (?=\d)", "top-", words)
    name: str = SCORE_NAMES.get(words, words)
    for part in (part for part in AVERAGE_SUFFIXES if part in parts):
        if part == "ovr":
            name = Message("{metric}, one against the rest", metric=name)
        else:
            name = Message("{metric} ({average})", metric=name, average=part)
    return name


def capitalize(text: str) -> str:
    """Return the text with a capital first letter, a message in the current language.

    >>> capitalize("accuracy"), capitalize("R²")
    ('Accuracy', 'R²')
    """
    text = translate(text)
    return text[:1].upper() + text[1:]


def is_higher_better(score: str) -> bool | None:
    """Return whether larger values of a score are better, or None for an unknown metric."""
    if score == "loss":
        return False
    try:
        return bool(registry.find("metrics", split_score_key(score)[0]).meta.get("higher", True))
    except (YishengError, ImportError):  # a metric of a plugin that is not installed
        return None


def shorten_distinctly(names: Sequence[str], max_length: int) -> list[str]:
    """Return names of at most ``max_length`` characters that are as distinct as the names were, if that is possible.

    Long names lose their end; those that would then be equal lose their middle, or what they have in common at the
    beginning.

    >>> shorten_distinctly(["cat", "a very long name, 1", "a very long name, 2"], 9)
    ['cat', 'a ve…e, 1', 'a ve…e, 2']
    >>> shorten_distinctly(["the class number 1 of the set", "the class number 2 of the set"], 12)
    ['…number 1 o…', '…number 2 o…']
    """
    half = max(1, (max_length - 1) // 2)

    def cut_end(name: str) -> str:
        return name[: max_length - 1] + "…"

    def cut_middle(name: str) -> str:
        return f"{name[:half]}…{name[-half:]}"

    long = [name for name in names if len(name) > max_length] or [""]
    different = next((i for i, letters in enumerate(zip(*long, strict=False)) if len(set(letters)) > 1), None)
    common = long[0][:different]
    word = max(common.rfind(separator, 0, len(common) - 1) for separator in " _-/")
    start = word + 1 if word > 0 else max(0, len(common) - 4)

    def cut_beginning(name: str) -> str:
        ending = name[start:]
        return f"…{ending}" if len(ending) < max_length else f"…{ending[: max_length - 2]}…"

    def shorten(cut: Callable[[str], str]) -> list[str]:
        return [cut(name) if len(name) > max_length else name for name in names]

    return max(
        (shorten(cut) for cut in (cut_end, cut_middle, cut_beginning)), key=lambda shortened: len(set(shortened))
    )


def replace_unprintable(text: str) -> str:
    """Return the text with the characters replaced that neither HTML nor XML may contain.

    >>> replace_unprintable("a\\x00b")
    'a�b'
    """
    return _UNPRINTABLE.sub("\ufffd", text)


def _use_minus_sign(text: str) -> str:
    """Return the text with a minus sign in place of a leading hyphen; an exponent keeps its hyphen."""
    return f"−{text[1:]}" if text.startswith("-") else text


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value)))
