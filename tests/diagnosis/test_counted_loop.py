"""The instructions of the doctor are counted by Valgrind, and composed from the kinds of steps that there are."""

import shutil

import pytest
import torch
from benchmarks.doctor import callgrind, counted_loop, loop_overhead
from torch.nn import functional as F

from yisheng.diagnosis.recorder.recorder import Recorder


def test_the_kinds_of_steps_are_those_of_the_recorder():
    network, (x, y) = loop_overhead.build_network("mlp"), loop_overhead.generate_rows("mlp")
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    followed = []
    with Recorder(network, optimizer) as recorder:
        for step, rows in enumerate(loop_overhead.draw_batches(len(x), 32, 200), 1):
            optimizer.zero_grad()
            output = network(x[rows])
            if type(output) is not torch.Tensor:
                followed.append(step)
            F.cross_entropy(output, y[rows]).backward()
            optimizer.step()
    kinds = [counted_loop.classify(step) for step in range(1, 201)]
    assert [step for step, kind in enumerate(kinds, 1) if kind == "recorded"] == [r.step for r in recorder.records]
    assert [step for step, kind in enumerate(kinds, 1) if kind != "light"] == followed


def test_a_composed_cost_is_the_sum_if_steps_of_a_kind_cost_the_same():
    cost = {"recorded": 900, "followed": 200, "light": 30}
    kinds = [counted_loop.classify(step) for step in range(1, 1002)]
    preparation = [80 * (kind == "recorded") for kind in kinds[1:]]
    added = [500, *(cost[kind] + extra for kind, extra in zip(kinds, preparation, strict=False)), 40]
    plain = [0, *[1000] * 1000, 0]
    counted = 22
    composition = counted_loop.compose(
        [*plain[: counted + 1], 0], [a + b for a, b in zip(plain[: counted + 1], added, strict=False)] + [40], 1000
    )
    assert composition.total == sum(added)
    assert composition.costs == {"recorded": 980, "followed": 200, "light": 30}


def test_without_valgrind_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(SystemExit, match="requires Valgrind.*\n.*apt install valgrind"):
        loop_overhead.main(["counter=instructions", "models=mlp"])


def test_an_unknown_counter_is_an_error():
    with pytest.raises(SystemExit, match="counter=cycles is unknown"):
        loop_overhead.main(["counter=cycles"])


def test_counts_of_marks_are_read():
    assert callgrind.read_counts("desc: Trigger: Client Request: plain 7\nevents: Ir\ntotals: 42\n") == ("plain 7", 42)
    assert callgrind.read_counts("desc: Trigger: Program termination\ntotals: 42\n") is None


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("valgrind") is None, reason="Valgrind is not installed")
def test_instructions_are_counted():
    line = counted_loop.describe_count("mlp", 12, 12)
    assert line.startswith("| mlp | 12 | ")
    cost = float(line.split("|")[5].strip(" %"))
    assert 30 < cost < 200  # ten of these updates are recorded or followed
