"""Every concept written out in a few lines of tensor operations: pure functions, one concept a file.

What the decorator is told of each (``@register(...)``):

    equation   the equation, in plain text
    usual      how it is usually called: a line or a few of Python that run
    when       when to use it, a sentence or two
    plot       optional: ``plot(axes) -> None`` draws on matplotlib's axes what says more than words

An optimiser is ``f(w, g, memory, t, *, lr, **options) -> (w, memory)``: weights and gradient of any shape, a tuple of
tensors of that shape that begin as zeros (``memories`` says how many), the number ``t`` of the update, from 1. Its
options have the names of the registered optimiser's and may be tensors that broadcast against ``w``: so one call
updates K models, each with its own learning rate.
"""
