"""The catalogs of translations: complete, with the fields of the originals, in the words of the glossary."""

import ast
import importlib.util
import re
import sys
from pathlib import Path

import pytest

from yisheng.core.glossary import read_glossary

ROOT = Path(__file__).parents[1]
SPEC = importlib.util.spec_from_file_location("messages_script", ROOT / "scripts" / "messages.py")
script = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = script
REMEDY = "run `make messages`, and translate what is new in src/yisheng/locale"


@pytest.fixture(scope="module")
def texts():
    SPEC.loader.exec_module(script)
    return script.extract_all()


@pytest.fixture(scope="module")
def catalog(texts):
    return script.read_catalog("zh")


def translations(catalog):
    return {message.id: message.string for message in catalog if message.id}


def test_every_text_is_translated(texts, catalog):
    translated = translations(catalog)
    missing = sorted({text.template for text in texts if not translated.get(text.template)})
    assert not missing, REMEDY


def test_the_files_are_written_by_the_script(texts, catalog):
    updated, path = script.update(catalog, texts), script.po_path("zh")
    assert path.read_bytes() == script.to_po(updated), REMEDY
    assert path.with_suffix(".mo").read_bytes() == script.to_mo(updated), REMEDY


def test_fields_are_those_of_the_original(texts, catalog):
    translated = translations(catalog)
    for text in texts:
        if text.fields and translated.get(text.template):
            fields = script.list_fields(translated[text.template])
            assert fields == script.list_fields(text.template), text.template


def test_code_is_kept(catalog):
    """Commands, options and file names of a text are those of its translation."""
    for text, translation in translations(catalog).items():
        assert re.findall(r"`([^`]*)`", text) == re.findall(r"`([^`]*)`", translation), text
        assert list_options(text) == list_options(translation), text


def list_options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w{])[a-z_]\w*=", text))


def test_chinese_punctuation_is_full_width(catalog):
    for text, translation in translations(catalog).items():
        assert not re.search(r"[\u4e00-\u9fff][,;:!?](?!\w)", translation), (text, translation)
        assert not re.search(r"[\u4e00-\u9fff]\.(?!\w)", translation), (text, translation)


def test_chinese_and_latin_words_are_separated(catalog):
    """As Chinese engineers write: a space between Chinese and Latin letters or digits."""
    for text, translation in translations(catalog).items():
        prose = re.sub(r"`[^`]*`|\{[^{}]*\}", "`", translation)
        match = re.search(r"[\u4e00-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u4e00-\u9fff]", prose)
        assert match is None, (text, match and prose[max(0, match.start() - 10) : match.end() + 10])


TERMS = {
    "overfitting": "overfitting",
    "weight decay": "weight decay",
    "learning rate": "learning rate",
    "confusion matrix": "confusion matrix",
    "batch norm": "batch normalization",
    "early stopping": "early stopping",
    "residual block": "residual block",
    "learning-rate schedule": "learning-rate schedule",
    "cross-validation": "k-fold cross-validation",
    "gradient descent": "gradient descent",
    "saddle point": "saddle point",
    "out of distribution": "out-of-distribution",
}
"""Words of a text -> the term of the glossary; those whose translation leaves no doubt."""


@pytest.mark.parametrize("term", TERMS)
def test_terms_are_those_of_the_glossary(term, catalog):
    (chinese,) = (t.chinese for t in read_glossary() if t.english == TERMS[term])
    words = [re.sub(r"K折", "", word) for word in chinese]
    uses = {text: t for text, t in translations(catalog).items() if re.search(rf"\b{term}\b(?!,)", text)}
    wrong = [text for text, translation in uses.items() if not any(word in translation for word in words)]
    assert not wrong


def test_a_template_must_be_a_constant(texts):
    invalid = ('f"{n} rows"', "text", "", '"{n} rows", m=1', '"a {n}", n=1, m=2')
    for code in (f"Message({arguments})" for arguments in invalid):
        with pytest.raises(script.InvalidMessageError):
            list(script.extract_messages(code, "x.py"))
    assert [t.template for t in script.extract_messages('plural_message(n, "{n} row", "{n} rows", n=n)', "x.py")] == [
        "{n} row",
        "{n} rows",
    ]


def literals_in(value: ast.expr) -> list[str]:
    if isinstance(value, ast.Constant):
        return [value.value] if isinstance(value.value, str) else []
    branches = {ast.BoolOp: ("values",), ast.IfExp: ("body", "orelse"), ast.BinOp: ("left", "right")}
    children = [getattr(value, name) for name in branches.get(type(value), ())]
    return [
        s for child in children for part in (child if isinstance(child, list) else [child]) for s in literals_in(part)
    ]


def words_in_values(code: str) -> list[str]:
    """Return the English words that are values of messages in a module, where no catalog finds them."""
    calls = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call)]
    messages = [call for call in calls if getattr(call.func, "id", "") == "Message"]
    labelled = [call.args[-1] for call in calls if getattr(call.func, "attr", "") == "require_inputs" and call.args]
    values = [k.value for call in messages for k in call.keywords] + labelled
    return [
        s for value in values for s in literals_in(value) if re.search(r"[a-z] [a-z]", s) or s in ("none", "nothing")
    ]


def test_values_of_messages_are_no_english_words():
    assert words_in_values('Message("it holds {names}", names=", ".join(names) or "none")') == ["none"]
    words_of_files = {path: words_in_values(path.read_text()) for path in (ROOT / "src").rglob("*.py")}
    assert not {path.name: words for path, words in words_of_files.items() if words}


SHOWN_BY = ("info", "warning", "announce", "announce_once", "print")
PRINTED_AS_IN_THE_BOOK = ("d2l/training_ch6.py", "d2l/training_ch13.py", "d2l/classifiers.py", "d2l/timing.py")


def texts_without_message(code: str) -> list[str]:
    """Return the English words that a module shows, but not in a message."""
    calls = [n for n in ast.walk(ast.parse(code)) if isinstance(n, ast.Call) and n.args]
    shown = [c.args[0] for c in calls if getattr(c.func, "attr", getattr(c.func, "id", "")) in SHOWN_BY]
    formatted = [value.values for value in shown if isinstance(value, ast.JoinedStr)]
    constants = [s for value in shown for s in literals_in(value)]
    constants += [s for parts in formatted for part in parts for s in literals_in(part)]
    return [s for s in constants if re.search(r"[a-z]{3,}", s.replace("yisheng", "").replace("d2l", ""))]


def test_what_is_shown_can_be_translated():
    assert texts_without_message('logger.info(f"{n} rows"); announce("left out: x"); print(n, "rows")') == [
        "left out: x",
        " rows",
    ]
    modules = {p.relative_to(ROOT / "src/yisheng").as_posix(): p.read_text() for p in (ROOT / "src").rglob("*.py")}
    words = {name: texts_without_message(text) for name, text in modules.items() if name not in PRINTED_AS_IN_THE_BOOK}
    assert not {name: texts for name, texts in words.items() if texts}
