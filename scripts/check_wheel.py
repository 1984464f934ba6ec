"""Build the source archive and the wheel, and try the wheel in fresh environments, without our constraints.

    python scripts/check_wheel.py [dist=dist] [python=python3.11,python3.12] [first=REQUIREMENT] [reuse=true]

For each Python a new environment is made, the wheel installed with what it requires, and the demo trained in an empty
folder. ``first=torch==2.13.0+cpu`` installs that before the wheel: on Linux, PyPI's torch brings several GB for GPUs.
``reuse=true`` takes what the wheel requires from the present environment instead of a package index. Nothing is
uploaded.
"""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "examples" / "demo.py"


def build_archives(dist: Path) -> Path:
    """Build the source archive, and from it the wheel; return the wheel's path."""
    subprocess.run([sys.executable, "-m", "build", "--outdir", dist, ROOT], check=True)
    (wheel,) = dist.glob("yisheng-*.whl")
    return wheel


def check_contents(wheel: Path) -> list[str]:
    """Return the files that a wheel lacks or should not have."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    sources = {
        path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src" / "yisheng").rglob("*") if path.is_file()
    }
    expected = {name for name in sources if "__pycache__" not in name}
    missing = sorted(expected - set(names))
    foreign = [name for name in names if not name.startswith(("yisheng/", "yisheng-"))]
    return [*(f"missing: {name}" for name in missing), *(f"foreign: {name}" for name in foreign)]


def make_environment(folder: Path, python: str, wheel: Path, *, reuse: bool, first: str | None = None) -> Path:
    """Make an environment with the wheel; return its Python.

    Args:
        folder: of the environment.
        python: that makes it.
        wheel: path of the wheel.
        reuse: take what the wheel requires from the present environment.
        first: what is installed before the wheel.
    """
    subprocess.run([python, "-m", "venv", folder], check=True)
    executable = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    options = ["--no-deps", "--no-index"] if reuse else []
    environment = {key: value for key, value in os.environ.items() if key != "PIP_CONSTRAINT"}
    for requirement in filter(None, (first, wheel)):
        command = [executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *options, requirement]
        subprocess.run(command, check=True, env=environment)
    if reuse:  # the wheel's own package comes first
        script = "import sysconfig; print(sysconfig.get_path('purelib'))"
        packages = subprocess.run([executable, "-c", script], check=True, capture_output=True, text=True).stdout
        Path(packages.strip(), "reused.pth").write_text("\n".join(site.getsitepackages()), encoding="utf-8")
    return executable


def try_wheel(python: Path, folder: Path, script: Path = DEMO) -> None:
    """Run a script with an environment's Python, far from the sources.

    Args:
        python: of the environment.
        folder: an empty one.
        script: the demo, which trains five networks.
    """
    location = "import yisheng, pathlib; print(pathlib.Path(yisheng.__file__).parent)"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    printed = subprocess.run(
        [python, "-c", location], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout
    if Path(printed.strip()).is_relative_to(ROOT / "src"):
        raise SystemExit(f"{python} imports the sources, not the wheel")
    subprocess.run([python, shutil.copy(script, folder)], cwd=folder, env=environment, check=True)
    subprocess.run([python, "-m", "yisheng", "explain", "dropout", "--json"], cwd=folder, env=environment, check=True)


def main() -> int:
    """Build, and try the wheel with each Python; return the exit code."""
    settings = dict(word.partition("=")[::2] for word in sys.argv[1:])
    if unknown := set(settings) - {"dist", "python", "first", "reuse"}:
        print(f"unknown: {', '.join(unknown)}\n{__doc__}", file=sys.stderr)
        return 2
    dist = Path(settings.get("dist", "dist")).absolute()
    wheel = build_archives(dist)
    problems = check_contents(wheel)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    for python in settings.get("python", sys.executable).split(","):
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "empty"
            place.mkdir()
            reuse, first = settings.get("reuse") == "true", settings.get("first")
            executable = make_environment(Path(folder) / "venv", python, wheel, reuse=reuse, first=first)
            try_wheel(executable, place)
        print(f"{wheel.name} works with {python}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
