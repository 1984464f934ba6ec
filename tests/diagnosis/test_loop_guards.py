"""Whatever a user's network returns or raises, the doctor ends with a diagnosis, and not with an error of its own."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import yisheng


class Output(dict):
    """Several values by name, as some libraries return them."""


class Net(nn.Module):
    """A network with another form of outputs, or one that only takes batches of the loop's size."""

    def __init__(self, form):
        super().__init__()
        self.form, self.layers = form, nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, x):
        if self.form in ("KeyError", "AssertionError", "LookupError") and len(x) != 20:
            raise {"KeyError": KeyError, "AssertionError": AssertionError, "LookupError": LookupError}[self.form](
                "size"
            )
        y = self.layers(x)
        return {"tuple": (y, x), "dict": Output(logits=y), "list": [y]}.get(self.form, y)


def read_logits(output):
    if isinstance(output, dict):
        return output["logits"]
    return output[0] if isinstance(output, tuple | list) else output


@pytest.mark.parametrize("form", ["tuple", "dict", "list", "KeyError", "AssertionError", "LookupError"])
@pytest.mark.parametrize("learns", [True, False])
def test_networks_of_any_form_are_diagnosed(form, learns):
    torch.manual_seed(0)
    x = torch.randn(400, 6)
    y = (x[:, 0] + x[:, 1] > 0).long() if learns else torch.randint(0, 2, (400,))
    net = Net(form)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    with yisheng.doctor(net, optimizer, data=(x[:200], y[:200]), validation=(x[200:], y[200:])) as dr:
        for _ in range(12):
            for index in torch.randperm(200).split(20):
                optimizer.zero_grad()
                loss = F.cross_entropy(read_logits(net(x[index])), y[index])
                loss.backward()
                optimizer.step()
            dr.validation(loss=loss.item(), score=0.5)
    assert isinstance(dr.findings, tuple)
    assert "AttributeError" not in str(dr.diagnose().unchecked)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int64, torch.bool])
def test_no_check_has_a_defect_on_inputs_of_any_type(dtype):
    torch.manual_seed(0)
    x = (torch.randn(60, 6) * 3).to(dtype)
    y = (x.float()[:, 0] > 0).long()
    net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 2))
    if dtype in (torch.bfloat16, torch.float64):
        net.to(dtype)
    optimizer = torch.optim.SGD(net.parameters(), 0.01)
    with yisheng.doctor(net, optimizer) as dr:
        for _ in range(12):
            net.train()
            for index in torch.randperm(60).split(20):
                optimizer.zero_grad()
                F.cross_entropy(net(x[index].to(net[0].weight.dtype)).float(), y[index]).backward()
                optimizer.step()
            net.eval()
            with torch.no_grad():
                F.cross_entropy(net(x.to(net[0].weight.dtype)).float(), y)
    assert not [reason for reason in dr.diagnose().unchecked.values() if "defect" in reason]
