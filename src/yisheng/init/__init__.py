"""Where training begins: the first weights of linear and convolution layers.

An initialiser is a function ``f(weight, **options) -> None`` that fills one weight tensor in place, drawing from
torch's global generator; `yisheng.init.apply` walks a model with it. A weight is ``(O, D)`` for a linear layer
and ``(C_out, C_in, H, W)`` for a convolution; its fan-in is how many inputs one unit sums up (D, or
C_in x H x W), its fan-out the same seen from the other side (O, or C_out x H x W).
"""
