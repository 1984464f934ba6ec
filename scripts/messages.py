"""Write the catalogs of translations from the sources: python scripts/messages.py [--check]

The texts are those of every `Message(...)` in the sources, and what help shows: docstrings of the commands, the
descriptions of the config's keys, of the registered components what `yisheng explain` prints, and of the doctor's
checks what they compare and why. New texts are added to ``src/yisheng/locale/*/LC_MESSAGES/yisheng.po`` without a
translation, those that are gone are removed, and the compiled ``.mo`` next to it is what the package reads. With
``--check`` nothing is written; the exit code is 1 if a text is not translated, or a file would change.
"""

from __future__ import annotations

import ast
import io
import re
import string
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jinja2
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks.doctor import check_texts

from yisheng.cli import OVERVIEW, list_commands
from yisheng.core import registry
from yisheng.core.config import Config
from yisheng.core.entry import Entry
from yisheng.core.help_texts import map_help
from yisheng.core.messages import ENGLISH, LANGUAGES, as_message
from yisheng.experiments.explain import explain
from yisheng.experiments.explain_config import explain_component
from yisheng.experiments.explain_names import KIND_OF_KEY
from yisheng.reporting.findings_text import EVIDENCE
from yisheng.serving.static_files import TEXTS_IN_SCRIPTS, list_script_texts

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "yisheng"
MARKERS = {"Message": slice(0, 1), "plural_message": slice(1, 3)}
"""Function that makes a message -> which of its arguments are templates."""
TEMPLATE_MARKERS = {"message": slice(0, 1), "plural_message": slice(1, 3)}
"""The same in templates of HTML."""
EVIDENCE_POSITION = 2
"""Which argument of a `Finding` its evidence is."""
NO_DATE = datetime(2000, 1, 1, tzinfo=UTC)
"""The files change only with the texts."""
HEADER = """\
# Translations of Yisheng's texts. Written by `make messages`; translate what is after msgstr.
# Terms are those of src/yisheng/core/glossary.toml."""


@dataclass(frozen=True)
class Text:
    """A text to translate: its English template, and the file that it is in."""

    template: str
    file: str
    fields: frozenset[str] = frozenset()


class InvalidMessageError(Exception):
    """A `Message` in the sources that cannot be translated."""


def list_fields(template: str) -> frozenset[str]:
    """Return the named fields of a template.

    >>> sorted(list_fields("the loss became {loss} at step {step!r}"))
    ['loss', 'step']
    """
    return frozenset(name for _, name, _, _ in string.Formatter().parse(template) if name is not None)


