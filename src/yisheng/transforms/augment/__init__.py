"""Augmentations: random changes of the training inputs that keep their meaning.

A registered component is a function ``f(spec, **options) -> augment``, and

    augment(x, y, generator) -> (x, y)

changes a whole batch:

- ``x`` is ``(B, C, H, W)`` (or ``(B, D)``), uint8 or float32, on the training device, in the units of the data
  *before* scaling: 0..255 for images. The result has the same shape. It is uint8 if x was and the values are only
  moved (flip, crop, erase), else float32.
- ``y`` are the batch's targets. Only `mixup` changes them.
- ``generator`` is on the CPU, and the only source of randomness: the same state gives the same batch, on any device.
  Batches derive it from (seed, epoch, number of the batch), so that a resumed run continues exactly.

Nothing is changed in place; an augmentation without effect (``p=0``) may return its inputs. Python code never loops
over samples: random numbers are drawn for the batch at once, and applied by index arithmetic or one `grid_sample`.

Only training batches are augmented. Keys of `register` for this kind: ``fits`` and ``requires``, as everywhere, and
``moves=True`` where what an image shows is mirrored or moved: numbers such as a position or an angle would be wrong.
"""
