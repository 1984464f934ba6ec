"""Load other data in a run's form: named data sets, files and folders, DataFrames, data sets in memory."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from yisheng.core import registry
from yisheng.core.choice import Choice, plain_value
from yisheng.core.dataset import Dataset
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.core.paths import parse_path
from yisheng.core.run_folder import RunFolder
from yisheng.core.settings import Setting, keyword_settings, merge_settings
from yisheng.core.spec import Spec
from yisheng.data.class_names import parse_forms
from yisheng.data.fingerprint import fingerprint
from yisheng.data.images import decode, image_dataset
from yisheng.data.images.file_listing import sanitize_name
from yisheng.data.images.label_choices import LabelChoices
from yisheng.data.objects import to_dataset
from yisheng.data.tables import files
from yisheng.data.tables.shards import list_shards
from yisheng.experiments.load_data import load_dataset
from yisheng.experiments.other_data.rows import OtherRows, adapt_dataset
from yisheng.experiments.other_data.shard_rows import adapt_shards
from yisheng.experiments.other_data.table_rows import TableRoles, adapt_tables, read_table_files
from yisheng.inference.images import decode_input

TABLE_ROLES = ("path", "target", "test", "id", "drop", "kinds", "task", "time", "group", "labels")
"""Options of the data set ``table`` that do not say how the file is written."""


@dataclass(frozen=True)
class Request:
    """What to evaluate a run on.

    Args:
        data: name of a data set, a path, a choice of a config, a DataFrame, a `Dataset`, or other data in memory.
        options: options of the data set by name.
        part: an official part; None for all rows.
        labels: forms of the labels; None for those of the run.
    """

    data: Any
    options: Mapping[str, Any]
    part: str | None = None
    labels: Sequence[str] | None = None


def parse_choice(data: str | Mapping[str, Any], options: Mapping[str, Any]) -> Choice:
    """Return the data set that a user names, as a choice of a config.

    Raises:
        UsageError: the name or an option is unknown.
        DataError: the path does not exist, or nothing reads it.
    """
    settings: list[Setting] = list(keyword_settings({"data": data}))
    settings += [(f"data.{key}", value, "command line") for key, value in options.items()]
    return merge_settings(settings).config.data


def resolve_request(request: Request, spec: Spec) -> Request:
    """Return a request with names and paths as a choice, and arrays in memory as a data set; DataFrames are kept.

    Args:
        request: the data as the user gives it.
        spec: the contract of the run.

    Raises:
        UsageError: a name or an option is unknown.
        DataError: a path does not exist, or objects in memory are no data.
    """
    data = request.data
    if isinstance(data, Path):
        data = str(data)
    if isinstance(data, str | Mapping):
        return replace(request, data=parse_choice(data, request.options), options={})
    if isinstance(data, Choice | Dataset) or _is_dataframe(data):
        return request
    return replace(request, data=_convert_objects(data, request.options, spec), options={})


def is_own_data(run: RunFolder, request: Request) -> bool:
    """Return whether a resolved request names the very data that a run was trained on."""
    if not run.file(RunFolder.CONFIG).is_file():
        return False
    if isinstance(request.data, Dataset):
        return run.data_sha256 == fingerprint(request.data)
    if not isinstance(request.data, Choice):
        return False
    run_data = (run.cross_validation_config if run.is_cross_validation else run.config).data
    return run_data.name == request.data.name and _all_options(run_data) == _all_options(request.data)


def _all_options(choice: Choice) -> dict[str, Any]:
    """Return the options of a choice with the defaults of those that are not given, as plain data."""
    options = registry.find("data.datasets", choice.name).options
    defaults = {name: option.default for name, option in options.items()}
    values = {name: plain_value(value) for name, value in {**defaults, **choice.options}.items()}
    return {name: value for name, value in values.items() if value not in (None, [], "")}


def _has_same_source(first: Choice, second: Choice) -> bool:
    return first.name == second.name and first.options.get("path") == second.options.get("path")


def load_rows(request: Request, spec: Spec, run_data: Choice | None) -> OtherRows:
    """Return the rows that a user asks for, as a run takes them.

    Args:
        request: the data, resolved by `resolve_request`.
        spec: the contract of the run.
        run_data: the run's own data set, or None if it is unknown.

    Raises:
        UsageError: an option or the part is unknown.
        DataError: the data cannot be read, or does not fit the run.
    """
    forms = spec.label_forms if request.labels is None else parse_forms([*spec.label_forms, *request.labels])
    run_id = "" if run_data is None else str(run_data.options.get("id") or "")
    data = request.data
    if isinstance(data, Choice):
        rows = _load_choice(data, spec, forms, request.part, run_id)
        was_trained_on = run_data is not None and _has_same_source(run_data, data)
        note = Message("the run was trained on rows of the same data: scores of rows that it has seen are too good")
        return replace(rows, notes=(note, *rows.notes)) if was_trained_on else rows
    if isinstance(data, Dataset):
        if request.options:
            raise UsageError(
                Message("{options} are no options of a data set in memory", options=", ".join(request.options)),
                Message("leave them out"),
            )
        return adapt_dataset(data, spec, part=request.part, forms=forms)
    roles = _table_roles(request.options, run_id)
    return adapt_tables("table", [files.table_from_frame(data)], spec, roles, part=request.part, forms=forms)


def _load_choice(choice: Choice, spec: Spec, forms: tuple[str, ...], part: str | None, run_id: str) -> OtherRows:
    options = choice.options
    if choice.name == "table" and spec.is_row:
        path = parse_path(options.get("path", ""), "path")
        test = None if options.get("test") is None else parse_path(options["test"], "test")
        roles = _table_roles(options, run_id)
        reading = {key: value for key, value in options.items() if key not in TABLE_ROLES}
        tables = read_table_files(path, test, spec, roles, reading)
        return adapt_tables(files.dataset_name(path), tables, spec, roles, part=part, forms=forms)
    if choice.name == "shards" and spec.is_row and part is None:
        path = parse_path(options.get("path", ""), "path")
        reading = {key: value for key, value in options.items() if key not in TABLE_ROLES}
        roles = _table_roles(options, run_id)
        name = path.name if path.is_dir() else path.parent.name
        return adapt_shards(name, list_shards(path), spec, roles, reading, forms)
    if choice.name in ("folder", "labels") and spec.is_image:
        return adapt_dataset(_load_images(choice, spec, forms), spec, part=part, forms=forms)
    dataset = load_dataset(merge_settings([("data", choice, "command line")]).config)
    return adapt_dataset(dataset, spec, part=part, forms=forms)


def _table_roles(options: Mapping[str, Any], run_id: str) -> TableRoles:
    target = options.get("target") or ()
    names = tuple(target) if isinstance(target, list | tuple) else (str(target),)
    return TableRoles(names, str(options.get("id") or ""), run_id)


def _load_images(choice: Choice, spec: Spec, forms: tuple[str, ...]) -> Dataset:
    """Return images in files in the size and colors of a run; options of the user win."""
    options = choice.options
    path = parse_path(options.get("path", ""), "path")
    label = image_dataset.label_folder if choice.name == "folder" else image_dataset.label_listed
    images = label(path, LabelChoices.parse(options, run=spec, forms=forms))
    if spec.drawing is not None and not options.get("size"):
        return _read_drawings(images, spec)
    channels, height, width = spec.shape
    size, fit = options.get("size", (height, width)), options.get("fit", spec.fit)
    color = options.get("color", "gray" if channels == 1 else "rgb")
    decoding = replace(image_dataset.parse_options(size, fit, color), values=spec.image_values)
    return image_dataset.build_dataset(images, decoding, strict=bool(options.get("strict", False)))


def _read_drawings(images: image_dataset.LabeledImages, spec: Spec) -> Dataset:
    """Return drawings, each fitted and centered as prediction does; images that cannot be read are left out."""
    listing, indices = images.listing, images.file_indices.tolist()
    block = np.empty((len(indices), *spec.shape), np.uint8)
    readable: list[int] = []
    damaged: list[str] = []
    with decode.silence_pillow():
        for position, content in enumerate(listing.read(indices)):
            name = listing.names[indices[position]]
            try:
                if isinstance(content, DataError):
                    raise content
                block[len(readable)], _ = decode_input(content, name, spec)
                readable.append(position)
            except DataError as error:
                damaged.append(sanitize_name(error.problem))
    if not readable:
        raise DataError(
            Message(
                "none of the {count} images of {name} can be read: {damaged}",
                count=len(indices),
                name=images.name,
                damaged=damaged[0],
            ),
            Message("check them"),
        )
    findings = [*images.findings]
    if damaged:
        findings.append(image_dataset.report_damaged(damaged, len(indices), strict=False))
    names = tuple(sanitize_name(listing.names[indices[position]]) for position in readable)
    image_spec = images.make_spec(spec.shape, drawing=spec.drawing)
    part = None if images.part is None else images.part[readable]
    return Dataset(
        images.name, image_spec, block[: len(readable)], images.y[readable], part, rows=names, findings=tuple(findings)
    )


def _is_dataframe(value: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, pandas.DataFrame)


def _convert_objects(data: Any, options: Mapping[str, Any], spec: Spec) -> Dataset:
    """Return arrays, tensors or a torch Dataset as a data set, read as data of a run.

    Targets that are the numbers of the run's classes may all be the same: rows of one class can be scored.
    """
    options = {"task": spec.task, "ids": spec.dtype == "int64", **options}
    if spec.inputs:
        options.pop("ids")
    try:
        return to_dataset(data, **options)
    except DataError:
        if spec.classes != tuple(map(str, range(len(spec.classes)))) or "classes" in options:
            raise
        return to_dataset(data, **options, classes=spec.classes)
