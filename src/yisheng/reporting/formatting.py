"""Numbers and names in words: how many digits a value deserves, and what a score is called."""

from __future__ import annotations

import math
import re

from yisheng.core import registry
from yisheng.core.errors import YishengError

NONE = "–"
WORDS = {"auc": "AUC", "f1": "F1", "mae": "MAE", "mse": "MSE", "r2": "R²", "rmse": "RMSE", "roc": "ROC"}
"""Words of scores' keys that are not written as they are spelt."""
AVERAGES = {"macro": " (macro)", "micro": " (micro)", "weighted": " (weighted)", "ovr": ", one against the rest"}
"""Words of scores' keys that say how values were put together: they stand last."""
BASELINES = {
    "classification": "guessing the commonest class",
    "multilabel": "guessing each label's commonest value",
    "regression": "predicting the mean",
}
"""What the baseline of each task does."""

_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def places(value: float, low: float | None = None, high: float | None = None) -> int:
    """Decimal places that a value deserves: three digits, and as many as its interval can tell apart.

    >>> places(0.9111), places(0.9111, 0.905, 0.917), places(53.118, 49.2, 57.3), places(0.99912, 0.9990, 0.9993)
    (3, 3, 1, 4)
    """
    wanted = 3 if not math.isfinite(value) or value == 0 else 2 - _magnitude(value)
    wanted = 3 if 0.1 <= abs(value) <= 1 else wanted
    if low is not None and high is not None and math.isfinite(high - low) and high > low:
        wanted = max(wanted, -_magnitude((high - low) / 2))
    return min(max(wanted, 0), 12)


def number(value: float | None, decimals: int | None = None) -> str:
    """A number for people to read.

    Args:
        value: None and NaN are shown as what they are.
        decimals: decimal places; None gives the value's own (see `places`).

    >>> number(0.9111), number(25312.4), number(3.2e-9), number(-0.0001, 3), number(None), number(float("nan"))
    ('0.911', '25,312', '3.2e-09', '0.000', '–', 'not a number')
    """
    if value is None:
        return NONE
    if math.isnan(value):
        return "not a number"
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    if value and not 1e-5 <= abs(value) < 1e9:
        return _minus(f"{value:.3g}")
    text = f"{value:,.{places(value) if decimals is None else decimals}f}"
    return _minus(text) if text.strip("-0.,") else text.removeprefix("-")


def short(value: float, digits: int = 6) -> str:
    """A number in as few signs as it needs, for the margin of an axis.

    >>> short(0.25), short(25000.0), short(-3.0), short(2e7), short(0.0)
    ('0.25', '25,000', '−3', '2e+07', '0')
    >>> short(0.0499967, 3)
    '0.05'
    """
    return _minus(f"{value:,.{digits}g}" if value == 0 or 1e-4 <= abs(value) < 1e6 else f"{value:.3g}")


def percent(share: float | None) -> str:
    """A share as a percentage; 100% and 0% are said only when they are exact.

    >>> percent(0.123), percent(0.99999), percent(1.0), percent(0.0001)
    ('12.3%', '>99.9%', '100%', '<0.1%')
    """
    if share is None or not math.isfinite(share):
        return NONE
    if share in (0, 1):
        return f"{share:.0%}"
    if 0.9995 <= share < 1:
        return ">99.9%"
    return "<0.1%" if 0 < share < 0.0005 else f"{share:.1%}"


def duration(seconds: float) -> str:
    """A time for people to read.

    >>> duration(3.21), duration(75), duration(7260)
    ('3.2 s', '1 min 15 s', '2 h 1 min')
    """
    if not math.isfinite(seconds):
        return NONE
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60} min"


def plural(count: int, noun: str) -> str:
    """A count and its noun.

    >>> plural(1, "row"), plural(1797, "row")
    ('1 row', '1,797 rows')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def score_name(key: str) -> str:
    """What a score is called within a sentence.

    >>> score_name("log_rmse"), score_name("top_3_accuracy"), score_name("roc_auc_ovr_macro")
    ('log RMSE', 'top-3 accuracy', 'ROC AUC, one against the rest (macro)')
    """
    parts = key.split("_")
    name = " ".join(WORDS.get(part, part) for part in parts if part not in AVERAGES)
    return re.sub(r"^top (?=\d)", "top-", name) + "".join(AVERAGES.get(part, "") for part in parts)


def capital(text: str) -> str:
    """The text as the beginning of a sentence.

    >>> capital("accuracy"), capital("R²")
    ('Accuracy', 'R²')
    """
    return text[:1].upper() + text[1:]


def higher(score: str) -> bool | None:
    """Whether larger values of a score are better; None for a metric that is not known here."""
    if score == "loss":
        return False
    try:
        return bool(registry.find("metrics", score).meta.get("higher", True))
    except (YishengError, ImportError):  # a plugin of another machine
        return None


def clean(text: str) -> str:
    """The text without signs that neither HTML nor XML may hold.

    >>> clean("a\\x00b")
    'a�b'
    """
    return _UNPRINTABLE.sub("\ufffd", text)


def _minus(text: str) -> str:
    """A minus sign as long as a plus; those in an exponent stay."""
    return f"−{text[1:]}" if text.startswith("-") else text


def _magnitude(value: float) -> int:
    return math.floor(math.log10(abs(value)))
