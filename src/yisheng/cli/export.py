"""Write a trained model as one file for other programs: ONNX, safetensors, TorchScript.

usage: yisheng export RUN [format=onnx|safetensors|torchscript] [out=FILE] [force=true] [model=FILE.py:CLASS] [--json]

The file takes raw inputs as in training and returns probabilities or values in their original units: scaling, network,
softmax and the inverse scaling of the target are in it; for a cross-validation, the mean of its models. It is compared
with the run at once, on rows of the run's test part, and deleted if the outputs differ. model= names a network of your
own that could not be saved without its code.
"""

from __future__ import annotations

import json

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    force, format, out = arguments.flag("force"), arguments.take("format") or "onnx", arguments.path("out")
    model = arguments.take("model")
    folder = arguments.run_folder(("force", "format", "out", "model"))

    from yisheng.experiments.export import export
    from yisheng.experiments.own_model import supply_model

    with supply_model(folder, model):
        exported = export(folder, format=format, out=out, force=force)
    largest, allowed = exported.agreement.largest, exported.agreement.allowed
    if arguments.json:
        facts = {
            "file": str(exported.path),
            "format": exported.format,
            "bytes": exported.size,
            "samples": exported.samples,
            "largest_difference": {str(size): value for size, value in largest.items()},
            "allowed": allowed,
        }
        print(json.dumps(facts, ensure_ascii=False))
        return 0
    batches = ", ".join(f"{value:.2g} in batches of {size}" for size, value in largest.items())
    print(f"checked on {exported.samples}: largest difference {batches} ({allowed:.2g} allowed)")
    print(f"{exported.format}, {exported.size / 1e6:,.2f} MB:\n{exported.path}")
    return 0
