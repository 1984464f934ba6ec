"""How good the predictions are, in numbers that people know by name.

A metric is a function ``f(y, prediction, **options) -> float`` of NumPy arrays in the original units:

| task | y | prediction |
|---|---|---|
| classification | int64 ``(N,)`` | probabilities ``(N, C)``, also for two classes |
| multilabel | zeros and ones ``(N, L)`` | probabilities ``(N, L)``; a label is predicted from 0.5 on |
| regression | ``(N, T)`` | ``(N, T)`` |

The predicted class is the most probable one, the first of them in a tie. A metric that the rows do not define
(R² of a constant target, AUC where all rows are of one class) is NaN.

What `register` may be told here: ``fits`` and ``wants`` (where it can be used, and how to say so),
``default_for`` (the validation score that ``score=auto`` means), ``scalar=False`` (a table), ``higher=False``
(smaller is better), ``interval=f`` with ``f(y, prediction) -> (low, high)``, ``reported=lambda spec: bool`` (it
is in every run's scores).
"""
