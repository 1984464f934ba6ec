"""Small runs that the tests predict with; their reports are skipped."""

import pytest

import yisheng
from tests.experiments.conftest import skip_reports


def train(**settings):
    """Train without a report, and return the run folder."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        skip_reports(monkeypatch)
        return yisheng.train(quiet=True, **settings).path


@pytest.fixture(scope="session")
def iris_run(tmp_path_factory):
    return train(data="iris", model="mlp", hidden=[4], epochs=1, out=tmp_path_factory.mktemp("iris"))


@pytest.fixture(scope="session")
def iris_cross_validation(tmp_path_factory):
    out = tmp_path_factory.mktemp("iris")
    return train(data="iris", folds=3, model="mlp", hidden=[4], epochs=1, out=out)


@pytest.fixture(scope="session")
def digits_run(tmp_path_factory):
    """A LeNet for 8 x 8 digits, trained enough to be right."""
    return train(data="digits", model="lenet", epochs=5, out=tmp_path_factory.mktemp("digits"))
