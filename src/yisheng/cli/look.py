"""Draw what a network has learned as a PNG: first filters, feature maps, occlusion map, edge filters.

usage: yisheng look RUN [out=filters.png] [--json]                          filters of the first convolution
       yisheng look RUN photo.png [layer=NAME] [out=photo-NAME.png] [--json]   feature maps of a layer
       yisheng look RUN photo.png explain=true [out=photo-explained.png] [--json]   what the prediction depends on
       yisheng look photo.png kernel=vertical|sobel|scharr [out=photo-KERNEL.png] [--json]

An unknown layer (layer=?) lists the layers with their shapes. explain=true covers one part of the image after another,
and marks in orange the parts without which the network would change its prediction. The edge filters are what the first
convolution of a trained network finds, written from scratch: each is multiplied with every patch of the image, and the
sum of the products is the brightness of the result. Layers of a network of your own are those of its code:
model=net.py:Net.
"""

from __future__ import annotations

import json

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Run the command; return its exit code."""
    arguments.require_inputs(1, 2, "a run folder and perhaps an image, or an image and kernel=")
    explain, out = arguments.flag("explain"), arguments.path("out")
    kernel, layer, model = (arguments.take(key) for key in ("kernel", "layer", "model"))
    arguments.require_no_more("kernel", "layer", "explain", "out", "model")
    path, *photos = arguments.input_paths("the run folder or image")

    from yisheng.core.errors import UsageError
    from yisheng.experiments.own_model import supply_model
    from yisheng.experiments.visualize import draw_kernel, draw_network

    if kernel is not None:
        if photos or layer is not None or explain:
            raise UsageError(
                "kernel= needs one image, without a run and layer=", "use yisheng look photo.png kernel=sobel"
            )
        out, size = draw_kernel(path, kernel, out)
    else:
        photo = photos[0] if photos else None
        with supply_model(path, model):
            out, size = draw_network(path, photo, layer=layer, explain=explain, out=out)
    print(json.dumps({"out": str(out), "size": list(size)}) if arguments.json else out)
    return 0
