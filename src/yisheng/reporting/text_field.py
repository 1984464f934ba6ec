"""A field of a schema that holds a text for people."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import PlainValidator


def _require_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")
    return value


Text = Annotated[str, PlainValidator(_require_text, json_schema_input_type=str)]
"""A text for people; a `Message` stays one."""
