"""Metrics: numbers that say how good predictions are.

A metric is a function ``f(y, prediction, **options) -> float`` of NumPy arrays in the original units:

| task | y | prediction |
|---|---|---|
| classification | int64 ``(N,)`` | probabilities ``(N, C)``, also for two classes |
| multilabel | zeros and ones ``(N, L)`` | probabilities ``(N, L)``; a label is predicted from 0.5 on |
| regression | ``(N, T)`` | ``(N, T)`` |

The predicted class is the most probable one, and the first of them in a tie. A metric that the rows do not define
(R² of a constant target, AUC if all rows are of one class) is NaN.

Facts that `register` takes for a metric:

- ``fits`` and ``requires``: where it can be used, as a predicate and in words.
- ``default_for``: whether it is the validation score that ``score=auto`` means.
- ``scalar=False``: it is a table.
- ``higher=False``: smaller is better.
- ``interval``: ``f(y, prediction) -> (low, high)``, its 95% confidence interval.
- ``rows``: a `RowStatistic` that is the same metric, to the bit, if it is computed from values of single rows.
- ``reported``: ``f(spec) -> bool``, whether it is in every run's scores.
"""
