"""Compare runs: their scores, what differs in their configs, and whether the difference is real.

usage: yisheng compare RUN RUN [RUN ...] [score=NAME] [out=FILE.html|.svg|.png] [--json]
       yisheng compare A1,A2,A3 B1,B2,B3 [score=NAME]          (runs that differ in their seed only)

Each is compared with the first. Studies of k folds (`yisheng train ... folds=5`) with the same seed have the same
folds, whatever the model, and are compared fold by fold. Two single runs do not tell whether one is really better.
With out= the curves over the epochs are drawn, too: a page with all that is said here, or an image.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.cli._arguments import Arguments

if TYPE_CHECKING:
    from yisheng.core.types import Score
    from yisheng.experiments.compare import Comparison
    from yisheng.experiments.significance import Verdict


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(2, 10**9, "two run folders or more")
    as_json, score, out = arguments.flag("json"), arguments.take("score"), arguments.take("out")
    arguments.end({"json", "score", "out"})

    from yisheng.experiments.compare import compare, draw, require_kind

    if out is not None:
        require_kind(Path(out))
    found = compare([_paths(word) for word in arguments.inputs], score=score)
    if out is not None:
        draw(found, Path(out))
    drawn = "" if out is None else f"\n\ncurves: {out}"
    print(json.dumps(_plain(found), ensure_ascii=False) if as_json else _text(found) + drawn)
    return 0


def _paths(word: str) -> list[Path]:
    """A folder, or several with commas between them."""
    import os

    if os.path.lexists(word) or "," not in word:
        return [Path(word)]
    return [Path(part) for part in word.split(",") if part]


def _text(found: Comparison) -> str:
    from yisheng.cli._tables import number, table

    name = found.score.replace("_", "-")
    rows = [["run", "test", "", "validation", "", "baseline"]]
    for side in found.sides:
        row = [_short(side.name)]
        for part in ("test", "validation", "baseline"):
            known = side.value(part, found.score)
            row += ["-", ""] if known is None else [number(known[0].value), _spread(*known)]
        rows.append(row[:-1])
    lines = [f"{name} ({'larger' if found.upward else 'smaller'} is better; intervals of 95%)", "", table(rows)]
    if found.differing:
        heads = [_short(side.name, 24) for side in found.sides]
        told = [[key, *(_short(value, 40, end=False) for value in values)] for key, values in found.differing.items()]
        lines += ["", "what differs in the configs:", table([["", *heads], *told])]
    else:
        lines += ["", "the configs do not differ"]
    for verdict in found.verdicts:
        lines += ["", *_said(verdict, name)]
    if len(found.verdicts) > 1:
        lines += ["", f"{len(found.verdicts)} comparisons: each interval is widened so that all hold together with 95%"]
    return "\n".join(lines)


def _said(verdict: Verdict, name: str) -> list[str]:
    """What can be said of a side against the first, and what to do to know more."""
    from yisheng.cli._tables import number
    from yisheng.experiments.compare import told

    heading = f"{_short(verdict.second)} against {_short(verdict.first)}:"
    return [heading, *(f"  {line}" for line in told(verdict, name, number))]


def _spread(score: Score, deviation: float | None) -> str:
    from yisheng.cli._tables import number

    if deviation is not None:
        return f"sd {number(deviation)}"
    return "" if score.low is None or score.high is None else f"{number(score.low)} to {number(score.high)}"


def _short(text: str, most: int = 60, *, end: bool = True) -> str:
    """The end of a long path, or the beginning of a long value."""
    if len(text) <= most:
        return text
    return f"...{text[3 - most :]}" if end else f"{text[: most - 3]}..."


def _plain(found: Comparison) -> dict[str, Any]:
    runs = [
        {
            "runs": [str(member.path) for member in side.members],
            "scores": [
                {part: {name: asdict(score) for name, score in named.items()} for part, named in member.scores.items()}
                for member in side.members
            ],
        }
        for side in found.sides
    ]
    return {
        "score": found.score,
        "higher_is_better": found.upward,
        "runs": runs,
        "differing": {key: list(values) for key, values in found.differing.items()},
        "comparisons": [asdict(verdict) for verdict in found.verdicts],
    }
