"""Requests to a service in this process, and the images that they send."""

import asyncio
import io

import httpx
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from yisheng.serving.app import create_app

IMAGE = {"content-type": "image/png"}
JSON = {"content-type": "application/json"}
CSV = {"content-type": "text/csv"}


def encode_png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def digit_pixels(index):
    """Return a digit of scikit-learn's data set as Yisheng's holds it."""
    return np.round(load_digits().images[index] * 255 / 16).astype(np.uint8)


class ServiceClient:
    """Sends requests to the service of a run.

    Args:
        folder: the run.
        settings: of `create_app`.
    """

    def __init__(self, folder, **settings):
        self.app = create_app(folder, **settings)

    def request_all(self, *requests):
        """Return the responses to requests (method, path, options) that are sent at the same time."""

        async def send_requests():
            stop, is_started = asyncio.Event(), asyncio.Event()

            async def receive():
                if not is_started.is_set():
                    return {"type": "lifespan.startup"}
                await stop.wait()
                return {"type": "lifespan.shutdown"}

            async def send(message):
                assert message["type"] in ("lifespan.startup.complete", "lifespan.shutdown.complete")
                is_started.set()

            lifespan = asyncio.create_task(self.app({"type": "lifespan", "state": {}}, receive, send))
            await is_started.wait()
            transport = httpx.ASGITransport(app=self.app)
            try:
                async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                    pending = [client.request(method, path, **options) for method, path, options in requests]
                    return await asyncio.gather(*pending)
            finally:
                stop.set()
                await lifespan

        return asyncio.run(send_requests())

    def get(self, path, **options):
        return self.request_all(("GET", path, options))[0]

    def post(self, path, content=None, headers=None, **options):
        return self.request_all(("POST", path, {"content": content, "headers": headers, **options}))[0]


def read_predictions(response):
    assert response.status_code == 200, response.text
    return response.json()["predictions"]


def error_code(response):
    """Return the status and the code of an error, after checking its form."""
    error = response.json()["error"]
    assert set(error) == {"problem", "remedy", "code"}
    assert all(error.values())
    return response.status_code, error["code"]


def assert_same_prediction(prediction, expected):
    """Compare a prediction over HTTP with the predictor's, up to the last digit of single precision."""
    assert prediction["prediction"] == expected.prediction
    assert list(prediction["probabilities"]) == list(expected.probabilities)
    np.testing.assert_allclose(
        list(prediction["probabilities"].values()), list(expected.probabilities.values()), atol=1e-6
    )
    assert prediction["notes"] == list(expected.notes)
    assert prediction["ood_score"] == pytest.approx(expected.ood_score, abs=1e-3)
