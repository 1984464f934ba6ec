"""Write a trained model as one file for other programs: ONNX, safetensors, TorchScript.

usage: yisheng export RUN [format=onnx|safetensors|torchscript] [out=FILE] [force=true] [resize=false]
                          [model=FILE.py:CLASS] [--json]

The file takes raw inputs as in training and returns probabilities or values in their original units: scaling, network,
softmax and the inverse scaling of the target are in it; for a cross-validation, the mean of its models. It is compared
with the run at once, on rows of the run's test part, and deleted if the outputs differ. model= names a network of your
own that could not be saved without its code.

An ONNX or TorchScript file of images takes images of any size and resizes them as training did, unless resize=false.
Where it does not (safetensors, handwritten digits and other drawings), a text next to it says how to prepare images.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.cli._arguments import Arguments
from yisheng.core.messages import Message, join_messages, translate

if TYPE_CHECKING:
    from yisheng.experiments.export import Exported


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    force, format, out = arguments.flag("force"), arguments.take("format") or "onnx", arguments.path("out")
    model, resize = arguments.take("model"), arguments.flag("resize", default=True)
    arguments.require_inputs(1, 1, Message("one run folder"))
    arguments.require_no_more("force", "format", "out", "model", "resize")

    from yisheng.experiments.export import export
    from yisheng.experiments.model_hub.address import is_hub_address
    from yisheng.experiments.model_hub.find_model import find_model
    from yisheng.experiments.own_model import supply_model

    folder = find_model(arguments.inputs[0], "the run folder")
    if out is None and is_hub_address(arguments.inputs[0]):
        out = Path(f"{folder.parent.name}.{format}")
    with supply_model(folder, model):
        exported = export(folder, format=format, out=out, force=force, resize=resize)
    if arguments.json:
        print(json.dumps(_list_facts(exported), ensure_ascii=False))
    else:
        _print_result(exported)
    return 0


def _list_facts(exported: Exported) -> dict[str, Any]:
    """Return the result as plain data."""
    return {
        "file": str(exported.path),
        "format": exported.format,
        "bytes": exported.size,
        "samples": exported.samples,
        "largest_difference": {str(size): value for size, value in exported.agreement.largest.items()},
        "allowed": exported.agreement.allowed,
        "other_sizes": exported.agreement.other_sizes,
        "image": exported.image,
        "preparation": None if exported.preparation is None else str(exported.preparation),
    }


def _print_result(exported: Exported) -> None:
    """Print how well the file agrees with the run, how an image is prepared for it, and last its path."""
    batches = join_messages(
        Message("{value} in batches of {size}", value=f"{value:.2g}", size=size)
        for size, value in exported.agreement.largest.items()
    )
    print(
        translate(
            Message(
                "checked on {samples}: largest difference {batches} ({allowed} allowed)",
                samples=exported.samples,
                batches=batches,
                allowed=f"{exported.agreement.allowed:.2g}",
            )
        )
    )
    if exported.agreement.other_sizes is not None:
        difference = f"{exported.agreement.other_sizes:.2g}"
        print(
            translate(
                Message("checked on images of other sizes: largest difference {difference}", difference=difference)
            )
        )
    if exported.image is not None:
        print(translate(Message("how to prepare an image:")))
        print("\n".join(f"  {number}. {translate(step)}" for number, step in enumerate(exported.image["steps"], 1)))
    if exported.preparation is not None:
        print(f"  {translate(Message('(the same in {path})', path=exported.preparation))}")
    print(f"{exported.format}, {exported.size / 1e6:,.2f} MB:\n{exported.path}")
