"""Write the table of all equivalence cases in both languages: python -m tests.scratch.write_equivalence_page"""

from __future__ import annotations

from pathlib import Path

from tests.scratch.cases import CASES
from tests.scratch.chinese_cases import COMPARED, LIBRARIES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"en": DOCS / "equivalence.md", "zh": DOCS / "zh" / "equivalence.md"}
INTRODUCTIONS = {
    "en": """# Equivalence of the from-scratch concepts with the libraries

Each concept of `yisheng.scratch` is a few lines of tensor operations with equation and source. This table lists
what each is compared with, in float64 (class numbers and masks: exactly), on random inputs from several seeds. The
tolerance is the largest difference that counts as equal, absolute plus relative to the library's value; 0 means
bit-identical. The tests run every row of the table and check that a difference just above the tolerance is detected.
This page is written by `python -m tests.scratch.write_equivalence_page`, and a test compares it with the cases.

| concept | library form | what is compared | tolerance |
|---|---|---|---|
""",
    "zh": """# 从零实现的概念与库的等价性

`yisheng.scratch` 的每个概念都是几行张量运算，附有公式和出处。下表列出每个概念与什么比较：使用 float64
（类别编号和掩码则要求完全相同），输入是用几个随机种子生成的。容差是仍视为相等的最大差，由绝对差和相对于库的值的差相加得到；0
表示逐位相同。测试会运行表中的每一行，并检查略大于容差的差能被发现。本页由
`python -m tests.scratch.write_equivalence_page` 生成，有一个测试把它与各项比较对照。

| 概念 | 库的写法 | 比较的内容 | 容差 |
|---|---|---|---|
""",
}


def make_page(language: str) -> str:
    """Return the page: one line for each case, in the order of the concepts' names."""
    rows = []
    for case in CASES:
        texts = [case.library, case.compared]
        if language == "zh":
            library = case.library if "(" in case.library else case.library.replace(", ", "、")
            library = LIBRARIES.get(case.library, library)
            texts = [library, COMPARED[case.compared]]
        rows.append((case.concept, *(text.replace("|", r"\|") for text in texts), f"{case.tolerance:g}"))
    lines = (f"| {' | '.join(row)} |\n" for row in sorted(rows, key=lambda row: row[0]))
    return INTRODUCTIONS[language] + "".join(lines)


if __name__ == "__main__":
    for language, path in PAGES.items():
        path.write_text(make_page(language), encoding="utf-8")
