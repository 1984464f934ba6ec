"""Gradients that the loss of an actor or a generator leaves in the network that it is trained through."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng

from .small_trainings import list_alarms

CHECK = "carried-gradients"


def make_mlp(inputs, outputs):
    return nn.Sequential(nn.Linear(inputs, 16), nn.Tanh(), nn.Linear(16, outputs))


class Pair:
    """Two networks, each with an optimizer, of which the second is recorded."""

    def __init__(self, first, second):
        torch.manual_seed(0)
        self.first, self.second = make_mlp(*first), make_mlp(*second)
        self.adams = [torch.optim.Adam(net.parameters(), lr=0.01) for net in (self.first, self.second)]

    def train(self, step, steps=12):
        with yisheng.doctor(self.second, self.adams[1]) as dr:
            for _ in range(steps):
                step(torch.randn(24, 4))
        return list_alarms(dr)

    def update(self, loss, number, *, clears=True):
        if clears:
            self.adams[number].zero_grad()
        loss.backward()
        self.adams[number].step()


@pytest.mark.parametrize("order", ["cleared at the top", "cleared after the step", "cleared before each loss"])
def test_actor_and_critic(order):
    pair = Pair((4, 2), (6, 1))

    def step(state):
        clears = order == "cleared before each loss"
        if order == "cleared at the top":
            for adam in pair.adams:
                adam.zero_grad()
        value = pair.second(torch.cat([state, pair.first(state)], 1))
        pair.update(-value.mean(), 0, clears=clears)
        action = torch.randn(len(state), 2)
        reward = 1 - (action - state[:, :2]).square().sum(1, keepdim=True)
        pair.update(F.mse_loss(pair.second(torch.cat([state, action], 1)), reward), 1, clears=clears)
        if order == "cleared after the step":
            for adam in pair.adams:
                adam.zero_grad()

    assert (CHECK in pair.train(step)) == (order != "cleared before each loss")


@pytest.mark.parametrize("clears", [True, False])
def test_generator_and_discriminator(clears):
    pair = Pair((4, 3), (3, 1))

    def step(noise):
        if not clears:
            pair.adams[1].zero_grad()
        fake, real_label = pair.first(noise), torch.ones(len(noise), 1)
        pair.update(F.binary_cross_entropy_with_logits(pair.second(fake), real_label), 0)
        real = torch.randn(len(noise), 3) + 2
        scores = pair.second(torch.cat([real, fake.detach()]))
        pair.update(
            F.binary_cross_entropy_with_logits(scores, torch.cat([real_label, 0 * real_label])), 1, clears=clears
        )

    assert (CHECK in pair.train(step)) != clears


def test_encoder_and_decoder_of_one_loss_are_no_two_losses():
    """The loss trains both; the second one of the decoder accumulates on purpose, before any update."""
    pair = Pair((4, 3), (3, 4))

    def step(x):
        for adam in pair.adams:
            adam.zero_grad()
        F.mse_loss(pair.second(pair.first(x)), x).backward()
        (1e-3 * pair.second(torch.randn(len(x), 3)).square().mean()).backward()
        for adam in pair.adams:
            adam.step()

    assert CHECK not in pair.train(step)


def test_head_with_a_loss_through_the_body_each_time():
    pair = Pair((4, 3), (3, 4))

    def step(x):
        for adam in pair.adams:
            adam.zero_grad()
        pair.update(F.mse_loss(pair.second(pair.first(x)), x), 0, clears=False)
        pair.update(F.mse_loss(pair.second(pair.first(x.flip(0))), x.flip(0)), 1, clears=False)

    assert CHECK not in pair.train(step)
