"""HTTP as the hub wants it: proxies from the environment, few redirects, no other scheme.

A redirect from https to http is refused: whoever sits on the way could answer the second request.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import IO, Any

REDIRECTS = 5
"""Most redirects that are followed: mirrors need one or two."""


def ask(url: str, headers: dict[str, str], timeout: float) -> Any:
    """Send a request and return the answer to read from.

    Args:
        url: an http(s) address.
        headers: to send along.
        timeout: seconds without a byte after which it is given up, now and in later reading.

    Raises:
        urllib.error.HTTPError: the server refused, or redirected where it should not.
        OSError, http.client.HTTPException, ValueError: there is no answer, or none that makes sense.
    """
    headers = {"User-Agent": "yisheng", "Accept": "*/*", **headers}
    return opener().open(urllib.request.Request(url, headers=headers), timeout=timeout)


def validator(response: Any) -> str:
    """What the server calls this version of a file: a strong ETag, else the date, else nothing."""
    tag = response.headers.get("ETag", "").strip()
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "").strip()


class _Redirects(urllib.request.HTTPRedirectHandler):
    """A few redirects, and none to another scheme than https or, from http, http."""

    max_redirections = REDIRECTS
    max_repeats = 2

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = newurl.partition(":")[0].lower()
        if scheme != "https" and (scheme != "http" or req.type == "https"):
            raise urllib.error.HTTPError(newurl, code, f"redirect to {scheme} refused", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def opener() -> urllib.request.OpenerDirector:
    """HTTP(S) through the environment's proxies, and nothing else: no file:, ftp: or data: addresses."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener
