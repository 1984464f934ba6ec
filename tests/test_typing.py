"""Editors complete the keywords of the API, and mypy checks a user's script against them."""

import importlib.util
import inspect
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import jedi
import pytest

import yisheng

ROOT = Path(__file__).parents[1]

CORRECT_SCRIPT = """
    import torch
    from torch import nn

    import yisheng
    from yisheng.search.axes import Range
    from yisheng.sklearn import Classifier


    class Net(nn.Module):
        def __init__(self, in_features: int, num_classes: int, width: int = 8) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, num_classes))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            output: torch.Tensor = self.layers(x)
            return output


    def hits(y_true: object, y_pred: object) -> float:
        return 0.5


    run = yisheng.train(data="iris", epochs=3, lr=0.1, hidden=[8], dropout=0.5, weight_decay=1e-4, patience=2)
    yisheng.train(config="run.toml", data={"name": "table", "path": "a.csv"}, target=["a", "b"], budget="5m", folds=5)
    yisheng.train(data="digits", model=Net, loss=nn.CrossEntropyLoss(), optimizer=torch.optim.Adagrad, score=hits)
    yisheng.train(model={"name": Net, "width": 16}, optimizer={"name": "sgd", "lr": 0.1}, metrics=["f1-macro", hits])
    yisheng.train(model=Net(4, 3), optimizer=lambda groups: torch.optim.SGD(groups, lr=0.1), augment=["flip", "crop"])
    yisheng.train(model=lambda in_features, num_classes: nn.Linear(in_features, num_classes), init=nn.init.zeros_)
    yisheng.train(loss=lambda output, y: ((output - y) ** 2).mean(), schedule=lambda epoch: 0.9**epoch, batch_size=32)
    scores: yisheng.TrainedRun = yisheng.resume(run.path, epochs=5, model=Net)
    result = yisheng.tune(data="iris", hidden=[[8], [16, 8]], lr="log(1e-4,1)", weight_decay=Range("log", 1e-5, 1))
    result.run.predict([[1.0, 2.0, 3.0, 4.0]])
    for event in yisheng.fit(data="iris", epochs=2, precision="fp32"):
        print(event.step)
    yisheng.config(data="iris", model="mlp", hidden=8)["epochs"]
    Classifier(model=Net, hidden=[8], lr=0.1, settings={"clip_norm": 1.0})
"""
WRONG_SCRIPT = """
    import yisheng
    from yisheng.sklearn import Classifier

    yisheng.train(data="iris", epohcs=3)
    yisheng.train(data="iris", epochs="three")
    yisheng.train(data="iris", precision="fp16")
    yisheng.train(data="iris", hidden=[8.5])
    yisheng.train(data="iris", model=8)
    yisheng.tune(data="iris", lrr=[0.1, 0.2])
    yisheng.resume("runs/0001-iris-mlp", modell=None)
    yisheng.config(weight_deacy=0.1)
    Classifier(settings={"clip_nrom": 1.0})
    Classifier(epohcs=3)
"""
MESSAGE = re.compile(r"wrong\.py:(\d+): error: (.*)")


def complete(code):
    """Return what jedi completes at the end of some code."""
    project = jedi.Project(ROOT, added_sys_path=[str(ROOT / "src")])
    return [completion.name for completion in jedi.Script(code, path=ROOT / "script.py", project=project).complete()]


def test_the_types_of_the_settings_are_up_to_date():
    path = ROOT / "scripts" / "write_setting_types.py"
    spec = importlib.util.spec_from_file_location("write_setting_types", path)
    script = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = script  # dataclasses look their module up there
    spec.loader.exec_module(script)
    expected = script.format_code(script.render())
    assert script.FILE.read_text(encoding="utf-8") == expected, "run python scripts/write_setting_types.py"


@pytest.mark.slow
def test_mypy_accepts_a_right_script_and_names_each_wrong_keyword(tmp_path):
    (tmp_path / "right.py").write_text(textwrap.dedent(CORRECT_SCRIPT))
    (tmp_path / "wrong.py").write_text(textwrap.dedent(WRONG_SCRIPT))
    cache = ["--cache-dir", str(ROOT / ".mypy_cache" / "scripts")]
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", *cache, "right.py", "wrong.py"]
    process = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "right.py" not in process.stdout, process.stdout
    errors = {int(line): text for line, text in MESSAGE.findall(process.stdout)}
    wrong = [number for number, line in enumerate(textwrap.dedent(WRONG_SCRIPT).splitlines(), 1) if "(" in line]
    assert sorted(errors) == wrong, process.stdout
    assert 'Unexpected keyword argument "epohcs" for "train"; did you mean "epochs"?' in errors[wrong[0]]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("yisheng.train(ep", {"epochs="}),
        ("yisheng.train(data='iris', weight_d", {"weight_decay="}),
        ("yisheng.train(", {"model=", "loss=", "lr=", "hidden=", "dropout=", "momentum=", "smoothing=", "callbacks="}),
        ("yisheng.fit(sched", {"schedule="}),
        ("yisheng.tune(", {"search=", "seeds=", "lr=", "hidden="}),
        ("yisheng.config(opt", {"optimizer="}),
        ("yisheng.resume('run', mo", {"model="}),
        ("yisheng.tra", {"train"}),
        ("yisheng.", {"train", "tune", "predict", "Dataset", "TrainedRun"}),
        ("yisheng.train().pre", {"predict"}),
    ],
)
def test_jedi_completes_names_and_keywords(code, expected):
    assert expected <= set(complete(f"import yisheng\n{code}"))


def test_a_notebook_completes_keywords_and_help_lists_them():
    """A notebook has the functions themselves, not their source."""
    for function in (yisheng.train, yisheng.tune, yisheng.config):
        assert {"lr", "hidden", "model"} <= set(inspect.signature(function).parameters)
    completions = jedi.Interpreter("yisheng.train(epo", [{"yisheng": yisheng}]).complete()
    assert [completion.name for completion in completions] == ["epochs="]


def test_the_package_is_marked_as_typed():
    assert (Path(inspect.getfile(yisheng)).parent / "py.typed").exists()
