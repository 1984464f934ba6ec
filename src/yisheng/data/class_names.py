"""Names of classes: forms that make two spellings one name, and matching the classes of two sets of rows by name.

Spellings of one number (``1``, ``1.0``) and of yes and no (``Yes``, ``yes``) are always one name. Every other
difference (a trailing dot, case, blanks) remains, unless a form removes it: ``labels=strip-dot``. The forms are applied
to training, test and evaluation rows alike, so a run's class names are in that form.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from yisheng.core.errors import UsageError, suggest
from yisheng.core.messages import Message, join_messages
from yisheng.data.tables.literals import match_yes_no, spelling_key

MAX_LISTED = 8
"""Class names that a message lists."""
_QUOTES = ('""', "''", "``", "“”", "‘’", "«»", "„“", "「」", "『』")
_ZERO_WIDTH = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))


def _unquote(name: str) -> str:
    return name[1:-1].strip() if len(name) > 2 and name[0] + name[-1] in _QUOTES else name


FORMS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "nfkc": lambda name: unicodedata.normalize("NFKC", name),
        "unquote": _unquote,
        "strip-dot": lambda name: name.rstrip(" .。．"),
        "separators": lambda name: re.sub(r"[-_\s]+", " ", name),
        "blanks": lambda name: " ".join(name.translate(_ZERO_WIDTH).split()),
        "casefold": str.casefold,
    }
)
"""Form -> what it does to a name; applied in this order."""
ABOUT_FORMS: Mapping[str, str] = MappingProxyType(
    {
        "nfkc": Message("full-width and decomposed characters become ordinary ones (Unicode NFKC)"),
        "unquote": Message("quotes around a name are removed"),
        "strip-dot": Message("dots at the end of a name are removed"),
        "separators": Message("hyphens and underscores become blanks"),
        "blanks": Message("several blanks become one, and those around a name are removed"),
        "casefold": Message("upper and lower case are the same"),
    }
)


@dataclass(frozen=True)
class ClassMatch:
    """Which classes of some rows are classes of a model.

    Args:
        numbers: for each class of the rows the number of the model's class, or -1.
        unknown: classes of the rows that the model does not have.
        absent: classes of the model that the rows do not have.
    """

    numbers: tuple[int, ...]
    unknown: tuple[str, ...]
    absent: tuple[str, ...]

    @property
    def count(self) -> int:
        """Return how many classes of the rows match."""
        return sum(number >= 0 for number in self.numbers)


def parse_forms(forms: str | Sequence[str]) -> tuple[str, ...]:
    """Return forms in the order in which they are applied, each once, and then the renamings (``old:new``).

    Raises:
        UsageError: there is no such form.

    >>> parse_forms("0:healthy,casefold,strip-dot")
    ('strip-dot', 'casefold', '0:healthy')
    """
    names = [name.strip() for name in (forms.split(",") if isinstance(forms, str) else forms)]
    names = [name for name in names if name not in ("", "none")]
    renamings = list(dict.fromkeys(name for name in names if _split_renaming(name) is not None))
    for name in names:
        if name not in FORMS and name not in renamings:
            raise UsageError(
                Message("labels={name}: there is no such form of labels", name=name),
                Message("{suggestion}; or rename: labels=OLD:NEW", suggestion=suggest(name, FORMS)),
            )
    return (*(name for name in FORMS if name in names), *renamings)


def normalize_name(name: str, forms: Collection[str]) -> str:
    """Return a class name in some forms; a name of which nothing would be left is unchanged.

    >>> normalize_name("<=50K.", ["strip-dot"]), normalize_name(" Golden_Retriever", ["separators", "casefold"])
    ('<=50K', 'golden retriever')
    >>> normalize_name("1.0", ["0:healthy", "1:ill"])
    'ill'
    """
    for form, change in FORMS.items():
        if form in forms:
            name = change(name).strip() or name
    for form in forms:
        renaming = _split_renaming(form)
        if renaming is not None and spelling_key(renaming[0]) == spelling_key(name):
            return renaming[1]
    return name


def _split_renaming(text: str) -> tuple[str, str] | None:
    """Return the old and the new name of ``old:new``, or None if it is not a renaming."""
    old, mark, new = (part.strip() for part in text.partition(":"))
    return (old, new) if mark and old and new else None


def match_classes(model: Sequence[str], rows: Sequence[str]) -> ClassMatch:
    """Match the classes of some rows with those of a model by name.

    Args:
        model: class names of the model.
        rows: class names of the rows, in the same forms.

    >>> match_classes(["0", "1", "2"], ["1.0", "7"])
    ClassMatch(numbers=(1, -1), unknown=('7',), absent=('0', '2'))
    >>> match_classes(["no", "yes"], ["YES", "No"]).numbers
    (1, 0)
    """
    number_of = {spelling_key(name): number for number, name in enumerate(model)}
    number_of |= {name: number for number, name in enumerate(model)}
    if match_yes_no(model) is not None:
        number_of |= {name.casefold(): number for number, name in enumerate(model)}
        rows_keys = [name.casefold() for name in rows]
    else:
        rows_keys = list(rows)
    numbers = tuple(number_of.get(key, number_of.get(spelling_key(key), -1)) for key in rows_keys)
    matched = set(numbers)
    unknown = tuple(name for name, number in zip(rows, numbers, strict=True) if number < 0)
    return ClassMatch(numbers, unknown, tuple(name for n, name in enumerate(model) if n not in matched))


def find_forms(model: Sequence[str], rows: Sequence[str]) -> tuple[str, ...]:
    """Return the fewest forms by which most names match; empty if none helps.

    Forms that would merge two classes of the model are not considered.

    >>> find_forms(["<=50K", ">50K"], ["<=50K.", ">50K."]), find_forms(["cat", "dog"], ["ant"])
    (('strip-dot',), ())
    """
    best: tuple[str, ...] = ()
    best_count = match_classes(model, rows).count
    for size in range(1, len(FORMS) + 1):
        for forms in itertools.combinations(FORMS, size):
            names = [normalize_name(name, forms) for name in model]
            if len(set(names)) < len(names):
                continue
            count = match_classes(names, [normalize_name(name, forms) for name in rows]).count
            if count > best_count:
                best, best_count = forms, count
    return best


def find_merged(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return the form by which some names are one, and those names; empty if all differ in more than their form.

    Single characters are left out: ``a`` and ``A`` may be two letters to tell apart.

    >>> find_merged(["cat", "Cat", "dog"])
    (('casefold',), (('cat', 'Cat'),))
    """
    for form in FORMS:
        groups: dict[str, list[str]] = {}
        for name in (name for name in names if len(name) > 1):
            groups.setdefault(normalize_name(name, [form]), []).append(name)
        merged = tuple(tuple(group) for group in groups.values() if len(group) > 1)
        if merged:
            return (form,), merged
    return (), ()


