"""Faults within a forward pass: states that are cut off, tensors joined with themselves, layers without gradients."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # the usual name

import yisheng
from yisheng.diagnosis.forward_pass import observe_forward_pass

from .small_trainings import list_alarms

STEPS, ROWS = 8, 120


@pytest.fixture(autouse=True)
def fixed_seed():
    torch.manual_seed(0)


def train(net, x, y, epochs=14, lr=3e-3, **rows):
    """Train on labels that cannot be learned in so few updates, so that no check is skipped."""
    optimizer = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr)
    with yisheng.doctor(net, optimizer, **rows) as dr:
        for _ in range(epochs):
            for index in torch.randperm(len(x)).split(30):
                optimizer.zero_grad()
                scores = net(x[index])
                loss = F.cross_entropy(scores.flatten(0, -2), y[index].flatten())
                loss.backward()
                optimizer.step()
    return dr


def make_sequences(is_labelled_per_step=False):
    x = torch.randn(ROWS, STEPS, 3)
    return x, torch.randint(0, 3, (ROWS, STEPS) if is_labelled_per_step else (ROWS,))


class Stepwise(nn.Module):
    """A cell in a loop over the steps; subclasses have the cell."""

    returns_all = False

    def __init__(self, cut):
        super().__init__()
        self.cut, self.fc = cut, nn.Linear(6, 3)

    def forward(self, x):
        state, outputs = x.new_zeros(len(x), 6), []
        for number, step in enumerate(x.unbind(1)):
            state = self.advance(step, self.cut(state, number))
            outputs.append(self.fc(state))
        return torch.stack(outputs, 1) if self.returns_all else outputs[-1]


class WithCell(Stepwise):
    """A GRU cell."""

    def __init__(self, cut):
        super().__init__(cut)
        self.cell = nn.GRUCell(3, 6)

    def advance(self, step, state):
        return self.cell(step, state)


class WithCellPerStep(WithCell):
    """A prediction for each step."""

    returns_all = True


class WithWeights(Stepwise):
    """A cell of two matrices."""

    def __init__(self, cut):
        super().__init__(cut)
        self.w, self.u = nn.Parameter(0.3 * torch.randn(3, 6)), nn.Parameter(0.3 * torch.randn(6, 6))

    def advance(self, step, state):
        return torch.tanh(step @ self.w + state @ self.u)


class WithLayer(Stepwise):
    """An LSTM that is given one step at a time."""

    def __init__(self, cut):
        super().__init__(cut)
        self.lstm = nn.LSTM(3, 6, batch_first=True)

    def advance(self, step, state):
        return self.lstm(step[:, None], (state[None], torch.zeros_like(state[None])))[0][:, 0]


CUTS = {
    "never": lambda state, _: state,
    "detach": lambda state, _: state.detach(),
    "data": lambda state, _: state.data.clone(),
    "numpy": lambda state, _: torch.from_numpy(state.detach().numpy().copy()),
    "half": lambda state, number: state.detach() if number == STEPS // 2 else state,
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("network", [WithCell, WithCellPerStep, WithWeights, WithLayer])
def test_state_cut_off_at_each_step(network, cut):
    net = network(CUTS[cut])
    forward_pass = observe_forward_pass(
        net, (torch.randn(5, STEPS, 3),), frozenset(map(id, net.parameters())), is_training=True
    )
    if cut in ("never", "half"):
        assert forward_pass.cut_calls is None
    else:
        assert forward_pass.cut_calls.calls == STEPS
        assert not any(name.startswith("fc") for name in forward_pass.cut_calls.parameters)


@pytest.mark.parametrize("cut", ["detach", "never"])
def test_training_with_state_cut_off(cut):
    state = torch.get_rng_state()
    dr = train(WithCell(CUTS[cut]), *make_sequences())
    assert ("detached-state" in list_alarms(dr)) == (cut == "detach")
    assert not torch.equal(state, torch.get_rng_state())
    state = torch.get_rng_state()
    finding = next((finding for finding in dr.diagnose().findings if finding.check == "detached-state"), None)
    assert finding is None or "test_forward_pass.py" in finding.source
    assert torch.equal(state, torch.get_rng_state())


class Decoder(nn.Module):
    """Feeds back its most likely class, which has no gradient, next to its state."""

    def __init__(self):
        super().__init__()
        self.embed, self.cell, self.fc = nn.Embedding(3, 6), nn.GRUCell(6, 6), nn.Linear(6, 3)
        self.encoder = nn.GRU(3, 6, batch_first=True)

    def forward(self, x):
        state, token, scores = self.encoder(x)[1][0], torch.zeros(len(x), dtype=torch.long), []
        for _ in range(STEPS):
            state = self.cell(self.embed(token), state)
            scores.append(self.fc(state))
            token = scores[-1].argmax(1)
        return torch.stack(scores, 1)


class Reservoir(nn.Module):
    """An echo-state network: random weights without gradients, and a layer that is trained."""

    def __init__(self):
        super().__init__()
        self.cell, self.fc = nn.RNNCell(3, 6).requires_grad_(False), nn.Linear(9, 3)

    def forward(self, x):
        state = x.new_zeros(len(x), 6)
        with torch.no_grad():
            for step in x.unbind(1):
                state = self.cell(step, state)
        return self.fc(torch.cat([state, x[:, -1]], 1))


class Refinement(nn.Module):
    """Each round begins at the detached scores of the one before, and the loss compares all of them."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3 + 3, 3)

    def forward(self, x):
        scores, rounds = x.new_zeros(len(x), 3), []
        for _ in range(STEPS):
            scores = scores.detach() + self.layer(torch.cat([x[:, 0], scores.detach()], 1))
            rounds.append(scores)
        return torch.stack(rounds).mean(0)


