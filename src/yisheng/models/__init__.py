"""What learns: networks, each built for the data it meets.

A model is a function ``f(spec, **options) -> nn.Module``; the module takes a batch ``x (B, *spec.shape)`` and gives
``(B, spec.outputs)``: logits, never probabilities, since the losses work on logits. Parameters have plain names
(``conv1.weight``, ``output.bias``), which are those of the saved file.

What `register` may be told here: ``fits`` and ``wants`` (where it can be used, and how to say so), ``default_for``
(what ``model=auto`` means), ``stackable=False`` (several of them cannot run as one under `torch.func.vmap`).
"""
