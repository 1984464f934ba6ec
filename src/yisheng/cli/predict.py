"""Predict with a trained model for images, tables or rows.

usage: yisheng predict RUN photo.png [more.png ...] [top=3] [model=FILE.py:CLASS] [--json]
       yisheng predict RUN rows.csv [encoding=...] [decimal=comma] [skip=2] [names=a,b,c] [--json]
       yisheng predict RUN rows=5.1,3.5,1.4,0.2 [--json]       (several rows: separate them with ;)
       yisheng predict RUN rows.csv interval=0.9 [out=...] [--json]             with bounds for each number
       yisheng predict RUN test.csv out=submission.csv [id=COLUMN] [format=prediction|probability] [force=true]
       yisheng predict RUN FOLDER|photo.png ... out=predictions.csv [format=...] [strict=true] [force=true]
       yisheng predict RUN data='rows/*.parquet' out=predictions.csv            several files of one table
       yisheng predict RUN test.csv|FOLDER out=predictions.csv cluster=local:4|auto|HOST:PORT

RUN may also be a published model, as hf:user/name (see push). Images may have any size and mode. The transforms that
were fitted in training are in the run folder; a cross-validation predicts with the mean of its models. out= writes the
predictions to a file: .csv, .tsv or .parquet with the names of the rows and the target, or .jsonl with all that is
known of each. The file is written as a stream, so inputs may be larger than memory; if it is interrupted, the same
command continues where it stopped (force=true begins again). Damaged images are named in the column error; with
strict=true the first one is an error. With excel_safe=true text that a spreadsheet would take for a formula (it begins
with =, +, - or @) gets an apostrophe before it. A network of your own that could not be saved without its code is named
again (model=net.py:Net): code is imported only when you name it.

cluster= predicts on a cluster of Ray (see `yisheng tune`); the file is the same as on one machine with one thread.

interval=0.9 gives an interval for each number that contains the true value in 9 of 10 rows that are like those of the
data (conformal prediction). It is made of the errors on the validation part, which the model was not fitted to, or of a
cross-validation's errors on its folds; out= writes it into the columns NAME_low and NAME_high.

A table is read as that of training was: in its encoding, numbers and dates in its forms. For a file of another form say
what is different: encoding, separator, decimal, thousands, header, skip, names or missing, as for training.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message, translate
from yisheng.core.paths import parse_path

FILE_KEYS = ("id", "format", "strict", "force", "excel_safe", "cluster")
"""Keys that need ``out=``."""
READING_KEYS = ("header", "separator", "encoding", "decimal", "thousands", "skip", "names", "missing")
"""Keys that say how a table is read, where it is not read as that of training."""


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    arguments.require_inputs(1, 10**9, Message("a run folder and at least one input"))
    top, rows, out = arguments.number("top", 3), arguments.take("rows"), arguments.path("out")
    model, interval, data = arguments.take("model"), arguments.take("interval"), arguments.take("data")
    options: dict[str, Any] = {
        key: value for key in ("id", "format", "cluster") if (value := arguments.take(key)) is not None
    }
    options |= {key: True for key in ("strict", "force", "excel_safe") if arguments.flag(key)}
    reading = {key: value for key in READING_KEYS if (value := arguments.take(key)) is not None}
    arguments.require_no_more("data", "top", "rows", "out", "model", "interval", *FILE_KEYS, *READING_KEYS)

    from yisheng.core.errors import UsageError
    from yisheng.experiments.model_hub.find_model import find_model
    from yisheng.experiments.own_model import supply_model
    from yisheng.experiments.predict import predict

    words = [*arguments.inputs[1:], *([] if data is None else [data])]
    inputs = [parse_path(word, "an input") for word in words]
    folder = find_model(arguments.inputs[0], "the run folder")
    if out is not None:
        if rows is not None:
            raise UsageError(Message("out= needs a table's file, not rows="), Message("write the rows to a file"))
        if model is not None and "cluster" in options:
            raise UsageError(
                Message("model= and cluster= contradict: the cluster predicts with the saved network"),
                Message("leave cluster= out"),
            )
        with supply_model(folder, model):
            _write(arguments, folder, inputs, out, {**options, "reading": reading, "interval": interval})
        return 0
    if options:
        raise UsageError(
            Message("{options} are options of a file of predictions", options=" and ".join(options)),
            Message("use out=submission.csv too"),
        )
    with supply_model(folder, model):
        predictions = predict(folder, inputs, rows, reading, interval)
    if arguments.json:
        plain = [asdict(prediction) for prediction in predictions]
        level = {} if predictions.level is None else {"interval": predictions.level}
        print(json.dumps({"run": str(folder), **level, "predictions": plain}, ensure_ascii=False))
    else:
        print(predictions.format(top))
    return 0


def _write(arguments: Arguments, folder: Path, inputs: list[Path], out: Path, options: dict[str, Any]) -> None:
    """Write the predictions to a file, and print how many there are."""
    from yisheng.core.logging import logger
    from yisheng.experiments.submission import submit

    written = submit(folder, inputs, out, **options)
    if arguments.json:
        counts = {"rows": written.rows, "damaged": written.damaged, "out_of_distribution": written.out_of_distribution}
        facts = {"run": str(folder), "out": str(out), **counts, "notes": list(written.notes)}
        print(json.dumps(facts, ensure_ascii=False))
        return
    for note in written.notes:
        logger.info(Message("note: {note}", note=note))
    if written.damaged:
        values = {"count": f"{written.damaged:,}", "rows": f"{written.rows:,}"}
        logger.warning(Message("{count} of {rows} images could not be read: see the column error", **values))
    if written.out_of_distribution:
        values = {"count": f"{written.out_of_distribution:,}", "rows": f"{written.rows:,}"}
        logger.warning(Message("{count} of {rows} inputs are out of distribution", **values))
    print(translate(Message("{count} predictions in {out}", count=f"{written.rows - written.damaged:,}", out=out)))
