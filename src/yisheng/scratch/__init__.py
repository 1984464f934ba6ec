"""Concepts from scratch: each a pure function of a few lines of tensor operations, one concept per file.

Facts that ``@register(...)`` takes for a concept:

    equation   the equation, in plain text
    usual      how it is usually called: a few lines of Python that run
    when       when to use it, a sentence or two
    plot       optional: ``plot(axes) -> None`` draws on matplotlib's axes

An optimizer is ``f(w, g, state, t, *, lr, **options) -> (w, state)``: weights and gradient of any shape, a tuple of
tensors of that shape that start as zeros (``state_tensors`` is their number), the number ``t`` of the update, from 1.
Its options have the names of the registered optimizer's and may be tensors that broadcast against ``w``: so one call
updates K models, each with its learning rate.
"""
