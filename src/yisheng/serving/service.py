"""A served model: it parses requests, predicts in batches, and keeps corrections."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import math
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from fastapi import FastAPI
from starlette.types import Receive

from yisheng.core import machine
from yisheng.core.messages import Message
from yisheng.data.images import decode
from yisheng.evaluation.png import encode_png
from yisheng.inference.forward_pass import average_outputs
from yisheng.inference.occlusion import draw_occlusion_map
from yisheng.inference.predictor import Predictor
from yisheng.serving import inputs
from yisheng.serving.batching import BatchQueue
from yisheng.serving.body_formats import JSON, media_type
from yisheng.serving.corrections import Corrections
from yisheng.serving.disconnects import abandon_if_slow_or_disconnected
from yisheng.serving.engines import choose_engine
from yisheng.serving.errors import ApiError, encode_json
from yisheng.serving.image_inputs import load_decoders
from yisheng.serving.limits import Limits
from yisheng.serving.readers import ReaderPool
from yisheng.serving.response_models import SavedSample, describe_model, format_failure, format_prediction
from yisheng.serving.workers import WorkerPlace

Result = TypeVar("Result")
MIN_SLOW_VALUES = 20_000
"""Values of a response that take long enough to format to do it in another thread."""


class Service:
    """The model of a run or cross-validation, and what the endpoints do with it.

    Args:
        folder: of the run or cross-validation.
        limits: of a request.
        batch: largest number of samples in one forward pass.
        wait: milliseconds that an idle network waits for requests that are being parsed.
        engine: what computes the predictions; see `yisheng.serving.engines.choose_engine`.
        place: which of several workers this one is.

    Raises:
        DataError: the folder does not hold a complete model.
        YishengError: see `yisheng.serving.engines.choose_engine`.
    """

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        *,
        batch: int,
        wait: float,
        engine: str = "torch",
        place: WorkerPlace = WorkerPlace(),  # noqa: B008  # frozen
    ) -> None:
        self.place = place
        self.predictor = Predictor(folder)
        self.spec = self.predictor.spec
        self.limits = limits
        self._network_threads = machine.threads_worth(batch * math.prod(self.spec.shape))
        self.engine = choose_engine(self.predictor, engine, batch, self._network_threads)
        self.facts = describe_model(folder, self.spec, limits, self.engine.name)
        self._batch = batch
        self._wait = wait
        self._corrections = Corrections(
            folder, self.spec, limits.corrections, limits.correction_bytes, is_shared=place.count > 1
        )

    @contextlib.asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Run the threads while the application is served."""
        self._queue = BatchQueue(
            self._compute,
            batch=self._batch,
            wait=self._wait,
            max_queued=2 * self.limits.rows,
            threads=self._network_threads,
        )
        self._readers = ReaderPool(self.spec, self.limits)
        self._threads = ThreadPoolExecutor(2, "service")
        with decode.silence_pillow():
            self._readers.start()
            if self.spec.is_image or self.spec.is_row:
                dtype = self.spec.image_values.stored if self.spec.is_image else np.float32
                await self._queue.run_in_network_thread(self._warm_up, np.zeros((1, *self.spec.shape), dtype))
            queue_task = asyncio.create_task(self._queue.run())
            try:
                yield
            finally:
                queue_task.cancel()
                await asyncio.wait([queue_task])
                await self._readers.close()
                self._threads.shutdown(cancel_futures=True)

    async def respond(
        self,
        body: bytes,
        content_type: str,
        receive: Receive,
        *,
        top: int | None = None,
        explain: bool = False,
        interval: float | None = None,
    ) -> bytes:
        """Return the predictions for a request in JSON; see `predict`.

        Args:
            body: of the request.
            content_type: of the body.
            receive: of its ASGI connection, after the body.
            top: see `predict`.
            explain: see `predict`.
            interval: see `predict`.

        Raises:
            ApiError: see `predict`; or it takes too long, or the client disconnected.
        """
        async with abandon_if_slow_or_disconnected(receive, self.limits.seconds):
            return await self.predict(body, content_type, top=top, explain=explain, interval=interval)

    async def predict(
        self, body: bytes, content_type: str, *, top: int | None, explain: bool, interval: float | None = None
    ) -> bytes:
        """Return the predictions for the inputs in a body, in JSON.

        Args:
            body: see `inputs.parse_inputs`.
            content_type: of the body.
            top: number of most probable classes; all by default.
            explain: draw occlusion maps of images.
            interval: level of the interval of each value, or None.

        Raises:
            ApiError: an input is damaged or does not fit the model, or there are too many.
            UsageError: the model has no intervals of this level.
        """
        level = self.predictor.check_level(interval)
        parsed = await self._parse(body, content_type)
        if explain and self.spec.is_image and len(parsed.x) > self.limits.explained:
            values = {"limit": self.limits.explained, "count": len(parsed.x)}
            problem = Message("explain=true takes at most {limit} images, got {count}", **values)
            raise ApiError(422, "too-many", problem, Message("send fewer, or leave explain=true out"))
        computed = await self._queue.compute(parsed.x)
        maps = await self._draw_occlusion_maps(parsed.x) if explain else [None] * len(parsed.x)
        is_fast = level is None or not self._keeps_models
        if is_fast and computed.size < MIN_SLOW_VALUES:
            return self._format(parsed, computed, top, maps, level)
        return await self._run_in_thread(self._format, parsed, computed, top, maps, level)

    def _format(
        self,
        parsed: inputs.Inputs,
        computed: np.ndarray,
        top: int | None,
        maps: Sequence[str | None],
        level: float | None,
    ) -> bytes:
        """Return the predictions, and the errors of inputs without one in their places, in JSON."""
        scores, outputs, by_model = self._split(computed)
        ood_scores = None if np.isnan(scores[0]) else scores
        warnings = self.predictor.describe_ood(parsed.x, ood_scores)
        notes = [(*reading, *warning) for reading, warning in zip(parsed.notes, warnings, strict=True)]
        bounds = None if level is None else self.predictor.intervals.compute(by_model, outputs, level)
        predictions = self.predictor.build_predictions(outputs, parsed.names, notes, ood_scores, bounds)
        results = [format_prediction(prediction, top, png) for prediction, png in zip(predictions, maps, strict=True)]
        for position, (name, error) in sorted(parsed.failures.items()):
            results.insert(position, format_failure(name, error))
        # One by one, since the encoder lets no other thread run.
        return b'{"predictions":[' + b",".join(map(encode_json, results)) + b"]}"

    async def keep_correction(self, body: bytes, content_type: str) -> SavedSample:
        """Keep the sample and label in a body.

        Raises:
            ApiError: the body is not JSON, or does not have a sample and a label.
            YishengError: see `Corrections`.
        """
        if media_type(content_type) != JSON:
            raise ApiError(
                415, "type", Message("a correction is sent as JSON"), Message("send it as {type}", type=JSON)
            )
        correction = await self._readers.read_correction(body)
        saved = await self._run_in_thread(self._corrections.save, correction)
        path = saved.path.relative_to(self._corrections.folder.parent).as_posix()
        return SavedSample(path=path, count=saved.total)

    async def _run_in_thread(self, function: Callable[..., Result], *arguments: Any) -> Result:
        context = contextvars.copy_context()  # with the language of the request
        return await asyncio.get_running_loop().run_in_executor(self._threads, context.run, function, *arguments)

    def _warm_up(self, x: np.ndarray) -> None:
        """Load what the first requests would have to wait for: decoders, and what torch allocates for a batch."""
        load_decoders(self.spec)
        for count in (1, self._batch):
            with contextlib.suppress(Exception):  # a user's network may refuse zeros
                self._compute(np.repeat(x, count, axis=0))

    def _compute(self, x: np.ndarray) -> np.ndarray:
        """Return the OOD scores, NaN without a detector, and then the outputs; see `_split`."""
        by_model, scores = self.engine.compute(x)
        column = np.full(len(x), np.nan) if scores is None else scores
        further = by_model if self._keeps_models else []
        return np.concatenate([column[:, None], average_outputs(by_model), *further], axis=1, dtype=np.float64)

    @property
    def _keeps_models(self) -> bool:
        """Return whether intervals are made of the outputs of each model, and not only of their mean."""
        return self.spec.task == "regression" and len(self.predictor.artifacts) > 1

    def _split(self, computed: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
        """Return OOD scores, mean outputs, and the outputs of each model of what `_compute` returned."""
        outputs = computed[:, 1:]
        if not self._keeps_models:
            return computed[:, 0], outputs, [outputs]
        mean, *by_model = np.split(outputs, len(self.predictor.artifacts) + 1, axis=1)
        return computed[:, 0], mean, by_model

    async def _draw_occlusion_maps(self, x: np.ndarray) -> list[str | None]:
        """Return a PNG in base64 for each image, None for rows."""
        if not self.spec.is_image:
            return [None] * len(x)
        return [await self._queue.run_in_network_thread(self._draw_occlusion_map, image) for image in x]

    def _draw_occlusion_map(self, image: np.ndarray) -> str:
        return encode_png(draw_occlusion_map(self.predictor.artifacts[0], image).transpose(2, 0, 1))

    async def _parse(self, body: bytes, content_type: str) -> inputs.Inputs:
        with self._queue.expect_inputs():
            if inputs.is_small(body, content_type, self.spec):
                return inputs.parse_inputs(body, content_type, self.spec, self.limits)
            return await self._readers.read_inputs(body, content_type)
