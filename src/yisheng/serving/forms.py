"""Parse forms with files (``multipart/form-data``) from a body that is in memory.

Starlette's ``request.form()`` writes files over 1 MB to the disk, parses in the event loop, and accepts a form that
breaks off.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from yisheng.core.messages import Message
from yisheng.serving.errors import ApiError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FORM_PARTS = 1000


@dataclass
class FormPart:
    """A field or file of a form.

    Args:
        name: of the field.
        filename: of the file; empty without one.
        content: its bytes.
    """

    name: str = ""
    filename: str = ""
    content: bytearray = field(default_factory=bytearray)


def parse_form(body: bytes, content_type: str) -> list[FormPart]:
    """Return the parts of a form in their order.

    Raises:
        ApiError: the form is damaged, or has too many parts.

    >>> body = b'--x\\r\\nContent-Disposition: form-data; name="file"; filename="a.txt"\\r\\n\\r\\nhi\\r\\n--x--\\r\\n'
    >>> part, = parse_form(body, "multipart/form-data; boundary=x")
    >>> part.name, part.filename, bytes(part.content)
    ('file', 'a.txt', b'hi')
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise _damaged(Message("the content type does not name its boundary"))
    collector = _PartCollector()
    try:
        parser = MultipartParser(boundary, collector.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise _damaged(str(error)) from None
    if not collector.is_complete:
        raise _damaged(Message("it breaks off"))
    return collector.parts


def _damaged(reason: str) -> ApiError:
    problem = Message("the form cannot be read: {reason}", reason=reason)
    return ApiError(400, "form", problem, Message("send it as multipart/form-data, as browsers do"))


class _PartCollector:
    """Collects the parts of a form from the parser's callbacks."""

    def __init__(self) -> None:
        self.parts: list[FormPart] = []
        self.is_complete = False
        self._header_name = bytearray()
        self._header_value = bytearray()

    def callbacks(self) -> MultipartCallbacks:
        """Return the callbacks."""
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header_value.extend(data[start:end]),
            "on_header_end": self._end_header,
            "on_part_data": lambda data, start, end: self.parts[-1].content.extend(data[start:end]),
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        if len(self.parts) >= MAX_FORM_PARTS:
            problem = Message("a form has at most {limit} parts", limit=f"{MAX_FORM_PARTS:,}")
            raise ApiError(422, "too-many", problem, Message("send fewer at a time"))
        self.parts.append(FormPart())

    def _end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            options = parse_options_header(bytes(self._header_value))[1]
            self.parts[-1].name = options.get(b"name", b"").decode("utf-8", "replace")
            self.parts[-1].filename = options.get(b"filename", b"").decode("utf-8", "replace")
        self._header_name, self._header_value = bytearray(), bytearray()

    def _end(self) -> None:
        self.is_complete = True
