"""Samplers: how the settings of a search are chosen.

A sampler is registered as ``f(axes, *, n, seed, **options)`` and is a generator of rounds: it yields a list of `Trial`
to train, and receives the list of their losses in the same order: the mean score over folds and seeds, negated if
larger is better, None for a failed trial. It depends only on ``seed`` and on the losses, so an interrupted search
continues with the same settings from its table.

Arguments of the decorator: ``ranges=False`` for a sampler that supports alternatives only, ``counts=False`` for one
that does not use ``n``. A sampler with the option ``epochs`` sets the number of epochs of each trial, up to that.
"""
