"""Forms with files (``multipart/form-data``), from a body that is already here whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from yisheng.serving.errors import Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PARTS = 1000
"""Most fields and files of a form."""


@dataclass
class Part:
    """A field or file of a form.

    Args:
        name: of the field.
        file: name of the file; empty without one.
        kind: its content type in lower case, without what follows a semicolon; empty without one.
        content: its bytes.
    """

    name: str = ""
    file: str = ""
    kind: str = ""
    content: bytes = b""
    heads: dict[bytes, bytes] = field(default_factory=dict)


def parse(body: bytes, content_type: str) -> list[Part]:
    """The parts of a form in their order.

    Raises:
        Refusal: it is broken, or has too many parts.

    >>> body = b'--x\\r\\nContent-Disposition: form-data; name="file"; filename="a.txt"\\r\\n\\r\\nhi\\r\\n--x--\\r\\n'
    >>> [(part.name, part.file, part.content) for part in parse(body, "multipart/form-data; boundary=x")]
    [('file', 'a.txt', b'hi')]
    """
    from python_multipart.exceptions import FormParserError
    from python_multipart.multipart import MultipartParser, parse_options_header

    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise _broken("its boundary is not named in the content type")
    reader = _Reader()
    try:
        parser = MultipartParser(boundary, reader.callbacks(parse_options_header))
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise _broken(str(error)) from None
    if not reader.ended:
        raise _broken("it breaks off")
    return reader.parts


def _broken(why: str) -> Refusal:
    return Refusal(400, "form", f"the form cannot be read: {why}", "send it as multipart/form-data, as browsers do")


class _Reader:
    """Collects what the parser tells."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.name = bytearray()
        self.value = bytearray()
        self.content = bytearray()
        self.ended = False

    def callbacks(self, options: Any) -> MultipartCallbacks:
        """Whom the parser tells what."""

        def begin() -> None:
            if len(self.parts) >= PARTS:
                raise Refusal(422, "too-many", f"a form may have {PARTS:,} parts", "send fewer at a time")
            self.parts.append(Part())
            self.content = bytearray()

        def header_end() -> None:
            self.parts[-1].heads[bytes(self.name).lower()] = bytes(self.value)
            self.name, self.value = bytearray(), bytearray()

        def part_end() -> None:
            self.parts[-1].content = bytes(self.content)
            self.content = bytearray()

        def heads_end() -> None:
            part = self.parts[-1]
            given = options(part.heads.get(b"content-disposition", b""))[1]
            part.name = given.get(b"name", b"").decode("utf-8", "replace")
            part.file = given.get(b"filename", b"").decode("utf-8", "replace")
            part.kind = options(part.heads.get(b"content-type", b""))[0].decode("latin-1")

        def end() -> None:
            self.ended = True

        return {
            "on_part_begin": begin,
            "on_header_field": lambda data, start, end: self.name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self.value.extend(data[start:end]),
            "on_header_end": header_end,
            "on_headers_finished": heads_end,
            "on_part_data": lambda data, start, end: self.content.extend(data[start:end]),
            "on_part_end": part_end,
            "on_end": end,
        }
