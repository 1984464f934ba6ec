"""The result of comparing runs, and its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from yisheng.core.messages import Message, translate
from yisheng.core.score import Score
from yisheng.core.score_keys import display_score_key
from yisheng.core.text_tables import format_interval, format_number, format_table, shorten
from yisheng.experiments.significance import RunGroup, SignificanceTest


@dataclass(frozen=True)
class Comparison:
    """The result of comparing groups of runs.

    Args:
        score: the score that is compared.
        higher_is_better: whether larger scores are better.
        groups: what was compared.
        differing: keys of the configs with different values -> the value of each group.
        tests: of each later group against the first.

    >>> import tempfile, yisheng
    >>> settings = {"data": "iris", "epochs": 1, "out": tempfile.mkdtemp(), "quiet": True}
    >>> comparison = yisheng.compare(*(yisheng.train(model=model, **settings) for model in ("linear", "mlp")))
    >>> str(comparison).splitlines()[0], comparison.score, comparison.tests[0].difference
    ('accuracy (larger is better; intervals of 95%)', 'accuracy', None)
    """

    score: str
    higher_is_better: bool
    groups: tuple[RunGroup, ...]
    differing: Mapping[str, tuple[str, ...]]
    tests: tuple[SignificanceTest, ...]

    def __str__(self) -> str:
        """Return the scores, what differs in the configs, and the tests, as text."""
        name = display_score_key(self.score)
        rows = [[Message("run"), Message("test"), "", Message("validation"), "", Message("baseline")]]
        for group in self.groups:
            row = [shorten(group.name, keep_end=True)]
            for part in ("test", "validation", "baseline"):
                score = group.value(part, self.score)
                row += ["-", ""] if score is None else [format_number(score[0].value), _format_spread(*score)]
            rows.append(row[:-1])
        head = Message("{score} (smaller is better; intervals of 95%)", score=name)
        if self.higher_is_better:
            head = Message("{score} (larger is better; intervals of 95%)", score=name)
        lines = [translate(head), "", format_table(rows)]
        if self.differing:
            columns = ["", *(shorten(group.name, 24, keep_end=True) for group in self.groups)]
            settings = [[key, *(shorten(value, 40) for value in values)] for key, values in self.differing.items()]
            lines += ["", translate(Message("what differs in the configs:")), format_table([columns, *settings])]
        else:
            lines += ["", translate(Message("the configs do not differ"))]
        for test in self.tests:
            second, first = shorten(test.second, keep_end=True), shorten(test.first, keep_end=True)
            heading = Message("{second} against {first}:", second=second, first=first)
            lines += ["", translate(heading)]
            lines += [f"  {translate(line)}" for line in describe_test(test, name, format_number)]
        count = len(self.tests)
        if count > 1:
            note = Message(
                "{count} comparisons: the intervals are widened so that all of them hold together with 95%", count=count
            )
            lines += ["", translate(note)]
        return "\n".join(lines)


def describe_test(test: SignificanceTest, score: str, number: Callable[[float], str]) -> list[str]:
    """Return the result of a significance test and how to make it more precise, in one line each.

    Args:
        test: of two groups.
        score: the score's name for people.
        number: formats a number.
    """
    difference = test.difference
    if difference is None or difference.low is None or difference.high is None:
        return [Message("it is unknown whether they differ: {reason}", reason=test.message), *test.remedy]
    signed = ["+" * (value > 0) + number(value) for value in (difference.value, difference.low, difference.high)]
    unclear = Message("no significant difference: the interval includes zero")
    outcome = {
        ("better", True): Message("it is better: the whole interval is above zero"),
        ("better", False): Message("it is better: the whole interval is below zero"),
        ("worse", True): Message("it is worse: the whole interval is above zero"),
        ("worse", False): Message("it is worse: the whole interval is below zero"),
    }.get((test.outcome, difference.low > 0), unclear)
    if difference.low >= difference.high and test.outcome == "unclear":
        outcome = Message("there is no difference")
    measured = Message(
        "{score} {difference} (95% interval {low} to {high}), {how}",
        score=_name_score(test.part, score),
        difference=signed[0],
        low=signed[1],
        high=signed[2],
        how=test.message,
    )
    return [measured, outcome, *test.remedy]


def _name_score(part: str, score: str) -> Message:
    if part == "test":
        return Message("test {score}", score=score)
    return Message("validation {score}", score=score)


def _format_spread(score: Score, deviation: float | None) -> str:
    return (
        format_interval(score)
        if deviation is None
        else translate(Message("sd {value}", value=format_number(deviation)))
    )
