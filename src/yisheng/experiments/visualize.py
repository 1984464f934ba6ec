"""Images of what a network has learned, for the command ``look``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from yisheng.core import files
from yisheng.core.errors import UsageError
from yisheng.core.messages import Message
from yisheng.core.run_folder import RunFolder
from yisheng.inference import artifact, visualize

if TYPE_CHECKING:
    from PIL import Image


def draw_kernel(photo: Path, kernel: str, out: Path | None = None) -> tuple[Path, tuple[int, int]]:
    """Write what an edge filter makes of an image; return the file and its size in pixels.

    Args:
        photo: the image.
        kernel: ``vertical``, ``sobel`` or ``scharr``.
        out: PNG file; named after the image and the kernel by default.

    Raises:
        UsageError: there is no such kernel.
        DataError: the image cannot be read.
        StorageError: the file cannot be written.
    """
    image = visualize.draw_edges(photo, kernel)  # type: ignore[arg-type]  # it checks the name
    return _write(image, out or Path(f"{photo.stem}-{kernel}.png"))


def draw_network(
    folder: Path,
    photo: Path | None = None,
    *,
    layer: str | None = None,
    explain: bool = False,
    out: Path | None = None,
) -> tuple[Path, tuple[int, int]]:
    """Write filters, feature maps or an occlusion map of a network; return the file and its size in pixels.

    Args:
        folder: of the run.
        photo: an image; without one the filters of the first convolution are drawn.
        layer: whose feature maps to draw; the first convolution's by default.
        explain: draw which parts of the image the prediction depends on.
        out: PNG file; named after the image by default.

    Raises:
        UsageError: the arguments do not fit one another, or the network has no such layer.
        DataError: the folder or the image cannot be read.
        StorageError: the file cannot be written.
    """
    if folder.is_file():
        raise UsageError(
            Message("{folder} is a file, not a run folder", folder=folder),
            Message("use yisheng visualize {folder} kernel=sobel, or give a run", folder=folder),
        )
    run = RunFolder(folder)
    if run.is_cross_validation:
        raise UsageError(
            Message("{folder} is a cross-validation with several models", folder=folder),
            Message("use one of them: {path}", path=folder / "fold-01"),
        )
    if explain and (layer is not None or photo is None):
        raise UsageError(
            Message("explain=true needs an image and no layer="),
            Message("use yisheng visualize {folder} photo.png explain=true", folder=folder),
        )
    if photo is None and layer is not None:
        raise UsageError(
            Message("layer= needs an image"),
            Message("use yisheng visualize {folder} photo.png layer={layer}", folder=folder, layer=layer),
        )
    model = artifact.load(folder)
    if photo is None:
        return _write(visualize.draw_filters(model), out or Path("filters.png"))
    if explain:
        return _write(visualize.draw_occlusion(model, photo), out or Path(f"{photo.stem}-explained.png"))
    return _write(visualize.draw_feature_maps(model, photo, layer), out or Path(f"{photo.stem}-{layer or 'maps'}.png"))


def _write(image: Image.Image, path: Path) -> tuple[Path, tuple[int, int]]:
    with files.replace_file(path) as temporary:
        image.save(temporary, format="PNG")
    return path, image.size
