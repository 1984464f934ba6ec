"""Predictions without options, past FastAPI: it would take longer than the network."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from yisheng.core.errors import YishengError
from yisheng.serving import errors
from yisheng.serving.service import Service


class DirectPredictions:
    """ASGI application that responds to ``POST /predict`` itself, and passes everything else on.

    A request with a query is passed on too: FastAPI checks its values. The responses are the same; those to exceptions
    are made by the same handlers.

    Args:
        app: the FastAPI application.
        service: what its endpoint calls, too.
    """

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app, self._service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle an ASGI connection."""
        if scope["type"] != "http" or scope["path"] != "/predict" or scope["method"] != "POST" or scope["query_string"]:
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        try:
            message = await receive()  # the guard has read the body completely
            content_type = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
            content = await self._service.respond(message["body"], content_type.decode("latin-1"), receive)
        except HTTPException as error:
            response = await errors.handle_http_error(request, error)
        except YishengError as error:
            response = await errors.handle_yisheng_error(request, error)
        except Exception as error:
            response = await errors.handle_defect(request, error)
            await response(scope, receive, send)
            raise  # the server prints its traceback
        else:
            headers = [(b"content-length", b"%d" % len(content)), (b"content-type", b"application/json")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            await send({"type": "http.response.body", "body": content})
            return
        await response(scope, receive, send)
