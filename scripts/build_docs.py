"""Build the site of each language: python scripts/build_docs.py [out=build/docs] [execute=true]

Warnings are errors. ``execute=false`` leaves the cells of the tutorials without outputs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = {"en": ROOT / "docs", "zh": ROOT / "docs" / "zh"}
LANGUAGES = {"en": "en", "zh": "zh_CN"}
"""Sphinx's names of the languages."""


def build_site(language: str, out: Path, *, execute: bool) -> int:
    """Build the site of one language into ``out/LANGUAGE``; return Sphinx's exit code."""
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    command += ["--conf-dir", ROOT / "docs" / "site", "--doctree-dir", out / ".doctrees" / language]
    environment = {
        **os.environ,
        "YISHENG_DOCS_LANGUAGE": LANGUAGES[language],
        "YISHENG_LANG": language,  # of what the cells print, whatever the machine's locale is
        "YISHENG_DOCS_EXECUTION": "force" if execute else "off",
    }
    return subprocess.run([*command, SOURCES[language], out / language], env=environment).returncode


def main() -> int:
    """Build all languages; return the exit code."""
    settings = dict(word.partition("=")[::2] for word in sys.argv[1:])
    if unknown := set(settings) - {"out", "execute"}:
        print(f"unknown: {', '.join(unknown)}\n{__doc__}", file=sys.stderr)
        return 2
    out = Path(settings.get("out", ROOT / "build" / "docs")).absolute()
    codes = [build_site(language, out, execute=settings.get("execute", "true") == "true") for language in SOURCES]
    if not any(codes):
        print(f"the site is in {out / 'en' / 'index.html'}")
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main())
