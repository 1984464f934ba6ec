"""Between the recorded steps a loss is not followed from the network, and what is seen of the training is the same."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from yisheng.diagnosis.doctor import doctor
from yisheng.diagnosis.recorder.recorder import Recorder

LIGHT_STEP = 100
"""A step that is not recorded, after the order of the batches is known."""


class Batches:
    """Random rows in random batches, and a small network for them."""

    def __init__(self, classes=3):
        torch.manual_seed(0)
        self.x = torch.randn(240, 8)
        self.y = (self.x[:, 0] > 0).long() + (self.x[:, 1] > 0.5).long() * (classes > 2)
        self.net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, classes))
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.05, momentum=0.9)

    def draw(self, steps):
        for _ in range(steps):
            rows = torch.randint(0, len(self.x), (16,))
            yield self.x[rows], self.y[rows]


def train(batches, loss, steps=150, propagate=torch.Tensor.backward):
    """Train, and return the recorder, the losses, and the steps in which the output was followed."""
    losses, followed = [], []
    with Recorder(batches.net, batches.optimizer) as recorder:
        for step, (x, y) in enumerate(batches.draw(steps), 1):
            batches.optimizer.zero_grad()
            output = batches.net(x)
            if type(output) is not torch.Tensor:
                followed.append(step)
            value = loss(output, y)
            losses.append(float(value.detach()))
            propagate(value)
            batches.optimizer.step()
    return recorder, losses, followed


def propagate_as_list(loss):
    torch.autograd.backward([loss])


def squared_error(output, y):
    return (output[:, 0] - y).square().mean()


@pytest.mark.parametrize("loss", [F.cross_entropy, nn.CrossEntropyLoss(label_smoothing=0.1), squared_error])
def test_every_loss_is_seen_although_few_are_followed(loss):
    recorder, losses, followed = train(Batches(), loss)
    assert recorder.losses == losses
    assert recorder.loss_observer.backwards == len(losses)
    assert [record.step for record in recorder.records] == [1, 2, 3, 4, 5, 10, 20, 40, 80]
    assert set(followed) >= {1, 2, 3, 4, 5, 10, 20, 40, 80}
    assert LIGHT_STEP not in followed
    assert len(followed) < 75


def test_without_targets_only_recorded_steps_are_followed():
    _, _, followed = train(Batches(), squared_error)
    assert followed == [1, 2, 3, 4, 5, 10, 20, 40, 80]


def test_a_loss_with_a_factor_is_always_followed():
    recorder, losses, followed = train(Batches(), F.cross_entropy, propagate=lambda loss: (loss / 4).backward())
    assert recorder.losses == pytest.approx(losses)
    assert len(followed) == 150


def test_losses_that_are_propagated_together_are_always_followed():
    def add(output, y):
        return F.cross_entropy(output, y)

    batches, sums, followed = Batches(), [], 0
    with Recorder(batches.net, batches.optimizer) as recorder:
        for x, y in batches.draw(150):
            batches.optimizer.zero_grad()
            output = batches.net(x)
            followed += type(output) is not torch.Tensor
            losses = [add(output, y), output.square().mean()]
            sums.append(sum(float(loss.detach()) for loss in losses))
            torch.autograd.backward(losses)
            batches.optimizer.step()
    assert recorder.losses == pytest.approx(sums)
    assert followed == 150


def test_losses_of_alternating_heads_are_all_seen():
    class Heads(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(8, 3), nn.Linear(8, 3)

        def forward(self, x, uses_first):
            return self.first(x) if uses_first else self.second(x)

    batches, losses = Batches(), []
    net = Heads()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with Recorder(net, optimizer) as recorder:
        for step, (x, y) in enumerate(batches.draw(150)):
            optimizer.zero_grad()
            loss = F.cross_entropy(net(x, step % 2 == 0), y)
            losses.append(float(loss.detach()))
            loss.backward()
            optimizer.step()
    assert recorder.losses == losses


def test_of_a_parameter_that_is_frozen_later_at_most_one_loss_is_missed():
    batches, losses = Batches(), []
    with Recorder(batches.net, batches.optimizer) as recorder:
        for step, (x, y) in enumerate(batches.draw(150)):
            if step == LIGHT_STEP:
                batches.net[2].requires_grad_(False)
            batches.optimizer.zero_grad()
            loss = F.cross_entropy(batches.net(x), y)
            losses.append(float(loss.detach()))
            loss.backward()
            batches.optimizer.step()
    assert len(losses) - 1 <= len(recorder.losses) <= len(losses)
    assert recorder.losses[-40:] == losses[-40:]


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam])
@pytest.mark.parametrize("has_norm", [False, True])
def test_the_weights_are_the_same_to_the_bit(make, has_norm):
    def run(with_doctor):
        batches = Batches()
        norm = nn.BatchNorm1d(16) if has_norm else nn.Dropout(0.2)
        net = nn.Sequential(nn.Linear(8, 16), norm, nn.ReLU(), nn.Linear(16, 3))
        optimizer = make(net.parameters(), lr=0.01)
        observer = doctor(net, optimizer)
        if with_doctor:
            observer.__enter__()
        for step, (x, y) in enumerate(batches.draw(200)):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            if step % 60 == 59:
                with torch.no_grad():
                    F.cross_entropy(net.eval()(batches.x), batches.y)
                net.train()
        if with_doctor:
            observer.__exit__(None, None, None)
        return net.state_dict(), torch.get_rng_state()

    (plain, drawn), (observed, drawn_too) = run(False), run(True)
    assert all(torch.equal(plain[name], observed[name]) for name in plain)
    assert torch.equal(drawn, drawn_too)


@pytest.mark.parametrize("part", ["inputs", "targets", "weights", "loss"])
def test_a_loss_that_is_no_number_is_explained_between_recorded_steps(part):
    batches = Batches(classes=1)
    net, optimizer = batches.net, batches.optimizer
    with Recorder(net, optimizer) as recorder:
        for step, (x, y) in enumerate(batches.draw(LIGHT_STEP + 5)):
            target = y.float()[:, None]
            is_bad = step == LIGHT_STEP
            if is_bad and part == "inputs":
                x[3, 2] = float("nan")
            elif is_bad and part == "targets":
                target[3] = float("inf")
            elif is_bad and part == "weights":
                with torch.no_grad():
                    net[0].weight[0, 0] = float("nan")
            optimizer.zero_grad()
            output = net(x)
            loss = F.mse_loss(output, target)
            if is_bad and part == "loss":
                loss = loss / (loss.detach() - loss.detach())
            loss.backward()
            optimizer.step()
    reason = recorder.loss_observer.nonfinite_loss
    assert reason.step == LIGHT_STEP + 1
    assert (reason.inputs, reason.targets, reason.weights) == (part != "inputs", part != "targets", part != "weights")
    assert reason.dtype == "float32"


def test_an_output_without_its_graph_is_not_taken_for_targets():
    batches = Batches(classes=1)
    with Recorder(batches.net, batches.optimizer) as recorder:
        for step, (x, y) in enumerate(batches.draw(LIGHT_STEP + 1)):
            target = y.float()[:, None]
            batches.optimizer.zero_grad()
            output = batches.net(x)
            if step == LIGHT_STEP:
                output = output / 0
            prediction = output.detach()
            F.mse_loss(output, target).backward()
            batches.optimizer.step()
            assert len(prediction) == len(target)
    assert recorder.loss_observer.nonfinite_loss.targets


def test_a_call_that_is_refused_between_recorded_steps_is_found_with_its_line():
    batches = Batches()
    observer = doctor(batches.net, batches.optimizer)

    def train_until_refused():
        with observer:
            for step, (x, y) in enumerate(batches.draw(150)):
                batches.optimizer.zero_grad()
                F.cross_entropy(batches.net(x), y + 3 * (step == LIGHT_STEP)).backward()
                batches.optimizer.step()

    with pytest.raises(IndexError):
        train_until_refused()
    finding = observer.findings[0]
    assert (finding.check, finding.evidence["target"]) == ("refused-loss", [16])
    assert "test_recorder_light_steps.py:" in finding.source


def test_evaluations_between_recorded_steps_are_seen():
    batches = Batches()
    net = nn.Sequential(batches.net, nn.Dropout(0.1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    expected, evaluated = [], []
    with Recorder(net, optimizer) as recorder:
        for step, (x, y) in enumerate(batches.draw(200), 1):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            if step % 50 == 0:
                net.train(step == 150)
                with torch.no_grad():
                    expected.append(float(F.cross_entropy(net(batches.x), batches.y)))
                net.train()
            if step == 175:
                output = net.eval()(batches.x)  # with a graph
                evaluated.append(float(F.cross_entropy(output, batches.y).detach()))
                net.train()
    series = sorted(recorder.evaluations.course.series.values(), key=len)
    assert [[evaluation.loss for evaluation in evaluations] for evaluations in series] == [
        pytest.approx(evaluated),
        pytest.approx(expected),
    ]
    assert [evaluation.step for evaluation in series[1]] == [50, 100, 150, 200]
    assert recorder.evaluated_in_training_mode == 1
    assert recorder.evaluations.rows.confusion.step == 200
    assert len(recorder.losses) == 200


@pytest.mark.parametrize("period", [1, 40, 64])
def test_batches_in_a_fixed_order_are_found(period):
    batches = Batches()
    order = list(batches.draw(period))
    with Recorder(batches.net, batches.optimizer) as recorder:
        for x, y in itertools.islice(itertools.cycle(order), 150):
            batches.optimizer.zero_grad()
            F.cross_entropy(batches.net(x), y).backward()
            batches.optimizer.step()
    assert recorder.loss_observer.batch_order.period == period


def test_epochs_that_begin_alike_are_found_if_they_are_longer_than_what_is_compared():
    batches = Batches()
    order = list(batches.draw(90))
    with Recorder(batches.net, batches.optimizer) as recorder:
        for _ in range(4):
            for x, y in order:
                batches.optimizer.zero_grad()
                F.cross_entropy(batches.net(x), y).backward()
                batches.optimizer.step()
            with torch.no_grad():
                batches.net(batches.x)
    assert recorder.loss_observer.batch_order.period == 0
    assert recorder.loss_observer.batch_order.begins_alike


def test_changes_of_the_weights_between_recorded_steps_are_seen():
    batches = Batches()
    initial = {name: value.clone() for name, value in batches.net.state_dict().items()}
    with Recorder(batches.net, batches.optimizer) as recorder:
        for step, (x, y) in enumerate(batches.draw(280)):
            if step and step % 90 == 0:
                batches.net.load_state_dict(initial)
            batches.optimizer.zero_grad()
            F.cross_entropy(batches.net(x), y).backward()
            batches.optimizer.step()
    assert recorder.foreign_writes.at == [91, 181, 271]


def test_a_rate_that_vanishes_between_recorded_steps_is_seen():
    batches = Batches()
    schedule = torch.optim.lr_scheduler.MultiStepLR(batches.optimizer, [LIGHT_STEP], gamma=1e-4)
    with Recorder(batches.net, batches.optimizer) as recorder:
        for x, y in batches.draw(150):
            batches.optimizer.zero_grad()
            F.cross_entropy(batches.net(x), y).backward()
            batches.optimizer.step()
            schedule.step()
    assert recorder.rate_watch.vanished_at == LIGHT_STEP + 1


def test_two_networks_that_are_observed_at_once_have_their_own_losses():
    first, second = Batches(), Batches()
    expected = [], []
    with (
        Recorder(first.net, first.optimizer) as first_recorder,
        Recorder(second.net, second.optimizer) as second_recorder,
    ):
        for batch, other in zip(first.draw(150), second.draw(150), strict=True):
            for part, (x, y), losses in ((first, batch, expected[0]), (second, other, expected[1])):
                part.optimizer.zero_grad()
                loss = F.cross_entropy(part.net(x), y)
                losses.append(float(loss.detach()))
                loss.backward()
                part.optimizer.step()
    assert (first_recorder.losses, second_recorder.losses) == expected


@pytest.mark.parametrize("propagate", [torch.Tensor.backward, torch.autograd.backward, propagate_as_list])
@pytest.mark.parametrize("shape", [(), (1,)])
def test_the_loss_of_a_light_step_is_read_however_it_is_propagated(propagate, shape):
    recorder, losses, followed = train(
        Batches(), lambda output, y: F.cross_entropy(output, y).reshape(shape), propagate=propagate
    )
    assert recorder.losses == losses
    assert recorder.loss_observer.backwards == len(losses)
    assert LIGHT_STEP not in followed


class SharedLayer(nn.Module):
    """A layer that is called three times; if it is split, two of the calls have a backward pass of their own."""

    def __init__(self, is_outside_first):
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.is_split, self.is_outside_first = False, is_outside_first

    def forward(self, x):
        x = x.requires_grad_()
        for number in range(3):
            is_outside = not self.is_split or number == (2 if self.is_outside_first else 0)
            x = self.compute(x) if is_outside else checkpoint(self.compute, x, use_reentrant=True)
        return x[:, :3]

    def compute(self, x):
        return self.layer(x).tanh()


@pytest.mark.parametrize("split_from", [1, LIGHT_STEP])
@pytest.mark.parametrize("is_outside_first", [False, True])
def test_a_pass_that_reaches_the_watched_weight_several_times_is_one_loss(split_from, is_outside_first):
    batches, losses, followed = Batches(), [], []
    net = SharedLayer(is_outside_first)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    with Recorder(net, optimizer) as recorder:
        for step, (x, y) in enumerate(batches.draw(250), 1):
            net.is_split = step >= split_from
            optimizer.zero_grad()
            output = net(x)
            if type(output) is not torch.Tensor:
                followed.append(step)
            loss = F.cross_entropy(output, y)
            losses.append(float(loss.detach()))
            loss.backward()
            optimizer.step()
    assert recorder.losses == losses
    assert followed[-50:] == list(range(201, 251))
    assert LIGHT_STEP - 1 not in followed or split_from == 1


def test_the_reduction_of_a_repeated_loss_is_that_of_its_first_ones_and_another_loss_is_read_anew():
    batches = Batches()
    batches.optimizer.param_groups[0]["lr"] = 1e-3
    with Recorder(batches.net, batches.optimizer) as recorder:
        for step, (x, y) in enumerate(batches.draw(80), 1):
            batches.optimizer.zero_grad()
            errors = (batches.net(x) - F.one_hot(y, 3)) ** 2
            loss = errors.sum() if step < 80 else errors.mean()
            loss.backward()
            batches.optimizer.step()
    reductions = {record.step: record.pairing.reduction for record in recorder.records}
    assert len(reductions) > 6
    assert reductions == {step: "sum" if step < 80 else "mean" for step in reductions}


def test_optimizers_of_the_same_parameters_are_counted_by_each_recorder():
    batches = Batches()
    others = [torch.optim.SGD(batches.net.parameters(), lr=0.01) for _ in range(2)]
    with Recorder(batches.net, batches.optimizer) as first, Recorder(batches.net, others[0]) as second:
        for optimizer, (x, y) in zip((batches.optimizer, *others), batches.draw(3), strict=True):
            optimizer.zero_grad()
            F.cross_entropy(batches.net(x), y).backward()
            optimizer.step()
    others[1].step()
    assert (first.habits.other_optimizers, second.habits.other_optimizers) == (2, 2)
