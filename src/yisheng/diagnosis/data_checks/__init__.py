"""One file per check of the data: ``f(sample, **thresholds) -> Iterator[Finding]``.

Arguments of the decorator: ``cost``, either ``cheap`` (runs before every training; NumPy only, on a bounded number of
rows), ``scored`` (as cheap, at the end of a run, whose scores it compares) or ``trainings`` (trains small models; runs
with ``doctor=full`` or on a finished run); ``fits(spec)``, whether
the check applies to such data; ``needs(sample)``, which returns why these rows cannot be checked, or an empty text;
``explains``, names of the checks whose findings are symptoms of this one; ``read_as``, the finding under which reading
the data reports the same, in which case the check does not run; ``raw``, whether it is only for rows that a network
gets as they are. A check that cannot decide raises
`yisheng.diagnosis.sample.InconclusiveError` with the reason.
"""
