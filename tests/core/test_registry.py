"""Components are found by their files, described by their signature, and unique by name."""

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
    """Return a function that writes a file of a plugin."""
    plugins = tmp_path / "plugins"
    monkeypatch.syspath_prepend(str(plugins))
    monkeypatch.setenv("YISHENG_PLUGINS", "visitor")
    discovery._list_modules.cache_clear()

    def write(kind, file, content):
        folder = plugins / "visitor"
        for part in ("", *kind.split(".")):
            folder = folder / part if part else folder
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").touch()
        (folder / file).write_text(textwrap.dedent(content))

    yield write
    discovery._list_modules.cache_clear()
    for name in [m for m in sys.modules if m.startswith("visitor")]:
        del sys.modules[name]
    for key in [k for k, e in registry._entries.items() if e.component.__module__.startswith("visitor")]:
        del registry._entries[key]


def test_a_new_file_registers_a_component(plugin):
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


def test_two_components_of_one_name_are_refused(plugin):
    code = "from yisheng.core.registry import register\n\n@register\ndef narrow(spec): ...\n"
    plugin("models", "first.py", code)
    plugin("models", "second.py", code)
    with pytest.raises(registry.DuplicateNameError, match="two components named narrow"):
        registry.find("models", "narrow")


def test_a_missing_plugin_is_an_error(monkeypatch):
    monkeypatch.setenv("YISHENG_PLUGINS", "no_such_package")
    with pytest.raises(UsageError, match="'no_such_package' cannot be imported"):
        registry.names("models")


def test_unknown_names_get_a_suggestion():
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
    entries = list(registry.entries(kind))
    assert entries
    for entry in entries:
        assert entry.about.endswith("."), f"{kind} {entry.name} needs a sentence"
        assert all(option.help for option in entry.options.values()), f"{kind} {entry.name}: an option without help"
        required = {option.name for option in entry.options.values() if option.default is registry.REQUIRED}
        assert required <= ({"path"} if "opens" in entry.meta else set())


def test_variants_of_a_function_have_its_options_except_those_that_are_fixed(plugin):
    plugin(
        "models",
        "family.py",
        """
        from typing import Literal

        from yisheng.core.registry import Variant, register

        @register(
            fits=lambda spec: True,
            variants={
                "family11": {"depth": 11},
                "family11-bn": Variant(
                    {"depth": 11, "batch_norm": True}, choices={"style": ("a", "b")}, meta={"requires": "images"}
                ),
            },
        )
        def family(spec, *, depth: int = 16, batch_norm: bool = False, style: Literal["a", "b", "c"] = "a"):
            '''Build a family of networks.

            Variants:
                family11: eleven layers.
                family11-bn: eleven layers with
                    batch norm.

            Args:
                depth: number of layers.
                batch_norm: whether to normalize.
                style: the form.
            '''
            return spec, depth, batch_norm, style
        """,
    )
    names = registry.names("models")
    assert {"family11", "family11-bn"} <= set(names)
    assert "family" not in names
    plain, normalized = (registry.find("models", name) for name in ("family11", "family11_bn"))
    assert (plain.about, normalized.about) == ("eleven layers.", "eleven layers with batch norm.")
    assert list(plain.options) == ["batch_norm", "style"]
    assert [(o.name, o.default, o.help) for o in normalized.options.values()] == [("style", "a", "the form.")]
    assert (plain.build("x"), normalized.build("x", style="b")) == (("x", 11, False, "a"), ("x", 11, True, "b"))
    assert "requires" not in plain.meta
    assert normalized.meta["requires"] == "images"
    assert plain.meta["fits"] is normalized.meta["fits"]
    assert plain.check_option("style", "c", "model") == "c"
    with pytest.raises(UsageError, match="must be"):
        normalized.check_option("style", "c", "model")
    with pytest.raises(UsageError, match="unknown model 'family'"):
        registry.find("models", "family")
    with pytest.raises(UsageError, match="has no option 'depth'"):
        registry.build("models", "family11", "x", depth=3)


def test_listing_imports_nothing():
    code = "from yisheng.core.registry import names; names('models'); import sys; print('torch' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "False"