def extract_messages(source: str, file: str) -> Iterator[Text]:
    """Yield the texts of every ``Message(...)`` and ``plural_message(...)`` in a source file.

    Args:
        source: the text of the file.
        file: its name, for the errors.

    Raises:
        InvalidMessageError: a template is not a constant, or its fields are not the keywords.
    """
    for node in ast.walk(ast.parse(source)):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in MARKERS):
            continue
        place = f"{file}:{node.lineno}"
        arguments = node.args[MARKERS[node.func.id]]
        templates = [a.value for a in arguments if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        if not templates or len(templates) != len(arguments):
            raise InvalidMessageError(f"{place}: the template of a message must be a constant, not an f-string")
        keywords = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
        has_more = any(keyword.arg is None for keyword in node.keywords)
        for template in templates:
            fields = list_fields(template) if node.keywords else frozenset[str]()
            if not keywords <= fields or (fields != keywords and not has_more):
                raise InvalidMessageError(f"{place}: fields {sorted(fields)}, but values for {sorted(keywords)}")
            yield Text(template, file, fields)


def extract_evidence(source: str, file: str) -> Iterator[Text]:
    """Yield the names of the evidence of every ``Finding(...)`` in a source file, as `findings_text` looks them up."""
    for node in ast.walk(ast.parse(source)):
        is_finding = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Finding"
        evidence = node.args[EVIDENCE_POSITION] if is_finding and len(node.args) > EVIDENCE_POSITION else None
        if re.match(r"diagnosis/\w+_checks/", file) and isinstance(node, ast.Dict):
            evidence = node  # a check may build it before the finding: names of several words are evidence
        for key in evidence.keys if isinstance(evidence, ast.Dict) else []:
            if (
                isinstance(key, ast.Constant)
                and isinstance(key.value, str)
                and (node is not evidence or " " in key.value)
            ):
                yield Text(f"{EVIDENCE}{key.value}", file)


def extract_templates(source: str, file: str) -> Iterator[Text]:
    """Yield the texts of the calls of ``message`` and ``plural_message`` in a template of HTML.

    Args:
        source: the text of the template.
        file: the name of the file that has it.
    """
    tree = jinja2.Environment(trim_blocks=True, lstrip_blocks=True).parse(source)
    for call in tree.find_all(jinja2.nodes.Call):
        if not isinstance(call.node, jinja2.nodes.Name) or call.node.name not in TEMPLATE_MARKERS:
            continue
        arguments = call.args[TEMPLATE_MARKERS[call.node.name]]
        templates = [" ".join(a.value.split()) for a in arguments if isinstance(a, jinja2.nodes.Const)]
        if not templates or len(templates) != len(arguments):
            raise InvalidMessageError(f"{file}: the template of a message must be a constant")
        keywords = {keyword.key for keyword in call.kwargs}
        for template in templates:
            fields = list_fields(template) if keywords else frozenset[str]()
            if fields != keywords:
                raise InvalidMessageError(f"{file}: fields {sorted(fields)}, but values for {sorted(keywords)}")
            yield Text(template, file, fields)


def extract_script(source: str, file: str) -> Iterator[Text]:
    """Yield the texts of the calls of ``message`` and the like in JavaScript.

    Args:
        source: the script.
        file: its name, for the errors.

    Raises:
        InvalidMessageError: the text of a call is not a constant.
    """
    calls = re.findall(r"(?<!function )\b(?:message|messageParts|pluralMessage)\(", source)
    matches = list(TEXTS_IN_SCRIPTS.finditer(source))
    if len(calls) != len(matches):
        raise InvalidMessageError(f"{file}: {len(calls)} calls with a text, and {len(matches)} constant texts")
    yield from (Text(text, file, list_fields(text)) for text in list_script_texts(source))


def extract_help() -> Iterator[Text]:
    """Yield the texts of help and of `yisheng explain` that are not in a `Message`."""
    yield from _collect(OVERVIEW.format(commands="  train"), "cli/__init__.py")
    for command in list_commands():
        file = f"cli/{command.replace('-', '_')}.py"
        doc = ast.get_docstring(ast.parse((SOURCES / file).read_text(encoding="utf-8")), clean=False)
        yield from _collect(doc or "", file)
    for info in Config.model_fields.values():
        yield Text(info.description or "", "core/config.py")
    for key, kind in KIND_OF_KEY.items():
        for entry in registry.entries(kind):
            file = _file_of(entry)
            yield Text(entry.about.template, file)
            yield from _collect(explain_component(key, entry.name, {}).details, file)
            yield from (Text(option.help.template, file) for option in entry.options.values())
            if "requires" in entry.meta:
                yield Text(entry.requirement.template, file)
    yield from (Text(as_message(text).template, _file_of(entry)) for entry, text in check_texts.list_texts())
    for entry in registry.entries("scratch"):
        file, explanation = _file_of(entry), explain(entry.name)
        yield from (Text(text, file) for text in (explanation.about, explanation.when))
        yield from (Text(argument.help, file) for argument in explanation.arguments)


def _collect(text: str, file: str) -> Iterator[Text]:
    texts: list[str] = []

    def collect(part: str) -> str:
        texts.append(part)
        return part

    map_help(text, collect)
    return (Text(part, file) for part in texts)


def _file_of(entry: Entry) -> str:
    module = sys.modules[entry.component.__module__]
    return Path(module.__file__ or "").resolve().relative_to(SOURCES).as_posix()


def extract_all() -> list[Text]:
    """Return all texts, those of help first, and then by file."""
    texts = list(extract_help())
    for path in sorted(SOURCES.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if path != SOURCES / "core" / "messages.py" and any(marker in source for marker in MARKERS):
            texts += extract_messages(source, path.relative_to(SOURCES).as_posix())
        texts += extract_evidence(source, path.relative_to(SOURCES).as_posix())
        if "message(" in source and "{{" in source:
            for node in ast.walk(ast.parse(source)):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and "message(" in node.value:
                    texts += extract_templates(node.value, path.relative_to(SOURCES).as_posix())
    for path in sorted(SOURCES.rglob("*.js")):
        if path.name == "messages.js":  # it defines the functions
            continue
        texts += extract_script(path.read_text(encoding="utf-8"), path.relative_to(SOURCES).as_posix())
    for path in sorted(SOURCES.rglob("*.html")):
        texts += extract_templates(path.read_text(encoding="utf-8"), path.relative_to(SOURCES).as_posix())
    return [text for text in texts if _has_words(text.template)]


def _has_words(template: str) -> bool:
    """Return whether a template has something to translate besides its fields: letters or punctuation."""
    return re.search(r"[A-Za-z]|[:;,()]", re.sub(r"\{\w[^{}]*\}", "", template)) is not None


def po_path(language: str) -> Path:
    """Return the path of the catalog of a language."""
    return SOURCES / "locale" / language / "LC_MESSAGES" / "yisheng.po"


def read_catalog(language: str) -> Catalog:
    """Return the catalog of a language; it is empty if there is no file."""
    path = po_path(language)
    if not path.is_file():
        return Catalog(language)
    with path.open("rb") as file:
        return read_po(file, locale=language)


def update(catalog: Catalog, texts: Iterable[Text]) -> Catalog:
    """Return a catalog with these texts, translated as far as an older one has them."""
    new = Catalog(catalog.locale, charset="utf-8")
    for text in sorted(texts, key=lambda text: (text.file, text.template)):  # stable when code moves within a file
        known = catalog.get(text.template)
        locations = [(text.file, 0)]
        new.add(text.template, known.string if known else "", locations=locations)
    return new


def to_po(catalog: Catalog) -> bytes:
    """Return a catalog as the text of its file: locations without numbers of lines, which change with every edit."""
    buffer = io.BytesIO()
    write_po(buffer, catalog, width=100, include_lineno=False, omit_header=True)
    return f'{HEADER}\nmsgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n\n'.encode() + buffer.getvalue()


def to_mo(catalog: Catalog) -> bytes:
    """Return a catalog in its compiled form."""
    buffer = io.BytesIO()
    plain = Catalog(catalog.locale, charset="utf-8", creation_date=NO_DATE, revision_date=NO_DATE)
    for message in catalog:
        if message.id and message.string:
            plain.add(message.id, message.string)
    write_mo(buffer, plain)
    return buffer.getvalue()


def main() -> int:
    """Write the catalogs, or check them."""
    texts = extract_all()
    check = "--check" in sys.argv[1:]
    problems = 0
    for language in LANGUAGES:
        if language == ENGLISH:
            continue
        catalog = update(read_catalog(language), texts)
        missing = [message.id for message in catalog if message.id and not message.string]
        print(f"{language}: {len(catalog)} texts, {len(missing)} without a translation")
        problems += len(missing)
        po = po_path(language)
        for path, content in ((po, to_po(catalog)), (po.with_suffix(".mo"), to_mo(catalog))):
            if not path.is_file() or path.read_bytes() != content:
                problems += 1
                if check:
                    print(f"{path.relative_to(ROOT)} must be written again: make messages")
                else:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
    return 1 if check and problems else 0


if __name__ == "__main__":
    sys.exit(main())
