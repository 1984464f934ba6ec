"""Components are found by their files, described by their signature, and unique by name."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from yisheng.core import discovery, registry
from yisheng.core.entry import REQUIRED
from yisheng.core.errors import DataError, UsageError
from yisheng.core.kinds import KIND_LABELS
from yisheng.core.registry import register

KINDS = ("data.datasets", "models", "init", "losses", "metrics", "optim", "optim.schedules", "transforms")


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Return a function that writes a file of a plugin."""
    plugins = tmp_path / "plugins"
    monkeypatch.syspath_prepend(str(plugins))
    monkeypatch.setenv("YISHENG_PLUGINS", "visitor")
    discovery._list_modules.cache_clear()
    discovery._list_definitions.cache_clear()

    def write(kind, file, content):
        folder = plugins / "visitor"
        for part in ("", *kind.split(".")):
            folder = folder / part if part else folder
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").touch()
        (folder / file).write_text(textwrap.dedent(content))

    yield write
    discovery._list_modules.cache_clear()
    discovery._list_definitions.cache_clear()
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
        required = {option.name for option in entry.options.values() if option.default is REQUIRED}
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


def narrow(spec, *, width: int = 4): ...


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (lambda: register(kind="model")(narrow), "no such kind\n  did you mean models"),
        (lambda: register(narrow), "cannot tell the kind of a component in .*\n  name it, as in @register"),
        (lambda: register("models"), "takes a function or class, got 'models'"),
        (lambda: register(kind="models")(lambda spec: None), "a lambda has no name"),
        (lambda: register(kind="models", fits=lambda spec: True)(narrow), "registered with fits alone\n  give both"),
        (lambda: register(kind="transforms")(narrow), "has no fit and no apply and no invert"),
        (lambda: register(kind="metrics")(narrow), r"called with \(y, prediction\), but is defined as narrow\(spec, "),
    ],
)
def test_what_cannot_be_registered_is_refused_with_the_way(define, message):
    with pytest.raises(UsageError, match=message):
        define()


def without_spec(): ...
def with_default(width=8): ...
def by_position(spec, width=8): ...
def with_annotations(spec: str, width: "int" = 8) -> None: ...
def keyword_spec(*, spec): ...
def open_ended(*args, **options): ...


@pytest.mark.parametrize(
    ("function", "remedy"),
    [
        (without_spec, "without_spec(spec)"),
        (with_default, "with_default(spec, *, width=8): options"),
        (by_position, "by_position(spec, *, width=8): options"),
        (with_annotations, "with_annotations(spec, *, width=8): options"),
    ],
)
def test_a_wrong_signature_is_refused_with_the_right_one(function, remedy):
    with pytest.raises(UsageError) as raised:
        register(kind="models")(function)
    assert raised.value.remedy.startswith(f"define it as {remedy}")


def test_any_arguments_are_right_for_every_kind():
    for kind in ("models", "losses", "data.datasets"):
        assert register(kind=kind)(open_ended) is open_ended


def test_a_metric_without_facts_is_for_any_data(tmp_path):
    import yisheng

    @register(kind="metrics")
    def within_one(y, prediction):
        """Fraction of rows that are at most one class away."""
        return float((abs(y - prediction.argmax(1)) <= 1).mean())

    run = yisheng.train(data="iris", score="within-one", epochs=1, out=tmp_path, quiet=True)
    assert run.scores["test"]["within_one"].value <= 1
    with pytest.raises(UsageError, match="did you mean within-one"):
        yisheng.train(data="iris", score="within-on", epochs=1, out=tmp_path, quiet=True)


def test_a_run_whose_component_is_not_known_here_says_so(tmp_path):
    import yisheng

    @register(kind="models")
    def registered_here(spec):
        from torch import nn

        return nn.Linear(spec.shape[0], spec.outputs)

    run = yisheng.train(data="iris", model="registered-here", epochs=1, out=tmp_path, quiet=True)
    del registry._entries["models", "registered-here"]
    for use in (yisheng.report, yisheng.resume, yisheng.evaluate):
        with pytest.raises(DataError, match="'registered-here', which is not known here\n  register it") as raised:
            use(run.path)
        assert "damaged" not in raised.value.problem


@pytest.mark.parametrize("kind", KIND_LABELS)
def test_files_are_listed_as_their_syntax_trees_say(kind: str) -> None:
    for folder in discovery._folders(f"yisheng.{kind}"):
        for path in folder.glob("[!_]*.py"):
            assert discovery.read_decorated(path, path.stem) == discovery.read_file(path, path.stem), path


@pytest.mark.parametrize("kind", ["data.datasets", "data.objects", "models", "metrics", "losses", "optim.schedules"])
@pytest.mark.parametrize("fact", ["default_for", "opens", "takes", "interval"])
def test_entries_with_a_fact_are_those_that_have_it(kind: str, fact: str) -> None:
    expected = [entry.name for entry in registry.entries(kind) if fact in entry.meta]
    assert [entry.name for entry in registry.entries(kind, fact)] == expected


def test_facts_of_a_decorator_are_read_without_importing_it(tmp_path: Path) -> None:
    path = tmp_path / "plugin.py"
    path.write_text(
        "import registry\n@registry.register(opens=is_file, **facts)\ndef open_ended(): ...\n"
        '@register(variants={"a-1": Variant({"k": 1}, meta={"opens": f})}, fits=g)\ndef a(*, k): ...\n'
        '@register(variants={"b-1": Variant({"k": 1}, meta=make())})\ndef b(*, k): ...\n'
        "@register(variants=make())\ndef c(*, k): ...\n@register\nclass D: ...\n@other\ndef e(): ...\n"
    )
    for read in (discovery.read_file, discovery.read_decorated):
        definitions = {definition.name: definition for definition in read(path, "plugin")}
        assert list(definitions) == ["open-ended", "a-1", "b-1", "c", "d"]
        assert [definitions[name].may_have("opens") for name in definitions] == [True, True, True, True, False]
        assert not definitions["a-1"].may_have("interval")
    path.write_text("@register(\ndef broken(): ...\n")
    with pytest.raises(UsageError, match="is not Python"):
        discovery.read_decorated(path, "plugin")
