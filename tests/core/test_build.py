"""Components are built by name in Python, with checked options; the package's public names."""

import pytest

import yisheng
from yisheng.core.errors import UsageError
from yisheng.core.spec import Spec


def test_models_and_data_are_built_by_name_with_checked_options():
    data = yisheng.data.load("linear", n=50)
    assert len(data) == 50
    net = yisheng.models.build("mlp", data.spec, hidden="7,5")
    assert [p.shape[0] for p in net.parameters()] == [7, 7, 5, 5, 1, 1]
    for call, message in [
        (lambda: yisheng.models.build("mpl", data.spec), "did you mean mlp"),
        (lambda: yisheng.models.build("mlp", data.spec, width=3), "model=mlp has no option 'width'"),
        (lambda: yisheng.models.build("mlp", data.spec, dropout=2), "dropout must be"),
        (lambda: yisheng.models.build("lenet", Spec("regression", (3,))), "lenet needs images"),
        (lambda: yisheng.data.load("linear", n=-1), "n must be"),
        (lambda: yisheng.config(epochs=-1), "epochs must be"),
    ]:
        with pytest.raises(UsageError) as caught:
            call()
        assert message in str(caught.value)


def test_the_public_names_of_the_package():
    assert yisheng.env()["cores"] >= 1
    assert dir(yisheng) == sorted([*yisheng.__all__, "d2l", "data", "models", "sklearn"])
    assert all(getattr(yisheng, name) is not None for name in dir(yisheng))
    with pytest.raises(AttributeError):
        _ = yisheng.no_such_name
