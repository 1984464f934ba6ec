"""Count the lines of ten tasks with each library, and write docs/ten-tasks.md: python benchmarks/tasks/count.py"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "ten-tasks.md"
LIBRARIES = {
    "yisheng": "Yisheng",
    "skorch": "skorch",
    "lightning": "Lightning",
    "fastai": "fastai",
    "keras": "Keras",
}
INTRODUCTION = """# Ten tasks, and the lines that they take

The same ten tasks with Yisheng, skorch 1.4, Lightning 2.6, fastai 2.8 and Keras 3.15: the lines of code that a user
writes, in the usual way of each library. Lines are counted after formatting at 120 columns, without blank lines,
comments and imports. What is the same for all is given and not counted: the arrays, their parts, the network (in Keras'
layers for Keras), the Dataset with augmentation, and the image file. A task may use what earlier ones made, so
Lightning's module and the function that compiles a network of Keras count in the first one only. The line counts say
nothing about what the results contain: Yisheng's runs are also folders with a report, intervals, checkpoints and the
doctor's findings, and a killed training continues to the same bits, where the others continue from the last epoch that
was saved.

The tests run the code for Yisheng; that for skorch, Lightning and Keras (on torch) was run once with these versions;
that for fastai was written by its source and not run. This page is written by `python benchmarks/tasks/count.py`.
"""


def read_tasks(path: Path) -> dict[str, str]:
    """Return the code of a file by the comments ``# 1. title`` that its tasks begin with."""
    parts = re.split(r"^# (\d+\. .+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {title: code.strip() for title, code in zip(parts[1::2], parts[2::2], strict=True) if title[0] != "0"}


def count_lines(code: str) -> int:
    """Return the number of lines that are not blank, comments or imports.

    >>> count_lines("import a\\n\\nb = 1  # note\\n# comment\\n")
    1
    """
    lines = [line.strip() for line in code.splitlines()]
    return sum(bool(line) and not line.startswith(("#", "import ", "from ")) for line in lines)


def make_page() -> str:
    """Return the page: a table of the counts, then the code of each task."""
    tasks = {library: read_tasks(FOLDER / f"with_{library}.py") for library in LIBRARIES}
    titles = list(tasks["yisheng"])
    assert all(list(code) == titles for code in tasks.values()), "the files differ in their tasks"
    counts = {library: [count_lines(code[title]) for title in titles] for library, code in tasks.items()}
    rows = [
        f"| {title} | " + " | ".join(str(counts[library][number]) for library in LIBRARIES) + " |"
        for number, title in enumerate(titles)
    ]
    total = "| all | " + " | ".join(str(sum(counts[library])) for library in LIBRARIES) + " |"
    table = [f"| task | {' | '.join(LIBRARIES.values())} |", "|---|" + "---|" * len(LIBRARIES), *rows, total]
    return "\n".join([INTRODUCTION, *table, "", *(section(title, tasks) for title in titles)])


def section(title: str, tasks: dict[str, dict[str, str]]) -> str:
    """Return the code of a task with each library."""
    blocks = [f"{label}:\n\n```python\n{tasks[library][title]}\n```\n" for library, label in LIBRARIES.items()]
    return f"## {title}\n\n" + "\n".join(blocks)


if __name__ == "__main__":
    PAGE.write_text(make_page(), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8").split("## 1.")[0].split("\n\n", 3)[-1])
