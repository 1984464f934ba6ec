"""One file per check of the data itself: ``f(sample, **thresholds) -> Iterator[Finding]``.

What the decorator is told: ``cost``, ``cheap`` (asked before training in every run; NumPy only, on bounded rows) or
``trainings`` (small models are trained: asked with ``doctor=full``, or of a run that is over); ``fits(spec)``, whether
it has a meaning for such data; ``needs(sample)``, which says why these rows cannot be checked (empty: they can);
``explains``, names of checks whose findings are symptoms of this one; ``read_as``, the finding under which reading the
data tells of the same: then it is not asked. A check that has looked and cannot tell raises
`yisheng.diagnosis.sample.UnclearError` with the reason.
"""
