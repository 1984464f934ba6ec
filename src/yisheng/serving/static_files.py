"""The pages: a fixed list of this package's files, read once, so that no path of a client reaches the disk."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import jinja2
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from yisheng.core.messages import as_message, current_language, translate

PAGES = Path(__file__).parent / "pages"
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png"}
TEXT = r'"((?:[^"\\]|\\.)*)"'
TEXTS_IN_SCRIPTS = re.compile(rf"\b(?:message|messageParts)\({TEXT}|\bpluralMessage\([^\"]*?{TEXT},\s*{TEXT}")


def make_page_routes(page: str) -> list[Route]:
    """Return a route for an HTML file at ``/``, and for each style, script and image at ``/static/NAME``.

    The page is in the language that is the current one now.

    Args:
        page: name of the HTML file.
    """
    paths = [path for path in sorted(PAGES.iterdir()) if path.suffix in MEDIA_TYPES]
    return [
        Route("/", _make_endpoint(render_page(page).encode(), "text/html")),
        *(Route(f"/static/{path.name}", _make_endpoint(path.read_bytes(), MEDIA_TYPES[path.suffix])) for path in paths),
    ]


def render_page(page: str) -> str:
    """Return an HTML file in the current language, with the translations for its scripts as JSON in it.

    Args:
        page: name of the file.

    >>> '<html lang="en">' in render_page("live.html")
    True
    """
    language = current_language()
    texts = {text for path in PAGES.glob("*.js") for text in list_script_texts(path.read_text("utf-8"))}
    translations = {text: translate(as_message(text), language) for text in sorted(texts)}
    environment = jinja2.Environment(autoescape=True, keep_trailing_newline=True)
    template = environment.from_string((PAGES / page).read_text("utf-8"))
    return template.render(
        language=language,
        translations={text: translation for text, translation in translations.items() if text != translation},
        message=lambda text: translate(as_message(text), language),
    )


def list_script_texts(script: str) -> Iterator[str]:
    r"""Yield the texts of the calls of ``message``, ``messageParts`` and ``pluralMessage`` in JavaScript.

    >>> list(list_script_texts('message("a \\"b\\""); pluralMessage(rows.length, "{count} row", "{count} rows", x)'))
    ['a "b"', '{count} row', '{count} rows']
    """
    for match in TEXTS_IN_SCRIPTS.finditer(script):
        yield from (text.replace('\\"', '"') for text in match.groups() if text is not None)


def _make_endpoint(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def respond(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return respond
