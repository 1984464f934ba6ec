"""What was seen outlives a process whole."""

import dataclasses

import pytest
import torch
from torch import nn

from yisheng.diagnosis.case import Case
from yisheng.diagnosis.ranking import diagnose
from yisheng.diagnosis.recorder import saved_state
from yisheng.diagnosis.recorder.recorder import Recorder


def watched(steps=40, lr=0.1, softmax=False):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.Sigmoid(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    sgd = torch.optim.SGD(net.parameters(), lr=lr)
    x = torch.randn(64, 4)
    y = (x[:, 0] > 0).long()
    with Recorder(net, sgd) as watch:
        for _ in range(steps):
            sgd.zero_grad()
            output = net(x).softmax(1) if softmax else net(x)
            nn.functional.cross_entropy(output, y).backward()
            sgd.step()
    return watch


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if dataclasses.is_dataclass(a):
        return type(a) is type(b) and all(equal(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return a == b


def test_it_comes_back_as_it_was():
    watch = watched()
    again = Recorder(watch.model, watch.optimizer)
    assert saved_state.load(again, saved_state.dump(watch), watch.steps)
    assert equal(again.records, watch.records)
    assert again.losses == watch.losses
    assert again.steps == watch.steps


def test_the_same_is_said_of_it():
    watch = watched(softmax=True)
    again = Recorder(watch.model, watch.optimizer)
    assert saved_state.load(again, saved_state.dump(watch), watch.steps)
    said = [diagnose(Case.from_recorder(one)) for one in (watch, again)]
    assert said[0].findings[0].check == "loss-pairing"
    assert str(said[0]) == str(said[1])


def test_what_was_seen_after_a_step_is_forgotten():
    watch = watched()
    again = Recorder(watch.model, watch.optimizer)
    assert saved_state.load(again, saved_state.dump(watch), 20)
    assert again.records[-1].step == 20
    assert again.losses == watch.losses[:20]
    assert again.steps == 20


@pytest.mark.parametrize("change", [lambda b: b[:-9], lambda b: b"", lambda b: b"x" * 100, lambda b: b[: len(b) // 2]])
def test_what_is_damaged_is_not_taken(change):
    watch = watched(5)
    again = Recorder(watch.model, watch.optimizer)
    assert not saved_state.load(again, change(saved_state.dump(watch)), 5)
    assert (again.records, again.losses, again.steps) == ([], [], 0)


class Training:
    """A training that can be stopped anywhere: all that a process would keep, and the loop."""

    def __init__(self, build, lr):
        torch.manual_seed(0)
        self.parts = build()
        self.optimizer = torch.optim.SGD([p for part in self.parts[:1] for p in part.parameters()], lr=lr, momentum=0.9)
        self.step = 0

    def again(self, before):
        """What another process would read."""
        for part, old in zip(self.parts, before.parts, strict=True):
            part.load_state_dict(old.state_dict())
        self.optimizer.load_state_dict(before.optimizer.state_dict())
        self.step = before.step
        torch.set_rng_state(before.drawn)
        return self

    def run(self, watch, until):
        net, *others = self.parts
        draw = torch.Generator().manual_seed(7)
        x = torch.randn(until, 16, 4, generator=draw)
        with watch:
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
        return watch

    def watch(self):
        return Recorder(self.parts[0], self.optimizer)


TOGETHER = 165


def plain():
    return [nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))]


def alike():
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


@pytest.mark.parametrize("build", [plain, alike, lost, half_frozen], ids=lambda build: build.__name__)
@pytest.mark.parametrize("stops", [(3,), (4, 9), (50,), (100, 103), (160,)], ids=str)
def test_a_training_that_is_stopped_and_continued_is_seen_as_a_whole(build, stops):
    whole = Training(build, 0.05)
    wanted = whole.run(whole.watch(), TOGETHER)
    training = Training(build, 0.05)
    watch = training.watch()
    for until in (*stops, TOGETHER):
        watch = training.run(watch, until)
        if until != TOGETHER:
            content = saved_state.dump(watch)
            training = Training(build, 0.05).again(training)
            watch = training.watch()
            assert saved_state.load(watch, content, training.step)
            assert [tuple(p.shape) for p in watch.unchanged_unknown] == [tuple(p.shape) for p in watch.restored_unknown]
    assert equal(watch.records, wanted.records)
    assert watch.losses == wanted.losses
    assert (watch.steps, watch.backwards, watch.begun_updates) == (wanted.steps, wanted.backwards, wanted.begun_updates)
    assert (watch.still_equal, watch.unchanged) == (wanted.still_equal, wanted.unchanged)
    assert [p.shape for p in watch.unchanged_unknown] == [p.shape for p in wanted.unchanged_unknown]
    assert str(diagnose(Case.from_recorder(watch))) == str(diagnose(Case.from_recorder(wanted)))
    assert build is plain or diagnose(Case.from_recorder(wanted)).findings


def test_losses_of_others_are_told_apart_after_a_stop():
    torch.manual_seed(0)
    one, two = nn.Linear(3, 1), nn.Linear(3, 1)
    x = torch.randn(16, 3)
    sgd = torch.optim.SGD(one.parameters(), lr=0.01)

    def run(watch, steps):
        with watch:
            for _ in range(steps):
                (two(x) + 5).square().mean().backward()
                sgd.zero_grad()
                one(x).square().mean().backward()
                sgd.step()

    watch = Recorder(one, sgd)
    run(watch, 50)
    again = Recorder(one, sgd)
    assert saved_state.load(again, saved_state.dump(watch), 50)
    run(again, 20)
    assert len(again.losses) == again.steps == 70
    assert max(again.losses) < 5
