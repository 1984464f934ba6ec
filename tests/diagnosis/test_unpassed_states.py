"""Recurrent cells and layers in a loop over the steps, with and without the state of the step before."""

import pytest
import torch
from torch import nn

import yisheng

from .small_trainings import list_alarms

ROWS, STEPS = 120, 6


class Loop(nn.Module):
    """A loop over the steps, of which subclasses have the cell."""

    def __init__(self, fixed):
        super().__init__()
        self.fc, self.fixed = nn.Linear(5, 3), fixed

    def forward(self, x):
        return self.fc(self.run(x)[-1])


class LongMemory(Loop):
    """An LSTM cell."""

    def __init__(self, fixed):
        super().__init__(fixed)
        self.cell = nn.LSTMCell(3, 5)

    def run(self, x):
        state, outputs = None, []
        for step in x.unbind(1):
            state = self.cell(step, state if self.fixed else None)
            outputs.append(state[0])
        return outputs


class MeanOfStates(LongMemory):
    """The mean over the states of all steps."""

    def forward(self, x):
        return self.fc(torch.stack(self.run(x)).mean(0))


class Gated(Loop):
    """A GRU cell whose zeros are made in the loop."""

    def __init__(self, fixed):
        super().__init__(fixed)
        self.cell = nn.GRUCell(3, 5)

    def run(self, x):
        h = x.new_zeros(len(x), 5)
        for step in x.unbind(1):
            if not self.fixed:
                h = x.new_zeros(len(x), 5)
            h = self.cell(step, h)
        return [h]


class NotAssigned(Loop):
    """An RNN cell whose result gets another name than the state."""

    def __init__(self, fixed):
        super().__init__(fixed)
        self.cell = nn.RNNCell(3, 5, nonlinearity="relu")

    def run(self, x):
        h = x.new_zeros(len(x), 5)
        for step in x.unbind(1):
            new_h = self.cell(step, h)
            h = new_h if self.fixed else h
        return [new_h]


class OneStepAtATime(Loop):
    """A layer that is given single steps."""

    def __init__(self, fixed):
        super().__init__(fixed)
        self.rnn = nn.GRU(3, 5, batch_first=True)

    def run(self, x):
        state = None
        for step in x.split(1, 1):
            out, state = self.rnn(step, state if self.fixed else None)
        return [out[:, 0]]


class TwoMatrices(Loop):
    """A cell of two layers and a learned first state."""

    def __init__(self, fixed):
        super().__init__(fixed)
        self.w, self.u, self.first = nn.Linear(3, 5), nn.Linear(5, 5), nn.Parameter(0.3 * torch.randn(5))

    def run(self, x):
        h = self.first.expand(len(x), -1)
        for step in x.unbind(1):
            result = torch.tanh(self.w(step) + self.u(h))
            h = result if self.fixed else h
        return [result]


def train(net, make_labels, steps=STEPS):
    torch.manual_seed(0)
    x = torch.randn(ROWS, steps, 3)
    y = make_labels(x)
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(14):
            for index in torch.randperm(ROWS).split(30):
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x[index]), y[index]).backward()
                optimizer.step()
    return dr


def draw_labels(x):
    return torch.randint(0, 3, (len(x),))


@pytest.mark.parametrize("network", [LongMemory, MeanOfStates, Gated, NotAssigned, OneStepAtATime, TwoMatrices])
def test_state_that_is_not_passed_on(network):
    torch.manual_seed(0)
    dr = train(network(fixed=False), draw_labels)
    assert list_alarms(dr)[:1] == ["unpassed-state"]
    assert f"{STEPS}" in dr.findings[0].cause
    assert "unpassed-state" not in list_alarms(train(network(fixed=True), draw_labels))


