"""The OpenAPI schemas of request bodies, made for the served model: its columns, classes and limits.

The bodies themselves are parsed by `yisheng.serving.inputs`, whose errors name the row and the column.
"""

from __future__ import annotations

from yisheng.core.columns import Column
from yisheng.core.spec import Spec
from yisheng.serving.body_formats import CSV, FORM, IMAGES, JSON
from yisheng.serving.json_rows import column_names, columns_by_name
from yisheng.serving.json_tensors import MAX_NUMBER, Schema, describe_tensor_row, takes_tensors
from yisheng.serving.limits import Limits, max_rows

IMAGE_IN_BASE64: Schema = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "an image file's bytes in base64, or a data URL of them",
}
FILE: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
NUMBER: Schema = {"type": "number", "minimum": -MAX_NUMBER, "maximum": MAX_NUMBER}


def describe_predict_body(spec: Spec, limits: Limits) -> Schema:
    """Return the request body of ``/predict``, by content type."""
    max_files = limits.images if spec.is_image else 1
    form = _make_object({"file": {"type": "array", "items": FILE, "minItems": 1, "maxItems": max_files}})
    if takes_tensors(spec):
        return _make_body({JSON: _make_object({"rows": _describe_rows(spec, limits)})})
    if spec.is_image:
        images = {"type": "array", "items": IMAGE_IN_BASE64, "minItems": 1, "maxItems": max_files}
        schemas = {**dict.fromkeys(IMAGES, FILE), FORM: form, JSON: _make_object({"images": images})}
    else:
        rows = _describe_rows(spec, limits)
        table = {"type": "string", "description": "the columns of training in any order, with a header row"}
        schemas = {CSV: table, FORM: form, JSON: _make_object({"rows": rows})}
    return _make_body(schemas)


def _describe_rows(spec: Spec, limits: Limits) -> Schema:
    return {"type": "array", "items": describe_row(spec), "minItems": 1, "maxItems": max_rows(spec, limits)}


def describe_correction_body(spec: Spec) -> Schema:
    """Return the request body of ``/wrong``, by content type."""
    label: Schema = {"enum": list(spec.classes)} if spec.task == "classification" else {"type": "number"}
    if spec.task == "regression" and spec.outputs > 1:
        label = _make_object(dict.fromkeys(spec.target_names, NUMBER))
    sample = {"image": IMAGE_IN_BASE64} if spec.is_image else {"row": describe_row(spec)}
    return _make_body({JSON: _make_object({**sample, "label": label})})


def describe_row(spec: Spec) -> Schema:
    """Return the schema of a row: an object with a value for each column, or a list in column order.

    A row of a network that takes neither images nor rows of numbers is a nested list; see `json_tensors`.
    """
    if takes_tensors(spec):
        return describe_tensor_row(spec)
    columns, names = columns_by_name(spec), column_names(spec)
    if any(column.source for column in spec.columns):
        cells = {name: _describe_cell(columns[name]) for name in names}
        width = len(names)
        values: Schema = {"type": "array", "prefixItems": list(cells.values()), "minItems": width, "maxItems": width}
    else:
        cells = dict.fromkeys(names, NUMBER)
        width = spec.shape[0]
        values = {"type": "array", "items": NUMBER, "minItems": width, "maxItems": width}
    return {"anyOf": [{"type": "object", "required": names, "properties": cells}, values]} if names else values


def _describe_cell(column: Column) -> Schema:
    if column.kind == "number" and not column.date_part and not column.text_part:
        return {"type": ["number", "string", "null"]}
    return {"type": ["string", "number", "boolean", "null"]}


def _make_body(schemas: dict[str, Schema]) -> Schema:
    return {"required": True, "content": {kind: {"schema": schema} for kind, schema in schemas.items()}}


def _make_object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }
