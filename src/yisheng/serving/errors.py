"""Errors of the HTTP services, all in one form: ``{"error": {"problem": ..., "remedy": ..., "code": ...}}``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from yisheng.core.errors import StorageError, YishengError
from yisheng.core.messages import Message, translate
from yisheng.core.validation_texts import describe_invalid

MAX_QUOTED_CHARACTERS = 60
RETRY_AFTER = {"Retry-After": "1"}
"""Header of an error that a later request may not get, in seconds."""


_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"))


def encode_json(content: Any) -> bytes:
    """Return plain data as JSON, which has no NaN or infinity."""
    return _ENCODER.encode(content).encode()


class AsciiJSONResponse(JSONResponse):
    """JSON in ASCII: a message may quote half a surrogate pair, which UTF-8 cannot encode."""

    def render(self, content: Any) -> bytes:
        """Encode the content."""
        return encode_json(content)


class ApiError(HTTPException):
    """An error response.

    Args:
        status_code: of HTTP.
        code: an identifier for programs.
        problem: what was expected, and what was received.
        remedy: what to do.
        headers: further headers.

    >>> ApiError(413, "too-large", "the body has 9 bytes, 5 are allowed", "send less").to_response().body
    b'{"error":{"problem":"the body has 9 bytes, 5 are allowed","remedy":"send less","code":"too-large"}}'
    """

    def __init__(
        self, status_code: int, code: str, problem: str, remedy: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status_code, problem, headers)
        self.code = code
        self.problem = problem
        self.remedy = remedy

    def to_response(self, **headers: str) -> Response:
        """Return the response in the language of the request, with further headers."""
        content = {"error": {"problem": translate(self.problem), "remedy": translate(self.remedy), "code": self.code}}
        return AsciiJSONResponse(content, self.status_code, {**(self.headers or {}), **headers})


def to_api_error(error: YishengError) -> ApiError:
    """Return the error response for an input that the package refused, or for a full disk."""
    if isinstance(error, StorageError):
        return ApiError(507, "storage", error.problem, error.remedy)
    return ApiError(422, "input", error.problem, error.remedy)


def too_many_requests() -> ApiError:
    """Return the error of a request that has to wait for others."""
    remedy = Message("try again in a second")
    return ApiError(503, "busy", Message("there are too many requests"), remedy, RETRY_AFTER)


async def handle_http_error(request: Request, error: Exception) -> Response:
    """Respond to an `ApiError`, or to an unknown path or method."""
    assert isinstance(error, HTTPException)
    if isinstance(error, ApiError):
        return error.to_response()
    code, problem = {
        404: ("not-found", Message("there is nothing at this path")),
        405: ("method", Message("the method {method} is not allowed here", method=request.method[:20])),
    }.get(error.status_code, ("http", str(error.detail)))
    return ApiError(error.status_code, code, problem, Message("see /openapi.json"), error.headers).to_response()


async def handle_yisheng_error(_: Request, error: Exception) -> Response:
    """Respond to an input that the package refused, or to a full disk."""
    assert isinstance(error, YishengError)
    return to_api_error(error).to_response()


async def handle_invalid_query(_: Request, error: Exception) -> Response:
    """Respond to query parameters that FastAPI refused."""
    from fastapi.exceptions import RequestValidationError

    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name, value = first["loc"][1], str(first["input"])[:MAX_QUOTED_CHARACTERS]
    values = {"name": name, "problem": describe_invalid(first), "value": repr(value)}
    problem = Message("{name}: {problem}, got {value}", **values)
    remedy = Message("correct {name}=, or leave it out; see /openapi.json", name=name)
    return ApiError(422, "query", problem, remedy).to_response()


async def handle_defect(_: Request, _error: Exception) -> Response:
    """Respond to an exception that nobody expected; the server prints its traceback."""
    problem = Message("the service failed: it has a defect, or too little memory")
    remedy = Message("read the traceback that the server printed, and report it")
    return ApiError(500, "defect", problem, remedy).to_response()
