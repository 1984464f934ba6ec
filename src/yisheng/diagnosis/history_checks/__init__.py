"""One file per check of a run's whole course, from its files: ``f(facts) -> Iterator[Finding]``.

What the decorator is told: ``needs``, which says why such a run cannot be checked (empty: it can); ``explains``, names
of checks in this kind whose findings are symptoms of this one; ``follows``, whether the finding is a symptom where
training itself has shown a cause.
"""
