"""Write a trained model as one file for other programs: ONNX, safetensors, TorchScript.

usage: yisheng export RUN [format=onnx|safetensors|torchscript] [out=FILE] [force=true] [--json]

Raw inputs go in as in training, probabilities or values in their original units come out: scaling, network, softmax
and the inverse scaling of the target are in the file; of a study the mean of its models. It is checked at once
against the run, on rows of its own test part, and refused where it answers other than the run.
"""

from __future__ import annotations

import json
from pathlib import Path

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(1, 1, "one run folder")
    as_json, force = arguments.flag("json"), arguments.flag("force")
    form, out = arguments.take("format", "onnx"), arguments.take("out")
    arguments.end({"json", "force", "format", "out"})

    from yisheng.experiments.export import export

    done = export(Path(arguments.inputs[0]), format=str(form), out=None if out is None else Path(out), force=force)
    largest, allowed = done.agreement.largest, done.agreement.allowed
    if as_json:
        said = {"file": str(done.path), "format": done.format, "bytes": done.size, "samples": done.samples}
        differences = {str(size): value for size, value in largest.items()}
        print(json.dumps({**said, "largest_difference": differences, "allowed": allowed}, ensure_ascii=False))
        return 0
    batches = ", ".join(f"{value:.2g} in batches of {size}" for size, value in largest.items())
    print(f"checked on {done.samples}: largest difference {batches} ({allowed:.2g} allowed)")
    print(f"{done.format}, {done.size / 1e6:,.2f} MB:\n{done.path}")
    return 0
