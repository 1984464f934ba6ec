"""Random changes of the training inputs: more samples than were collected, in the ways that keep their meaning.

A registered thing is a function ``f(spec, **options) -> change``, and

    change(x, y, draw) -> (x, y)

changes a whole batch:

- ``x`` is ``(B, C, H, W)`` (or ``(B, D)``), uint8 or float32, on the training device, in the units of the data
  *before* scaling: 0..255 for images. What comes back has the same shape. It is uint8 where x was and the values
  are only moved (flip, crop, erase), else float32.
- ``y`` are the batch's targets. Only `mixup` changes them.
- ``draw`` is a generator on the CPU, and the only source of chance: the same state gives the same batch, on any
  device. Batches derive it from (seed, epoch, number of the batch), so that a resumed run goes on exactly.

Nothing is changed in place; what changes nothing (``p=0``) may give its inputs back. There is no per-sample Python:
chances are drawn for the batch at once, and applied by index arithmetic or one `grid_sample`.

Only training batches are augmented. What `register` may be told here: ``fits`` and ``wants``, as everywhere.
"""
