"""Run the blocks of a page in their order, as one script in a process of its own."""

import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w./]+\.\w+)\n")
HEAD = """\
import subprocess
import sys
from pathlib import Path


def run_command(words, variables):
    import os

    command = [sys.executable, "-P", "-m", "yisheng", *words]
    process = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **variables})
    assert process.returncode == 0, f"{words}\\n{process.stdout}\\n{process.stderr}"


def write(path, content):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(content)

"""


def make_script(page: Path) -> str:
    """Return the blocks of a page as one script.

    ``python`` blocks are its code, or a file if their first line is a comment with its path; ``sh`` blocks are
    commands; blocks of other languages are left out.
    """
    parts = [HEAD]
    for language, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        file = FILE.match(code)
        if language == "python" and file:
            parts.append(f"write({file[1]!r}, {code!r})\n")
        elif language == "python":
            parts.append(code)
        elif language == "sh":
            parts += [make_command(line) for line in code.splitlines()]
    return "\n".join(parts)


def make_command(line: str) -> str:
    """Return the statement that runs a command of the shell, with variables before it."""
    words = shlex.split(line, comments=True)
    variables = {}
    while "=" in words[0]:
        name, _, variables[name] = words.pop(0).partition("=")
    assert words[0] == "yisheng", line
    return f"run_command({words[1:]!r}, {variables!r})\n"


def run_page(page: Path, folder: Path) -> str:
    """Run the blocks of a page in a folder; return what they print."""
    script = folder / f"{page.stem}.py"
    script.write_text(make_script(page), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=folder, env=environment)
    assert process.returncode == 0, textwrap.shorten(process.stdout, 2000) + "\n" + process.stderr[-4000:]
    return process.stdout