@pytest.mark.parametrize("network", [Decoder, Reservoir, Refinement])
def test_cuts_that_are_right(network):
    net = network()
    trained = frozenset(id(p) for p in net.parameters() if p.requires_grad)
    assert observe_forward_pass(net, (torch.randn(5, STEPS, 3),), trained, is_training=True).cut_calls is None


class Joined(nn.Module):
    """Two layers, and between them what a function makes of the features and of those before them."""

    def __init__(self, join, width):
        super().__init__()
        self.first, self.second, self.join = nn.Linear(6, 6), nn.Linear(6, 6), join
        self.norm, self.last = nn.BatchNorm1d(width), nn.Linear(width, 3)

    def forward(self, x):
        skip = F.relu(self.first(x))
        return self.last(F.relu(self.norm(self.join(F.relu(self.second(skip)), skip, x))))


JOINS = {
    "cat": (True, True, lambda h, skip, x: torch.cat([h, h], 1)),
    "hstack": (True, True, lambda h, skip, x: torch.hstack((h, h))),
    "sum": (True, False, lambda h, skip, x: h + h),
    "views": (True, True, lambda h, skip, x: torch.cat([h.view(-1, 6), h[:, :]], 1)),
    "equal values": (True, True, lambda h, skip, x: torch.cat([h * 2, h + h.clone()], 1)),
    "sum of views": (True, False, lambda h, skip, x: h[:, :] + h.view(-1, 6)),
    "zeros": (False, True, lambda h, skip, x: torch.cat([h * 0, h * 0], 1) + torch.cat([h, skip], 1)),
    "difference": (True, False, lambda h, skip, x: torch.sub(h, h)),
    "skip": (False, True, lambda h, skip, x: torch.cat([h, skip], 1)),
    "residual": (False, False, lambda h, skip, x: h + skip),
    "square": (False, False, lambda h, skip, x: h * h),
    "input": (False, True, lambda h, skip, x: torch.cat([x, x], 1) + torch.cat([h, skip], 1)),
    "widened": (False, True, lambda h, skip, x: torch.cat([h, h], 1) + torch.cat([skip, x], 1)),
    "batches": (False, False, lambda h, skip, x: torch.cat([h, h])[: len(h)]),
    "negative": (False, True, lambda h, skip, x: torch.cat([h, -h], 1)),
}


