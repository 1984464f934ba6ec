"""Who may import whom: downhill only, lazy imports included; and nothing heavy at the start."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "yisheng"
LEVELS = {
    0: {"core", "scratch"},
    1: {"data", "transforms", "models", "init", "losses", "metrics", "optim"},
    2: {"evaluate", "report"},
    3: {"train"},
    4: {"diagnose", "tune", "deploy"},
    5: {"cli", "verbs", "sklearn", "__init__", "__main__"},
}
LEVEL_OF = {kind: level for level, kinds in LEVELS.items() for kind in kinds}
ALLOWED = {
    0: {"core", "scratch"},
    1: {"core"},
    2: {"core", "metrics"},
    3: LEVELS[0] | LEVELS[1],
    4: LEVELS[0] | LEVELS[1] | LEVELS[2] | LEVELS[3],
    5: set(LEVEL_OF),
}


def kind_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imports_of(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the kind"
            found += [
                f"{node.module}.{alias.name}" if node.module == "yisheng" else str(node.module) for alias in node.names
            ]
    return [name for name in found if name.split(".")[0] == "yisheng"]


def test_verbs_are_not_hidden_by_the_kinds_of_their_names():
    import yisheng
    import yisheng.evaluation.scores
    import yisheng.reporting.run_page
    import yisheng.training.loop

    assert yisheng.train.__module__ == yisheng.evaluate.__module__ == yisheng.report.__module__ == "yisheng.api"
    assert yisheng.train.__name__ == "train"


def test_every_kind_has_a_level():
    kinds = {
        p.stem if p.is_file() else p.name for p in SOURCE.iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()
    }
    assert kinds <= set(LEVEL_OF)


def test_imports_run_downhill():
    wrong = []
    for path in SOURCE.rglob("*.py"):
        kind = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        for name in imports_of(path):
            target = kind_of(name)
            if target in ("__version__",):
                target = "__init__"
            if target != kind and target not in ALLOWED[LEVEL_OF[kind]]:
                wrong.append(f"{path.relative_to(SOURCE)} imports {name}")
    assert not wrong, "\n".join(wrong)


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
def test_the_start_is_light(code):
    check = f"{code}\nimport sys\nprint([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_a_training_imports_what_it_uses(tmp_path):
    heavy = ("torch._dynamo", "pandas", "sklearn", "scipy", "onnxscript", "tensorboard")
    code = "from yisheng.cli import main; main(['train', 'data=digits', 'epochs=1', '--quiet'])"
    check = f"{code}\nimport sys\nprint([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "[]"
