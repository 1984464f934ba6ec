"""The doctor: what is wrong with a training, with evidence and a remedy.

    Watch (hooks, sampled) -> Case -> checks -> Findings, ranked

A check is one file in ``checks/``, registered as ``f(case, **thresholds) -> Iterator[Finding]``. What the decorator is
told: ``when`` (``before``, ``first``, ``during`` or ``after``: what a case must hold for it to say anything), ``cause``
(``structure``, ``data``, ``rate`` or ``fit``: structural causes outrank learning rates), ``explains``: names of the
checks whose findings are symptoms of this one, and ``needs``: ``f(case) -> str``, why there is nothing for it to look
at in the case, empty where there is.
"""
