"""What training makes small: one value per sample, never reduced.

A loss is a function ``f(spec, y, **options) -> loss`` with ``loss(output (B, O), y) -> (B,)``; ``y`` of the
factory are the training targets (numpy), for what is counted from them. The reduction belongs to the update,
which also knows sample weights, accumulation and the model axis: every loss runs under `torch.func.vmap`.

What `register` may be told here: ``fits`` and ``wants`` (where it can be used, and how to say so),
``default_for`` (what ``loss=auto`` means), ``outputs`` (output units, where not one per class or target).
"""
