"""Images that a CSV lists with their labels."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from yisheng.core.dataset import Dataset
from yisheng.core.paths import parse_path
from yisheng.core.registry import register
from yisheng.data.images.image_dataset import Size
from yisheng.data.images.resize import Fit


def is_label_file(path: Path) -> bool:
    """Return whether a path is a CSV that lists image files; other tables are read by `table`."""
    from yisheng.data.tables.files import is_table, is_text
    from yisheng.data.tables.sniff import lists_images

    return path.is_file() and is_text(path) and is_table(path) and lists_images(path)


@register(opens=is_label_file)
def labels(
    *,
    path: str,
    size: Size = "auto",
    fit: Fit = "crop",
    color: Literal["auto", "gray", "rgb"] = "auto",
    strict: bool = False,
    target: tuple[str, ...] | str | int | None = None,
    task: Literal["auto", "classification", "multilabel", "regression"] = "auto",
    labels: tuple[str, ...] = (),
    encoding: str = "auto",
    decimal: str = "auto",
    thousands: str = "auto",
    missing: tuple[str, ...] = (),
) -> Dataset:
    """Load images listed in a CSV: file and label, file and several labels, or file and one or several numbers.

    A column of words or of few different whole numbers is a classification, one of other numbers a regression, as for
    tables. Several columns of numbers are a regression of several targets. Several of labels are multilabel, with a
    probability for each label: the cells of a row are the names of its labels, or each column is a label, named in the
    header, and holds yes or no (1 or 0). A column ``split`` of train, validation and test gives official parts; the
    training part decides how the others are read.

    Args:
        path: the CSV; its file names are relative to its folder.
        size: height and width of the inputs, one number for both; auto keeps the common size of all images if no
            side is longer than 96, and else is 224, the size of networks trained on ImageNet.
        fit: how an image of another aspect ratio is brought to that size: its center is cut out (crop), it is squashed,
            or padded with black (pad). Prediction does the same.
        color: gray or rgb; auto is gray if all images are.
        strict: a missing or damaged image is an error; by default it is left out and reported.
        target: the column to predict (several, with commas, for several): a name, or a number from 1; all columns but
            those of the file and the part by default.
        task: what to learn; auto depends on the target.
        labels: forms of the class names, with commas between them, by which two spellings are one class: strip-dot,
            casefold, blanks, separators, unquote, nfkc; or old:new to rename one.
        encoding: of the text; auto goes by its byte order mark, then tries UTF-8, then the likeliest by its letters.
        decimal: the mark before decimals, point or comma; auto decides by all columns of numbers together.
        thousands: the mark between groups of three digits: point, comma, space, apostrophe or none.
        missing: words that mean a missing label; images without one are left out.

    Raises:
        UsageError: a column does not exist, or an option is not allowed.
        DataError: the CSV is damaged or has no labels, or none of its images exists.
        StorageError: the cache cannot be written to.
    """
    from yisheng.data.images import image_dataset
    from yisheng.data.images.label_choices import LabelChoices

    reading = {"encoding": encoding, "decimal": decimal, "thousands": thousands, "missing": missing}
    choices = LabelChoices.parse({"target": target, "task": task, "labels": labels, **reading})
    images = image_dataset.label_listed(parse_path(path, "path"), choices, strict=strict)
    return image_dataset.build_dataset(images, image_dataset.parse_options(size, fit, color), strict=strict)
