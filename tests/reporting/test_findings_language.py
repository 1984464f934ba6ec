"""Findings are stored in English with template and values, and shown in the language of the reader."""

import json

import pytest

from yisheng.cli import main
from yisheng.core.findings import Alternative, Finding
from yisheng.core.messages import Message, use_language
from yisheng.reporting.findings_schema import Cause, Findings
from yisheng.reporting.findings_text import format_findings


def findings():
    finding = Finding(
        "too-few-epochs",
        "warning",
        {"loss at the end": 0.25},
        Message("the loss went from {start} to {peak} and is {end} at the end", start="1", peak="9", end="8"),
        Message("divide lr by 10"),
        alternatives=(Alternative("written by a plugin", Message("use scale=standard")),),
    )
    return Findings(
        findings=[Cause.from_finding(finding)], unchecked={"mode": Message("the loss has no targets")}, steps=9
    )


CHINESE = """\
在训练的 9 步中发现：1 个警告。

1. 警告：损失从 1 升到 9，结束时为 8（too-few-epochs）
   解决办法：把 lr 除以 10
   依据：结束时的损失：0.250
   也有可能：written by a plugin（验证方法：使用 scale=standard）

没有检查：
  mode：损失没有目标值"""


def test_findings_are_shown_in_chinese_after_they_were_stored():
    stored = json.loads(json.dumps(findings().to_json()))
    with use_language("zh"):
        assert format_findings(findings()) == CHINESE
        assert format_findings(Findings.model_validate(stored)) == CHINESE
    assert format_findings(Findings.model_validate(stored)) == format_findings(findings())


def test_json_is_english_with_template_and_values():
    with use_language("zh"):
        stored = findings().to_json()
    (cause,) = stored["findings"]
    assert cause["cause"] == "the loss went from 1 to 9 and is 8 at the end"
    assert cause["messages"]["cause"] == {
        "template": "the loss went from {start} to {peak} and is {end} at the end",
        "values": {"start": "1", "peak": "9", "end": "8"},
    }
    assert stored["unchecked"] == {"mode": "the loss has no targets"}
    assert "messages" not in Findings(findings=[Cause(check="a", severity="note", cause="b", remedy="c")]).to_json()


@pytest.mark.parametrize(
    "messages",
    [
        {"cause": {"template": "{start", "values": {}}},
        {"cause": {"template": "{start}", "values": {"begin": 1}}},
        {"cause": {"template": "another text", "values": {}}},
        {"cause": 3, "no such field": {}},
        [],
    ],
)
def test_a_damaged_template_leaves_the_english_text(messages):
    cause = Cause.model_validate(
        {"check": "a", "severity": "note", "cause": "the text", "remedy": "the remedy", "messages": messages}
    )
    assert (cause.cause, cause.remedy) == ("the text", "the remedy")


def test_the_doctor_of_a_run_speaks_chinese(tmp_path, capsys):
    out = f"out={tmp_path}"
    assert main(["train", "data=iris", "epochs=3", out, "lang=zh"]) == 0
    printed = capsys.readouterr()
    assert "警告：结束时验证损失仍在下降：3 轮中的最后 3 轮" in printed.err
    folder = printed.out.splitlines()[-1]
    assert main(["diagnose", folder, "lang=zh"]) == 0
    assert "解决办法：使用 epochs=6，或更大的 lr" in capsys.readouterr().out
    assert main(["diagnose", folder]) == 0
    assert "do: use epochs=6, or a larger lr" in capsys.readouterr().out
