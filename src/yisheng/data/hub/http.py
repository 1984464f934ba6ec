"""HTTP for the hub: proxies from the environment, few redirects, no other scheme.

A redirect from https to http is refused, because anyone on the network path could answer the second request.
The standard library is enough: the hub needs one GET with headers, so requests and httpx are not required.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import IO, Any

MAX_REDIRECTS = 5
"""Mirrors need one or two."""


def send_request(url: str, headers: dict[str, str], timeout: float) -> Any:
    """Send a GET request and return the response to read from.

    Args:
        url: an http(s) address.
        headers: additional request headers.
        timeout: seconds without a byte after which the connection is given up, now and in later reading.

    Raises:
        urllib.error.HTTPError: the server refused, or sent a redirect that is not followed.
        OSError, http.client.HTTPException, ValueError: there is no response, or no valid one.
    """
    headers = {"User-Agent": "yisheng", "Accept": "*/*", **headers}
    return build_opener().open(urllib.request.Request(url, headers=headers), timeout=timeout)


def get_validator(response: Any) -> str:
    """Return what identifies this version of a file: a strong ETag, else the date, else an empty string."""
    tag = response.headers.get("ETag", "").strip()
    return tag if tag.startswith('"') else response.headers.get("Last-Modified", "").strip()


class _RedirectHandler(urllib.request.HTTPRedirectHandler):
    """A handler that follows a few redirects: to https from anywhere, to http only from http."""

    max_redirections = MAX_REDIRECTS
    max_repeats = 2

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        scheme = newurl.partition(":")[0].lower()
        if scheme != "https" and (scheme != "http" or req.type == "https"):
            raise urllib.error.HTTPError(newurl, code, f"redirect to {scheme} refused", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def build_opener() -> urllib.request.OpenerDirector:
    """Return an opener for HTTP(S) through the environment's proxies.

    ``urllib.request.build_opener`` would also open file:, ftp: and data: addresses.
    """
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
        _RedirectHandler(),
    ):
        opener.add_handler(handler)
    return opener