class SingleSteps(nn.Module):
    """A network that a loop calls for each step, with or without its state."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.fc = layer, nn.Linear(5, 3)

    def forward(self, x, state=None):
        if isinstance(self.layer, nn.RNNBase):
            out, state = self.layer(x[:, None], state)
            return self.fc(out[:, 0]), state
        state = self.layer(x, state)
        return self.fc(state[0] if isinstance(state, tuple) else state), state


def train_stepwise(net, passes_state):
    torch.manual_seed(0)
    x, y = torch.randn(ROWS, STEPS, 3), torch.randint(0, 3, (ROWS,))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(14):
            for index in torch.randperm(ROWS).split(30):
                state = None
                for step in x[index].unbind(1):
                    scores, new_state = net(step, state=state)
                    state = new_state if passes_state else None
                optimizer.zero_grad()
                nn.functional.cross_entropy(scores, y[index]).backward()
                optimizer.step()
    return dr


LAYERS = {"lstm cell": nn.LSTMCell, "gru cell": nn.GRUCell, "gru": lambda *sizes: nn.GRU(*sizes, batch_first=True)}


@pytest.mark.parametrize("passes_state", [False, True])
@pytest.mark.parametrize("layer", LAYERS)
def test_loop_that_calls_the_network_for_each_step(layer, passes_state):
    torch.manual_seed(0)
    dr = train_stepwise(SingleSteps(LAYERS[layer](3, 5)), passes_state)
    assert ("unpassed-state" in list_alarms(dr)) != passes_state
    if not passes_state:
        assert f"called {STEPS} times before an update" in dr.findings[0].cause


class Sentences(nn.Module):
    """Each of several sentences is read from a state of zeros, and a second layer reads the sentences."""

    def __init__(self):
        super().__init__()
        self.words, self.sentences = nn.LSTM(3, 5, batch_first=True), nn.GRU(5, 5, batch_first=True)
        self.fc = nn.Linear(5, 3)

    def forward(self, x):
        read = [self.words(part)[1][0][0] for part in x.split(3, 1)]
        return self.fc(self.sentences(torch.stack(read, 1))[1][0])


class Tree(nn.Module):
    """The leaves of a tree begin with zeros; the nodes above have the state of those below."""

    def __init__(self):
        super().__init__()
        self.cell, self.fc = nn.GRUCell(3, 5), nn.Linear(5, 3)

    def forward(self, x):
        leaves = [self.cell(step, x.new_zeros(len(x), 5)) for step in x[:, :4].unbind(1)]
        above = [self.cell(x[:, 4], leaves[0] + leaves[1]), self.cell(x[:, 5], leaves[2] + leaves[3])]
        return self.fc(above[0] * above[1])


class DeepSupervision(nn.Module):
    """A head is called after each block, and the last call is read in the end."""

    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(18, 18) for _ in range(STEPS))
        self.head = nn.Linear(18, 3)

    def forward(self, x):
        x, scores = x.flatten(1), []
        for block in self.blocks:
            x = x + torch.tanh(block(x))
            scores.append(self.head(x))
        return scores[-1]


class SingleStep(nn.Module):
    """A table is read by a recurrent layer as a sequence of one step."""

    def __init__(self):
        super().__init__()
        self.rnn, self.fc = nn.LSTM(18, 5, batch_first=True), nn.Linear(5, 3)

    def forward(self, x):
        return self.fc(self.rnn(x.flatten(1)[:, None])[0][:, 0])


def test_accumulated_gradients_of_single_steps():
    """Several passes before an update, and a layer that reads one step of a table."""
    torch.manual_seed(0)
    net, x, y = SingleStep(), torch.randn(ROWS, STEPS, 3), torch.randint(0, 3, (ROWS,))
    optimizer = torch.optim.Adam(net.parameters(), 3e-3)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(14):
            for index in torch.randperm(ROWS).split(60):
                optimizer.zero_grad()
                for part in index.split(12):
                    (nn.functional.cross_entropy(net(x[part]), y[part]) / 5).backward()
                optimizer.step()
    assert "unpassed-state" not in list_alarms(dr)


@pytest.mark.parametrize("network", [Sentences, Tree, DeepSupervision, SingleStep])
def test_states_of_zeros_that_are_right(network):
    torch.manual_seed(0)
    assert "unpassed-state" not in list_alarms(train(network(), draw_labels))


def test_network_that_has_learned_without_earlier_steps():
    torch.manual_seed(0)
    net = LongMemory(fixed=False)
    x = torch.randn(400, STEPS, 3)
    optimizer = torch.optim.Adam(net.parameters(), 3e-2)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(25):
            for index in torch.randperm(400).split(20):
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x[index]), (x[index, -1, 0] > 0).long()).backward()
                optimizer.step()
    assert "unpassed-state" not in list_alarms(dr)
