"""Answers and errors in the words of HTTP and JSON."""

from __future__ import annotations

import itertools
import json
import math
from typing import TYPE_CHECKING, Any

from yisheng.core.errors import StorageError, YishengError
from yisheng.inference.predictor import Answer
from yisheng.serving import inputs
from yisheng.serving.errors import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


def told(answer: Answer, top: int | None, looked_at: str | None) -> dict[str, Any]:
    """An answer in plain data; JSON has no infinite numbers."""
    values = answer.prediction if isinstance(answer.prediction, list) else [answer.prediction]
    finite = [None if isinstance(value, float) and not math.isfinite(value) else value for value in values]
    return {
        "input": answer.input,
        "prediction": finite if isinstance(answer.prediction, list) else finite[0],
        "probabilities": {
            name: value if math.isfinite(value) else None
            for name, value in itertools.islice(answer.probabilities.items(), top)
        },
        "notes": answer.notes,
        "unlike": answer.unlike if math.isfinite(answer.unlike or 0.0) else None,
        "looked_at": looked_at,
    }


def as_json(data: Any) -> Response:
    """A good answer."""
    from starlette.responses import Response

    return Response(json.dumps(data, allow_nan=False).encode(), media_type="application/json")


def refused(_: Request, refusal: Refusal) -> Response:
    """A refusal."""
    from starlette.responses import Response

    headers = {name.decode(): value.decode() for name, value in refusal.headers}
    return Response(refusal.body(), refusal.status, headers, "application/json")


def unfit(request: Request, error: YishengError) -> Response:
    """An input that the package did not take, or a disk that is full."""
    if isinstance(error, StorageError):
        return refused(request, Refusal(507, "storage", error.problem, error.remedy))
    return refused(request, inputs.unfit(error))


def not_there(request: Request, error: Any) -> Response:
    """An address or method that there is not."""
    known = {404: ("not-found", "there is nothing here"), 405: ("method", f"{request.method[:20]} is not for this")}
    code, problem = known.get(error.status_code, ("http", str(error.detail)))
    headers = [(name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items()]
    remedy = "see /openapi.json for what there is"
    return refused(request, Refusal(error.status_code, code, problem, remedy, *headers))


def defect(request: Request, _: Exception) -> Response:
    """Something that nothing foresaw; the server prints where."""
    problem = "this should not happen: the service has a defect, or no memory left"
    return refused(request, Refusal(500, "defect", problem, "look at what the server printed, and report it"))
