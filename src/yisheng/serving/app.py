"""The service of a trained model: an ASGI application with its endpoints and the page to try it on."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from yisheng.core import machine
from yisheng.core.errors import YishengError
from yisheng.data.images import decode
from yisheng.evaluation.png import png_base64
from yisheng.inference import ensemble
from yisheng.inference.occlusion import looked_at
from yisheng.inference.predictor import Predictor
from yisheng.serving import inputs, responses, static_files
from yisheng.serving import openapi as contract
from yisheng.serving.batching import Batches
from yisheng.serving.corrections import Corrections
from yisheng.serving.disconnects import while_there
from yisheng.serving.errors import App, Refusal
from yisheng.serving.guard import LOOPBACK, guarded
from yisheng.serving.limits import Limits
from yisheng.serving.model_facts import facts
from yisheng.serving.server import missing

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

READERS = 2
"""Threads that decode images and read tables."""
Endpoint = Callable[["Request"], Awaitable["Response"]]


def application(
    folder: Path,
    *,
    token: str | None = None,
    hosts: Collection[str] = LOOPBACK,
    limits: Limits = Limits(),  # noqa: B008  # frozen
    batch: int = 64,
    wait: float = 2,
) -> App:
    """A run as an ASGI application, behind its guard.

    Args:
        folder: a run folder, a study of k folds, or a search.
        token: what every request must bring; None asks for none.
        hosts: names that it is served under; see `yisheng.serving.guard.guarded`.
        limits: of a request.
        batch: samples that go through the network together, at most.
        wait: milliseconds that an idle network waits for requests that are being read.

    Raises:
        DataError: the folder does not hold a whole model.
        MissingPartError: the extra ``serve`` is not installed.
    """
    service = Service(ensemble.chosen(folder), limits, batch=batch, wait=wait)
    try:
        app = _routed(service, token=token is not None)
    except ImportError:
        raise missing() from None
    return guarded(app, hosts=hosts, token=token, most_body=limits.body, body_seconds=limits.seconds)


class Service:
    """A run that answers requests.

    Args:
        folder: a run folder or a study of k folds.
        limits: of a request.
        batch: samples that go through the network together, at most.
        wait: milliseconds that an idle network waits for requests that are being read.
    """

    def __init__(self, folder: Path, limits: Limits, *, batch: int, wait: float) -> None:
        self.predictor = Predictor(folder)
        self.spec = self.predictor.spec
        self.limits = limits
        self.batch = batch
        self.wait = wait
        self.corrections = Corrections(folder, self.spec, limits.corrections)
        self.facts = facts(folder, self.spec, limits, machine.versions()["yisheng"])

    @contextlib.asynccontextmanager
    async def working(self, _: FastAPI) -> AsyncIterator[None]:
        """While requests are answered."""
        self.batches = Batches(
            self._judge, batch=self.batch, wait=self.wait, most=2 * self.limits.rows, threads=self._threads_worth()
        )
        self.readers = ThreadPoolExecutor(READERS, "reader")
        with decode.quiet():  # around all threads that decode
            work = asyncio.create_task(self.batches.work())
            try:
                yield
            finally:
                work.cancel()
                await asyncio.wait([work])
                self.readers.shutdown(cancel_futures=True)

    async def predict(self, request: Request) -> Response:
        """``POST /predict``."""
        top, explain = _query(request)
        given = await self._read(await request.body(), request.headers.get("content-type", ""))
        if explain and self.spec.is_image and len(given.x) > self.limits.explained:
            most = f"{self.limits.explained} images of a request can be explained, got {len(given.x)}"
            raise Refusal(422, "too-many", most, "send fewer, or leave explain out")
        judged = await self.batches.outputs(given.x)
        outputs, unlike = judged[:, :-1], None if np.isnan(judged[0, -1]) else judged[:, -1]
        said = self.predictor.warnings(given.x, unlike)
        notes = [(*before, *more) for before, more in zip(given.notes, said, strict=True)]
        answers = self.predictor.answers(outputs, given.names, notes, unlike)
        images = await self._looked_at(given.x) if explain else [None] * len(answers)
        return responses.as_json(
            {"answers": [responses.told(one, top, seen) for one, seen in zip(answers, images, strict=True)]}
        )

    async def wrong(self, request: Request) -> Response:
        """``POST /wrong``."""
        if inputs.kind_of(request.headers.get("content-type", "")) != inputs.JSON:
            raise Refusal(415, "type", "a correction is sent as JSON", f"send {inputs.JSON}")
        return responses.as_json(await self._in_reader(self._keep, await request.body()))

    async def model(self, _: Request) -> Response:
        """``GET /model``."""
        return responses.as_json(self.facts)

    async def health(self, _: Request) -> Response:
        """``GET /health``."""
        return responses.as_json({"status": "ok", "run": self.facts["run"]})

    def _threads_worth(self) -> int:
        return machine.threads_worth(self.batch * math.prod(self.spec.shape))

    def _judge(self, x: np.ndarray) -> np.ndarray:
        """Outputs, and as the last column how unlike the training data each input is; NaN where that is not known."""
        outputs, unlike = self.predictor.judge(x)
        last = np.full(len(x), np.nan) if unlike is None else unlike
        return np.concatenate([outputs, last[:, None]], axis=1, dtype=np.float64)

    async def _looked_at(self, x: np.ndarray) -> list[str | None]:
        """An image in base64 of what the network looked at, for each input; rows have none."""
        if not self.spec.is_image:
            return [None] * len(x)
        return [await self.batches.beside(self._saliency, one) for one in x]

    def _saliency(self, x: np.ndarray) -> str:
        return png_base64(looked_at(self.predictor.members[0], x).transpose(2, 0, 1))

    async def _read(self, body: bytes, content_type: str) -> inputs.Inputs:
        with self.batches.reading():
            if inputs.is_light(body, content_type):
                return inputs.read(body, content_type, self.spec, self.limits)
            return await self._in_reader(inputs.read, body, content_type, self.spec, self.limits)

    async def _in_reader(self, do: Callable[..., Any], *given: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.readers, do, *given)

    def _keep(self, body: bytes) -> dict[str, Any]:
        """Keep the sample of a correction; gives its place in the run folder, and how many there are."""
        found = inputs.load_json(body)
        sample = "image" if self.spec.is_image else "row"
        if set(found) != {sample, "label"}:
            got = ", ".join(map(repr, list(found)[:5])) or "nothing"
            raise Refusal(422, "input", f"{sample} and label are wanted, got {got}", f'send {{"{sample}", "label"}}')
        if self.spec.is_image:
            content = inputs.image(inputs.unbase64(found["image"], "the image"), "the image", self.limits)
            kept = self.corrections.image(content, found["label"])
        else:
            kept = self.corrections.row(found["row"], found["label"])
        return {"kept": kept.path.relative_to(self.corrections.folder.parent).as_posix(), "count": kept.total}


def _routed(service: Service, *, token: bool) -> App:
    """The endpoints of a service, its page, and how errors are told."""
    from fastapi import FastAPI
    from starlette.exceptions import HTTPException

    about = contract.document(
        f"Yisheng: {service.facts['run']}", service.facts["version"], service.spec, service.limits, token=token
    )
    handlers: dict[Any, Any] = {
        Refusal: responses.refused,
        YishengError: responses.unfit,
        HTTPException: responses.not_there,
        Exception: responses.defect,
    }
    app = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, lifespan=service.working, exception_handlers=handlers
    )
    patient = _patient(service.limits.seconds)

    async def openapi(_: Request) -> Response:
        return responses.as_json(about)

    # Not FastAPI's own routes: bodies of five types are read by hand, and its reading of parameters takes longer
    # than a small network.
    app.add_route("/predict", patient(service.predict), methods=["POST"])
    app.add_route("/wrong", patient(service.wrong), methods=["POST"])
    app.add_route("/model", service.model, methods=["GET"])
    app.add_route("/health", service.health, methods=["GET"])
    app.add_route("/openapi.json", openapi, methods=["GET"])
    for path, endpoint in static_files.endpoints().items():
        app.add_route(path, endpoint, methods=["GET"])
    return app


def _patient(seconds: float) -> Callable[[Endpoint], Endpoint]:
    """Ends what takes too long, or what nobody waits for any more."""

    def wrap(endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            try:
                async with asyncio.timeout(seconds), while_there(request.receive):
                    return await endpoint(request)
            except TimeoutError:
                slow = f"there was no answer within {seconds:g} seconds"
                raise Refusal(503, "too-slow", slow, "send less at a time", (b"retry-after", b"1")) from None

        return answer

    return wrap


def _query(request: Request) -> tuple[int | None, bool]:
    """``top`` and ``explain`` of a request."""
    given = request.query_params
    top = given.get("top")
    if top is not None and not (top.isascii() and top.isdecimal() and len(top) < 10 and int(top) > 0):
        raise Refusal(422, "query", f"top must be a whole number above 0, got {top[:60]!r}", "say top=3")
    explain = given.get("explain", "false").lower()
    if explain not in ("true", "false"):
        raise Refusal(422, "query", f"explain must be true or false, got {explain[:60]!r}", "say explain=true")
    return None if top is None else int(top), explain == "true"
