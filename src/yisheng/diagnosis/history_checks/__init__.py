"""One file per check of a run's history, from its files: ``f(facts) -> Iterator[Finding]``.

Arguments of the decorator: ``needs(facts)``, which returns why the run cannot be checked, or an empty text;
``explains``, names of history checks whose findings are symptoms of this one; ``follows``, whether the finding is a
symptom if the training itself has shown a cause.
"""
