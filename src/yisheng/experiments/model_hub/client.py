"""HTTP requests to a model hub: JSON, downloads and uploads, with the user's token.

Source: the hub's documented interface (https://huggingface.co/docs/hub/api) and that of Git LFS
(https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md).
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from yisheng.core import cache_folder
from yisheng.core.errors import DataError, UsageError
from yisheng.core.messages import Message
from yisheng.data.hub.http import build_opener

ENDPOINT_VARIABLE: Final = "HF_ENDPOINT"
TOKEN_VARIABLE: Final = "HF_TOKEN"
DEFAULT_ENDPOINT: Final = "https://huggingface.co"
TIMEOUT_SECONDS: Final = 30.0
MAX_JSON_BYTES: Final = 16 << 20
MAX_REASON: Final = 200
LOCAL_HOSTS: Final = ("localhost", "127.0.0.1", "::1")
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})


class HubClient:
    """Requests to the hub that ``HF_ENDPOINT`` names, with the token of ``HF_TOKEN`` or of the hub's own login.

    Raises:
        UsageError: the endpoint is not an http(s) address, or a token would be sent without encryption.
        DataError: the network must not be used.
    """

    def __init__(self) -> None:
        self.endpoint = os.environ.get(ENDPOINT_VARIABLE, "").strip().rstrip("/") or DEFAULT_ENDPOINT
        self.token = _find_token()
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                Message(
                    "{variable} must be an http(s) address, got {value}",
                    variable=ENDPOINT_VARIABLE,
                    value=self.endpoint,
                ),
                Message("set it to the address of a hub, or remove it"),
            )
        if self.token and parts.scheme == "http" and parts.hostname not in LOCAL_HOSTS:
            raise UsageError(
                Message("the token would be sent to {endpoint} without encryption", endpoint=self.endpoint),
                Message("use an https address in {variable}", variable=ENDPOINT_VARIABLE),
            )
        if cache_folder.is_offline() and parts.hostname not in LOCAL_HOSTS:
            raise DataError(
                Message("YISHENG_OFFLINE is set: the network must not be used"),
                Message("remove YISHENG_OFFLINE, or give the folder of a model that is here"),
            )

    def request_json(
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Mapping[str, str] = NO_HEADERS,
        accepted: Collection[int] = (),
    ) -> Any:
        """Send a request and return the JSON of its answer.

        Args:
            method: of HTTP.
            url: a full address, or a path on the hub.
            body: plain data, sent as JSON, or bytes.
            headers: further ones.
            accepted: codes of refusals that are answers, too.

        Raises:
            DataError: the hub refuses, does not respond, or its answer is not JSON.
            UsageError: the token is missing or has no right to this.
        """
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        kind = {} if content is None else {"Content-Type": "application/json"}
        with self.open(method, url, content, {**kind, **headers}, accepted) as response:
            text = response.read(MAX_JSON_BYTES + 1)
        try:
            if len(text) > MAX_JSON_BYTES:
                raise ValueError("it is too long")
            return json.loads(text or b"null")
        except ValueError as error:
            raise DataError(
                Message("the answer of {endpoint} is not JSON: {reason}", endpoint=self.endpoint, reason=str(error)),
                Message("check {variable}, and try again later", variable=ENDPOINT_VARIABLE),
            ) from None

    @contextlib.contextmanager
    def open(
        self,
        method: str,
        url: str,
        content: Any = None,
        headers: Mapping[str, str] = NO_HEADERS,
        accepted: Collection[int] = (),
    ) -> Iterator[Any]:
        """Send a request and yield its answer to read from.

        The token goes to the hub only, also if it redirects to another host.

        Args:
            method: of HTTP.
            url: a full address, or a path on the hub.
            content: of the request: bytes, or what has ``read``, whose length must be a header then.
            headers: further ones.
            accepted: codes of refusals that are yielded like answers.

        Raises:
            DataError, UsageError: as `request_json`.
        """
        is_own = url.startswith(("/", f"{self.endpoint}/"))
        address = f"{self.endpoint}{url}" if url.startswith("/") else url
        try:
            request = urllib.request.Request(address, content, {"User-Agent": "yisheng", **headers}, method=method)
            if self.token and is_own:
                request.add_unredirected_header("Authorization", f"Bearer {self.token}")
            with contextlib.closing(_send(request, accepted)) as response:
                yield response
        except urllib.error.HTTPError as error:
            raise self._explain(error) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = " ".join(str(getattr(error, "reason", error)).split())[:MAX_REASON]
            raise DataError(
                Message("{endpoint} does not respond: {reason}", endpoint=self.endpoint, reason=reason),
                Message("check the network; {variable} names another address of the hub", variable=ENDPOINT_VARIABLE),
            ) from None

    def _explain(self, error: urllib.error.HTTPError) -> DataError | UsageError:
        """Return the error of an answer that is a refusal."""
        with error:
            reason = error.headers.get("X-Error-Message") or error.reason or ""
        reason = " ".join(f"HTTP {error.code} {reason}".split())[:MAX_REASON]
        problem = Message("{endpoint} refuses: {reason}", endpoint=self.endpoint, reason=reason)
        if error.code in (401, 403):
            return UsageError(
                problem,
                Message("set {variable} to a token that has the right to this", variable=TOKEN_VARIABLE)
                if self.token
                else Message("set {variable} to a token of your account on the hub", variable=TOKEN_VARIABLE),
            )
        if error.code == 404:
            return DataError(
                problem, Message("check the spelling of hf:user/name@revision; a private model needs a token")
            )
        return DataError(problem, Message("try again later"))


def _send(request: urllib.request.Request, accepted: Collection[int]) -> Any:
    try:
        return build_opener().open(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code in accepted:
            return error
        raise


def get_field(value: Any, key: str, default: Any = None) -> Any:
    """Return a value of an answer of the hub; with a default it may be missing.

    Raises:
        DataError: the answer has another form.
    """
    if isinstance(value, dict) and (key in value or default is not None):
        return value.get(key, default)
    raise DataError(
        Message("an answer of the hub has no {key}", key=key),
        Message("check {variable}: another service may be there", variable=ENDPOINT_VARIABLE),
    )


def _find_token() -> str:
    """Return the user's token, of the variable or of the file that the hub's login writes; empty without one."""
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        home = os.environ.get("HF_HOME", "").strip() or Path("~", ".cache", "huggingface").expanduser()
        path = os.environ.get("HF_TOKEN_PATH", "").strip() or Path(home, "token")
        with contextlib.suppress(OSError, UnicodeDecodeError):
            token = Path(path).read_text(encoding="ascii").strip()
    return "" if any(character.isspace() for character in token) else token
