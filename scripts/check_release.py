"""Refuse a release whose tag is not the version, or whose version the changelog does not describe.

python scripts/check_release.py v0.1.0
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def find_problems(tag: str, *, root: Path = ROOT) -> list[str]:
    """Return what is wrong with a release of this tag.

    Args:
        tag: the name of the git tag.
        root: folder of the project.
    """
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    problems = []
    if tag != f"v{version}":
        problems.append(f"the tag is {tag}, the version in pyproject.toml {version}: tag v{version}, or change it")
    if not re.search(rf"^## {re.escape(version)} \((?!unreleased)", changelog, re.MULTILINE):
        problems.append(f'CHANGELOG.md has no section "{version} (DATE)": write the date in its heading')
    return problems


def main() -> int:
    """Print the problems; return the exit code."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    problems = find_problems(sys.argv[1])
    print("\n".join(problems), file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
