"""Yisheng where only what Windows has is there; see ``like_windows/sitecustomize.py``."""

import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SECONDS = 300
EXPORTED = ["onnx", "safetensors"]

IMPORT_ALL = """
import importlib, pkgutil, yisheng
optional = set()
for module in pkgutil.walk_packages(yisheng.__path__, "yisheng."):
    if module.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        assert error.name in {EXTRAS}, (module.name, error.name)
print("all")
"""


@pytest.fixture
def environment(tmp_path):
    """Return the environment of a process that looks like one of Windows, with a console in the code page 936."""
    folders = [str(Path(__file__).with_name("like_windows")), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, folders)),
        "PYTHONIOENCODING": "cp936",
        "PYTHONWARNDEFAULTENCODING": "1",
        "OMP_NUM_THREADS": "1",
        "YISHENG_HOME": str(tmp_path / "home"),
    }


def draw_digit(number):
    """Return the PNG of one of scikit-learn's digits."""
    content = io.BytesIO()
    Image.fromarray((load_digits().images[number] * 15.9).astype(np.uint8)).save(content, "png")
    return content.getvalue()


def run(words, folder, environment, code=0):
    """Run yisheng; return what it printed."""
    command = [sys.executable, "-m", "yisheng", *words]
    completed = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        timeout=SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    output, errors = completed.stdout.decode("cp936"), completed.stderr.decode("cp936")
    assert completed.returncode == code, (words, completed.returncode, output[-2000:], errors[-4000:])
    warnings = [line for line in errors.splitlines() if "EncodingWarning" in line and "/yisheng/" in line]
    assert not warnings
    assert "Traceback" not in errors
    return output + errors


def test_what_is_hidden_is_hidden(environment, tmp_path):
    """A program of the name of yisheng sees neither fork nor /proc, and cannot replace a file that it has open."""
    (tmp_path / "probe.py").write_text(
        "__name__ = 'yisheng.probe'\n"
        "import os, pathlib, signal, sys\n"
        "assert not hasattr(os, 'fork') and not hasattr(signal, 'SIGKILL')\n"
        "assert (os.name, sys.platform) == ('nt', 'win32')\n"
        "def refused(error, work):\n"
        "    try:\n        work()\n    except error:\n        return True\n    return False\n"
        "def use():\n    import fcntl\n"
        "assert refused(ModuleNotFoundError, use)\n"
        "assert refused(FileNotFoundError, lambda: pathlib.Path('/proc/self/stat').read_text())\n"
        "assert refused(OSError, lambda: pathlib.Path('a:b').write_text(''))\n"
        "assert refused(OSError, lambda: pathlib.Path('nul.txt').mkdir())\n"
        "pathlib.Path('new').write_text('')\n"
        "with open('old', 'w', encoding='utf-8'):\n"
        "    assert refused(PermissionError, lambda: os.replace('new', 'old'))\n"
        "    assert refused(PermissionError, lambda: os.remove('old'))\n"
        "os.replace('new', 'old')\n"
    )
    subprocess.run([sys.executable, "probe.py"], cwd=tmp_path, env=environment, check=True, timeout=SECONDS)


def test_every_module_is_imported(environment):
    extras = {"ray", "gradio", "mlflow", "IPython", "ipywidgets", "nbformat", "lightgbm", "catboost", "tabicl"}
    code = IMPORT_ALL.replace("{EXTRAS}", repr(extras))
    command = [sys.executable, "-c", code]
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert completed.stdout.strip().endswith("all"), completed.stderr


def test_a_life_of_digits(environment, tmp_path):
    """Train, read, resume, predict, export, compare, rename and remove."""
    run(["train", "data=digits", "model=mlp", "epochs=2", "out=runs", "name=first"], tmp_path, environment)
    run(["train", "data=digits", "model=mlp", "epochs=2", "out=runs", "name=second", "seed=1"], tmp_path, environment)
    assert (tmp_path / "runs" / "0001-first" / "report.html").is_file()
    run(["resume", "runs/0001-first", "epochs=3"], tmp_path, environment)
    (tmp_path / "图片").mkdir()
    for number in range(7):
        (tmp_path / "图片" / f"数字-{number}.png").write_bytes(draw_digit(number))
    run(["predict", "runs/0001-first", "图片", "out=out.csv"], tmp_path, environment)
    lines = (tmp_path / "out.csv").read_text("utf-8-sig").splitlines()
    assert len(lines) == 8
    assert "数字-0.png" in lines[1]
    listing = run(["runs"], tmp_path, environment)
    assert "first" in listing
    assert "second" in listing
    run(["compare", "runs/0001-first", "runs/0002-second"], tmp_path, environment)
    run(["diagnose", "runs/0001-first"], tmp_path, environment)
    run(["export", "runs/0001-first", "format=onnx"], tmp_path, environment)
    run(["runs", "rename", "runs/0002-second", "third"], tmp_path, environment)
    run(["runs", "delete", "runs/0002-third", "--yes"], tmp_path, environment)
    assert not (tmp_path / "runs" / "0002-third").exists()


def test_folds_and_search(environment, tmp_path):
    run(["train", "data=iris", "epochs=2", "folds=3", "out=runs"], tmp_path, environment)
    run(
        ["tune", "data=iris", "epochs=2", "lr=0.01,0.1", "executor=serial", "processes=2", "out=runs"],
        tmp_path,
        environment,
    )
    run(["train", "data=iris", "budget=6", "out=runs"], tmp_path, environment)


def test_a_service_answers(environment, tmp_path):
    run(["train", "data=digits", "model=lenet", "epochs=1", "out=runs", "name=served"], tmp_path, environment)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "yisheng", "serve", "runs/0001-served", f"port={port}"]
    server = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        for _ in range(SECONDS):
            assert server.poll() is None, server.stderr.read().decode("cp936")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                time.sleep(1)
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/predict", draw_digit(3), {"content-type": "image/png"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer)["predictions"][0]["probabilities"]
    finally:
        server.kill()
        server.wait()
        server.stderr.close()
        server.stdout.close()


def test_several_processes_are_refused(environment, tmp_path):
    """torch.distributed with gloo was never tried on Windows."""
    output = run(["train", "data=iris", "processes=2", "shards=2", "out=runs"], tmp_path, environment, code=2)
    assert "use Linux or macOS, or processes=1" in output
