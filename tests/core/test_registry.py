import subprocess
import sys
import textwrap

import pytest

from yisheng.core import discovery, registry
from yisheng.core.errors import UsageError
from yisheng.core.registry import register

KINDS = ("data.datasets", "models", "init", "losses", "metrics", "optim", "optim.schedules", "transforms")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """A package that adds to the kinds; gives a function that writes one of its files."""
    home = tmp_path / "plugins"
    monkeypatch.syspath_prepend(str(home))
    monkeypatch.setenv("YISHENG_PLUGINS", "visitor")
    discovery._list_modules.cache_clear()

    def write(kind, file, content):
        folder = home / "visitor"
        for part in ("", *kind.split(".")):
            folder = folder / part if part else folder
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").touch()
        (folder / file).write_text(textwrap.dedent(content))

    yield write
    discovery._list_modules.cache_clear()
    for name in [m for m in sys.modules if m.startswith("visitor")]:
        del sys.modules[name]
    for key in [k for k, e in registry._entries.items() if e.build.__module__.startswith("visitor")]:
        del registry._entries[key]


def test_a_file_is_all_it_takes(plugin):
    plugin(
        "models",
        "guest.py",
        """
        from yisheng.core.registry import register

        @register(fits=lambda spec: True, requires="anything")
        def my_guest(spec, *, width: int = 8, deep: bool = False):
            '''A guest.

            Args:
                width: units of
                    the layer.
            '''
        """,
    )
    assert "my-guest" in registry.names("models")
    entry = registry.find("models", "my_guest")
    assert entry.about == "A guest."
    assert [(o.name, o.default, o.help) for o in entry.options.values()] == [
        ("width", 8, "units of the layer."),
        ("deep", False, ""),
    ]


def test_two_things_of_one_name_are_refused(plugin):
    thing = "from yisheng.core.registry import register\n\n@register\ndef twin(spec): ...\n"
    plugin("models", "one.py", thing)
    plugin("models", "two.py", thing)
    with pytest.raises(registry.DuplicateNameError, match="two components named twin"):
        registry.find("models", "twin")


def test_a_plugin_that_is_not_there_is_told(monkeypatch):
    monkeypatch.setenv("YISHENG_PLUGINS", "no_such_package")
    with pytest.raises(UsageError, match="'no_such_package' cannot be imported"):
        registry.names("models")


def test_unknown_names_get_a_guess():
    with pytest.raises(UsageError, match="did you mean lenet"):
        registry.find("models", "lenett")
    with pytest.raises(UsageError, match="unknown loss"):
        registry.find("losses", "")


def test_a_function_of_a_script_names_its_kind():
    @register(kind="models")
    def from_a_script(spec): ...

    try:
        assert registry.find("models", "from-a-script").build is from_a_script
    finally:
        del registry._entries["models", "from-a-script"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_listed_name_is_found_and_documented(kind):
    found = list(registry.entries(kind))
    assert found
    for entry in found:
        assert entry.about.endswith("."), f"{kind} {entry.name} needs a sentence"
        assert all(option.help for option in entry.options.values()), f"{kind} {entry.name}: an option without help"
        required = {option.name for option in entry.options.values() if option.default is registry.REQUIRED}
        assert required <= ({"path"} if "opens" in entry.meta else set())


def test_listing_imports_nothing():
    code = "from yisheng.core.registry import names; names('models'); import sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
