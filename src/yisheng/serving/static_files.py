"""The pages: a fixed list of this package's files, read once, so that no path of a client reaches the disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PAGES = Path(__file__).parent / "pages"
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png"}


def make_page_routes(page: str) -> list[Route]:
    """Return a route for an HTML file at ``/``, and for each style, script and image at ``/static/NAME``.

    Args:
        page: name of the HTML file.
    """
    paths = [path for path in sorted(PAGES.iterdir()) if path.suffix in MEDIA_TYPES]
    return [
        Route("/", _make_endpoint(PAGES / page, "text/html")),
        *(Route(f"/static/{path.name}", _make_endpoint(path, MEDIA_TYPES[path.suffix])) for path in paths),
    ]


def _make_endpoint(path: Path, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    content = path.read_bytes()

    async def respond(_: Request) -> Response:
        return Response(content, media_type=media_type)

    return respond
