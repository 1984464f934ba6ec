"""The pages: a fixed list of files of this package, read once; no path of a client reaches a disk."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

FOLDER = Path(__file__).parents[1] / "pages"
FRONT = "try.html"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".png": "image/png"}


def endpoints(front: str = FRONT) -> dict[str, Callable[[Request], Awaitable[Response]]]:
    """A page at ``/`` and what it is made of at ``/static/NAME``, by path."""
    files = {f"/static/{path.name}": (path, TYPES[path.suffix]) for path in FOLDER.iterdir() if path.suffix in TYPES}
    if (FOLDER / front).exists():
        files["/"] = (FOLDER / front, "text/html")
    return {path: _endpoint(file.read_bytes(), kind) for path, (file, kind) in sorted(files.items())}


def _endpoint(content: bytes, kind: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        from starlette.responses import Response

        return Response(content, media_type=kind)

    return answer
