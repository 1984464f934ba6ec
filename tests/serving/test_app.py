"""The service's description of itself, its pages, its token, and the folders that it serves."""

import json
import shutil
from pathlib import Path

import pytest

from tests.serving.service_client import ServiceClient, error_code
from yisheng.core.errors import DataError
from yisheng.serving.app import PAGE, create_app
from yisheng.serving.static_files import make_page_routes

PAGE_PATHS = [route.path for route in make_page_routes(PAGE)]


def test_health_and_model_describe_the_run(digits_run, people_run):
    client = ServiceClient(digits_run)
    assert client.get("/health").json() == {
        "status": "ok",
        "run": digits_run.name,
        "worker": 1,
        "workers": 1,
    }
    model = client.get("/model").json()
    assert model["classes"] == [str(n) for n in range(10)]
    assert (model["task"], model["shape"], model["model"]) == ("classification", [1, 8, 8], "lenet")
    assert model["scores"] == json.loads((digits_run / "scores.json").read_text())
    assert model["best"]["epoch"] in (1, 2, 3)
    columns = ServiceClient(people_run).get("/model").json()["columns"]
    assert {column["name"]: column["kind"] for column in columns} == {
        "age": "number",
        "smoker": "yes/no",
        "town": "category",
        "joined": "date",
    }
    assert next(c for c in columns if c["name"] == "town")["categories"] == ["Aden", "Brest", "Cork"]


def test_the_openapi_document_describes_the_served_model(digits_run, people_run):
    document = ServiceClient(digits_run).get("/openapi.json").json()
    assert set(document["paths"]) == {"/predict", "/wrong", "/model", "/health"}
    prediction = document["components"]["schemas"]["Prediction"]["properties"]
    assert prediction["prediction"]["type"] == "string"
    label = document["paths"]["/wrong"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert label["label"] == {"enum": [str(n) for n in range(10)]}
    assert "security" not in document["paths"]["/predict"]["post"]
    document = ServiceClient(people_run).get("/openapi.json").json()
    body = document["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    row = body["properties"]["rows"]["items"]["anyOf"][0]
    assert set(row["required"]) == {"age", "smoker", "town", "joined"}


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/nothing", (404, "not-found")),
        ("GET", "/predict", (405, "method")),
        ("DELETE", "/model", (405, "method")),
    ],
)
def test_unknown_paths_and_methods_are_errors_of_the_same_form(digits_run, method, path, expected):
    response = ServiceClient(digits_run).request_all((method, path, {}))[0]
    assert error_code(response) == expected
    assert ("allow" in response.headers) == (expected[0] == 405)


def test_pages_are_served_from_a_fixed_list(digits_run):
    client = ServiceClient(digits_run)
    assert {"/", "/static/try.js", "/static/style.css", "/static/icon.svg"} <= set(PAGE_PATHS)
    for path in PAGE_PATHS:
        response = client.get(path)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
    for path in (
        "/static/",
        "/static/../app.py",
        "/static/%2e%2e/serving/app.py",
        "/static/x.js%00.css",
        "//etc/passwd",
    ):
        assert client.get(path).status_code == 404


def test_a_token_is_required_everywhere(digits_run):
    client = ServiceClient(digits_run, token="a-token-of-some-length")
    for path in ("/health", "/model", "/openapi.json", "/nothing", *PAGE_PATHS):
        assert error_code(client.get(path)) == (401, "token")
    headers = {"authorization": "Bearer a-token-of-some-length"}
    document = client.get("/openapi.json", headers=headers).json()
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["security"] == [{"token": []}], path
    assert client.get("/health", headers=headers).status_code == 200


def test_a_folder_without_a_complete_model_is_not_served(digits_run, tmp_path):
    with pytest.raises(DataError):
        create_app(tmp_path)
    damaged = Path(shutil.copytree(digits_run, tmp_path / "run"))
    content = bytearray((damaged / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (damaged / "model.safetensors").write_bytes(content)
    with pytest.raises(DataError, match="SHA-256"):
        create_app(damaged)
