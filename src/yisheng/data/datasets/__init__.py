"""Data sets by name: each file here is one, a registered function ``f(**options) -> Dataset``.

Options of generated sets include a ``seed`` of their own, so that the data stays the same when the run's seed
changes. Nothing is kept back here: parts are drawn in `yisheng.data.split`, scaling is fitted in training.

What `register` may be told here: ``opens`` (which paths it is the reader of), ``mirror=True`` (an image and its mirror
image mean the same, as in photographs and not in letters).
"""
