"""Let a trained model answer for images, tables or rows.

usage: yisheng predict RUN photo.png [more.png ...] [top=3] [--json]
       yisheng predict RUN rows.csv [--json]
       yisheng predict RUN rows=5.1,3.5,1.4,0.2 [--json]       (several rows: separate them with ;)
       yisheng predict RUN test.csv out=submission.csv [id=COLUMN] [format=answer|probability] [force=true]
       yisheng predict RUN FOLDER|photo.png ... out=answers.csv [format=...] [strict=true] [force=true]

Images may be of any size and mode. What was fitted in training is applied from the run folder; that of a study of
k folds answers with the mean of its models. out= writes the answers into a file: .csv, .tsv or .parquet with the
names of the rows and the target, or .jsonl with all that is known of each. It is written as a stream, so that inputs
may be larger than memory; stopped or killed, the same command goes on where it was (force=true begins anew). Damaged
images are named in the column error; with strict=true the first one is an error.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.cli._arguments import Arguments

if TYPE_CHECKING:
    from yisheng.inference.predictor import Answer


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(1, 10**9, "a run folder and at least one input")
    as_json, top = arguments.flag("json"), arguments.number("top", 3)
    given, out = arguments.take("rows"), arguments.take("out")
    into: dict[str, Any] = {key: value for key in ("id", "format") if (value := arguments.take(key)) is not None}
    into |= {key: True for key in ("strict", "force") if arguments.flag(key)}
    arguments.end({"json", "top", "rows", "out", "id", "format", "strict", "force"})

    from yisheng.core.errors import UsageError
    from yisheng.inference import rows
    from yisheng.inference.predictor import Predictor

    folder, *inputs = arguments.inputs
    if out is not None:
        if given is not None:
            raise UsageError("out= takes a table's rows, not rows=", "put the rows into a file")
        return _write(folder, inputs, Path(out), into, as_json)
    if into:
        raise UsageError(f"{' and '.join(into)} say how a file of answers is written", "say out=submission.csv, too")
    predictor = Predictor(Path(folder))
    if given is not None and (inputs or predictor.spec.is_image):
        raise UsageError("rows= takes the place of files, for a model of rows", "give rows= or files")
    if predictor.spec.is_image and any(os.path.isdir(path) for path in inputs):  # noqa: PTH112  # never raises
        raise UsageError("the answers for a folder of images go into a file", "say out=answers.csv, too")
    if given is not None:
        values = [[value.strip() for value in row.split(",")] for row in given.split(";") if row.strip()]
        answers = predictor.predict(rows.parse(values, predictor.spec, "rows="))
    else:
        answers = predictor.predict(inputs)
    if as_json:
        print(json.dumps({"run": folder, "answers": [asdict(answer) for answer in answers]}, ensure_ascii=False))
    else:
        print(_table(answers, top, predictor.spec.unit))
    return 0


def _write(folder: str, inputs: list[str], out: Path, into: Mapping[str, Any], as_json: bool) -> int:
    """Write the answers into a file, and say how many there are."""
    from yisheng.experiments.submission import submit

    done = submit(Path(folder), inputs, out, **into, stream=sys.stderr)
    if as_json:
        counts = {"rows": done.rows, "damaged": done.damaged, "unlike": done.unlike}
        print(json.dumps({"run": folder, "out": str(out), **counts, "notes": list(done.notes)}, ensure_ascii=False))
        return 0
    for note in done.notes:
        print(f"note: {note}", file=sys.stderr)
    if done.damaged:
        print(f"{done.damaged:,} of {done.rows:,} images could not be read: see the column error", file=sys.stderr)
    if done.unlike:
        print(f"{done.unlike:,} of {done.rows:,} inputs are unlike the training data", file=sys.stderr)
    print(f"{done.rows - done.damaged:,} answers in {out}")
    return 0


def _table(answers: list[Answer], top: int, unit: str) -> str:
    from yisheng.cli._tables import number, table

    rows = [["input", "answer", *(["probabilities"] if answers[0].probabilities else [])]]
    notes: dict[str, list[str]] = {}
    for answer in answers:
        if not answer.probabilities:
            values = answer.prediction if isinstance(answer.prediction, list) else [answer.prediction]
            rows.append([answer.input, f"{', '.join(map(number, values))} {unit}".strip()])
            continue
        label = ", ".join(answer.prediction) if isinstance(answer.prediction, list) else str(answer.prediction)
        likely = list(answer.probabilities.items())[:top]
        rows.append([answer.input, label or "(none)", "  ".join(f"{name} {p:.3f}" for name, p in likely)])
        for note in answer.notes:
            notes.setdefault(note, []).append(answer.input)
    said = [f"note: {', '.join(inputs[:3])}{' ...' * (len(inputs) > 3)}: {note}" for note, inputs in notes.items()]
    return "\n".join([table(rows), *said])
