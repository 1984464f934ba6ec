"""Notebooks and scripts, run with the book's names."""

import importlib.util
import json
import subprocess
import sys

import nbformat
import pytest

from yisheng.core.errors import DataError, MissingPartError, UsageError
from yisheng.d2l import __main__ as command
from yisheng.d2l import cells, execution

SETUP = "from d2l import torch as d2l\nimport torchvision"


def write_notebook(path, *sources):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell("# a lesson"))
    path.write_text(nbformat.writes(notebook), encoding="utf-8")
    return path


def run(folder, *words):
    command = [sys.executable, "-m", "yisheng.d2l", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder)


def run_in(namespace, *sources, **options):
    results = cells.run_cells(sources, namespace, **options)
    return [type(result.error).__name__ if result.error else "ran" for result in results]


@pytest.mark.slow
def test_a_notebook_runs_in_a_kernel_and_is_written_with_its_outputs(tmp_path):
    (tmp_path / "notes").mkdir()
    notebook = write_notebook(
        tmp_path / "notes" / "lesson.ipynb",
        SETUP,
        "%matplotlib inline\nimport os\nprint(os.path.basename(os.getcwd()))",
        "d2l.plot([1, 2, 3], [3, 1, 2], 'x', 'y')",
        "animator = d2l.Animator(legend=['loss'])\nfor step in range(3):\n    animator.add(step, step)",
        "d2l.corr2d(d2l.ones((2, 2)), d2l.ones((1, 1)))",
    )
    before = notebook.read_bytes()
    process = run(tmp_path, notebook)
    assert process.returncode == 0, process.stderr
    written = tmp_path / "notes" / "lesson-run.ipynb"
    assert process.stdout.splitlines()[-1] == str(written)
    assert notebook.read_bytes() == before
    assert not (tmp_path / "notes" / "d2l-figures").exists()
    setup, _, _, printed, plotted, animated, value = nbformat.read(written, as_version=4).cells
    assert "yisheng.d2l.install(pandas=True)" in setup.source
    assert "now imports yisheng.d2l" in json.dumps(setup.outputs)
    assert printed.outputs[0].text == "notes\n"
    assert [output.data.keys() & {"image/png", "image/svg+xml"} for output in plotted.outputs if "data" in output]
    assert any("image" in key for output in animated.outputs if "data" in output for key in output.data)
    assert value.outputs[0].data["text/plain"].startswith("tensor([[1., 1.]")


@pytest.mark.slow
def test_a_failing_cell_stops_or_not(tmp_path):
    notebook = write_notebook(tmp_path / "lesson.ipynb", "1 / 0", "print('later')")
    process = run(tmp_path, notebook)
    assert process.returncode == 1
    assert "ZeroDivisionError" in process.stderr
    assert nbformat.read(tmp_path / "lesson-run.ipynb", as_version=4).cells[3].outputs == []
    process = run(tmp_path, notebook, "errors=continue", "out=all.ipynb")
    assert process.returncode == 1
    assert "1 of 2 cells failed" in process.stderr
    assert nbformat.read(tmp_path / "all.ipynb", as_version=4).cells[3].outputs[0].text == "later\n"


def test_a_script_runs_in_the_present_folder(tmp_path):
    (tmp_path / "lesson.py").write_text(f"{SETUP}\n# %%\nx = d2l.ones(2)\n# %% next\nx.sum()\n", encoding="utf-8")
    process = run(tmp_path, "lesson.py", "pandas=false")
    assert process.returncode == 0, process.stderr
    assert process.stdout == "tensor(2.)\n"
    assert "3 of 3 cells ran" in process.stderr
    assert "pandas" not in process.stderr
    (tmp_path / "lesson.py").write_text("import d2l\n# %%\nraise SystemExit(0)", encoding="utf-8")
    process = run(tmp_path, "lesson.py")
    assert process.returncode == 1
    assert "cell 2: Traceback" in process.stderr
    assert "    raise SystemExit(0)" in process.stderr
    assert "run_cells" not in process.stderr


def test_without_a_kernel_the_cells_run_one_after_another(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    notebook = write_notebook(tmp_path / "lesson.ipynb", "x = 1")
    ran = []
    monkeypatch.setattr(execution, "_run_in_process", lambda path, sources, **options: ran.append((sources, options)))
    execution.run_file(notebook, out=None, pandas=True, stop_at_error=True)
    assert ran == [(["x = 1"], {"pandas": True, "stop_at_error": True})]
    with pytest.raises(MissingPartError, match=r"nbclient.*\n.*yisheng\[notebook\]"):
        execution.run_file(notebook, out=tmp_path / "new.ipynb", pandas=True, stop_at_error=True)


def test_cells_share_variables_and_print_the_last_value(capsys):
    assert run_in({}, "x = 3", "x + 1", "x + 2;", "if x:\n    pass") == ["ran"] * 4
    assert capsys.readouterr().out == "4\n"


def test_an_error_stops_the_cells_or_not():
    assert run_in({}, "x = 1", "y", "z = 2") == ["ran", "NameError"]
    assert run_in({}, "x = 1", "y", "z = (", stop_at_error=False) == ["ran", "NameError", "SyntaxError"]


def test_magics(capsys):
    namespace = {}
    source = "%matplotlib inline\n!pip install d2l\nfor x in (1, 2):\n    %timeit -n 3 y = x\n%load_ext memory"
    assert run_in(namespace, source, "%%time\nz = 5", "text = '''\n%d things'''") == ["ran"] * 3
    assert (namespace["y"], namespace["z"], namespace["text"]) == (2, 5, "\n%d things")
    messages = capsys.readouterr().err
    assert "left out, as it needs a notebook's kernel: !pip install d2l" in messages
    assert "matplotlib" not in messages


def test_notebooks_of_all_formats_are_read(tmp_path):
    path = tmp_path / "lesson.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": ["a = 1\n", "b = 2"]}]}))
    assert cells.read_cells(path) == ["a = 1\nb = 2"]
    path.write_text(json.dumps({"worksheets": [{"cells": [{"cell_type": "code", "input": "a = 1"}]}]}))
    assert cells.read_cells(path) == ["a = 1"]
    for text in ("[]", "{}", '{"cells": [1]}', "no json"):
        path.write_text(text)
        with pytest.raises(DataError, match=r"is not (a notebook|JSON)"):
            cells.read_cells(path)


def test_errors_are_two_lines(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text("")
    (tmp_path / "a.txt").write_text("")
    for words, code, text in (
        (["nowhere.ipynb"], 3, "nowhere.ipynb does not exist (the present folder is"),
        (["a.txt"], 3, "neither a notebook nor a script"),
        (["a.py", "b.py"], 2, "one notebook or script is required, got 2"),
        (["a.py", "otu=x"], 2, "unknown key 'otu'"),
        (["a.py", "errors=never"], 2, "errors must be stop or continue"),
        (["a.py", "out=a.txt"], 2, "out=a.txt exists"),
        (["a.py", "out=b.ipynb"], 2, "for notebooks, not for scripts"),
    ):
        assert command.main(words) == code
        message = capsys.readouterr().err
        assert message.startswith("yisheng.d2l: ")
        assert text in message
        assert len(message.splitlines()) == 2
    assert command.main([]) == 2
    assert command.main(["--help"]) == 0
    assert "python -m yisheng.d2l FILE" in capsys.readouterr().out


def test_a_script_has_no_notebook_of_outputs(tmp_path):
    script = tmp_path / "a.py"
    script.write_text("x = 1")
    with pytest.raises(UsageError):
        execution.run_file(script, out=tmp_path / "b.ipynb", pandas=False, stop_at_error=True)
