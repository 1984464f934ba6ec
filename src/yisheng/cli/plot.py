"""Draw a figure of a run, a cross-validation or a search as .png, .svg or .pdf.

usage: yisheng plot RUN [KIND] [out=RUN-KIND.png] [n=18] [seed=0] [model=FILE.py:CLASS] [--json]

KIND is one of:
  curves            loss and scores by epoch, with the epoch whose weights are used (the default for a run)
  steps             training loss and learning rate by step
  confusion-matrix  how often each class was predicted as each other
  images            n images of the test part with their true and predicted labels; seed= chooses them
  mistakes          the rows or images with the worst predictions
  predicted         predicted against true values, and their differences (regression)
  calibration       accuracy by predicted probability
  folds             the scores of the folds (the default for a cross-validation)
  trials            the score of each trial by each searched setting (the default for a search)
  trial-curves      the training loss of a search's best trials by epoch

An unknown name (yisheng plot RUN ?) lists the figures of this run. The same from Python: run.plot("images"). For
images, a network of your own that could not be saved without its code is named again (model=net.py:Net).
"""

from __future__ import annotations

import json
from pathlib import Path

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    arguments.require_inputs(1, 2, Message("a run folder and perhaps the name of a figure"))
    out, n, seed = arguments.path("out"), arguments.number("n", 18), arguments.number("seed", 0, minimum=0)
    model = arguments.take("model")
    arguments.require_no_more("out", "n", "seed", "model")
    folder = arguments.input_paths("the run folder")[0]
    requested = arguments.inputs[1] if len(arguments.inputs) > 1 else None

    from yisheng.experiments.own_model import supply_model
    from yisheng.experiments.plot import choose_default, plot

    kind = requested or choose_default(folder)
    path = out or Path(f"{folder.resolve().name}-{kind}.png")
    with supply_model(folder, model):
        plot(folder, kind, out=path, n=n, seed=seed)
    print(json.dumps({"run": str(folder), "kind": kind, "out": str(path)}) if arguments.json else path)
    return 0
