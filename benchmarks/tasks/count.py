"""Count the lines of ten tasks with each library, and write docs/ten-tasks.md and docs/zh/ten-tasks.md.

Usage: python benchmarks/tasks/count.py
"""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).parent
DOCS = FOLDER.parents[1] / "docs"
PAGES = {"en": DOCS / "ten-tasks.md", "zh": DOCS / "zh" / "ten-tasks.md"}
LIBRARIES = {
    "yisheng": "Yisheng",
    "skorch": "skorch",
    "lightning": "Lightning",
    "fastai": "fastai",
    "keras": "Keras",
}
INTRODUCTIONS = {
    "en": """# Ten tasks, and the lines that they take

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
""",
    "zh": """# 十项任务各需要多少行代码

同样的十项任务，分别用 Yisheng、skorch 1.4、Lightning 2.6、fastai 2.8 和 Keras 3.15 完成：使用者按各个库的惯用写法要
写的代码行数。行数在按 120 列格式化之后统计，不含空行、注释和导入。对各个库都一样的部分已经给出，不计入：数组及其划
分、网络（Keras 用它自己的层写成）、带数据增强的 Dataset，以及图像文件。一项任务可以使用前面任务的结果，所以
Lightning 的模块和编译 Keras 网络的函数只计入第一项。行数不说明结果中包含什么：Yisheng 的运行同时是一个文件夹，有报
告、区间、检查点和医生的诊断结果；被杀死的训练继续之后逐位相同，而其他库从最后保存的一轮继续。

测试会运行 Yisheng 的代码；skorch、Lightning 和 Keras（以 torch 为后端）的代码用上述版本运行过一次；fastai 的代码是
按它的源代码写的，没有运行过。本页由 `python benchmarks/tasks/count.py` 写出。
""",
}
CHINESE_TITLES = [
    "用数组训练自己的网络，并打印它在没有训练过的行上的准确率",
    "用带随机增强的自己的 Dataset 训练",
    "做 5 折交叉验证，并打印准确率的均值和标准差",
    "从三个学习率中选一个",
    "继续被杀死的训练",
    "让每个类别在损失中的总权重相同",
    "验证得分不再提高时停止，并保留最好的权重",
    "在另一个进程中加载训练好的网络，并预测一个图像文件",
    "导出为 ONNX",
    "画出混淆矩阵，并报告每个类别的查准率和查全率",
]


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


def make_page(language: str) -> str:
    """Return the page in a language: a table of the counts, then the code of each task."""
    tasks = {library: read_tasks(FOLDER / f"with_{library}.py") for library in LIBRARIES}
    titles = list(tasks["yisheng"])
    assert all(list(code) == titles for code in tasks.values()), "the files differ in their tasks"
    counts = {library: [count_lines(code[title]) for title in titles] for library, code in tasks.items()}
    shown = {"en": titles, "zh": [f"{number}. {title}" for number, title in enumerate(CHINESE_TITLES, 1)]}[language]
    task, total = {"en": ("task", "all"), "zh": ("任务", "合计")}[language]
    rows = [
        f"| {title} | " + " | ".join(str(counts[library][number]) for library in LIBRARIES) + " |"
        for number, title in enumerate(shown)
    ]
    sums = f"| {total} | " + " | ".join(str(sum(counts[library])) for library in LIBRARIES) + " |"
    table = [f"| {task} | {' | '.join(LIBRARIES.values())} |", "|---|" + "---|" * len(LIBRARIES), *rows, sums]
    colon = {"en": ":", "zh": "："}[language]
    sections = [
        f"## {heading}\n\n"
        + "\n".join(
            f"{LIBRARIES[library]}{colon}\n\n```python\n{tasks[library][title]}\n```\n" for library in LIBRARIES
        )
        for title, heading in zip(titles, shown, strict=True)
    ]
    return "\n".join([INTRODUCTIONS[language], *table, "", *sections])


if __name__ == "__main__":
    for language, page in PAGES.items():
        page.write_text(make_page(language), encoding="utf-8")
    print(make_page("en").split("## 1.")[0].split("\n\n", 3)[-1])
