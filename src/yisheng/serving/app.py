"""The HTTP service of a trained model: a FastAPI application, and the page to try the model."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from pydantic import BeforeValidator, Field
from pydantic.json_schema import SkipJsonSchema
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from yisheng.core.errors import YishengError
from yisheng.core.run_folder import RunFolder
from yisheng.serving import errors
from yisheng.serving.body_formats import JSON
from yisheng.serving.direct_predictions import DirectPredictions
from yisheng.serving.disconnects import abandon_if_slow_or_disconnected
from yisheng.serving.guard import RequestGuard
from yisheng.serving.limits import Limits
from yisheng.serving.request_schemas import describe_correction_body, describe_predict_body
from yisheng.serving.response_models import Health, ModelFacts, SavedSample, describe_errors, make_predictions_model
from yisheng.serving.server import LOOPBACK
from yisheng.serving.service import Service
from yisheng.serving.static_files import make_page_routes
from yisheng.serving.workers import WorkerPlace

PAGE = "try.html"
MAX_TOP = 999_999_999
EXCEPTION_HANDLERS: dict[Any, Any] = {
    HTTPException: errors.handle_http_error,
    RequestValidationError: errors.handle_invalid_query,
    YishengError: errors.handle_yisheng_error,
    Exception: errors.handle_defect,
}


def _parse_true_or_false(text: Any) -> Any:
    """Return the word in lower case: pydantic alone would also accept 1, yes and on."""
    if isinstance(text, str) and text.lower() not in ("true", "false"):
        raise ValueError("it must be true or false")
    return text.lower() if isinstance(text, str) else text


Top = Annotated[
    Annotated[int, Field(ge=1, le=MAX_TOP)] | SkipJsonSchema[None],
    Query(description="number of most probable classes; all by default"),
]
Explain = Annotated[
    bool, BeforeValidator(_parse_true_or_false), Query(description="draw an occlusion map of each image")
]
Interval = Annotated[
    Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] | SkipJsonSchema[None],
    Query(description="with an interval for each value that contains the true one in this fraction of rows"),
]


def create_app(
    folder: Path,
    *,
    token: str | None = None,
    hosts: Collection[str] = LOOPBACK,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    batch: int = 64,
    wait: float = 2,
    engine: str = "torch",
) -> ASGIApp:
    """Return the service of a model as an ASGI application, behind its guard.

    Args:
        folder: of a run, a cross-validation, or a search.
        token: required with every request; None requires none.
        hosts: accepted host names; see `yisheng.serving.guard.RequestGuard`.
        limits: of a request.
        batch: largest number of samples in one forward pass.
        wait: milliseconds that an idle network waits for requests that are being parsed.
        engine: what computes the predictions: auto, torch or onnxruntime.

    Raises:
        DataError: the folder does not hold a complete model.
        YishengError: see `yisheng.serving.engines.choose_engine`.
    """
    return make_app(load_service(folder, limits, batch=batch, wait=wait, engine=engine), token=token, hosts=hosts)


def load_service(
    folder: Path,
    limits: Limits,
    *,
    batch: int,
    wait: float,
    engine: str,
    place: WorkerPlace = WorkerPlace(),  # noqa: B008  # frozen
) -> Service:
    """Return the model of a folder as a service, which may be one of several workers; see `create_app`.

    Raises:
        DataError: the folder does not hold a complete model.
        YishengError: see `yisheng.serving.engines.choose_engine`.
    """
    return Service(RunFolder(folder).model_folder.path, limits, batch=batch, wait=wait, engine=engine, place=place)


def make_app(service: Service, *, token: str | None = None, hosts: Collection[str] = LOOPBACK) -> ASGIApp:
    """Return a service as an ASGI application, behind its guard; see `create_app`."""
    limits = service.limits
    app = FastAPI(
        title=f"Yisheng: {service.facts.run}",
        version=service.facts.version,
        lifespan=service.lifespan,
        docs_url=None,
        redoc_url=None,
        exception_handlers=EXCEPTION_HANDLERS,
        default_response_class=errors.AsciiJSONResponse,
        # The guard checks the token before it reads the body; this documents it.
        dependencies=[Depends(HTTPBearer(scheme_name="token", auto_error=False))] if token else [],
    )
    _add_endpoints(app, service)
    app.router.routes.extend(make_page_routes(PAGE))
    direct = DirectPredictions(app, service)
    return RequestGuard(direct, hosts=hosts, token=token, max_body=limits.body, body_seconds=limits.seconds)


def _add_endpoints(app: FastAPI, service: Service) -> None:
    """Add the endpoints; they read bodies of several types, which FastAPI's body parameters cannot describe."""
    spec, limits = service.spec, service.limits

    @app.post(
        "/predict",
        summary="Predict for images or rows, in their order",
        operation_id="predict",
        response_model=make_predictions_model(spec),
        responses=describe_errors(415, 422, 503),
        openapi_extra={"requestBody": describe_predict_body(spec, limits)},
    )
    async def predict(
        request: Request, top: Top = None, explain: Explain = False, interval: Interval = None
    ) -> Response:
        # A response object, since FastAPI would validate every value again.
        content_type = request.headers.get("content-type", "")
        body = await request.body()
        content = await service.respond(
            body, content_type, request.receive, top=top, explain=explain, interval=interval
        )
        return Response(content, media_type=JSON)

    @app.post(
        "/wrong",
        summary="Keep a sample with its right label for the next training",
        operation_id="wrong",
        responses=describe_errors(415, 422, 503, 507),
        openapi_extra={"requestBody": describe_correction_body(spec)},
    )
    async def keep_correction(request: Request) -> SavedSample:
        content_type = request.headers.get("content-type", "")
        async with abandon_if_slow_or_disconnected(request.receive, limits.seconds):
            return await service.keep_correction(await request.body(), content_type)

    @app.get("/model", summary="Describe the model", operation_id="model", responses=describe_errors())
    async def describe_model() -> ModelFacts:
        return service.facts

    @app.get("/health", summary="Check that the service runs", operation_id="health", responses=describe_errors())
    async def check_health() -> Health:
        place = service.place
        return Health(status="ok", run=service.facts.run, worker=place.number, workers=place.count)
