"""Compare runs: their scores, what differs in their configs, and whether the difference is real.

usage: yisheng compare RUN RUN [RUN ...] [score=NAME] [out=FILE.html|.svg|.png] [--json]
       yisheng compare A1,A2,A3 B1,B2,B3 [score=NAME]          (runs that differ only in their seed)

Each run is compared with the first. Cross-validations (`yisheng train ... folds=5`) with the same seed have the same
folds, whatever the model, and are compared fold by fold. Two single runs cannot show which one is really better.
out= also draws the curves over the epochs: a page with the whole comparison, or an image.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message, translate
from yisheng.core.paths import parse_path

if TYPE_CHECKING:
    from yisheng.experiments.comparison import Comparison


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    arguments.require_inputs(2, 10**9, Message("two run folders or more"))
    score, out = arguments.take("score"), arguments.path("out")
    arguments.require_no_more("score", "out")

    from yisheng.experiments.compare import compare, draw_comparison, require_drawable

    if out is not None:
        require_drawable(out)
    comparison = compare([_parse_group(word) for word in arguments.inputs], score=score)
    if out is not None:
        draw_comparison(comparison, out)
    if arguments.json:
        print(json.dumps(_to_json(comparison), ensure_ascii=False))
    else:
        print(comparison)
        if out is not None:
            print("", translate(Message("curves: {path}", path=out)), sep="\n")
    return 0


def _parse_group(word: str) -> list[Path]:
    """Return one folder, or several that are separated by commas."""
    words = [word] if os.path.lexists(word) or "," not in word else [part for part in word.split(",") if part]
    return [parse_path(part, "the run folder") for part in words]


def _to_json(comparison: Comparison) -> dict[str, Any]:
    runs = [
        {
            "runs": [str(run.path) for run in group.runs],
            "scores": [
                {part: {name: asdict(score) for name, score in named.items()} for part, named in run.scores.items()}
                for run in group.runs
            ],
        }
        for group in comparison.groups
    ]
    return {
        "score": comparison.score,
        "higher_is_better": comparison.higher_is_better,
        "runs": runs,
        "differing": {key: list(values) for key, values in comparison.differing.items()},
        "comparisons": [asdict(test) for test in comparison.tests],
    }
