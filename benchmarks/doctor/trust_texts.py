"""What the page of all checks says in both languages, besides the texts of the checks, which are in the catalog."""

from __future__ import annotations

ENGLISH = {
    "diagnosis.training_checks": "Training checks",
    "diagnosis.history_checks": "History checks",
    "diagnosis.data_checks": "Data checks",
    "introduction": """\
# How far the doctor can be trusted

What each check compares, with which thresholds and why, and how often it raises an alarm (an error or a
warning) in trainings in which nothing is wrong. [The doctor's benchmark](doctor-benchmark.md) measures how
often it finds what is wrong. This page is written by

    python -m benchmarks.doctor.trust results=FILE [seeds=7]

which trains the healthy programs of the benchmark, and reads checks and thresholds from the source. The
programs named `unseen_...` were written before the doctor's findings on them were known; some checks have
been changed since because of them.

## Alarms in healthy trainings
""",
    "summary": "Of {runs} runs ({programs} programs, {seeds}, commit {commits}) {alarmed} end with an alarm: {rate}. "
    "{temporary} more have one during training that is gone at the end: {temporary_rate}. Intervals are Wilson's, of "
    "95%. Runs of one program are not independent, so the interval over programs is the careful one: "
    "{alarmed_programs} of {programs} programs have an alarm in any run, {program_rate}. A check that ran in no run "
    "is newer than these runs, or needs what these programs do not have.",
    "same seeds": "{low} seeds each",
    "seeds": "{low} to {high} seeds each",
    "none": "none",
    "comma": ", ",
    "no rate": "not measured",
    "rate": "{fraction} ({low} to {high})",
    "up to": " (up to {limit})",
    "alarms": "| program | seed | alarm | when | score |",
    "at the end": "at the end",
    "during training": "during training",
    "rates": "| check | ran in | alarms (upper 95% limit) | notes |",
    "thresholds": "| threshold | value | meaning |",
    "source": "Source: {source}",
}
CHINESE = {
    "diagnosis.training_checks": "训练检查",
    "diagnosis.history_checks": "训练记录检查",
    "diagnosis.data_checks": "数据检查",
    "introduction": """\
# 医生有多可信

每项检查比较什么、用哪些阈值、为什么，以及在没有任何问题的训练中多久会发出一次警报（错误或警告）。
[医生的基准测试](doctor-benchmark.md)衡量它多久能找出真正的问题。本页由以下命令写出：

    python -m benchmarks.doctor.trust results=FILE [seeds=7]

它训练基准测试中的健康程序，并从源代码读取各项检查和阈值。名为 `unseen_...` 的程序，
是在知道医生对它们的诊断结果之前写成的；之后有些检查因它们而改过。

## 健康训练中的警报
""",
    "summary": "{runs} 次运行（{programs} 个程序，{seeds}，提交 {commits}）中有 {alarmed} 次以警报结束：{rate}。"
    "另有 {temporary} 次在训练中有警报，但结束时已经消失：{temporary_rate}。"
    "区间为 95% 的 Wilson 区间。同一程序的各次运行并不独立，"
    "所以按程序计算的区间更为谨慎：{programs} 个程序中有 {alarmed_programs} 个在某次运行中有警报，{program_rate}。"
    "没有在任何运行中执行过的检查，或者比这些运行新，或者需要这些程序所没有的东西。",
    "same seeds": "各 {low} 个种子",
    "seeds": "各 {low} 至 {high} 个种子",
    "none": "无",
    "comma": "、",
    "no rate": "没有测量",
    "rate": "{fraction}（{low} 至 {high}）",
    "up to": "（最多 {limit}）",
    "alarms": "| 程序 | 种子 | 警报 | 何时 | 得分 |",
    "at the end": "结束时",
    "during training": "训练中",
    "rates": "| 检查 | 执行的运行数 | 警报（95% 上限） | 提示 |",
    "thresholds": "| 阈值 | 值 | 含义 |",
    "source": "来源：{source}",
}
TEXTS = {"en": ENGLISH, "zh": CHINESE}
"""Texts of the page by language; those of the checks are in the catalog."""
