"""Serve an ONNX file with another library, for `serve.py`: bare FastAPI, or LitServe.

    .peers/bin/python benchmarks/serve_peers.py fastapi|litserve FILE.onnx PORT CLASSES.json

Both decode with Pillow and compute with onnxruntime in one thread. FastAPI takes the PNG as the body and computes one
image after the other in its event loop. LitServe takes the PNG in base64 in JSON, since it reads no other bodies than
JSON and forms, and computes batches of up to 64 images in a process of its own.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path
from typing import Any

import litserve
import numpy as np
import onnxruntime as ort
from PIL import Image


def open_session(path: str) -> Any:
    """Return a session with one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def decode_png(content: bytes) -> np.ndarray:
    """Return a drawing ``(1, 28, 28)``."""
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"))[None]


def format_prediction(probabilities: np.ndarray, classes: list[str]) -> dict[str, Any]:
    """Return a prediction as Yisheng writes it."""
    order = np.argsort(-probabilities)
    by_class = {classes[n]: float(probabilities[n]) for n in order}
    return {"predictions": [{"prediction": classes[order[0]], "probabilities": by_class}]}


def serve_with_fastapi(path: str, port: int, classes: list[str]) -> None:
    """Serve with FastAPI and uvicorn, with uvloop and httptools."""
    import uvicorn
    from fastapi import FastAPI
    from starlette.requests import Request

    globals()["Request"] = Request  # FastAPI looks an annotation up among the names of the module
    app, session = FastAPI(), open_session(path)
    name = session.get_inputs()[0].name

    @app.post("/predict")
    async def predict(request: Request) -> dict[str, Any]:
        (probabilities,) = session.run(None, {name: decode_png(await request.body())[None]})[0]
        return format_prediction(probabilities, classes)

    @app.get("/health")
    async def check_health() -> str:
        return "ok"

    uvicorn.run(app, port=port, log_level="error", access_log=False)


class Api(litserve.LitAPI):
    """What LitServe computes; its processes get the path and the classes with it."""

    path: str
    classes: list[str]

    def setup(self, device: str) -> None:  # noqa: ARG002
        self.session = open_session(self.path)
        self.name = self.session.get_inputs()[0].name

    def decode_request(self, request: dict[str, str]) -> np.ndarray:
        return decode_png(base64.b64decode(request["image"]))

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, x: np.ndarray) -> np.ndarray:
        return self.session.run(None, {self.name: x})[0]

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        return format_prediction(output, self.classes)


def serve_with_litserve(path: str, port: int, classes: list[str]) -> None:
    """Serve with LitServe."""
    api = Api(max_batch_size=64, batch_timeout=0.002)
    api.path, api.classes = path, classes
    server = litserve.LitServer(api, accelerator="cpu", fast_queue=True)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="error")


if __name__ == "__main__":
    contestant, onnx_file, port_text, classes_file = sys.argv[1:]
    names = json.loads(Path(classes_file).read_text("utf-8"))
    serve = {"fastapi": serve_with_fastapi, "litserve": serve_with_litserve}[contestant]
    serve(onnx_file, int(port_text), names)