def list_names(names: Sequence[str]) -> str:
    """Return class names as they are written, in quotes; the first few of many.

    >>> list_names(["a", "b "])
    "'a', 'b '"
    """
    listed = ", ".join(repr(name if len(name) <= 40 else f"{name[:37]}...") for name in names[:MAX_LISTED])
    omitted = len(names) - MAX_LISTED
    return Message("{names} and {count} more", names=listed, count=f"{omitted:,}") if omitted > 0 else listed


def suggest_forms(model: Sequence[str], rows: Sequence[str]) -> str:
    """Return a remedy that names the forms by which the names match; empty if there is none.

    >>> suggest_forms(["a"], ["A"])
    'use labels=casefold (upper and lower case are the same)'
    >>> suggest_forms(["healthy", "ill"], ["0", "1"])
    'if they are the same classes, rename them: labels=0:healthy,1:ill'
    """
    forms = find_forms(model, rows)
    if not forms and len(model) == len(rows) <= MAX_LISTED and not any("," in name or ":" in name for name in rows):
        pairs = ",".join(f"{old}:{new}" for old, new in zip(rows, model, strict=True))
        remedy = Message("if they are the same classes, rename them: labels={pairs}", pairs=pairs)
        return remedy if not set(model) & set(rows) else ""
    about = join_messages(ABOUT_FORMS[form] for form in forms)
    return Message("use labels={forms} ({about})", forms=",".join(forms), about=about) if forms else ""
