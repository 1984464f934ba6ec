"""How the settings of a search are chosen.

A search is registered as ``f(axes, *, n, seed, **options)`` and is a generator of rounds: it yields a list of `Trial`
to train, and is sent a list of what they lost, in that order: their score (mean over folds and seeds), negated where
more is better, None for a trial that failed. It depends on ``seed`` and on what it is sent alone, so a study that was
killed comes to the same settings again by its table.

What the decorator is told: ``ranges=False``: it knows alternatives only; ``counts=False``: it has no use for ``n``.
A search with the option ``epochs`` gives each trial its own number of them, up to that.
"""
