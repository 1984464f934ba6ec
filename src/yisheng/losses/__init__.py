"""Losses: one value per sample, never reduced.

A loss is a function ``f(spec, y, **options) -> loss`` with ``loss(output (B, O), y) -> (B,)``; ``y`` of the
factory are the training targets (numpy), from which class weights are computed. The update reduces the losses, since it
has the sample weights, accumulation and the model axis: every loss runs under `torch.func.vmap`.

Facts that `register` takes for a loss:

- ``fits`` and ``requires``: where it can be used, as a predicate and in words.
- ``default_for``: whether it is what ``loss=auto`` means for a spec.
- ``outputs``: the number of output units, if not one per class or target.
- ``own_score``: the loss itself is the default score, since other scores are worse on purpose where it is small.
"""
