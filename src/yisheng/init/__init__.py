"""Initialization: the initial weights of linear and convolution layers.

An initialization is a function ``f(weight, **options) -> None`` that fills one weight tensor in place, drawing from
torch's global generator; `yisheng.init.initialize` applies it to a model. A weight is ``(O, D)`` for a linear layer
and ``(C_out, C_in, H, W)`` for a convolution; its fan-in is the number of inputs of a unit (D, or
C_in x H x W), its fan-out the number of units that read an input (O, or C_out x H x W).
"""
