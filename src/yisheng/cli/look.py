"""Look inside: the first filters, the feature maps of a layer, what an answer depends on, edge filters, as a PNG.

usage: yisheng look RUN [out=filters.png] [--json]                          filters of the first convolution
       yisheng look RUN photo.png [layer=NAME] [out=photo-NAME.png] [--json]   what a layer makes of an image
       yisheng look RUN photo.png explain=true [out=photo-explained.png] [--json]   what counted for its answer
       yisheng look photo.png kernel=vertical|sobel|scharr [out=photo-KERNEL.png] [--json]

A layer that does not exist (layer=?) lists those that do, with their shapes. explain=true covers one part of the
image after the other, and marks in orange those without which the network would give its answer up. The edge filters
are what the first convolution of a trained network finds by itself, written by hand: each is laid over every place of
the image, and the sum of its products with the pixels is the brightness of the result.
"""

from __future__ import annotations

import json
from pathlib import Path

from yisheng.cli._arguments import Arguments


def run(arguments: Arguments) -> int:
    """Do it."""
    arguments.inputs_only(1, 2, "a run folder and perhaps an image, or an image and kernel=")
    as_json, explain = arguments.flag("json"), arguments.flag("explain")
    kernel, layer, out = (arguments.take(key) for key in ("kernel", "layer", "out"))
    arguments.end({"json", "kernel", "layer", "explain", "out"})

    from yisheng.core import files
    from yisheng.core.errors import UsageError
    from yisheng.inference import artifact, visualize
    from yisheng.inference.ensemble import is_study

    first, *photos = map(Path, arguments.inputs)
    if kernel is not None and (photos or layer is not None or explain):
        raise UsageError("kernel= takes one image, no run and no layer=", "yisheng look photo.png kernel=sobel")
    if kernel is not None:
        image = visualize.draw_edges(first, kernel)  # type: ignore[arg-type]  # checked there
        path = Path(out or f"{first.stem}-{kernel}.png")
    elif first.is_file():
        raise UsageError(f"{first} is a file, not a run folder", f"say yisheng look {first} kernel=sobel, or a run")
    elif is_study(first):
        raise UsageError(f"{first} is a study of several runs", f"look into one of them: {first / 'fold-01'}")
    elif explain and (layer is not None or not photos):
        raise UsageError(
            "explain=true takes an image and no layer=", f"say yisheng look {first} photo.png explain=true"
        )
    elif explain:
        image = visualize.draw_looked_at(artifact.load(first), photos[0])
        path = Path(out or f"{photos[0].stem}-explained.png")
    elif photos:
        image = visualize.draw_maps(artifact.load(first), photos[0], layer)
        path = Path(out or f"{photos[0].stem}-{layer or 'maps'}.png")
    elif layer is not None:
        raise UsageError("layer= shows the feature maps of an image", f"say yisheng look {first} photo.png layer=...")
    else:
        image = visualize.draw_filters(artifact.load(first))
        path = Path(out or "filters.png")
    with files.replacing(path) as temporary:
        image.save(temporary, format="PNG")
    print(json.dumps({"out": str(path), "size": list(image.size)}) if as_json else path)
    return 0