@pytest.mark.parametrize("name", JOINS)
def test_features_joined_with_themselves(name):
    is_faulty, is_wide, join = JOINS[name]
    dr = train(Joined(join, 12 if is_wide else 6), torch.randn(ROWS, 6), torch.randint(0, 3, (ROWS,)))
    assert ("duplicated-operand" in list_alarms(dr)) == is_faulty


class Adapter(nn.Module):
    """A frozen layer and two thin ones, as layers or as parameters."""

    def __init__(self, has_layers):
        super().__init__()
        self.layer = nn.Linear(6, 6).requires_grad_(False)
        nn.init.eye_(self.layer.weight)  # as if it were trained
        self.down, self.up = nn.Linear(6, 2, bias=False), nn.Linear(2, 6, bias=False)
        nn.init.zeros_(self.up.weight)
        if not has_layers:
            self.down, self.up = nn.Parameter(0.1 * torch.randn(6, 2)), nn.Parameter(torch.zeros(2, 6))

    def forward(self, x):
        has_layers = isinstance(self.up, nn.Module)
        return self.layer(x) + (self.up(self.down(x)) if has_layers else x @ self.down @ self.up)


class Adapted(nn.Module):
    """A body with adapters, in a part of the pass that may run without gradients."""

    def __init__(self, has_layers, fixed):
        super().__init__()
        self.body, self.head = nn.Sequential(Adapter(has_layers), nn.ReLU(), Adapter(has_layers)), nn.Linear(6, 3)
        self.fixed = fixed

    def forward(self, x):
        with torch.set_grad_enabled(self.fixed and torch.is_grad_enabled()):
            features = self.body(x)
        return self.head(features)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("has_layers", [False, True])
def test_adapters_in_a_part_without_gradients(has_layers, fixed):
    dr = train(Adapted(has_layers, fixed), torch.randn(ROWS, 6), torch.randint(0, 3, (ROWS,)))
    assert list_alarms(dr)[:1] == ([] if fixed else ["no-gradient"])
    if not fixed:
        assert "runs without gradients" in dr.findings[0].cause


class BothDirections(nn.Module):
    """A bidirectional network of which a function reads outputs and states."""

    def __init__(self, read, **options):
        super().__init__()
        self.rnn, self.fc = nn.GRU(3, 6, bidirectional=True, **options), nn.Linear(12, 3)
        self.read = read

    def forward(self, x):
        outputs, states = self.rnn(x if self.rnn.batch_first else x.transpose(0, 1))
        return self.fc(self.read(outputs, states))


READS = {
    "last": (True, {"batch_first": True}, lambda out, h: out[:, -1]),
    "last of two layers": (True, {"batch_first": True, "num_layers": 2}, lambda out, h: out[:, -1]),
    "last with the time first": (True, {}, lambda out, h: F.relu(out[-1])),
    "first": (True, {"batch_first": True}, lambda out, h: out[:, 0]),
    "states": (False, {"batch_first": True}, lambda out, h: torch.cat([h[-2], h[-1]], 1)),
    "ends": (False, {"batch_first": True}, lambda out, h: torch.cat([out[:, -1, :6], out[:, 0, 6:]], 1)),
    "mean": (False, {"batch_first": True}, lambda out, h: out.mean(1)),
    "one direction": (False, {"batch_first": True}, lambda out, h: out[:, -1, :6].repeat(1, 2)),
    "step and states": (False, {"batch_first": True}, lambda out, h: out[:, -1] + torch.cat([h[0], h[1]], 1)),
}


@pytest.mark.parametrize("name", READS)
def test_one_step_of_both_directions(name):
    is_faulty, options, read = READS[name]
    dr = train(BothDirections(read, **options), *make_sequences())
    assert ("unread-steps" in list_alarms(dr)) == is_faulty
