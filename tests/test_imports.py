"""Which package may import which, no cycle between files, and nothing heavy when the package is imported."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "yisheng"
LAYERS = (
    {"core", "scratch"},
    {"data", "transforms", "models", "init", "losses", "metrics", "optim"},
    {"evaluation", "reporting"},
    {"training"},
    {"search", "diagnosis", "inference", "loggers"},
    {"serving"},
    {"experiments", "estimators"},
    {"api", "results", "sklearn", "d2l", "__init__"},
    {"cli", "__main__"},
)
"""Packages and modules directly in ``yisheng``, the lowest layer first."""
LAYER_OF = {package: layer for layer, packages in enumerate(LAYERS) for package in packages}
ALLOWED = {
    "scratch": {"core"},
    **{package: {"core"} for package in LAYERS[1]},
    **{package: {"core", "metrics"} for package in LAYERS[2]},
    "training": LAYERS[0] | LAYERS[1],
    "api": set().union(*LAYERS[:7], {"results"}),
    "__init__": {"api", "results", "sklearn", *set().union(*LAYERS[:7])},
    "cli": {"api", "experiments", "core", "__init__"},
    "__main__": {"cli"},
}
"""What these may import; the others may import all lower layers."""


def allowed(package: str) -> set[str]:
    """Return the packages that a package may import besides itself."""
    return ALLOWED.get(package, set().union(*LAYERS[: LAYER_OF[package]]))


def modules() -> dict[str, Path]:
    """Return the path of every module of the project by its dotted name."""
    names = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


def imported_modules(path: Path, all_modules: Mapping[str, Path], *, for_type_checker: bool = True) -> Iterator[str]:
    """Yield the project's modules that a file imports, at its top and in functions.

    Args:
        path: the file.
        all_modules: all modules of the project.
        for_type_checker: also those under ``if TYPE_CHECKING``, which never run.
    """
    nodes = [ast.parse(path.read_text(encoding="utf-8"))]
    for node in nodes:  # grows while it is read
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) and not for_type_checker:
            nodes += node.orelse
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in all_modules)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the package"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                if submodule in all_modules:
                    yield submodule
                elif node.module in all_modules:
                    yield str(node.module)


def package_of(module: str) -> str:
    """Return the package of a module: the name directly in ``yisheng``."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def strongly_connected(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Return the sets of nodes that reach one another, without single nodes (Tarjan, 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = lowest[node] = len(order)
        stack.append(node)
        for neighbor in sorted(graph[node]):
            if neighbor not in order:
                visit(neighbor)
                lowest[node] = min(lowest[node], lowest[neighbor])
            elif neighbor in stack:
                lowest[node] = min(lowest[node], order[neighbor])
        if lowest[node] == order[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                components.append(component)

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return components


def cycle_within(component: list[str], graph: Mapping[str, set[str]]) -> list[str]:
    """Return a shortest cycle through the first file of a strongly connected component."""
    start = sorted(component)[0]
    routes = [[start]]
    for route in routes:  # grows while it is read: a breadth-first search
        for neighbor in sorted(graph[route[-1]] & set(component)):
            if neighbor == start:
                return [*route, start]
            if all(neighbor not in earlier for earlier in routes):
                routes.append([*route, neighbor])
    raise AssertionError("a strongly connected component has a cycle")


def test_every_package_has_a_layer():
    packages = {
        path.stem if path.is_file() else path.name
        for path in SOURCE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert packages == set(LAYER_OF)


def test_packages_import_lower_layers_only():
    all_modules = modules()
    wrong = []
    for name, path in all_modules.items():
        package = package_of(name)
        for target in sorted(set(imported_modules(path, all_modules))):
            other = package_of(target)
            if other != package and other not in allowed(package):
                wrong.append(f"{path.relative_to(SOURCE)} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_cycle_between_files():
    all_modules = modules()
    graph = {
        name: set(imported_modules(path, all_modules, for_type_checker=False)) - {name}
        for name, path in all_modules.items()
    }
    cycles = [" -> ".join(cycle_within(component, graph)) for component in strongly_connected(graph)]
    assert not cycles, "\n".join(cycles)


def test_the_cycle_search_finds_a_cycle():
    graph = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set()}
    (component,) = strongly_connected(graph)
    assert sorted(component) == ["a", "b", "c"]
    assert cycle_within(component, graph) == ["a", "b", "c", "a"]
    assert strongly_connected({"a": {"b"}, "b": set()}) == []


def test_functions_of_the_package_are_not_hidden_by_packages():
    import yisheng
    import yisheng.evaluation.scores
    import yisheng.reporting.run_page
    import yisheng.training.loop

    functions = (yisheng.train, yisheng.evaluate, yisheng.report)
    assert [function.__module__ for function in functions] == [
        "yisheng.api.training",
        "yisheng.api.evaluation",
        "yisheng.api.evaluation",
    ]
    assert yisheng.train.__name__ == "train"


HEAVY = ("torch", "numpy", "pandas", "sklearn", "matplotlib", "pydantic", "PIL", "jinja2")


@pytest.mark.parametrize(
    "code",
    [
        "import yisheng",
        "from yisheng.cli import main; main(['--help'])",
        "from yisheng.cli import main; main(['--version'])",
        "import yisheng.models, yisheng.data.datasets, yisheng.losses, yisheng.metrics, yisheng.optim, yisheng.init",
    ],
)
def test_importing_the_package_is_light(code):
    check = f"{code}\nimport sys\nprint([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    completed = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert completed.stderr.strip() == "[]"


def test_the_help_imports_nothing_that_a_command_needs():
    code = "from yisheng.cli import main; main(['--help'])\nimport sys\nprint(*sys.modules, file=sys.stderr)"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    modules = {name for name in completed.stderr.split() if name.startswith("yisheng.core.")}
    assert "yisheng.core.messages" in modules
    assert not {
        name
        for name in modules
        if name.startswith(("yisheng.core.remote", "yisheng.core.spec", "yisheng.core.dataset"))
    }
    assert not modules & {"yisheng.core.registry", "yisheng.core.paths", "yisheng.core.config"}


SLOW_TO_IMPORT = (
    *("torch", "torch._dynamo", "numpy", "pandas", "scipy", "sklearn", "matplotlib", "jinja2", "pydantic", "IPython"),
    *("tensorboard", "onnx", "onnxruntime", "onnxscript", "optuna", "fastapi", "h5py", "tabm"),
)
"""Modules that take more than 0.05 s to import."""
NETWORK, REPORT = {"torch", "numpy", "pydantic"}, {"jinja2"}
COMMANDS = [
    (["--help"], set()),
    (["runs"], {"pydantic"}),
    (["train", "data=digits", "epochs=1"], NETWORK | REPORT),
    (["train", "data=iris", "epochs=1"], NETWORK | REPORT),
    (["train", "data=table.csv", "epochs=1", "model=mlp", "boosting=false"], NETWORK | REPORT | {"pandas"}),
    (["predict", "runs/0002-iris-mlp", "rows=5.1,3.5,1.4,0.2"], NETWORK),
    (["predict", "runs/0003-table-mlp", "table.csv", "out=a.csv"], NETWORK | {"pandas"}),
    (["explain", "softmax"], NETWORK),
    (["runs"], {"pydantic"}),
]
"""Commands in their order, and what each may import of `SLOW_TO_IMPORT`."""


@pytest.mark.slow
def test_a_command_imports_only_what_it_uses(tmp_path):
    (tmp_path / "table.csv").write_text("x,z,y\n" + "".join(f"{n % 7},{n % 5 / 2},{'ab'[n % 2]}\n" for n in range(200)))
    for words, allowed in COMMANDS:
        code = f"import sys; from yisheng.cli import main; assert main({[*words, '--quiet']}) == 0"
        check = f"{code}\nprint([m for m in {SLOW_TO_IMPORT} if m in sys.modules], file=sys.stderr)"
        completed = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd=tmp_path)
        assert completed.returncode == 0, (words, completed.stderr)
        imported = set(ast.literal_eval(completed.stderr.splitlines()[-1]))
        assert imported <= allowed, (words, imported - allowed)


REPOSITORY = Path(__file__).parent.parent
SCRIPTS = [
    path for folder in ("benchmarks", "scripts", "examples") for path in sorted((REPOSITORY / folder).rglob("*.py"))
]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_scripts_import_what_the_package_has(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "yisheng":
            module = importlib.import_module(node.module)
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
