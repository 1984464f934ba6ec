"""What the service takes and gives, in OpenAPI's words; it is made for the very model that is served."""

from __future__ import annotations

from typing import Any

from yisheng.core.types import Spec
from yisheng.serving import inputs, json_rows
from yisheng.serving.limits import Limits

LARGEST = 3e38
Schema = dict[str, Any]

ERROR: Schema = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["problem", "remedy", "code"],
            "properties": {
                "problem": {"type": "string", "description": "what was wanted and what came"},
                "remedy": {"type": "string", "description": "what to do about it"},
                "code": {"type": "string", "description": "a word for programs"},
            },
        }
    },
}
REFUSALS = {
    "400": "no valid HTTP, form or JSON",
    "401": "the token is missing or wrong",
    "403": "for another host, or from another site's page",
    "408": "the body came too slowly",
    "413": "too many bytes or pixels",
    "415": "of a type that the model does not take",
    "422": "an input is damaged or does not fit the model, or there are too many",
    "500": "a defect of the service",
    "503": "too many requests are waiting; try again after Retry-After",
    "507": "the disk is full, or the run folder cannot be written to",
}


def document(title: str, version: str, spec: Spec, limits: Limits, *, token: bool) -> Schema:
    """The service's OpenAPI document.

    Args:
        title: of the service.
        version: of the package.
        spec: the model's contract.
        limits: of a request.
        token: whether one is asked for.
    """
    always = ("400", "401", "403", "408", "413", "500")
    told: Schema = {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": {
            "/predict": {
                "post": {
                    "summary": "Answers for images or rows, in their order",
                    "operationId": "predict",
                    "parameters": _parameters(limits),
                    "requestBody": {"required": True, "content": _bodies(spec, limits)},
                    "responses": _responses("the answers", "Answers", (*always, "415", "422", "503")),
                }
            },
            "/wrong": {
                "post": {
                    "summary": "Keep a sample with its right answer for the next training",
                    "operationId": "wrong",
                    "requestBody": {"required": True, "content": {inputs.JSON: {"schema": _correction(spec)}}},
                    "responses": _responses("it is kept", "Kept", (*always, "415", "422", "503", "507")),
                }
            },
            "/model": _get("model", "What is served", "Model", always),
            "/health": _get("health", "Whether it is there", "Health", always),
        },
        "components": {"schemas": {**_answers(spec), **_facts(), "Error": ERROR}},
    }
    if token:
        told["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        told["security"] = [{"token": []}]
    return told


def _get(name: str, summary: str, schema: str, refusals: tuple[str, ...]) -> Schema:
    responses = _responses(summary, schema, refusals)
    return {"get": {"summary": summary, "operationId": name, "responses": responses}}


def _responses(description: str, schema: str, refusals: tuple[str, ...]) -> Schema:
    good = {"description": description, "content": _json({"$ref": f"#/components/schemas/{schema}"})}
    error = _json({"$ref": "#/components/schemas/Error"})
    return {"200": good, **{status: {"description": REFUSALS[status], "content": error} for status in refusals}}


def _json(schema: Schema) -> Schema:
    return {inputs.JSON: {"schema": schema}}


def _parameters(limits: Limits) -> list[Schema]:
    top = "so many of the most probable classes; all without it"
    explain = f"also what the network looked at, of {limits.explained} images at most"
    return [
        {"name": "top", "in": "query", "description": top, "schema": {"type": "integer", "minimum": 1}},
        {"name": "explain", "in": "query", "description": explain, "schema": {"type": "boolean", "default": False}},
    ]


def _bodies(spec: Spec, limits: Limits) -> Schema:
    """What ``/predict`` takes, by content type."""
    file: Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
    most = limits.images if spec.is_image else 1
    form = {
        "type": "object",
        "required": ["file"],
        "additionalProperties": False,
        "properties": {"file": {"type": "array", "items": file, "minItems": 1, "maxItems": most}},
    }
    if spec.is_image:
        texts = {"type": "array", "items": _IMAGE, "minItems": 1, "maxItems": most}
        listed = _object({"images": texts})
        return {**{kind: {"schema": file} for kind in inputs.IMAGES}, inputs.FORM: {"schema": form}, **_json(listed)}
    rows = {"type": "array", "items": row(spec), "minItems": 1, "maxItems": inputs.most_rows(spec, limits)}
    table: Schema = {"type": "string", "description": "the columns of training in any order, with a header row"}
    return {inputs.CSV: {"schema": table}, inputs.FORM: {"schema": form}, **_json(_object({"rows": rows}))}


_IMAGE: Schema = {
    "type": "string",
    "contentEncoding": "base64",
    "description": "an image file's bytes in base64, perhaps as a data URL",
}


def row(spec: Spec) -> Schema:
    """A row in JSON: an object with a value for each column, or a list in their order."""
    kinds = {column.source or column.name: column for column in reversed(spec.columns)}
    names = json_rows.names(spec)
    number: Schema = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
    if not any(column.source for column in spec.columns):
        cells = dict.fromkeys(names, number)
        width = spec.shape[0]
        listed: Schema = {"type": "array", "items": number, "minItems": width, "maxItems": width}
    else:
        text = {"type": ["string", "number", "boolean", "null"]}
        of = {name: kinds[name] for name in names}
        cells = {
            name: {"type": ["number", "string", "null"]} if column.kind == "number" and not column.part else text
            for name, column in of.items()
        }
        listed = {"type": "array", "prefixItems": list(cells.values()), "minItems": len(names), "maxItems": len(names)}
    return {"anyOf": [{"type": "object", "required": names, "properties": cells}, listed]} if names else listed


def _correction(spec: Spec) -> Schema:
    """What ``/wrong`` takes."""
    label: Schema = {"enum": list(spec.classes)} if spec.task == "classification" else {"type": "number"}
    return _object({"image": _IMAGE, "label": label} if spec.is_image else {"row": row(spec), "label": label})


def _object(properties: Schema) -> Schema:
    return {
        "type": "object",
        "required": list(properties),
        "properties": properties,
        "additionalProperties": False,
    }


def _answers(spec: Spec) -> Schema:
    maybe: Schema = {"type": ["number", "null"]}
    one = {"type": "string"} if spec.task == "classification" else maybe
    listed = {"type": "array", "items": {"type": "string"} if spec.task == "multilabel" else maybe}
    prediction = listed if spec.task == "multilabel" or (not spec.classes and spec.outputs > 1) else one
    answer = _object(
        {
            "input": {"type": "string", "description": "what the input is called"},
            "prediction": {**prediction, "description": "class, labels or value; null where it is not finite"},
            "probabilities": {"type": "object", "additionalProperties": maybe},
            "notes": {"type": "array", "items": {"type": "string"}},
            "unlike": {**maybe, "description": "share of held-out rows that were less unusual; doubtful above 0.995"},
            "looked_at": {"type": ["string", "null"], "description": "a PNG in base64: what the network looked at"},
        }
    )
    return {"Answer": answer, "Answers": _object({"answers": {"type": "array", "items": _ref("Answer")}})}


def _facts() -> Schema:
    text, anything = {"type": "string"}, {"type": "object"}
    kept = _object({"kept": {"type": "string", "description": "its place in the run folder"}, "count": _COUNT})
    return {
        "Kept": kept,
        "Health": _object({"status": {"const": "ok"}, "run": text}),
        "Model": _object(
            {
                "run": text,
                "version": text,
                "task": {"enum": ["classification", "multilabel", "regression"]},
                "shape": {"type": "array", "items": _COUNT},
                "classes": {"type": "array", "items": text},
                "columns": {"type": "array", "items": anything},
                "target": text,
                "unit": text,
                "model": text,
                "parameters": _COUNT,
                "best": {"type": ["object", "null"]},
                "scores": anything,
                "limits": anything,
            }
        ),
    }


_COUNT: Schema = {"type": "integer", "minimum": 0}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
