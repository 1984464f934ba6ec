"""Environment variables and plugins that are wrong: each has its cause, its remedy and its exit code."""

import pytest

PLUGINS = {
    "missing": ("nowhere_at_all", {}, 2, "nowhere_at_all"),
    "a path": ("../plugins", {}, 2, "plugins"),
    "dots": ("..", {}, 2, r"'\.\.'"),
    "words": ("not a package", {}, 2, "not a package"),
    "a module": ("bad_module", {"bad_module.py": ""}, 2, "bad_module"),
    "raises": ("bad_raises", {"bad_raises/__init__.py": "1 / 0"}, 2, "bad_raises"),
    "no Python": ("bad_syntax", {"bad_syntax/models/m.py": "def ("}, 2, "bad_syntax"),
    "model raises": (
        "bad_model",
        {"bad_model/models/mlp_x.py": "from yisheng import register\n1 / 0\n@register\ndef mlp_x(spec): ..."},
        2,
        "mlp_x",
    ),
    "a name twice": (
        "bad_name",
        {"bad_name/models/mlp.py": "from yisheng import register\n@register\ndef mlp(spec): ..."},
        1,
        "two components named mlp",
    ),
}


@pytest.mark.parametrize("name", PLUGINS)
def test_wrong_plugins_are_refused(name, assert_error, tmp_path, monkeypatch):
    package, content, code, cause = PLUGINS[name]
    for path, text in content.items():
        (tmp_path / "plugins" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plugins" / path).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "plugins"))
    monkeypatch.setenv("YISHENG_PLUGINS", package)
    words = ["train", "data=iris", "model=mlp-x" if name == "model raises" else "model=mlp"]
    assert_error(words, code, cause)


ENVIRONMENT = [
    ("YISHENG_HOME", "{workdir}/precious.txt", "data fetch mnist", 2, "is not a folder"),
    ("YISHENG_HOME", "{workdir}/precious.txt/deeper", "data fetch titanic", 1, "cannot be written"),
    ("YISHENG_HOME", "/proc/nowhere", "data fetch titanic", 1, "cannot be written"),
    ("YISHENG_HOME", "~no-such-user/x", "data fetch titanic", 2, "no home folder ~no-such-user"),
    ("YISHENG_HOME", "{workdir}/" + "a" * 300, "data fetch titanic", 2, "File name too long"),
    ("YISHENG_HOME", "{workdir}/precious.txt", "train data=mnist", 2, "is not a folder"),
    ("YISHENG_MIRROR", "nonsense", "data fetch titanic", 2, "not a mirror"),
    ("YISHENG_MIRROR", "ftp://a/b", "data fetch titanic", 2, "not a mirror"),
    ("YISHENG_MIRROR", "file://relative", "train data=mnist", 2, "not a mirror"),
    ("YISHENG_MIRROR", "https://me:secret@host/x", "data fetch titanic", 2, "without a password"),
    ("YISHENG_MIRROR", "file:///nowhere/at/all", "data fetch titanic", 3, "does not exist"),
    ("YISHENG_MIRROR", "", "data fetch titanic", 3, "YISHENG_OFFLINE=1"),
    ("YISHENG_OFFLINE", "perhaps", "data fetch titanic", 2, "must be 1 or 0"),
]


@pytest.mark.parametrize(("name", "value", "words", "code", "cause"), ENVIRONMENT)
def test_wrong_environment_variables_are_refused(name, value, words, code, cause, assert_error, workdir, monkeypatch):
    monkeypatch.setenv("YISHENG_MIRROR", "file:///nowhere")
    monkeypatch.setenv(name, value.format(workdir=workdir))
    assert_error(words.split(), code, cause)
