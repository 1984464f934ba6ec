"""One file per check of a recorded training: ``f(case, **thresholds) -> Iterator[Finding]``.

Arguments of the decorator: ``when`` (``before``, ``first``, ``during`` or ``after``: the part of the training that a
case must hold); ``cause`` (``structure``, ``data``, ``rate`` or ``fit``: structural causes outrank learning rates);
``explains``, names of the checks whose findings are symptoms of this one; ``needs(case)``, which returns why the case
cannot be checked, or an empty text.
"""
