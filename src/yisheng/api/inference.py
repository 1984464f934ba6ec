"""Use a trained model: predict with it, write it as one file, publish it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from yisheng.api.runs import load
from yisheng.core.paths import parse_out_path, parse_path
from yisheng.core.remote.sessions import publish_at_end
from yisheng.core.seeds import isolated_generators

if TYPE_CHECKING:
    from yisheng.experiments.export import Exported
    from yisheng.experiments.model_hub.push import Pushed
    from yisheng.inference.prediction import PredictionList


@isolated_generators()
def predict(path: str | Path, inputs: Any, *, model: Any = None, interval: float | None = None) -> PredictionList:
    """Predict with the model in a folder; the same as ``load(path, model).predict(inputs, interval)``.

    Args:
        path: the folder of a run, a cross-validation or a search, or of a model's files.
        inputs: images, tables, rows or arrays; see docs/python.md.
        model: your own network; see `load`.
        interval: with an interval for each value that contains the true one in this fraction of rows, as 0.9.

    Raises:
        DataError: the model or an input cannot be read, or an input has the wrong shape.
        UsageError: the model has no intervals of this level.

    >>> import tempfile, yisheng
    >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> len(predict(run.path, [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]))
    2
    """
    return load(path, model).predict(inputs, interval)


@isolated_generators()
@publish_at_end()
def export(
    path: str | Path,
    *,
    format: str = "onnx",
    out: str | Path | None = None,
    force: bool = False,
    resize: bool = True,
    data: Any = None,
    model: Any = None,
) -> Exported:
    """Write a trained model as one file for other programs; see `yisheng.experiments.export.export`.

    Args:
        path: the folder of a run, a cross-validation or a search.
        format: ``onnx``, ``safetensors`` or ``torchscript``.
        out: the file; by default ``export.onnx`` (.safetensors, .pt) in the folder.
        force: replace an existing file.
        resize: take images of any size; False for programs that require one size.
        data: the object that the run was trained on, for the samples that the file is verified with.
        model: your own network; see `load`.

    Raises:
        UsageError: the format is unknown, or the file exists.
        DataError: it is not a run folder, or the file's outputs differ from the run's.
        MissingPartError: the format needs an extra that is not installed.

    >>> import tempfile, yisheng
    >>> run = yisheng.train(data="iris", model="linear", epochs=1, out=tempfile.mkdtemp(), quiet=True)
    >>> export(run.path, format="safetensors").path.name
    'export.safetensors'
    """
    from yisheng.experiments import export as exporting
    from yisheng.experiments.memory_data import load_again
    from yisheng.experiments.own_model import supply_model

    file = None if out is None else parse_out_path(out)
    folder = parse_path(path, "path")
    with supply_model(folder, model):
        dataset = load_again(folder, data)
        return exporting.export(folder, format=format, out=file, force=force, resize=resize, data=dataset)


def push(path: str | Path, address: str, *, private: bool = False, message: str | None = None) -> Pushed:
    """Publish a trained model on the Hugging Face hub, or on the one that ``HF_ENDPOINT`` names; see docs/model-hub.md.

    Args:
        path: the folder of a run, a cross-validation or a search.
        address: ``hf:user/name``, where `load` and ``yisheng predict`` find it.
        private: create it so that only its owner sees it.
        message: of the commit.

    Raises:
        DataError: the folder holds no model, or the hub does not respond.
        UsageError: the token is missing, or has no right to write there.

    >>> push("runs/0001-digits-lenet", "user/digits")
    Traceback (most recent call last):
    ...
    yisheng.core.errors.UsageError: 'user/digits' is not the address of a model on the hub
      write it as hf:user/name, or hf:user/name@revision
    """
    from yisheng.experiments.model_hub.address import parse_hub_address
    from yisheng.experiments.model_hub.push import push as push_model

    return push_model(parse_path(path, "path"), parse_hub_address(address), private=private, message=message)
