"""The recorder's observations survive a restart of the process unchanged."""

import dataclasses

import pytest
import torch
from torch import nn

from yisheng.diagnosis.case import Case
from yisheng.diagnosis.ranking import diagnose
from yisheng.diagnosis.recorder import saved_state
from yisheng.diagnosis.recorder.recorder import Recorder


def record_training(steps=40, lr=0.1, softmax=False):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    sgd = torch.optim.SGD(net.parameters(), lr=lr)
    x = torch.randn(64, 4)
    y = (x[:, 0] > 0).long()
    with Recorder(net, sgd) as recorder:
        for _ in range(steps):
            sgd.zero_grad()
            output = net(x).softmax(1) if softmax else net(x)
            nn.functional.cross_entropy(output, y).backward()
            sgd.step()
    return recorder


def list_causes(recorder):
    """Return what is found, without the lines of the program: only a user's own loop has them."""
    diagnosis = diagnose(Case.from_recorder(recorder))
    return [(finding.check, finding.severity, finding.cause, finding.remedy) for finding in diagnosis.findings]


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return a == b


def test_it_comes_back_as_it_was():
    recorder = record_training()
    restored = Recorder(recorder.model, recorder.optimizer)
    assert saved_state.load(restored, saved_state.dump(recorder), recorder.steps)
    assert equal(restored.records, recorder.records)
    assert restored.losses == recorder.losses
    assert restored.steps == recorder.steps


def test_the_same_is_said_of_it():
    recorder = record_training(softmax=True)
    restored = Recorder(recorder.model, recorder.optimizer)
    assert saved_state.load(restored, saved_state.dump(recorder), recorder.steps)
    first, second = (list_causes(item) for item in (recorder, restored))
    assert first[0][0] == "loss-pairing"
    assert first == second


def test_what_was_seen_after_a_step_is_forgotten():
    recorder = record_training()
    restored = Recorder(recorder.model, recorder.optimizer)
    assert saved_state.load(restored, saved_state.dump(recorder), 20)
    assert restored.records[-1].step == 20
    assert restored.losses == recorder.losses[:20]
    assert restored.steps == 20


@pytest.mark.parametrize("change", [lambda b: b[:-9], lambda b: b"", lambda b: b"x" * 100, lambda b: b[: len(b) // 2]])
def test_what_is_damaged_is_not_taken(change):
    recorder = record_training(5)
    restored = Recorder(recorder.model, recorder.optimizer)
    assert not saved_state.load(restored, change(saved_state.dump(recorder)), 5)
    assert (restored.records, restored.losses, restored.steps) == ([], [], 0)


class Training:
    """A training that can be stopped anywhere: all that a process would keep, and the loop."""

    def __init__(self, build, lr):
        torch.manual_seed(0)
        self.parts = build()
        self.optimizer = torch.optim.SGD([p for part in self.parts[:1] for p in part.parameters()], lr=lr, momentum=0.9)
        self.step = 0

    def continued(self, before):
        """What another process would read."""
        for part, old in zip(self.parts, before.parts, strict=True):
            part.load_state_dict(old.state_dict())
        self.optimizer.load_state_dict(before.optimizer.state_dict())
        self.step = before.step
        torch.set_rng_state(before.drawn)
        return self

    def run(self, recorder, until):
        net, *others = self.parts
        draw = torch.Generator().manual_seed(7)
        x = torch.randn(until, 16, 4, generator=draw)
        with recorder:
            for at in range(self.step, until):
                self.optimizer.zero_grad()
                output = net(x[at])
                for other in others:
                    output = other(output)
                nn.functional.cross_entropy(output, (x[at, :, 0] > 0).long()).backward()
                self.optimizer.step()
            if until == TOGETHER:
                with torch.no_grad():
                    net(x[0])
        self.step, self.drawn = until, torch.get_rng_state()
        return recorder

    def make_recorder(self):
        return Recorder(self.parts[0], self.optimizer)


TOGETHER = 165


def plain():
    return [nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))]


def equal_rows():
    net = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))
    for p in net.parameters():
        nn.init.constant_(p, 0.1)
    return [net]


def lost():
    return [nn.Sequential(nn.Linear(4, 16)), nn.Linear(16, 3)]


def half_frozen():
    net = plain()
    net[0][0].requires_grad_(False)
    return net


@pytest.mark.parametrize("build", [plain, equal_rows, lost, half_frozen], ids=lambda build: build.__name__)
@pytest.mark.parametrize("stops", [(3,), (4, 9), (50,), (100, 103), (160,)], ids=str)
def test_a_training_that_is_stopped_and_continued_is_seen_as_a_whole(build, stops):
    complete = Training(build, 0.05)
    expected = complete.run(complete.make_recorder(), TOGETHER)
    training = Training(build, 0.05)
    recorder = training.make_recorder()
    for until in (*stops, TOGETHER):
        recorder = training.run(recorder, until)
        if until != TOGETHER:
            content = saved_state.dump(recorder)
            training = Training(build, 0.05).continued(training)
            recorder = training.make_recorder()
            assert saved_state.load(recorder, content, training.step)
            assert [tuple(p.shape) for p in recorder.loss_observer.unknown.select_unchanged(recorder.steps)] == [
                tuple(p.shape) for p in recorder.loss_observer.unknown.restored
            ]
    assert equal(recorder.records, expected.records)
    assert recorder.losses == expected.losses
    assert (recorder.steps, recorder.loss_observer.backwards, recorder.begun_updates) == (
        expected.steps,
        expected.loss_observer.backwards,
        expected.begun_updates,
    )
    assert (recorder.still_equal, recorder.unchanged) == (expected.still_equal, expected.unchanged)
    assert [p.shape for p in recorder.loss_observer.unknown.select_unchanged(recorder.steps)] == [
        p.shape for p in expected.loss_observer.unknown.select_unchanged(expected.steps)
    ]
    assert list_causes(recorder) == list_causes(expected)
    assert build is plain or diagnose(Case.from_recorder(expected)).findings


def test_losses_of_others_are_told_apart_after_a_stop():
    torch.manual_seed(0)
    watched_net, foreign = nn.Linear(3, 1), nn.Linear(3, 1)
    x = torch.randn(16, 3)
    sgd = torch.optim.SGD(watched_net.parameters(), lr=0.01)

    def run(recorder, steps):
        with recorder:
            for _ in range(steps):
                (foreign(x) + 5).square().mean().backward()
                sgd.zero_grad()
                watched_net(x).square().mean().backward()
                sgd.step()

    recorder = Recorder(watched_net, sgd)
    run(recorder, 50)
    restored = Recorder(watched_net, sgd)
    assert saved_state.load(restored, saved_state.dump(recorder), 50)
    run(restored, 20)
    assert len(restored.losses) == restored.steps == 70
    assert max(restored.losses) < 5
