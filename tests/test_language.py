"""The words of the project: names, docstrings, comments, messages and docs in the field's own terms.

The lists below are deny-lists. A name that says nothing (`found`, `one`, `rest`) hides what the code does;
a private word (a "twin", a "bedside") has to be learnt before the sentence can be read.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src" / "yisheng"
CODE = [
    *sorted(SOURCES.rglob("*.py")),
    *sorted((ROOT / "benchmarks").rglob("*.py")),
    *sorted((ROOT / "examples").rglob("*.py")),
]
PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
]
TESTS = [path for path in sorted((ROOT / "tests").rglob("*.py")) if path != Path(__file__)]
WEB = [path for path in sorted(SOURCES.rglob("*")) if path.suffix in (".html", ".js")]

NAMES = set(
    """found one ones said say says told tell tells seen known given wanted asked whole there ours theirs apart beside anew so such
    some many much more most least few fewer little less far near wide again already yet before after then now here where which
    what whose who whoever whatever other others another each every both either neither own same alike like unlike else rest left
    right kept put taken made done gone come comes goes came went began begun ended standing lying stuff thing things somehow something
    anything nothing everything none_ any_ all_ short long_ big small good bad better worse best_ worst_ first_ last_ early late
    recipe picture pictures twin bedside patient familiar blame settle settled verb share spread""".split()
)
"""Assigned names that say nothing, or that the glossary replaced; leading underscores and case aside."""

WORDS = {
    r"recipes?": "config",
    r"pictures?": "image",
    r"settle[sd]?|settling": "resolve",
    r"anew": "again",
    r"beside": "next to, compared with",
    r"bedsides?": "doctor callback",
    r"mend(s|ed|ing)?": "fix",
    r"by chance": "random, at random",
    r"by hand|hand-?written(?! (?:digits?|letters?|characters?|digit))": "from scratch",
    r"twins?": "from-scratch equivalent; duplicate",
    r"(?<!imperative )(?<!are )verbs?": "command, function",
    r"whither|whence|thither|thereof|therein": "plain words",
    r"hangs? on": "depends on",
    r"bring (it|them) back": "restore, download again",
    r"where it was whole": "an intact copy",
    r"say(?= `?[a-z_]+=)": "use",
    r"lies in|lies beside|stands in": "is in",
    r"of torch's|of ours|of theirs|of its own making": "torch's, our",
    r"(?<!there )is no(?= (?!longer|more|less|need|way|such|use|one|point|reason|other)[a-z])": "is not a",
    r"told (?=by|from|of)": "distinguished, reported",
    r"ahead of the": "before",
}
"""Words of prose, as regular expressions, and what to write instead."""
DENIED = [
    (re.compile(rf"(?<![\w./=-])(?:{word})(?![\w=/])", re.IGNORECASE), instead) for word, instead in WORDS.items()
]


NOT_VERBS = set(
    """a an the what whether how which where when who whose why all both each every one two three four some rows names images it its of
    as at by from in on to with numbers number columns answers answer probabilities half true false none bytes texts lines
    those these that this there weights gradients gradient outputs targets parameters settings values value files folders path paths
    json only also not never if same mean-free differences""".split()
)
"""First words of a function's docstring that show that it does not begin with an imperative verb."""


FOREIGN = {"src/yisheng/d2l": {"ones"}, "src/yisheng/d2l/vision": {"left"}}
"""Names of others that a folder has to use: those of a book, and arguments of torchvision."""


ALLOWED_IN_TESTS = {"before", "after", "other", "others", "same", "again"}
"""Two states of one thing are compared in most tests."""


def assigned_names(tree: ast.AST):
    """Yield every name that the code gives to something, with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node.lineno
        elif isinstance(node, ast.arg):
            yield node.arg, node.lineno
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node.lineno


def prose(path: Path):
    """Yield the comments and the texts of a source file (docstrings, messages), with their lines."""
    text = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string, token.start[0]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.value, node.lineno


def complaints(texts) -> list[str]:
    """Return one line for every denied word."""
    lines = []
    for text, line in texts:
        for pattern, instead in DENIED:
            for match in pattern.finditer(text):
                excerpt = " ".join(text[max(0, match.start() - 30) : match.end() + 30].split())
                lines.append(f"line {line}: {match[0]!r}, write: {instead} ({excerpt})")
    return lines


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def by_folder(paths: list[Path]) -> dict[str, list[Path]]:
    """Return the files by their folder: one test each, as one for each file would take longer to start than to run."""
    folders: dict[str, list[Path]] = {}
    for path in paths:
        folders.setdefault(relative(path.parent), []).append(path)
    return folders


FOLDERS = by_folder([*CODE, *TESTS])
SOURCE_FOLDERS = by_folder([path for path in CODE if path.is_relative_to(SOURCES)])
PAGE_FOLDERS = by_folder([*PAGES, *WEB])


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_say_what_they_are(folder):
    vague = []
    for path in FOLDERS[folder]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        denied = NAMES - FOREIGN.get(folder, set()) if path.is_relative_to(SOURCES) else NAMES - ALLOWED_IN_TESTS
        names = [(name, line) for name, line in assigned_names(tree) if name.strip("_").lower() in denied]
        vague += [f"{relative(path)}:{line}: {name}" for name, line in names]
    assert not vague, "name the thing by the field's word\n" + "\n".join(vague)


@pytest.mark.parametrize("folder", FOLDERS)
def test_docstrings_comments_and_messages_use_plain_words(folder):
    wrong = [f"{relative(path)}: {text}" for path in FOLDERS[folder] for text in complaints(prose(path))]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", PAGE_FOLDERS)
def test_pages_use_plain_words(folder):
    wrong = []
    for path in PAGE_FOLDERS[folder]:
        lines = [(line, number) for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)]
        wrong += [f"{relative(path)}: {text}" for text in complaints(lines)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("folder", SOURCE_FOLDERS)
def test_docstrings_of_functions_begin_with_a_verb(folder):
    wrong = []
    for path in SOURCE_FOLDERS[folder]:
        functions = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(n, ast.FunctionDef)]
        docstrings = [(f.name, f.lineno, ast.get_docstring(f)) for f in functions]
        wrong += [
            f"{relative(path)}:{line}: {name}: {text.splitlines()[0]}"
            for name, line, text in docstrings
            if text and (not text[0].isupper() or re.split(r"\W", text, maxsplit=1)[0].lower() in NOT_VERBS)
        ]
    assert not wrong, "\n".join(wrong)


def test_the_lists_find_what_they_deny():
    names = {name for name, _ in assigned_names(ast.parse("found = 1\ndef told(rest): ..."))}
    assert names == {"found", "told", "rest"} <= NAMES
    assert complaints([("Settle the recipe anew; say epochs=20", 1)])
    assert not complaints([("the config of the run; use epochs=20", 1)])
