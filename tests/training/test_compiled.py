"""``compile=``: the same training up to rounding, its refusals, and when ``auto`` tries it."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import yisheng
from yisheng.core import cache_folder
from yisheng.core.config import Config
from yisheng.core.dataset import Dataset, Split
from yisheng.core.errors import StoppedError, UsageError
from yisheng.core.run_folder import RunFolder
from yisheng.core.settings import merge_settings
from yisheng.core.spec import Spec
from yisheng.experiments import run_training
from yisheng.experiments.dispatch import resume
from yisheng.search.executors.stacked.chunks import explain_refused_config
from yisheng.training import compile_trial, compiled
from yisheng.training.compile_trial import CompileTrial, choose_compilation
from yisheng.training.compiled import CompiledNetwork
from yisheng.training.fit_assembly import fit_assembly
from yisheng.training.setup import assemble

CPU = torch.device("cpu")
ROWS = 40


def build(**settings: object):
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 4)).astype(np.float32), random.integers(3, size=60)
    data = Dataset("points", Spec("classification", (4,), classes=("a", "b", "c")), x, y)
    values = {"model": "mlp", "hidden": 8, "dropout": 0.2, "batch": 16, "epochs": 2, "optimizer": "sgd", **settings}
    config = merge_settings([(key, value, "command line") for key, value in values.items()]).config
    return assemble(config, data, Split(np.arange(ROWS), np.arange(ROWS, 60), np.arange(0)), CPU)


def train(assembly):
    """Train to the end; return the weights."""
    torch.manual_seed(0)
    for _ in fit_assembly(assembly, lambda *_, **__: lambda *_: {}):
        pass
    return assembly.state.model.state_dict()


def require_equal(a, b, **tolerance):
    assert list(a) == list(b)
    for name, value in a.items():
        torch.testing.assert_close(value, b[name], **(tolerance or {"rtol": 0, "atol": 0}), msg=name)


@pytest.fixture
def compiler(monkeypatch):
    """Replace the compiler by the network itself; list the numbers of rows of its passes."""
    record = SimpleNamespace(rows=[], options=None, error=None, factor=1.0)

    def compile_function(function, **options):
        def call(x):
            if record.error is not None:
                raise record.error
            record.rows.append(len(x))
            return function(x) * record.factor

        record.options = options
        return call

    monkeypatch.setattr(torch, "compile", compile_function)
    return record


@pytest.fixture
def long_training(monkeypatch, compiler):
    """Try every training, with the given times of an ordinary and of a compiled pass."""
    monkeypatch.setattr(compile_trial, "MIN_TRAINING_SECONDS", 0.0)

    def set_times(*seconds):
        def time_in_turn(timer, forwards):
            for forward in forwards:
                timer._time_once(forward)
            return [list(seconds[: len(forwards)])]

        monkeypatch.setattr(compile_trial._PassTimer, "_time_in_turn", time_in_turn)

    set_times(1.0, 0.5)
    return set_times


def test_all_batches_but_a_smaller_one_are_computed_by_the_compiled_network(compiler):
    plain, assembly = build(compile=False), build(compile=True)
    require_equal(train(plain), train(assembly))
    assert compiler.rows == [16, 16] + [16] * 4  # two passes to compile, and not the 8 rows at the end of an epoch
    assert compiler.options["dynamic"] is False


def test_accumulated_batches_are_compiled_by_their_pieces(compiler):
    require_equal(train(build(accumulate=2, batch=10)), train(build(accumulate=2, batch=10, compile=True)))
    assert set(compiler.rows) == {10}
    assert len(compiler.rows) == 2 + 2 * 4


def test_recorded_steps_and_passes_with_new_hooks_run_the_layers_themselves(compiler):
    assembly = build(compile=True)
    state, batch = assembly.state, next(iter(assembly.train))
    state.is_recorded = lambda: True
    assembly.step(state, batch, assembly.loss)
    assert not compiler.rows
    state.is_recorded = lambda: False
    assembly.step(state, batch, assembly.loss)
    assert len(compiler.rows) == 3
    calls = []
    handle = next(m for m in state.model.modules() if isinstance(m, nn.Linear)).register_forward_hook(
        lambda *_: calls.append(1)
    )
    assembly.step(state, batch, assembly.loss)
    assert len(compiler.rows) == 3
    assert calls
    handle.remove()
    assembly.step(state, batch, assembly.loss)
    assert len(compiler.rows) == 4


def test_compiling_changes_neither_buffers_nor_random_numbers(compiler):
    model, x = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout(0.5)), torch.randn(6, 4)
    buffers = {name: value.clone() for name, value in model.named_buffers()}
    random = torch.get_rng_state()
    assert CompiledNetwork(model, 6).prepare(x, bf16=False)
    assert torch.equal(torch.get_rng_state(), random)
    require_equal(buffers, dict(model.named_buffers()))
    assert all(p.grad is None for p in model.parameters())


def test_frozen_layers_are_another_state_and_only_some_states_are_compiled(compiler):
    model, x = nn.Sequential(*[nn.Linear(4, 4) for _ in range(8)]), torch.randn(6, 4)
    network = CompiledNetwork(model, 6)
    prepared = []
    for layer in model[:-1]:
        prepared.append(network.prepare(x, bf16=False))
        layer.weight.requires_grad_(False)
    assert prepared == [True] * compiled.MAX_COMPILED_STATES + [False] * (7 - compiled.MAX_COMPILED_STATES)


def test_evaluation_and_other_networks_are_not_compiled(compiler):
    model, x = nn.Linear(4, 2), torch.randn(6, 4)
    network = CompiledNetwork(model, 6)
    with torch.no_grad():
        network.forward(model, x, bf16=False)
    network.forward(nn.Linear(4, 2), x, bf16=False)
    network.forward(model.eval(), x, bf16=False)
    assert not compiler.rows


def test_a_failing_compiler_is_an_error(compiler):
    compiler.error = RuntimeError("cc1plus: out of memory")
    with pytest.raises(UsageError, match=r"cannot be compiled: cc1plus(?s:.*)compile=false"):
        train(build(compile=True))


def test_other_numbers_are_an_error(compiler):
    compiler.factor = 1.1
    with pytest.raises(UsageError, match=r"computes something else: .* 10\.0%"):
        train(build(compile=True))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shards": 2}, "shards=2"),
        ({"scratch": True}, "scratch=true and compile=true"),
        ({"model": "forest"}, "compile does not apply"),
    ],
    ids=str,
)
def test_what_cannot_be_compiled_is_refused(settings, message):
    common = {"hidden": None, "dropout": None, "optimizer": "auto", "batch": "auto", "epochs": "auto"}
    plain = {key: value for key, value in {**common, "compile": True, **settings}.items() if value is not None}
    values = [(key, value, "command line") for key, value in {"model": "mlp", **plain}.items()]
    random = np.random.default_rng(0)
    x, y = random.normal(size=(60, 4)).astype(np.float32), random.integers(3, size=60)
    data = Dataset("points", Spec("classification", (4,), classes=("a", "b", "c")), x, y)
    with pytest.raises(UsageError, match=message):
        assemble(merge_settings(values).config, data, Split(np.arange(40), np.arange(40, 60), np.arange(0)), CPU)


def test_kept_features_and_other_devices_are_refused():
    config = build().config.model_copy(update={"compile": True})
    cached = config.model_copy(update={"finetune": "head", "feature_cache": 1})
    assert "feature_cache=1" in compiled.find_obstacle(cached, CPU)[0]
    assert "device=mps" in compiled.find_obstacle(config, torch.device("mps"))[0]


def test_a_missing_compiler_is_refused_and_auto_does_without(monkeypatch, long_training):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match="no-such-compiler is not installed"):
        build(compile=True)
    assert choose_compilation(Config(), build()).config.compile is False


def test_folds_with_compile_are_not_stacked():
    assert not explain_refused_config(Config(fold="1/2"))
    assert "compile=true" in explain_refused_config(Config(fold="1/2", compile=True))


def test_a_short_training_is_not_tried(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda *_, **__: pytest.fail("compiled"))
    assembly = build()
    assert choose_compilation(Config(), assembly) is assembly
    assert assembly.config.compile is False


def test_short_passes_are_not_tried_on_a_cpu(long_training, compiler):
    long_training(0.0049, 0.001)
    assert choose_compilation(Config(), build()).config.compile is False
    assert not compiler.rows


@pytest.mark.parametrize(("seconds", "is_chosen"), [(0.5, True), (0.94, True), (0.97, False), (1.3, False)])
def test_auto_compiles_where_the_gain_is_clear_and_remembers_the_trial(
    long_training, compiler, caplog, seconds, is_chosen
):
    caplog.set_level("INFO")
    long_training(1.0, seconds)
    assembly = choose_compilation(Config(), build())
    assert assembly.config.compile is is_chosen
    assert f"compile={str(is_chosen).lower()}: compiled passes take {seconds:.2f} of the time" in caplog.text
    compiler.rows.clear()
    require_equal(train(build()), train(assembly))
    assert bool(compiler.rows) is is_chosen
    compiler.rows.clear()
    long_training(1.0, 1.5 - seconds)
    assert choose_compilation(Config(), build()).config.compile is is_chosen
    assert not compiler.rows


def test_auto_goes_on_without_a_network_that_cannot_be_compiled(long_training, compiler, caplog):
    caplog.set_level("INFO")
    compiler.error = RuntimeError("no compiler for this")
    assembly = choose_compilation(Config(), build())
    assert assembly.config.compile is False
    assert "the network cannot be compiled: no compiler for this" in caplog.text.replace("\n", " ")
    compiler.error = None
    assert choose_compilation(Config(), build()).config.compile is False  # remembered
    assert not compiler.rows


@pytest.mark.parametrize("value", [None, "fast", -1.0, 0, True, math.nan], ids=str)
def test_a_damaged_trial_is_made_again(long_training, value):
    choose_compilation(Config(), build())
    path = cache_folder.get_cache_folder() / "compile_trials.json"
    ((key, entry),) = json.loads(path.read_text()).items()
    path.write_text(json.dumps({key: {**entry, "seconds": value}}))
    assert choose_compilation(Config(), build()).config.compile is True
    assert json.loads(path.read_text())[key]["seconds"] == 1.0


def test_an_unwritable_cache_gives_the_default(long_training):
    cache_folder.get_cache_folder().parent.mkdir(parents=True, exist_ok=True)
    cache_folder.get_cache_folder().write_text("not a folder")
    assert choose_compilation(Config(), build()).config.compile is False


@pytest.mark.parametrize(
    "settings", [{"compile": False}, {"optimizer": "lbfgs", "batch": ROWS}, {"fold": "1/2"}], ids=str
)
def test_auto_leaves_some_trainings_alone(long_training, compiler, settings):
    assembly = build(**settings)
    config = Config(compile=settings.get("compile", "auto"))
    assert choose_compilation(config, assembly) is assembly
    assert not compiler.rows


def test_a_trial_describes_itself():
    assert (
        CompileTrial(2.0, 1.0, 30.0).describe() == "compile=true: compiled passes take 0.50 of the time, and "
        "compiling took 30 s"
    )


@pytest.mark.slow  # it compiles
def test_a_compiled_run_equals_an_ordinary_one_up_to_rounding_and_resumes_to_the_same_bits(tmp_path, monkeypatch):
    settings = {"data": "digits", "model": "mlp", "hidden": 16, "dropout": 0.2, "batch": 100, "epochs": 2, "seed": 1}
    settings |= {"quiet": True, "checkpoint_every": 0, "out": tmp_path}
    plain = yisheng.train(**settings, compile=False)
    complete = yisheng.train(**settings, compile=True)
    fit, stop_step = run_training.fit_assembly, 17

    def stop_halfway(*arguments, **options):
        for event in fit(*arguments, **options):
            yield event
            if event.step == stop_step:
                raise StoppedError(15, "stopped", "resume it")

    monkeypatch.setattr(run_training, "fit_assembly", stop_halfway)
    with pytest.raises(StoppedError):
        yisheng.train(**settings, compile=True, name="stopped")
    monkeypatch.undo()
    (stopped,) = tmp_path.glob("*stopped*")
    resume(stopped)
    weights = [load_file(run / RunFolder.WEIGHTS) for run in (plain.path, complete.path, stopped)]
    require_equal(weights[0], weights[1], rtol=1e-4, atol=1e-5)
    require_equal(weights[1], weights[2])
    assert not torch.equal(weights[0]["linear1.weight"], weights[1]["linear1.weight"])  # it was compiled
